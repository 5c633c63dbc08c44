import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from 'redis';
import type { Log } from '../../src/core/log.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import { run } from '../cli/cli.fixture.ts';
import {
  backendDefaults,
  createMachines,
  type Machine,
  place,
  type SignedIn,
  signInAt,
} from '../gateway/machines.fixture.ts';
import { askSocket } from '../gateway/standby-site.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';

/** One node, as its users and its operators meet it. */
export interface LockNode {
  readonly gateway: Gateway;
  readonly origin: string;
  readonly servicePort: number;
  readonly logged: { readonly event: string; readonly fields: Readonly<Record<string, unknown>> }[];
  api(method: string, path: string, body?: object): ReturnType<typeof askSocket>;
  /** Runs a command of the operator's on it. */
  postern(...args: readonly string[]): ReturnType<typeof run>;
  signIn(user: string, password?: string): Promise<SignedIn>;
  /** Sends a Basic client's request. */
  dav(user: string, password?: string): Promise<Response>;
  /** Asks as nginx's mail proxy does. Resolves with Auth-Status. */
  authHttp(user: string, client?: string): Promise<string | null>;
  lookup(user: string, client?: string): Promise<{ readonly status: number; readonly body: object }>;
  /** Closes it and starts it again on the same files. */
  restart(): Promise<void>;
}

/** Two nodes before the backends a and b, over one Redis. Alice and Anna live on a, Bob on b. */
export interface LockSite extends AsyncDisposable {
  readonly folder: string;
  readonly redis: RedisServer;
  readonly machines: Readonly<Record<'a' | 'b', Machine>>;
  readonly one: LockNode;
  readonly two: LockNode;
  /** The map file of the users. */
  readonly users: string;
  /** Requests of Basic clients that wait at their backend. */
  waitingPrograms(): number;
  /** Makes a node known that reported itself some time ago. */
  reportSilentNode(name: string): Promise<void>;
  forgetSilentNode(name: string): Promise<void>;
}

/** Starts it; `more` is put behind the sections of both nodes. */
export async function startLockSite(more = ''): Promise<LockSite> {
  await using opened = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'postern-locks-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  const redis = opened.use(await startRedisServer());
  const names = ['alice', 'anna', 'bob', 'late'].map((name) => `${name}@example.test`);
  const { start, keyPair } = createMachines(opened, names);
  const dav = await startDavServer(opened);
  const connect = () => createClient({ url: redis.url }).connect();
  const onRedis = async (change: (client: Awaited<ReturnType<typeof connect>>) => Promise<unknown>): Promise<void> => {
    const client = await connect();
    await change(client).finally(() => client.destroy());
  };
  const machines = { a: await start('a'), b: await start('b') };
  await writeFile(join(folder, 'ca.crt'), keyPair.certificate);
  const users = 'alice@example.test: a\nanna@example.test: a\nbob@example.test: b\n';
  await writeFile(join(folder, 'users.map'), users);
  const startNode = async (name: string): Promise<LockNode> => {
    const [port, servicePort] = [await freePort(), await freePort()];
    const configFile = join(folder, `${name}.yaml`);
    await writeFile(
      configFile,
      `listen: 127.0.0.1:${port}
public_url: http://127.0.0.1:${port}
operators: { listen: 127.0.0.1:0, socket: ${name}.sock }
sessions: { redis: "${redis.url}", keys_file: keys }
directory: { default_domain: example.test, sources: [{ type: map, file: users.map }], cache: { found: 0s, unknown: 0s } }
directory_service: { listen: 127.0.0.1:${servicePort} }
passdb: { tls_ca_file: ca.crt }
login: { refusal_after: 0s }
audit: { file: ${name}-audit.jsonl }
${backendDefaults}  dav: { /dav: "http://127.0.0.1:${dav.port}" }
backends:
  a: { ${place(machines.a)} }
  b: { ${place(machines.b)} }
log: { level: silent }
shutdown: { delay: 0s, deadline: 1s }
${more}`,
    );
    const logged: LockNode['logged'] = [];
    const note = (event: string, fields: object = {}) => void logged.push({ event, fields: { ...fields } });
    const log: Log = { debug: note, info: note, warn: note, error: note };
    let gateway = await startGateway({ configFile, log });
    opened.defer(() => gateway.close());
    const origin = `http://127.0.0.1:${port}`;
    const asks = (path: string, headers = {}) => fetch(`http://127.0.0.1:${servicePort}${path}`, { headers });
    return {
      get gateway() {
        return gateway;
      },
      origin,
      servicePort,
      logged,
      api: (method, path, body) => askSocket(join(folder, `${name}.sock`), method, path, body),
      postern: (...args) => run([...args, '-c', configFile]),
      signIn: (user, password) => signInAt(origin, user, password),
      dav(user, password = 'wonderland') {
        const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
        return fetch(`${origin}/dav/`, { headers: { authorization } });
      },
      async authHttp(user, client = '192.0.2.7') {
        const headers = { 'auth-user': user, 'auth-protocol': 'imap', 'auth-method': 'plain', 'client-ip': client };
        return (await asks('/auth_http', headers)).headers.get('auth-status');
      },
      async lookup(user, client) {
        const from = client === undefined ? '' : `&client=${client}`;
        const answer = await asks(`/lookup?user=${encodeURIComponent(user)}${from}`);
        return { status: answer.status, body: JSON.parse(await answer.text()) };
      },
      async restart() {
        await gateway.close();
        gateway = await startGateway({ configFile, log });
      },
    };
  };
  const [one, two] = [await startNode('one'), await startNode('two')];
  const owned = opened.move();
  return {
    folder,
    redis,
    machines,
    one,
    two,
    users,
    waitingPrograms: () => dav.waiting.size,
    reportSilentNode: (name) =>
      onRedis(async (client) => {
        const [own = ''] = Object.values(await client.hGetAll('ps:nodes'));
        const report = { ...JSON.parse(own.slice(own.indexOf(' '))), name, stateVersion: 1 };
        await client.hSet('ps:nodes', name, `${Date.now() - 30_000} ${JSON.stringify(report)}`);
      }),
    forgetSilentNode: (name) => onRedis((client) => client.hDel('ps:nodes', name)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A server for Basic clients that lets requests for `/dav/waits` wait, as ActiveSync lets a phone. */
async function startDavServer(opened: AsyncDisposableStack) {
  const waiting = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    waiting.add(response);
    response.on('close', () => waiting.delete(response));
    if (request.url !== '/dav/waits') response.end('a calendar');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  opened.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return { port: typeof address === 'object' && address !== null ? address.port : 0, waiting };
}
