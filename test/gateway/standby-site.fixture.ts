import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request as sendRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Log } from '../../src/core/log.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import { assertDescribed } from '../admin/api-answers.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { backendDefaults, createMachines, type Machine, place, type SignedIn, signInAt } from './machines.fixture.ts';

/** A node before a backend `a` with a standby, and a backend `b`. Alice lives on a; every machine knows everybody. */
export interface StandbySite extends AsyncDisposable {
  readonly machines: Readonly<Record<'one' | 'two' | 'three', Machine>>;
  readonly gateway: Gateway;
  readonly logged: { readonly level: string; readonly event: string; readonly fields: object }[];
  /** Asks the API over its socket. */
  api(method: string, path: string, body?: object): Promise<{ readonly status: number; readonly body: Answer }>;
  readonly socket: string;
  readonly configFile: string;
  signIn(user: string): Promise<SignedIn>;
}

// oxlint-disable-next-line typescript/no-explicit-any -- JSON that a test looks into.
type Answer = any;

/** Starts it; `operators` is put behind that section's other keys, `more` behind all sections. */
export async function startStandbySite(operators = '', more = ''): Promise<StandbySite> {
  await using opened = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'postern-standby-'));
  opened.defer(() => rm(directory, { recursive: true, force: true }));
  const { start, keyPair } = createMachines(opened);
  const machines = { one: await start('one'), two: await start('two'), three: await start('three') };
  await writeFile(join(directory, 'token'), 'open-sesame\n');
  await writeFile(join(directory, 'ca.crt'), keyPair.certificate);
  await writeFile(
    join(directory, 'users.map'),
    'alice@example.test: a\n-alice@example.test: a\nanna@example.test: a\nbob@example.test: b\n',
  );
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const configFile = join(directory, 'postern.yaml');
  const yaml = `listen: 127.0.0.1:${port}
public_url: ${origin}
operators: { listen: 127.0.0.1:0, socket: api.sock${operators} }
${more}
directory: { default_domain: example.test, sources: [{ type: map, file: users.map }] }
passdb: { tls_ca_file: ca.crt }
login: { refusal_after: 0s }
${backendDefaults}backends:
  a: { ${place(machines.one)}, standby: [{ ${place(machines.two)} }] }
  b: { ${place(machines.three)} }
log: { level: silent }
shutdown: { delay: 0s, deadline: 1s }
`;
  const logged: StandbySite['logged'] = [];
  const at =
    (level: keyof Log) =>
    (event: string, fields: object = {}) =>
      void logged.push({ level, event, fields });
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  await writeFile(configFile, yaml);
  const gateway = await startGateway({ configFile, log });
  opened.defer(() => gateway.close());
  const socket = join(directory, 'api.sock');
  const owned = opened.move();
  return {
    machines,
    gateway,
    logged,
    socket,
    configFile,
    api: (method, path, body) => askSocket(socket, method, path, body),
    signIn: (user) => signInAt(origin, user),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A request over a unix socket. Fails if docs/openapi.yaml does not describe the answer. */
export async function askSocket(
  socketPath: string,
  method: string,
  path: string,
  body?: object,
  more: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number; readonly body: Answer }> {
  const content = body === undefined ? '' : JSON.stringify(body);
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(content),
    'postern-operator': 'test',
    ...more,
  };
  const request = sendRequest({ socketPath, method, path: `/api/v1${path}`, headers });
  request.end(content);
  const [response]: IncomingMessage[] = await once(request, 'response');
  if (response === undefined) throw new Error('no response');
  const status = response.statusCode ?? 0;
  const answer: Answer = JSON.parse(Buffer.concat(await response.toArray()).toString());
  assertDescribed(method, path, status, answer);
  return { status, body: answer };
}
