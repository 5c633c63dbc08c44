import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { startPostern } from './contenders.ts';
import { cpuMicros, residentBytes } from './cpu.ts';
import { installPeers } from './install.ts';
import { machineFacts } from './machine.ts';
import { markdownTable, significant, targetTable, withMeasured } from './report.ts';
import { seriesOf } from './statistics.ts';
import { openStage, type Stage } from './stage.ts';
import { createWrk, type Wrk } from './wrk.ts';

/*
 * npm run bench:scaling    what growth costs: sessions, backends, Redis; writes docs/scaling.md
 */

const sessionCounts = [100, 10_000, 100_000];
const backendCounts = [2, 200];
const rounds = 5;
const page = new URL('../docs/scaling.md', import.meta.url);

installPeers();
await using stage = await openStage();
const wrk = createWrk(stage.folder);
const sessionRows: string[][] = [];
let roundTrips = 0;
for (const count of sessionCounts) {
  const { cells, perThousand } = await withSessions(stage, wrk, count);
  sessionRows.push(cells);
  if (count === 10_000) roundTrips = perThousand;
}
const backendRows: string[][] = [];
for (const count of backendCounts) backendRows.push(await withBackends(stage, wrk, count));
const target = {
  what: 'Redis round trips per 1,000 requests, 10,000 sessions in use',
  limit: 20,
  measured: roundTrips,
};
const sessionHead = [
  'sessions in use',
  'CPU µs per request, best',
  'median',
  'Redis round trips per 1,000 requests',
  'MB',
];
const measured = [
  [...machineFacts(), 'Command: `npm run bench:scaling`.'].map((fact) => `- ${fact}`).join('\n'),
  markdownTable(targetTable([target])),
  markdownTable({ head: sessionHead, rows: sessionRows }),
  markdownTable({ head: ['backends', 'CPU µs per request, best', 'median', 'MB'], rows: backendRows }),
].join('\n\n');
console.log(measured);
await writeFile(page, withMeasured(await readFile(page, 'utf8'), measured));

/** Measures requests of which each belongs to another session than the one before. */
async function withSessions(stage: Stage, wrk: Wrk, count: number) {
  const { gateway } = await startPostern(stage);
  const cookies = await gateway.cookies('files', count);
  const load = { origin: gateway.origin, connections: 32, paths: ['/1k'], cookies };
  // Each session is used once, and that use is written, before the count starts.
  for (let met = 0; met < count; ) met += (await wrk({ ...load, seconds: 4 })).requests;
  await pause(2_000);
  const { costs, requests, commands } = await repeat(stage, gateway.pids, () => wrk({ ...load, seconds: 1 }));
  const perThousand = (commands * 1000) / requests;
  const { best, median } = seriesOf(costs);
  const megabytes = residentBytes(gateway.pids.slice(0, 1)) / 1e6;
  return { cells: [String(count), ...[best, median, perThousand, megabytes].map(significant)], perThousand };
}

/** Measures sessions spread over this number of backends, all of them on one web server. */
async function withBackends(stage: Stage, wrk: Wrk, count: number): Promise<string[]> {
  const lines = Array.from(
    { length: count },
    (_, i) =>
      `n${i}: { imap: "imaps://127.0.0.1:${1000 + i}", webmail: "http://127.0.0.1:${stage.backend.port}/", driver: none }`,
  );
  const { gateway, sessions } = await startPostern(stage, '', lines);
  const values: string[] = [];
  for (let i = 0; i < count; i += 1) values.push(...(await sessions.make(1, `n${i}`, `on-n${i}-user`)));
  const cookies = values.map((value) => `__Host-postern=${value}`);
  const load = { origin: gateway.origin, connections: 32, paths: ['/1k'], cookies };
  await wrk({ ...load, seconds: 4 });
  const { costs } = await repeat(stage, gateway.pids, () => wrk({ ...load, seconds: 1 }));
  const { best, median } = seriesOf(costs);
  return [String(count), ...[best, median, residentBytes(gateway.pids.slice(0, 1)) / 1e6].map(significant)];
}

async function repeat(stage: Stage, pids: readonly number[], run: () => Promise<{ readonly requests: number }>) {
  const costs: number[] = [];
  let requests = 0;
  const before = await commandsOf(stage);
  for (let round = 0; round < rounds; round += 1) {
    const cpu = cpuMicros(pids);
    const done = await run();
    requests += done.requests;
    costs.push((cpuMicros(pids) - cpu) / done.requests);
  }
  return { costs, requests, commands: (await commandsOf(stage)) - before };
}

/** The number of commands that Redis received, with heartbeats and those of other gateways here. */
async function commandsOf({ redis }: Stage): Promise<number> {
  return Number(/^total_commands_processed:(\d+)/m.exec(await redis.client.info('stats'))?.[1]);
}
