import { EventEmitter } from 'node:events';
import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { Agent, type IncomingMessage, request as sendRequest } from 'node:http';
import { type HeapProfiler, type Profiler, Session } from 'node:inspector/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { startBackends } from '../demo/backends.ts';
import { writeConfiguration } from '../demo/configuration.ts';
import { people } from '../demo/people.ts';
import { fieldsIn } from '../test/demo/browser.fixture.ts';
import { freePort } from '../test/ports.fixture.ts';
import { browserHeaders } from './wrk.ts';

/** The work of one file of src/ for one action, such as a request. */
export interface FileCount {
  /** The path from the root of the project. */
  readonly file: string;
  /** The functions that run each time, by name; a module's own code is not among them. */
  readonly functions: readonly string[];
  readonly calls: number;
  /** Bytes that the file, and what it calls outside src/, allocates on V8's heap. */
  readonly bytes: number;
}

/** The actions that are counted, each with the files that run for it. */
export interface Trace {
  /** A start, from the command to a ready gateway, which reads its modules for the first time. */
  readonly start: readonly FileCount[];
  /** A sign-in: the form, and the answer to it. */
  readonly signIn: readonly FileCount[];
  /** A proxied GET of a session that the node holds, over connections that are open. */
  readonly warmGet: readonly FileCount[];
}

const root = new URL('..', import.meta.url).href;
/** V8 samples an allocation about every so many bytes, and derives the sum of all from the samples. */
const sampledBytes = 128;
const requests = 50;
const signIns = 8;
const warmUps = 10;
/** Headers that a browser sends when a person follows a link. */
const navigation = {
  Accept: 'text/html,application/xhtml+xml,*/*;q=0.8',
  'Sec-Fetch-Mode': 'navigate',
  'Sec-Fetch-Dest': 'document',
};
/** The path of the page that is asked for. The webmail answers it with a small body. */
const warmPath = '/mail/INBOX';

/**
 * Runs a gateway in this process, before the demo's mail servers and webmails, and counts what it does. No module
 * of src/ may be loaded before, since the start is counted, too. The counts come from V8's precise coverage, so they
 * are the same on any machine.
 */
export async function traceGateway(): Promise<Trace> {
  await using opened = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'postern-trace-'));
  opened.defer(() => rm(directory, { recursive: true, force: true }));
  const backends = opened.use(await startBackends(Date.now()));
  const port = await freePort();
  const configFile = await writeConfiguration(backends, { directory, port });
  // A timer that runs out meanwhile is no part of what is counted.
  await appendFile(configFile, 'statistics: { flush_interval: 1h }\n');
  const counter = opened.use(await openCounter());

  let gateway: Awaited<ReturnType<typeof serve>> | undefined;
  const start = await counter.count(1, async () => {
    gateway = await serve(configFile);
  });
  opened.defer(() => gateway?.close());
  const client = new Client(port);
  opened.defer(() => client.close());
  // The first times load modules and open connections.
  for (let i = 0; i < warmUps; i += 1) await client.signIn(i);
  const signIn = await counter.count(signIns, (number) => client.signIn(number));
  for (let i = 0; i < warmUps; i += 1) await client.get(warmPath);
  const warmGet = await counter.count(requests, () => client.get(warmPath));
  return { start, signIn, warmGet };
}

/** `postern serve`, in this process. */
async function serve(configFile: string): Promise<{ readonly close: () => Promise<void> }> {
  const { runCommand } = await import('../src/cli/program.ts');
  const signals = new EventEmitter();
  const { promise: started, resolve, reject } = Promise.withResolvers<unknown>();
  const ended = runCommand(['serve', '-c', configFile], {
    print: () => undefined,
    complain: (text) => reject(new Error(text)),
    lines: () => {
      throw new TypeError('serve reads no lines');
    },
    env: {},
    signals,
    exit: () => {
      throw new TypeError('serve ends by a signal');
    },
    loadGateway: async () => {
      const [gateway, offline] = await Promise.all([import('../src/gateway.ts'), import('../src/gateway/offline.ts')]);
      return {
        ...gateway,
        ...offline,
        startGateway(options) {
          const starting = gateway.startGateway(options);
          starting.then(resolve, reject);
          return starting;
        },
      };
    },
  });
  ended.catch(reject);
  await started;
  return {
    async close() {
      signals.emit('SIGTERM');
      await ended;
    },
  };
}

/** A browser with one connection, which is signed in as the user who signed in last. */
class Client {
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #cookies = '';

  constructor(port: number) {
    this.#port = port;
  }

  async get(path: string): Promise<void> {
    const { status } = await this.#send('GET', path, '');
    if (status !== 200) throw new Error(`GET ${path} was answered with ${status}`);
  }

