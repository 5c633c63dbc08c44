import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { eventually } from '../eventually.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { type ProcessMemory, processMemory } from '../process-memory.fixture.ts';
import { spawn, stopProgram } from '../programs.ts';

const clock = fileURLToPath(new URL('clock.mjs', import.meta.url));
const program = fileURLToPath(new URL('../../bin/postern.mjs', import.meta.url));

export interface OwnGatewayOptions {
  /** The host of the public URL. */
  readonly host?: string;
  /** Set if no proxy in front says which requests came by HTTPS. */
  readonly isDirect?: boolean;
  /** The port; a free one if left out. */
  readonly port?: number;
  /** The lines below `backends:`, by name. */
  readonly backends: Readonly<Record<string, string>>;
  /** Sources of the directory that are asked first, such as `{ type: http, url: … }`. */
  readonly sources?: readonly string[];
  /** User to backend. */
  readonly users: Readonly<Record<string, string>>;
  readonly caFile: string;
  /** Further keys of `sessions`, such as `redis: redis://…`. */
  readonly sessions?: string;
  /** Further top-level lines, for a gateway on this port. */
  readonly settings?: string | ((port: number) => string);
  /** Files beside the configuration, such as secrets. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface OwnGateway extends AsyncDisposable {
  readonly origin: string;
  readonly port: number;
  readonly configFile: string;
  readonly log: readonly string[];
  memory(): Promise<ProcessMemory>;
  /** Reloads its configuration. */
  reload(): void;
  /** A second node: with the same keys, names and stores, which must not be the embedded ones. Dispose of it first. */
  startTwin(): Promise<AsyncDisposable & { readonly port: number }>;
  /** The time of its clock; milliseconds. */
  nowMs(): number;
  /** Sets its clock so much ahead of ours, or behind it. */
  setClock(offsetMs: number): Promise<void>;
}

/** Starts a gateway of one node with the embedded store as a separate process. Resolves when it serves. */
export async function startGateway(options: OwnGatewayOptions): Promise<OwnGateway> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-own-'));
  const port = options.port ?? (await freePort());
  const users = Object.entries(options.users).map(([user, backend]) => `${user}: ${backend}\n`);
  await writeFile(join(folder, 'users.map'), users.join(''));
  for (const [name, text] of Object.entries(options.files ?? {})) {
    await writeFile(join(folder, name), text, { mode: 0o600 });
  }
  const configFile = join(folder, 'postern.yaml');
  await writeFile(configFile, configuration(options, port));
  const clockFile = join(folder, 'clock');
  let offsetMs = 0;
  const removeFolder = () => rm(folder, { recursive: true });
  const { child, log } = await serve(configFile, clockFile).catch(async (error: unknown) => {
    await removeFolder();
    throw error;
  });
  const memory = (): Promise<ProcessMemory> => processMemory(child.pid ?? 0);
  return {
    origin: originOf(options, port),
    port,
    configFile,
    log,
    memory,
    reload: () => void child.kill('SIGHUP'),
    nowMs: () => Date.now() + offsetMs,
    async setClock(wantedMs) {
      await writeFile(clockFile, String(wantedMs));
      const known = log.length;
      child.kill('SIGUSR2');
      await eventually(() => log.indexOf('"the clock was set"', known) !== -1);
      offsetMs = wantedMs;
    },
    async startTwin() {
      const twinPort = await freePort();
      const twinFile = join(folder, 'twin.yaml');
      const ofTwin = configuration(options, port)
        .replace(`listen: 127.0.0.1:${port}\n`, `listen: 127.0.0.1:${twinPort}\n`)
        .replace('socket: api.sock', 'socket: twin.sock');
      await writeFile(twinFile, ofTwin);
      const twin = await serve(twinFile, clockFile);
      return { port: twinPort, [Symbol.asyncDispose]: () => stopProgram(twin.child) };
    },
    async [Symbol.asyncDispose]() {
      await stopProgram(child);
      await removeFolder();
    },
  };
}

/** Starts a process. Resolves when it serves. */
async function serve(configFile: string, clockFile: string) {
  const child = spawn(process.execPath, ['--import', clock, program, 'serve', '-c', configFile], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, POSTERN_TEST_CLOCK: clockFile },
  });
  const log: string[] = [];
  const ready = Promise.withResolvers<void>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      log.push(line);
      if (/"event":"ready"/.test(line)) ready.resolve();
    });
  }
  child.once('exit', (code) => ready.reject(new Error(`the gateway ended with ${code}:\n${log.join('\n')}`)));
  await once(child, 'spawn');
  await ready.promise.catch(async (error: unknown) => {
    await stopProgram(child);
    throw error;
  });
  return { child, log };
}

function configuration(options: OwnGatewayOptions, port: number): string {
  const { settings = '' } = options;
  const backends = Object.entries(options.backends).map(([name, line]) => `  ${name}: ${line}\n`);
  return `listen: 127.0.0.1:${port}
public_url: ${originOf(options, port)}
${options.isDirect === true ? '' : 'trusted_proxies: [127.0.0.1/32]\n'}operators: { listen: 127.0.0.1:0, socket: api.sock }
sessions: { keys_file: keys${options.sessions === undefined ? '' : `, ${options.sessions}`} }
directory:
  default_domain: example.test
  sources:
${(options.sources ?? []).map((source) => `    - ${source}\n`).join('')}    - { type: map, file: users.map }
passdb: { tls_ca_file: "${options.caFile}" }
login: { refusal_after: 0s }
shutdown: { delay: 0s, deadline: 2s }
backends:
${backends.join('')}${typeof settings === 'string' ? settings : settings(port)}
`;
}

function originOf({ host = '127.0.0.1' }: OwnGatewayOptions, port: number): string {
  return `http://${host}:${port}`;
}
