import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../test/ports.fixture.ts';
import { startCaddy } from './caddy.ts';
import { startGatewayNode } from './gateway.ts';
import { startHaproxy, startTlsFront } from './haproxy.ts';
import { guardBlocks, startNginx } from './nginx.ts';
import { openSessionSource } from './sessions.ts';
import type { Stage } from './stage.ts';

/** All that can stand between a browser and the webmail here; `direct` means no intermediary. */
export const contenderNames = [
  'Postern',
  'undici relay',
  'Node relay',
  'HAProxy',
  'nginx + service',
  'nginx + cached service',
  'Caddy + service',
  'Express stack',
  'direct',
] as const;
export type ContenderName = (typeof contenderNames)[number];

/** The use of a session: the gateway has a backend with a webmail driver for each. */
export type SessionUse = 'files' | 'roundcube' | 'sockets';

/** The address of a contender, and the root processes that work for its requests, without the backend. */
interface Entrance {
  readonly origin: string;
  readonly pids: readonly number[];
}

export interface Contender extends Entrance {
  readonly name: ContenderName;
  /** The origin with TLS. */
  readonly tls?: Entrance;
  /** The Cookie fields of this number of signed-in users. */
  readonly cookies: (use: SessionUse, count: number) => Promise<readonly string[]>;
}

export interface Contenders {
  get(name: ContenderName): Contender;
}

/** Starts all contenders on a stage, with which they end. */
export async function startContenders(stage: Stage): Promise<Contenders> {
  const { gateway } = await startPostern(stage);
  const others = await Promise.all([
    ...startRelays(stage),
    startPlainHaproxy(stage),
    startGuard(stage, 'nginx + service', []),
    startGuard(stage, 'nginx + cached service', ['--cache']),
    startCaddyGuard(stage),
    startExpressStack(stage),
  ]);
  const { port } = stage.backend;
  const direct: Contender = { name: 'direct', origin: originOf(port), pids: [], cookies: uncheckedCookies };
  const byName = new Map([gateway, ...others, direct].map((each) => [each.name, each]));
  return {
    get(name) {
      const found = byName.get(name);
      if (found === undefined) throw new TypeError(`${name} was not started`);
      return found;
    },
  };
}

let gateways = 0;

/** Starts a separate gateway with its own Redis database and server keys. */
export async function startPostern(stage: Stage, settings = '', further: readonly string[] = []) {
  gateways += 1;
  const folder = join(stage.folder, `gateway-${gateways}`);
  const redisUrl = stage.redis.url.replace(/0$/, String(gateways));
  const [port, tlsPort] = [await freePort(), await freePort()];
  // No user signs in here: sign-in.ts measures that with a real IMAP server.
  const backend = (name: string, behind: number, driver: string, imapPort: number): string =>
    `${name}: { imap: "imaps://127.0.0.1:${imapPort}", webmail: "${originOf(behind)}/", driver: ${driver} }`;
  const node = await startGatewayNode({
    folder,
    port,
    tlsPort,
    redisUrl,
    home: 'files',
    settings,
    backends: [
      backend('files', stage.backend.port, 'none', 1),
      backend('roundcube', stage.backend.port, 'roundcube', 2),
      backend('sockets', stage.sockets.port, 'none', 3),
      ...further,
    ],
  });
  stage.keep(node);
  const sessions = await openSessionSource(redisUrl, join(folder, 'keys'));
  stage.keep(sessions);
  const pids = [node.pid, stage.redis.pid];
  let made = 0;
  const gateway: Contender = {
    name: 'Postern',
    origin: originOf(port),
    pids,
    tls: await behindTls(stage, tlsPort, port, pids),
    async cookies(use, count) {
      made += 1;
      const values = await sessions.make(count, use, `set${made}-user`);
      return values.map((value) => `__Host-postern=${value}`);
    },
  };
  return { gateway, sessions, redisUrl, keysFile: join(folder, 'keys') };
}

function startRelays(stage: Stage): readonly Promise<Contender>[] {
  const backend = originOf(stage.backend.port);
  const start = async (name: ContenderName, file: string, behindFront: boolean): Promise<Contender> => {
    const { port, pid } = await stage.startPeer(file, [backend, originOf(stage.sockets.port)]);
    const tls = behindFront ? { tls: await behindTls(stage, await freePort(), port, [pid]) } : {};
    return { name, origin: originOf(port), pids: [pid], cookies: uncheckedCookies, ...tls };
  };
  return [start('undici relay', 'undici-relay.ts', true), start('Node relay', 'node-relay.ts', false)];
}