  async signIn(number: number): Promise<void> {
    const person = people[number % people.length];
    if (person === undefined) throw new TypeError('the demo has people');
    this.#cookies = '';
    const form = fieldsIn((await this.#send('GET', '/-/login', '')).body);
    form.set('user', person.address);
    form.set('password', person.password);
    const { status } = await this.#send('POST', '/-/login', form.toString());
    if (status !== 303) throw new Error(`the sign-in was answered with ${status}`);
  }

  close(): void {
    this.#agent.destroy();
  }

  async #send(method: 'GET' | 'POST', path: string, body: string) {
    const origin = `http://127.0.0.1:${this.#port}`;
    const form = {
      Origin: origin,
      'Content-Type': 'application/x-www-form-urlencoded',
      'Content-Length': body.length,
    };
    const headers = {
      ...browserHeaders,
      ...navigation,
      Referer: `${origin}/`,
      ...(this.#cookies === '' ? {} : { Cookie: this.#cookies }),
      ...(method === 'POST' ? form : {}),
    };
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    sendRequest(origin + path, { method, headers, agent: this.#agent }, resolve)
      .on('error', reject)
      .end(body);
    const response = await promise;
    const content = Buffer.concat(await response.toArray()).toString();
    for (const line of response.headers['set-cookie'] ?? []) {
      this.#cookies = [this.#cookies, line.slice(0, line.indexOf(';'))].filter((each) => each !== '').join('; ');
    }
    return { status: response.statusCode ?? 0, body: content };
  }
}

/** The functions that ran once, by file, then by where they begin. The module's own code begins at 0. */
type Run = ReadonlyMap<string, ReadonlyMap<number, FunctionRun>>;

interface FunctionRun {
  readonly name: string;
  readonly calls: number;
}

/** Counts calls and allocations of this process. */
interface Counter extends Disposable {
  /**
   * Runs `act` so many times, and counts what runs each time. For each function it takes the fewest calls, since timers
   * run, too, and each run has some other work. For allocations it takes the mean.
   */
  count(times: number, act: (number: number) => Promise<void>): Promise<readonly FileCount[]>;
}

async function openCounter(): Promise<Counter> {
  // Code that V8 has optimised counts no calls of inlined functions, and makes different objects from run to run.
  for (const flag of ['--no-opt', '--no-maglev']) setFlagsFromString(flag);
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  return {
    async count(times, act) {
      await session.post('HeapProfiler.startSampling', {
        samplingInterval: sampledBytes,
        includeObjectsCollectedByMajorGC: true,
        includeObjectsCollectedByMinorGC: true,
      });
      const runs: Run[] = [];
      for (let i = 0; i < times; i += 1) {
        await session.post('Profiler.takePreciseCoverage');
        await act(i);
        runs.push(runOf((await session.post('Profiler.takePreciseCoverage')).result));
      }
      const { profile } = await session.post('HeapProfiler.stopSampling');
      const bytes = new Map<string, number>();
      addAllocations(profile.head, undefined, bytes);
      return countsOf(runs).map((each) => ({ ...each, bytes: Math.round((bytes.get(each.file) ?? 0) / times) }));
    },
    [Symbol.dispose]: () => session.disconnect(),
  };
}

function runOf(scripts: readonly Profiler.ScriptCoverage[]): Run {
  const run = new Map<string, ReadonlyMap<number, FunctionRun>>();
  for (const { url, functions } of scripts) {
    const file = fileOf(url);
    if (file === undefined) continue;
    const ran = functions.flatMap(({ functionName: name, ranges: [whole] }) =>
      whole === undefined || whole.count === 0 ? [] : [[whole.startOffset, { name, calls: whole.count }] as const],
    );
    if (ran.length > 0) run.set(file, new Map(ran));
  }
  return run;
}

function countsOf([first = new Map(), ...others]: readonly Run[]): readonly Omit<FileCount, 'bytes'>[] {
  const counts: Omit<FileCount, 'bytes'>[] = [];
  for (const [file, functions] of first) {
    const ran = [...functions].flatMap(([offset, { name, calls }]) => {
      const fewest = Math.min(calls, ...others.map((run) => run.get(file)?.get(offset)?.calls ?? 0));
      return fewest === 0 ? [] : [{ offset, name, calls: fewest }];
    });
    if (ran.length === 0) continue;
    const called = ran.filter(({ offset }) => offset !== 0);
    counts.push({
      file,
      functions: called.map(({ name }) => name),
      calls: called.reduce((sum, { calls }) => sum + calls, 0),
    });
  }
  return counts.toSorted((one, other) => (one.file < other.file ? -1 : 1));
}

function fileOf(url: string): string | undefined {
  return url.startsWith(`${root}src/`) ? fileURLToPath(url).slice(fileURLToPath(root).length) : undefined;
}

/** An allocation counts for the file of src/ that called last before it. */
function addAllocations(
  node: HeapProfiler.SamplingHeapProfileNode,
  within: string | undefined,
  bytes: Map<string, number>,
): void {
  const file = fileOf(node.callFrame.url) ?? within;
  if (file !== undefined) bytes.set(file, (bytes.get(file) ?? 0) + node.selfSize);
  for (const child of node.children) addAllocations(child, file, bytes);
}
