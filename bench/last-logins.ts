import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient } from 'redis';
import type { StatisticsBatch, StatisticsStore } from '../src/core/statistics.ts';
import { RedisStatisticsStore } from '../src/observe/statistics/redis-store.ts';
import { SqliteStatisticsStore } from '../src/observe/statistics/sqlite-store.ts';
import { startCluster } from '../test/balancers/cluster.fixture.ts';
import { spawn } from '../test/programs.ts';
import { startRedisServer } from '../test/redis-server.fixture.ts';

/*
 * npm run bench:last-logins    last sign-ins of a million users: memory, write load, and how long listing them takes
 */

const users = 1_000_000;
/** Users of one flush: a hundred sign-ins a second, stored every ten seconds. */
const usersOfFlush = 1_000;
const keptMs = 400 * 24 * 60 * 60 * 1000;
const nowMs = Date.now();
const command = fileURLToPath(new URL('../bin/postern.mjs', import.meta.url));

/** What a process would store: sign-ins of some users. */
function batchOf(sequence: number, first: number): StatisticsBatch {
  const names = Array.from({ length: usersOfFlush }, (_, index) => `firstname.lastname${first + index}@example.org`);
  const day = new Date(nowMs).toISOString().slice(0, 10);
  return {
    process: 'bench',
    sequence,
    beganMs: nowMs,
    counts: new Map([[`hours:${day}`, new Map([['12|signed_in', usersOfFlush]])]]),
    users: new Map([day, day.slice(0, 7)].map((period) => [`web:${period}`, new Set(names)])),
    lastLogins: new Map(names.map((name, index) => [name, { web: nowMs - index * 1000, program: nowMs }])),
  };
}

async function fill(store: StatisticsStore): Promise<number> {
  const startedMs = performance.now();
  for (let first = 0, sequence = 1; first < users; first += usersOfFlush, sequence += 1) {
    await store.add(batchOf(sequence, first), keptMs, { nowMs: () => nowMs });
  }
  return (performance.now() - startedMs) / (users / usersOfFlush);
}

/** Seconds of the command, from its start to its end, and the lines that it wrote. */
async function list(configFile: string, more: readonly string[] = []) {
  const startedMs = performance.now();
  const args = [command, 'stats', 'last', '--format', 'csv', '-c', configFile, ...more];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  let lines = 0;
  let cpu = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    cpu = cpuSeconds(child.pid);
    for (const byte of chunk) if (byte === 10) lines += 1;
  });
  await once(child, 'close');
  return { seconds: (performance.now() - startedMs) / 1000, lines, cpu };
}

/** CPU seconds of a process until now. */
function cpuSeconds(pid: number | undefined): number {
  const fields =
    readFileSync(`/proc/${pid ?? 0}/stat`, 'utf8')
      .split(') ')[1]
      ?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function tell(what: string, figure: number | string): void {
  process.stdout.write(`${what.padEnd(64)}${typeof figure === 'number' ? figure.toFixed(1) : figure}\n`);
}

await using cluster = await startCluster();
const head = `public_url: http://mail.example.test
operators: { listen: "127.0.0.1:0", socket: api.sock }`;

/** A hundredth of the names signed in never. */
writeFileSync(
  join(cluster.folder, 'names.txt'),
  Array.from({ length: users }, (_, n) => `${n % 100 === 0 ? 'unused' : 'firstname'}.lastname${n}@example.org\n`).join(
    '',
  ),
);

async function measureListing(name: string, configFile: string): Promise<void> {
  const node = await cluster.startNode(configFile);
  const before = cpuSeconds(node.child.pid);
  const all = await list(configFile);
  tell(
    `${name}: CPU seconds of that at the node, and of the command`,
    `${(cpuSeconds(node.child.pid) - before).toFixed(1)}, ${all.cpu}`,
  );
  tell(`${name}: list ${all.lines - 1} users by the command, seconds`, all.seconds);
  const none = await list(configFile, ['--before', '2000-01-01']);
  tell(`${name}: find that ${none.lines - 1} of them are inactive, seconds`, none.seconds);
  const never = await list(configFile, ['--never', join(cluster.folder, 'names.txt')]);
  tell(`${name}: find ${never.lines - 1} of a list of ${users} names who never did, s`, never.seconds);
  await node[Symbol.asyncDispose]();
}

{
  await using server = await startRedisServer(['--appendfsync', 'everysec', '--auto-aof-rewrite-percentage', '0']);
  const client = await createClient({ url: server.url, RESP: 3 }).connect();
  const figure = async (section: string, field: string): Promise<number> =>
    Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(await client.info(section))?.[1]);
  const store = new RedisStatisticsStore(
    (script, keys, args) => client.eval(script, { keys: [...keys], arguments: [...args] }),
    (user) => [user],
  );
  const before = await figure('memory', 'used_memory');
  const [commandsBefore, cpuBefore] = [await figure('stats', 'total_commands_processed'), await cpuOf(client)];
  const ms = await fill(store);
  const flushes = users / usersOfFlush;
  tell('Redis: bytes for each user', ((await figure('memory', 'used_memory')) - before) / users);
  tell(`Redis: flush of ${usersOfFlush} users, ms`, ms);
  tell(
    'Redis: commands of the flush',
    ((await figure('stats', 'total_commands_processed')) - commandsBefore) / flushes,
  );
  tell('Redis: CPU of the flush at the server, ms', (((await cpuOf(client)) - cpuBefore) * 1000) / flushes);
  tell(
    'Redis: KB of the flush in the append-only file',
    (await figure('persistence', 'aof_current_size')) / 1024 / flushes,
  );
  client.destroy();
  const configFile = await cluster.configure(
    'redis',
    `${head}\ndirectory: { sources: [{ type: static, backend: a }] }\nsessions: { redis: "${server.url}", keys_file: r.keys }`,
  );
  await measureListing('Redis', configFile);
}
{
  const file = join(cluster.folder, 'bench.sqlite');
  const store = new SqliteStatisticsStore(file, (user) => [user]);
  const ms = await fill(store);
  await store[Symbol.asyncDispose]();
  tell('embedded: bytes for each user', statSync(file).size / users);
  tell(`embedded: flush of ${usersOfFlush} users, ms`, ms);
  const configFile = await cluster.configure(
    'embedded',
    `${head}\ndirectory: { sources: [{ type: static, backend: a }] }\nsessions: { store_file: bench.sqlite, keys_file: e.keys }`,
  );
  await measureListing('embedded', configFile);
}

async function cpuOf(client: { info(section: string): Promise<string> }): Promise<number> {
  const text = await client.info('cpu');
  return ['used_cpu_user', 'used_cpu_sys'].reduce(
    (sum, field) => sum + Number(new RegExp(`^${field}:([\\d.]+)`, 'm').exec(text)?.[1]),
    0,
  );
}