async function startPlainHaproxy(stage: Stage): Promise<Contender> {
  const port = await freePort();
  const { pid } = stage.keep(await startHaproxy(stage.folder, port, stage.backend.port, stage.sockets.port));
  return { name: 'HAProxy', origin: originOf(port), pids: [pid], cookies: uncheckedCookies };
}

async function startService(stage: Stage, args: readonly string[]) {
  return stage.startPeer('session-service.ts', [stage.redis.url, ...args]);
}

async function startGuard(stage: Stage, name: ContenderName, args: readonly string[]): Promise<Contender> {
  const [service, port, tlsPort] = [await startService(stage, args), await freePort(), await freePort()];
  const folder = join(stage.folder, `guard-${port}`);
  await mkdir(folder);
  const blocks = guardBlocks({
    port,
    tls: { port: tlsPort, certificateFile: stage.tls.keyAndCertificateFile },
    backend: stage.backend.port,
    webSockets: stage.sockets.port,
    service: service.port,
  });
  const { pid } = stage.keep(await startNginx(folder, port, blocks));
  const pids = [pid, service.pid, stage.redis.pid];
  const tls = { origin: `https://127.0.0.1:${tlsPort}`, pids };
  return { name, origin: originOf(port), pids, tls, cookies: (_use, count) => serviceCookies(stage, count) };
}

async function startCaddyGuard(stage: Stage): Promise<Contender> {
  const [service, port] = [await startService(stage, []), await freePort()];
  const { pid } = stage.keep(
    await startCaddy(stage.folder, { port, backend: stage.backend.port, service: service.port }),
  );
  return {
    name: 'Caddy + service',
    origin: originOf(port),
    pids: [pid, service.pid, stage.redis.pid],
    cookies: (_use, count) => serviceCookies(stage, count),
  };
}

async function startExpressStack(stage: Stage): Promise<Contender> {
  const { port, pid } = await stage.startPeer('express-stack.ts', [originOf(stage.backend.port), stage.redis.url]);
  const signIn = async (): Promise<string> => {
    const answer = await fetch(`${originOf(port)}/login`, { method: 'POST' });
    return answer.headers.getSetCookie()[0]?.split(';')[0] ?? '';
  };
  return {
    name: 'Express stack',
    origin: originOf(port),
    pids: [pid, stage.redis.pid],
    cookies: (_use, count) => Promise.all(Array.from({ length: count }, signIn)),
  };
}

/** Puts HAProxy with TLS in front of a contender without TLS. Both are counted. */
async function behindTls(stage: Stage, port: number, target: number, pids: readonly number[]): Promise<Entrance> {
  const certificateFile = stage.tls.keyAndCertificateFile;
  const front = stage.keep(await startTlsFront(stage.folder, { port, target, certificateFile }));
  return { origin: `https://127.0.0.1:${port}`, pids: [front.pid, ...pids] };
}

/** Cookie fields for contenders without sessions, as long as the gateway's. */
function uncheckedCookies(_use: SessionUse, count: number): Promise<readonly string[]> {
  return Promise.resolve(Array.from({ length: count }, () => `__Host-postern=${randomBytes(75).toString('hex')}`));
}

/** Writes sessions of the session service into Redis, each about as large as the gateway's, and returns their cookies. */
async function serviceCookies({ redis }: Stage, count: number): Promise<readonly string[]> {
  const ids = Array.from({ length: count }, () => randomBytes(32).toString('base64url'));
  for (let from = 0; from < count; from += 1000) {
    await Promise.all(
      ids.slice(from, from + 1000).map((id, i) => redis.client.set(`sid:${id}`, serviceRecord(from + i))),
    );
  }
  return ids.map((id) => `sid=${id}`);
}

function serviceRecord(i: number): string {
  return JSON.stringify({ user: `user${i}@bench.test`, padding: 'x'.repeat(1000) });
}

function originOf(port: number): string {
  return `http://127.0.0.1:${port}`;
}
