import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Health } from '../backends/health.ts';
import type { FilesRead } from '../config/referenced-files.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { AskLeader } from '../directory/source.ts';
import type { Reception } from './public-listener.ts';
import { isReport, replyTo, type WorkerOrder, type WorkerReport } from './worker-messages.ts';

/** What the first process does that its workers hear of, or ask for. */
interface Led {
  readonly askSource: AskLeader;
  /** The configuration that is in force at the start. */
  readonly filesRead: FilesRead;
  readonly health: Pick<Health, 'note' | 'reports' | 'onChange'>;
}

/** The workers of a node: they serve, and the process that leads them does the rest. */
export interface Team extends Reception, Disposable {
  /** Starts so many. Resolves when all of them serve; rejects when one cannot, and its log says why. */
  open(count: number, led: Led): Promise<void>;
  /** What any of them misses. */
  degraded(): readonly string[];
  /** The sessions that they hold, all together. */
  heldPerHost(): ReadonlyMap<string, number>;
  /** Has them take over this configuration, and those that come after them. */
  reload(filesRead: FilesRead): void;
  /** Has them say at `/-/ready` whether load balancers are to send nothing new. */
  takeOut(isOut: boolean): void;
}

/** What the leading process knows of a worker. */
interface Member {
  degraded: readonly string[];
  held: readonly (readonly [string, number])[];
}

const program = fileURLToPath(new URL('worker-process.ts', import.meta.url));
/** One that dies so soon after its start would only die again at once. */
const shortLifeMs = 10_000;
const pauseMs = 1_000;
/** What changes a mind without being told, such as time, reaches the workers after so long. */
const tellEveryMs = 1_000;

/**
 * The workers of this process, none of them started. Another one takes the place of one that dies. Connections are
 * accepted here and handed out in turn, so that none is lost when a worker ends.
 */
export function createTeam(configFile: string, log: Log): Team {
  const living = new Map<Worker, Member>();
  const pauses = new Set<NodeJS.Timeout>();
  let ports: Reception['ports'] = { public: 0 };
  let serving = false;
  let isOut = false;
  let filesRead: FilesRead | undefined;
  let led: Led | undefined;
  const telling = new DisposableStack();
  let toldHealth = '';
  cluster.setupPrimary({ exec: program, args: [configFile] });

  function heard(worker: Worker, member: Member, report: WorkerReport): void {
    switch (report.report) {
      case 'degraded':
        member.degraded = report.degraded;
        return;
      case 'held':
        member.held = report.perHost;
        return;
      case 'evidence':
        led?.health.note(report.host, report.evidence, report.asked);
        return;
      case 'question':
        if (led !== undefined) {
          void replyTo(report.question, led.askSource).then((reply) => tell({ order: 'hear', reply }, [worker]));
        }
        return;
      case 'listening':
        if (filesRead !== undefined) tell({ order: 'start', filesRead }, [worker]);
        return;
      case 'ready':
        worker.send(healthOrder());
        if (isOut) tell({ order: 'take-out', isOut }, [worker]);
    }
  }

  /** Resolves with its ports when it serves. */
  async function start(): Promise<Reception['ports']> {
    const worker = cluster.fork();
    const startedAt = performance.now();
    const member: Member = { degraded: [], held: [] };
    living.set(worker, member);
    const { promise, resolve, reject } = Promise.withResolvers<Reception['ports']>();
    worker.on('message', (message) => {
      if (!isReport(message)) return;
      heard(worker, member, message);
      if (message.report === 'ready') resolve(message.ports);
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

  function tell(order: WorkerOrder, workers: Iterable<Worker> = living.keys()): void {
    for (const worker of workers) if (worker.isConnected()) worker.send(order);
  }

  function healthOrder(): WorkerOrder {
    return { order: 'health', reports: [...(led?.health.reports() ?? [])] };
  }

  function tellHealth(): void {
    const order = healthOrder();
    const text = JSON.stringify(order);
    if (text === toldHealth) return;
    toldHealth = text;
    tell(order);
  }

  function stop(): void {
    serving = false;
    telling.dispose();
    for (const pause of pauses) clearTimeout(pause);
  }

  return {
    get ports() {
      return ports;
    },
    async open(count, leading) {
      led = leading;
      filesRead = leading.filesRead;
      telling.adopt(setInterval(tellHealth, tellEveryMs), clearInterval);
      telling.defer(leading.health.onChange(tellHealth));
      const started = await Promise.all(Array.from({ length: count }, start));
      ports = started[0] ?? ports;
      serving = true;
    },
    isOpen: () => serving && living.size > 0,
    degraded: () => [...living.values()].flatMap((member) => member.degraded),
    heldPerHost() {
      const sums = new Map<string, number>();
      for (const { held } of living.values()) {
        for (const [host, count] of held) sums.set(host, (sums.get(host) ?? 0) + count);
      }
      return sums;
    },
    reload(fresh) {
      filesRead = fresh;
      tell({ order: 'reload', filesRead });
    },
    takeOut(is) {
      isOut = is;
      tell({ order: 'take-out', isOut });
    },
    lastCall() {
      stop();
      tell({ order: 'close' });
    },
    /** Each has a deadline of its own. */
    async drain() {
      await Promise.all([...living.keys()].filter((worker) => !worker.isDead()).map((worker) => once(worker, 'exit')));
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
