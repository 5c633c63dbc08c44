import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request as sendRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { eventually } from '../test/eventually.fixture.ts';
import { spawnSync } from '../test/programs.ts';
import { machineFacts } from './machine.ts';
import { markdownTable, withMeasured } from './report.ts';
import { openSessionSource } from './sessions.ts';
import { sharedOrigin, startTwoMachines } from './two-machines.ts';

/*
 * npm run bench:keepalived    what users notice when a real keepalived moves the address; writes docs/load-balancers.md
 *
 * It runs itself again in namespaces of its own: no interface, route or mount of the machine is touched.
 */

const rounds = 3;
const everyMs = 20;
const page = new URL('../docs/load-balancers.md', import.meta.url);

if (process.env['POSTERN_BENCH_INSIDE'] !== '1') {
  const again = [
    '--net',
    '--mount',
    '--pid',
    '--fork',
    '--mount-proc',
    process.execPath,
    fileURLToPath(import.meta.url),
  ];
  const env = { ...process.env, POSTERN_BENCH_INSIDE: '1' };
  process.exit(spawnSync('unshare', again, { stdio: 'inherit', env }).status ?? 1);
}

await using opened = new AsyncDisposableStack();
const folder = await mkdtemp(join(tmpdir(), 'postern-keepalived-'));
opened.defer(() => rm(folder, { recursive: true, force: true }));
const { machines, redisUrl, keysFile } = opened.use(await startTwoMachines(folder));
const [first] = machines;
const sessions = opened.use(await openSessionSource(redisUrl, keysFile));
const [value] = await sessions.make(1, 'a', 'user');
const cookie = `postern=${value}; __Host-postern=${value}`;
await eventually(async () => (await ask()) === 'ok', 'the address is there');

const faults: readonly (readonly [
  what: string,
  fault: () => void | Promise<void>,
  mend: () => void | Promise<void>,
])[] = [
  ['`SIGTERM` to the node that has the address', () => void first.gateway.kill('SIGTERM'), () => first.startGateway()],
  ['it is started again, and takes the address back', () => undefined, () => undefined],
  ['`kill -9` of it', () => void first.gateway.kill('SIGKILL'), () => first.startGateway()],
  ['its machine loses the network', () => first.setLink('down'), () => first.setLink('up')],
];
const seen = new Map<string, Outage[]>(faults.map(([what]) => [what, []]));
for (let round = 0; round < rounds; round += 1) {
  for (const [what, fault, mend] of faults) {
    if (what.startsWith('it is started')) continue;
    note(what, await observe(12_000, fault));
    if (first.gateway.exitCode === null && first.gateway.signalCode === null && what.startsWith('`'))
      await once(first.gateway, 'exit');
    const back = await observe(8_000, mend);
    if (what.startsWith('`SIGTERM`')) note('it is started again, and takes the address back', back);
    await eventually(async () => (await ask()) === 'ok', 'all is well again');
    await pause(2_000);
  }
}
const rows = [...seen].map(([what, outages]) => {
  const sum = (of: (outage: Outage) => number) => outages.reduce((total, outage) => total + of(outage), 0);
  const longest = Math.max(...outages.map(({ longestMs }) => longestMs));
  return [
    what,
    String(sum(({ asked }) => asked)),
    String(sum(({ failed }) => failed)),
    `${(longest / 1000).toFixed(1)} s`,
  ];
});
const measured = [
  [
    ...machineFacts(),
    `Command: \`npm run bench:keepalived\`, ${rounds} rounds; a request on a new connection every ${everyMs} ms.`,
  ]
    .map((fact) => `- ${fact}`)
    .join('\n'),
  markdownTable({ head: ['what', 'requests', 'failed', 'longest without an answer'], rows }),
].join('\n\n');
console.log(measured);
await writeFile(page, withMeasured(await readFile(page, 'utf8'), measured));

interface Outage {
  readonly asked: number;
  readonly failed: number;
  /** The longest time from one good answer to the next; milliseconds. */
  readonly longestMs: number;
}

function note(what: string, outage: Outage): void {
  seen.get(what)?.push(outage);
  console.error(`${what}: ${JSON.stringify(outage)}`);
}

/** Sends requests for this time, and calls `happen` after a second. */
async function observe(forMs: number, happen: () => void | Promise<void>): Promise<Outage> {
  const answers: { readonly atMs: number; readonly answer: string }[] = [];
  const pending = new Set<Promise<void>>();
  const timer = setInterval(() => {
    const asking = ask().then((answer) => {
      answers.push({ atMs: performance.now(), answer });
      pending.delete(asking);
    });
    pending.add(asking);
  }, everyMs);
  await pause(1_000);
  await happen();
  await pause(forMs);
  clearInterval(timer);
  await Promise.all(pending);
  const good = answers.filter(({ answer }) => answer === 'ok').map(({ atMs }) => atMs);
  const gaps = good.map((atMs, i) => atMs - (good[i - 1] ?? atMs));
  return { asked: answers.length, failed: answers.length - good.length, longestMs: Math.max(...gaps, 0) };
}

/** Sends one request on a new connection, as a new user does. */
function ask(): Promise<string> {
  return new Promise((resolve) => {
    const options = { agent: false, headers: { cookie }, timeout: 2_000 } as const;
    const request = sendRequest(`${sharedOrigin}/`, options, (response) => {
      response.resume().once('end', () => resolve(response.statusCode === 200 ? 'ok' : String(response.statusCode)));
      response.once('error', () => resolve('cut'));
    });
    request.once('timeout', () => request.destroy(new Error('no answer in time')));
    request.once('error', () => resolve('no answer'));
    request.end();
  });
}
