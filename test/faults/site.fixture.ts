import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCertificate } from '../../demo/certificate.ts';
import { startImapServer } from '../../demo/imap-server.ts';
import { type Log, silentLog } from '../../src/core/log.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import { Browser, fieldsIn, type Landed } from '../demo/browser.fixture.ts';
import { askSocket } from '../gateway/standby-site.fixture.ts';
import { freePort, listening } from '../ports.fixture.ts';

/** A webmail that a test breaks. It answers `/` with its name. */
export interface Machine extends AsyncDisposable {
  readonly name: string;
  readonly port: number;
  readonly server: Server;
  /** Its handler for a request, instead of the name. */
  answer: RequestListener;
  /** Refuses connections from now on. */
  close(): Promise<void>;
  /** Accepts connections again. */
  open(): Promise<void>;
}

/** A gateway with the backends `a` of alice and anna, and `b` of bob. The webmails need no sign-in. */
export interface FaultSite extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly origin: string;
  signIn(user: 'alice' | 'anna' | 'bob'): Promise<{ readonly browser: Browser; readonly landed: Landed }>;
  api(method: string, path: string, body?: object): ReturnType<typeof askSocket>;
  /** The node's state of the first host of a backend. */
  stateOf(backend: 'a' | 'b'): Promise<string>;
  /** The node's states of all hosts, and the active one. */
  hostsOf(backend: 'a' | 'b'): Promise<readonly { readonly name: string; readonly state: string }[]>;
}

export async function startMachine(name: string): Promise<Machine> {
  const machine = {
    name,
    answer: ((_request, response) => void response.end(`machine ${name}`)) as RequestListener,
  };
  const server = createServer((request, response) => machine.answer(request, response));
  const port = await listening(server);
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return Object.assign(machine, {
    port,
    server,
    close,
    open: () => new Promise<void>((resolve) => void server.listen(port, '127.0.0.1', resolve)),
    [Symbol.asyncDispose]: close,
  });
}

/**
 * `a`: one port, or that of a primary and of its standby, or those of two `equals`. `more`: further lines of the
 * configuration.
 */
export async function startFaultSite(
  places: { readonly a: readonly [number, number?]; readonly b: number; readonly equals?: boolean },
  more = '',
  driver = 'none',
  log: Log = silentLog,
): Promise<FaultSite> {
  await using opened = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'postern-faults-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  const keyPair = createCertificate(['127.0.0.1'], Date.now());
  const users = {
    'alice@example.test': 'wonderland',
    'anna@example.test': 'wonderland',
    'bob@example.test': 'wonderland',
  };
  const imap = opened.use(await startImapServer({ users, security: 'tls', keyPair }));
  await writeFile(join(folder, 'ca.crt'), keyPair.certificate);
  await writeFile(join(folder, 'password'), 'wonderland\n');
  await writeFile(join(folder, 'users.map'), 'alice@example.test: a\nanna@example.test: a\nbob@example.test: b\n');
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const configFile = join(folder, 'postern.yaml');
  const at = (webmail: number): string =>
    `imap: "imaps://127.0.0.1:${imap.port}", webmail: "http://127.0.0.1:${webmail}/"`;
  const [primary, standby] = places.a;
  const a =
    standby === undefined
      ? at(primary)
      : places.equals === true
        ? `hosts: [{ ${at(primary)} }, { ${at(standby)} }]`
        : `${at(primary)}, standby: [{ ${at(standby)} }]`;
  await writeFile(
    configFile,
    `listen: 127.0.0.1:${port}
public_url: ${origin}
operators: { listen: 127.0.0.1:0, socket: api.sock }
directory: { default_domain: example.test, sources: [{ type: map, file: users.map }] }
passdb: { tls_ca_file: ca.crt }
login: { refusal_after: 0s }
shutdown: { delay: 0s, deadline: 1s }
backends:
  a: { ${a}, driver: ${driver} }
  b: { ${at(places.b)}, driver: ${driver} }
${more}
`,
  );
  const gateway = await startGateway({ configFile, log });
  opened.defer(() => gateway.close());
  const api: FaultSite['api'] = (method, path, body) => askSocket(join(folder, 'api.sock'), method, path, body);
  const hostsOf: FaultSite['hostsOf'] = async (backend) => {
    const { body } = await api('GET', '/backends');
    return body.backends.find(({ name }: { name: string }) => name === backend).hosts;
  };
  const owned = opened.move();
  return {
    gateway,
    origin,
    api,
    async signIn(user) {
      const browser = new Browser(origin);
      const form = fieldsIn(await browser.text('/-/login'));
      form.set('user', user);
      form.set('password', 'wonderland');
      return { browser, landed: await browser.submit('/-/login', form) };
    },
    async stateOf(backend) {
      return (await hostsOf(backend))[0]?.state ?? '';
    },
    hostsOf,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The result of `work`, and its duration in milliseconds. */
export async function timed<T>(work: Promise<T>): Promise<{ readonly ms: number; readonly result: T }> {
  const startedMs = performance.now();
  const result = await work;
  return { ms: Math.round(performance.now() - startedMs), result };
}
