import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Log } from '../../src/core/log.ts';
import { startGateway } from '../../src/gateway.ts';
import { Browser } from '../demo/browser.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { startRedisServer } from '../redis-server.fixture.ts';
import { backendDefaults, createMachines, type Machine, place, type SignedIn, signInAt } from './machines.fixture.ts';
import { askSocket } from './standby-site.fixture.ts';

/** Two nodes on one Redis before the backends `a`, `b` and `c`, each of which can serve everybody. */
export interface RingSite extends AsyncDisposable {
  readonly machines: Readonly<Record<string, Machine>>;
  /** Where `first.yaml` and `second.yaml` are, the configurations of the nodes. */
  readonly directory: string;
  readonly logged: { readonly event: string; readonly fields: object }[];
  /** Asks the API of the second node. */
  api(method: string, path: string, body?: object): ReturnType<typeof askSocket>;
  /** Signs in at the first node. */
  signIn(user: string): Promise<SignedIn>;
  /** The backend that serves the next page of a browser by the second node, then by the first. */
  servedBy(browser: Browser): Promise<readonly [string, string]>;
}

/** Starts it. */
export async function startRingSite(): Promise<RingSite> {
  await using opened = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'postern-ring-'));
  opened.defer(() => rm(directory, { recursive: true, force: true }));
  const redis = opened.use(await startRedisServer());
  const { start, keyPair } = createMachines(opened);
  const machines = { a: await start('a'), b: await start('b'), c: await start('c') };
  await writeFile(join(directory, 'ca.crt'), keyPair.certificate);
  const logged: RingSite['logged'] = [];
  const write = (event: string, fields: object = {}) => void logged.push({ event, fields });
  const log: Log = { debug: write, info: write, warn: write, error: write };

  async function startNode(name: string): Promise<string> {
    const port = await freePort();
    const configFile = join(directory, `${name}.yaml`);
    await writeFile(
      configFile,
      `listen: 127.0.0.1:${port}
public_url: http://127.0.0.1:${port}
operators: { listen: 127.0.0.1:0, socket: ${name}.sock }
sessions: { redis: "${redis.url}", keys_file: keys }
directory: { default_domain: example.test, sources: [{ type: hash, shared_storage: true }] }
passdb: { tls_ca_file: ca.crt }
login: { refusal_after: 0s }
${backendDefaults}backends:
  a: { ${place(machines.a)} }
  b: { ${place(machines.b)} }
  c: { ${place(machines.c)} }
log: { level: silent }
shutdown: { delay: 0s, deadline: 1s }
`,
    );
    const gateway = await startGateway({ configFile, log });
    opened.defer(() => gateway.close());
    return `http://127.0.0.1:${port}`;
  }
  const [first, second] = [await startNode('first'), await startNode('second')];

  const owned = opened.move();
  return {
    machines,
    directory,
    logged,
    api: (method, path, body) => askSocket(join(directory, 'second.sock'), method, path, body),
    signIn: (user) => signInAt(first, user),
    servedBy: async (browser) => [await servedAt(second, browser), await servedAt(first, browser)],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The backend whose page a browser gets at this node, or the status. */
async function servedAt(origin: string, { cookies }: Browser): Promise<string> {
  const browser = new Browser(origin);
  for (const [name, value] of cookies) browser.cookies.set(name, value);
  const { status, body } = await browser.open('/mail/INBOX');
  return /backend (\w)/.exec(body.toString())?.[1] ?? String(status);
}
