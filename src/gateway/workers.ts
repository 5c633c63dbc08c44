import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Config } from '../config/config.ts';
import { diffConfig } from '../config/diff.ts';
import { ConfigInvalid, formatProblem } from '../config/problem.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { Readiness } from '../core/readiness.ts';
import { openOperators } from './listening.ts';
import { createMergedMetrics } from '../observe/merged-metrics.ts';
import { parseReport, type WorkerOrder } from './workers-message.ts';

export interface WorkersOptions {
  readonly configFile: string;
  readonly config: Config;
  readonly readConfig: () => Promise<Config>;
  readonly log: Log;
}

/** The first process of several: the same as a gateway to whoever runs it. */
export interface Workers {
  readonly ports: { readonly public: number; readonly operators: number };
  readiness(): Readiness;
  reload(): Promise<void>;
  close(): Promise<void>;
}

const program = fileURLToPath(new URL('workers-process.ts', import.meta.url));
/** One that dies so soon after its start would only die again at once. */
const shortLifeMs = 10_000;
const pauseMs = 1_000;

/**
 * Starts the workers that serve, and leads them: it alone reads signals and has the operators' listeners, and it
 * starts another worker in the place of one that dies. Connections are accepted here and handed out in turn, so that
 * none is lost when a worker ends. Rejects when a worker cannot serve; its log says why.
 */
export async function leadWorkers(options: WorkersOptions): Promise<Workers> {
  const { log } = options;
  await using opened = new AsyncDisposableStack();
  let config = options.config;
  let draining = false;
  const team = opened.use(createTeam(options.configFile, log));
  const readiness = (): Readiness => ({ ready: team.serves() && !draining, degraded: team.degraded() });
  const operators = await openOperators(
    config.operators,
    {
      readiness,
      metrics: createMergedMetrics(),
      state: () => (draining ? 'drain' : team.serves() ? 'up' : 'down'),
      weight: () => config.operators.agentWeight,
    },
    opened,
  );
  const port = await team.open(config.workers);
  log.info({ public: port, operators, pid: process.pid, workers: config.workers }, 'ready');

  const parts = opened.move();
  let closing: Promise<void> | undefined;
  async function close(): Promise<void> {
    draining = true;
    log.info(config.shutdown, 'draining');
    await team.close();
    await parts.disposeAsync();
    log.info({}, 'closed');
  }

  async function reload(): Promise<void> {
    try {
      const next = await options.readConfig();
      const { changed, refused } = diffConfig(config, next);
      if (refused.length > 0) {
        log.error({ code: 'ERR_CONFIG_INVALID', problems: refused }, 'reload refused; the old configuration stays');
        return;
      }
      config = next;
      team.tell({ order: 'reload' });
      log.info({ changed }, 'the workers reload');
    } catch (error) {
      const problems = error instanceof ConfigInvalid ? error.problems.map(formatProblem) : [String(error)];
      log.error({ code: 'ERR_CONFIG_INVALID', problems }, 'reload failed; the old configuration stays');
    }
  }

  return { ports: { public: port, operators }, readiness, reload, close: () => (closing ??= close()) };
}

/** The workers of a node. */
interface Team extends Disposable {
  /** Starts so many; resolves with the port when all of them serve. */
  open(count: number): Promise<number>;
  serves(): boolean;
  /** What any of them misses. */
  degraded(): readonly string[];
  tell(order: WorkerOrder): void;
  /** Resolves when each has drained and ended. */
  close(): Promise<void>;
}

function createTeam(configFile: string, log: Log): Team {
  /** What each worker misses. */
  const living = new Map<Worker, readonly string[]>();
  const pauses = new Set<NodeJS.Timeout>();
  let serving = false;
  cluster.setupPrimary({ exec: program, args: [configFile] });

  /** Resolves with its port when it serves. */
  async function start(): Promise<number> {
    const worker = cluster.fork();
    const startedAt = performance.now();
    living.set(worker, []);
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    worker.on('message', (message) => {
      const report = parseReport(message);
      if (report?.report === 'degraded') living.set(worker, report.degraded);
      if (report?.report === 'ready') resolve(report.port);
    });
    worker.once('exit', (code, signal) => {
      living.delete(worker);
      reject(cannotServe());
      if (!serving) return;
      log.error({ worker: worker.id, code, signal }, 'a worker ended by itself; another one takes its place');
      replace(performance.now() - startedAt < shortLifeMs ? pauseMs : 0);
    });
    return promise;
  }

  function replace(afterMs: number): void {
    const pause = setTimeout(() => {
      pauses.delete(pause);
      // One that cannot serve has ended, and is replaced like any other.
      start().catch(() => undefined);
    }, afterMs);
    pauses.add(pause);
  }

  function tell(order: WorkerOrder): void {
    for (const worker of living.keys()) if (worker.isConnected()) worker.send(order);
  }

  function stop(): void {
    serving = false;
    for (const pause of pauses) clearTimeout(pause);
  }

  return {
    async open(count) {
      // The first one alone: it makes the keys file where there is none.
      const port = await start();
      await Promise.all(Array.from({ length: count - 1 }, start));
      serving = true;
      return port;
    },
    serves: () => serving && living.size > 0,
    degraded: () => [...new Set([...living.values()].flat())],
    tell,
    async close() {
      stop();
      const ends = [...living.keys()].filter((worker) => !worker.isDead()).map((worker) => once(worker, 'exit'));
      tell({ order: 'close' });
      await Promise.all(ends);
    },
    [Symbol.dispose]() {
      stop();
      for (const worker of living.keys()) worker.kill('SIGKILL');
    },
  };
}

function cannotServe(): PosternError {
  const message = 'a worker ended before it could serve: its log and standard error say why';
  return new PosternError('ERR_CONFIG_INVALID', message, { source: 'gateway', retryable: false });
}
