import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../test/ports.fixture.ts';
import { startPostern } from './contenders.ts';
import { withDescendants } from './cpu.ts';
import { installPeers } from './install.ts';
import { machineFacts } from './machine.ts';
import { backendBlocks, startNginx } from './nginx.ts';
import { markdownTable, significant, targetTable, withMeasured } from './report.ts';
import { openStage } from './stage.ts';
import { seriesOf } from './statistics.ts';
import { createWrk, startLoad } from './wrk.ts';

/*
 * npm run bench:hung-backend    what users of one backend notice of another one that hangs; writes docs/operate.md
 */

const rounds = 9;
/** The shortest useful time: the checks may need six seconds to notice, and the effect must be seen, too. */
const seconds = 10;
/** The requests per second of the measured users: a tenth of what the node can do. */
const load = { connections: 32, paths: ['/1k'], seconds, delayMs: 32 };
/**
 * The users of the backend that hangs. Each has a connection, sends a request every ten seconds, and waits for the
 * answer, so they send less while it hangs. There are more of them than the gateway has connections to the backend.
 */
const others = { connections: 2_000, paths: ['/1k'], seconds: 3_600, delayMs: 10_000 };
const page = new URL('../docs/operate.md', import.meta.url);

installPeers();
await using stage = await openStage();
const wrk = createWrk(stage.folder);
const hungPort = await freePort();
const hung = stage.keep(
  await startNginx(join(stage.folder, 'hung'), hungPort, backendBlocks(join(stage.folder, 'www'), hungPort)),
);
const { gateway, sessions } = await startPostern(stage, '', [
  `hung: { imap: "imaps://127.0.0.1:9", webmail: "http://127.0.0.1:${hungPort}/", driver: none }`,
]);
const cookies = await gateway.cookies('files', 100);
const othersCookies = (await sessions.make(others.connections, 'hung', 'hung-user')).map(
  (value) => `__Host-postern=${value}`,
);
using beside = await startLoad(stage.folder, { ...others, origin: gateway.origin, cookies: othersCookies });
// The users have arrived by then.
await pause(2 * others.delayMs);

const p99 = { well: new Array<number>(), hung: new Array<number>() };
const p50 = { well: new Array<number>(), hung: new Array<number>() };
for (let round = -1; round < rounds; round += 1) {
  for (const state of round % 2 === 0 ? (['well', 'hung'] as const) : (['hung', 'well'] as const)) {
    if (state === 'hung') stop(true);
    const result = await wrk({ ...load, origin: gateway.origin, cookies });
    stop(false);
    await untilWell();
    await pause(1_000);
    if (round < 0) continue;
    p99[state].push(result.p99Micros / 1000);
    p50[state].push(result.p50Micros / 1000);
  }
}
const asked = await beside.end();

const rows = (['well', 'hung'] as const).map((state) => {
  const [middle, high] = [seriesOf(p50[state]), seriesOf(p99[state])];
  return [state, ...[middle.best, middle.median, high.best, high.median].map(significant)];
});
const [well, ill] = [seriesOf(p99.well), seriesOf(p99.hung)];
const target = {
  what: 'p99 of users of another backend while one hangs, to the same while it is well',
  limit: 1.2,
  measured: ill.best / well.best,
  besides: `best of ${rounds} rounds; medians ${significant(ill.median / well.median)}`,
};
const measured = [
  [...machineFacts(), `Command: \`npm run bench:hung-backend\`, ${rounds} rounds of ${seconds} s.`]
    .map((fact) => `- ${fact}`)
    .join('\n'),
  markdownTable(targetTable([target])),
  markdownTable({ head: ['other backend', 'p50 ms, best', 'median', 'p99 ms, best', 'median'], rows }),
  `Users of the backend that hung: ${others.connections}, with ${significant(asked.perSecond)} requests a second on average, also between the rounds; ${asked.refused} of ${asked.requests} were refused.`,
].join('\n\n');
console.log(measured);
await writeFile(page, withMeasured(await readFile(page, 'utf8'), measured));

/** Stops or continues the worker of the web server, too: its master accepts no connections. */
function stop(is: boolean): void {
  for (const pid of withDescendants([hung.pid])) process.kill(pid, is ? 'SIGSTOP' : 'SIGCONT');
}

/**
 * Waits until the backend is UP. After several failures it must be well for up to a minute, and until then its users
 * are refused, so no round may start earlier. One request a second gets through meanwhile.
 */
async function untilWell(): Promise<void> {
  const inRow = 20;
  const deadlineMs = performance.now() + 120_000;
  for (let good = 0; good < inRow; ) {
    if (performance.now() > deadlineMs) throw new Error('the backend is not believed to be well again');
    const cookie = othersCookies[good % othersCookies.length] ?? '';
    const response = await fetch(`${gateway.origin}/1k`, { headers: { cookie } });
    await response.arrayBuffer();
    good = response.status === 200 ? good + 1 : 0;
    await pause(20);
  }
}
