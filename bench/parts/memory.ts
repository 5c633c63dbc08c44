import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../test/ports.fixture.ts';
import { connects, startProgram } from '../../test/programs.ts';
import { type Contender, type SessionUse, startPostern } from '../contenders.ts';
import { residentBytes } from '../cpu.ts';
import { significant, type Target } from '../report.ts';
import type { Stage } from '../stage.ts';
import type { Part } from './part.ts';

const settleMs = 1_500;
const connections = 10_000;
const webSockets = 2_000;
const perSession = 20;
const sessionCount = 10_000;

/** Measures the memory of connections and sessions. */
export const memory: Part = async ({ stage, wrk }) => {
  const opener = await stage.startPeer('open-connections.ts', []);
  // Each kind gets a new gateway: it would reuse memory that another kind has freed.
  async function weigh(kind: string, path: string, use: SessionUse, count: number, users: number): Promise<number> {
    const { gateway } = await startPostern(stage);
    const [cookie = ''] = await gateway.cookies('files', 1);
    const traffic = { origin: gateway.origin, connections: 8, seconds: 2, paths: ['/1k'], cookies: [cookie] };
    const goOn = async (): Promise<void> => void (await wrk(traffic));
    return weighConnections(opener.port, gateway, { kind, path, use, count, users, goOn });
  }
  const idle = await weigh('keep-alive', '/1k', 'files', connections, 1);
  const sockets = await weigh('web-socket', '/socket', 'sockets', webSockets, webSockets / perSession);
  const stored = await weighStored(stage);
  const rows = [
    [`an idle keep-alive connection, of ${connections}`, significant(idle)],
    [`an open WebSocket, of ${webSockets}`, significant(sockets)],
    [`a Roundcube session in Redis, of ${sessionCount}`, significant(stored.redis)],
    [`a Roundcube session in a node’s cache, of ${sessionCount}`, significant(stored.cache)],
  ];
  return [
    {
      title: 'Memory',
      about: 'Resident memory of the gateway for connections, used memory of Redis and heap of a node for sessions.',
      table: { head: ['what', 'KB each'], rows },
      targets: [
        kilobytes(`${connections} idle keep-alive connections, each`, 20, idle),
        kilobytes(`${webSockets} WebSockets, each`, 40, sockets),
        kilobytes('A Roundcube session in Redis', 1.5, stored.redis),
        kilobytes('A Roundcube session in the cache of a node', 2, stored.cache),
      ],
    },
  ];
};

function kilobytes(what: string, limit: number, measured: number): Target {
  return { what, limit, measured, unit: ' KB' };
}

interface Order {
  readonly kind: string;
  readonly path: string;
  readonly use: SessionUse;
  readonly count: number;
  readonly users: number;
  /** Other traffic, which makes the garbage of opening collected, as in production. */
  readonly goOn: () => Promise<void>;
}

/** The gateway's kilobytes for each connection. */
async function weighConnections(opener: number, postern: Contender, order: Order): Promise<number> {
  const gateway = postern.pids.slice(0, 1);
  const cookies = await postern.cookies(order.use, order.users);
  const ask = async (count: number): Promise<number> => {
    const body = JSON.stringify({ ...order, origin: postern.origin, cookies, count });
    const answer = await fetch(`http://127.0.0.1:${opener}/`, { method: 'POST', body });
    if (!answer.ok) throw new Error(await answer.text());
    await order.goOn();
    await pause(settleMs);
    return residentBytes(gateway);
  };
  // Otherwise one-time costs would count for the first connections.
  await ask(perSession);
  const before = await ask(0);
  const after = await ask(order.count);
  await ask(0);
  return (after - before) / order.count / 1000;
}

/** The kilobytes of Redis and of a node for each session. */
async function weighStored(stage: Stage): Promise<{ readonly redis: number; readonly cache: number }> {
  const { gateway, redisUrl, keysFile } = await startPostern(stage);
  const before = await usedMemory(stage);
  const cookies = await gateway.cookies('roundcube', sessionCount);
  const redis = ((await usedMemory(stage)) - before) / sessionCount / 1000;
  const cookieFile = join(stage.folder, 'held-cookies.txt');
  await writeFile(cookieFile, cookies.join('\n'));
  const port = await freePort();
  const program = fileURLToPath(new URL('../peers/held-sessions.ts', import.meta.url));
  const args = ['--expose-gc', program, String(port), redisUrl, keysFile, cookieFile];
  await using _holder = await startProgram(process.execPath, args, { isReady: () => connects(port) });
  const { held, bytes }: { held: number; bytes: number } = JSON.parse(
    await (await fetch(`http://127.0.0.1:${port}/`)).text(),
  );
  if (held !== sessionCount) throw new Error(`${held} of ${sessionCount} sessions were found`);
  return { redis, cache: bytes / 1000 };
}

async function usedMemory({ redis }: Stage): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await redis.client.info('memory'))?.[1]);
}
