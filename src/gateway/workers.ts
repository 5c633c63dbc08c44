import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Health } from '../backends/health.ts';
import type { FilesRead } from '../config/referenced-files.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { NodeReport } from '../core/node-report.ts';
import type { AskLeader } from '../directory/source.ts';
import { type Counts, WorkerCounts } from '../observe/exposition.ts';
import type { Traffic } from '../observe/traffic.ts';
import type { UserListeners } from './parts.ts';
import { isReport, replyTo, type WorkerOrder, type WorkerReport } from './worker-messages.ts';

/** The first process's services for its workers. */
interface Led {
  readonly askSource: AskLeader;
  /** The configuration that is in force at the start. */
  readonly filesRead: FilesRead;
  readonly health: Pick<Health, 'note' | 'reports' | 'onChange'>;
  readonly traffic: Pick<Traffic, 'add'>;
}

/** The last reports of a worker. */
interface Member {
  serves: boolean;
  degraded: readonly string[];
  held: readonly (readonly [string, number])[];
  busy: readonly (readonly [string, number])[];
  stateVersion: number | undefined;
}

const program = fileURLToPath(new URL('worker-process.ts', import.meta.url));
/** A worker that dies this soon after its start is restarted after a pause. */
const shortLifeMs = 10_000;
const restartPauseMs = 1_000;
/** How often workers are told of health that changed by time alone. */
const tellEveryMs = 1_000;

/**
 * The workers of a node. They serve; the first process does the rest, and replaces a worker that dies. It accepts
 * connections and hands them out in turn, so that none is lost when a worker ends.
 */
export class Team implements UserListeners, Disposable {
  readonly #log: Log;
  readonly #living = new Map<Worker, Member>();
  readonly #counts = new WorkerCounts<Worker>((worker) => this.#send({ order: 'count' }, [worker]));
  readonly #pauses = new Set<NodeJS.Timeout>();
  readonly #watching = new DisposableStack();
  #ports: UserListeners['ports'] = { public: 0 };
  #serving = false;
  #isOut = false;
  #filesRead: FilesRead | undefined;
  #led: Led | undefined;
  #sentHealth = '';
  #stateVersionChanged: () => void = () => {};

  constructor(configFile: string, log: Log) {
    this.#log = log;
    cluster.setupPrimary({ exec: program, args: [configFile] });
  }

  get ports(): UserListeners['ports'] {
    return this.#ports;
  }

  /** Starts `count` workers. Resolves when all of them serve; rejects if one cannot, and its log says why. */
  async open(count: number, led: Led): Promise<void> {
    this.#led = led;
    this.#filesRead = led.filesRead;
    const sendHealth = (): void => this.#sendHealth();
    this.#watching.adopt(setInterval(sendHealth, tellEveryMs), clearInterval);
    this.#watching.defer(led.health.onChange(sendHealth));
    const started = await Promise.all(Array.from({ length: count }, () => this.#start()));
    this.#ports = started[0] ?? this.#ports;
    this.#serving = true;
  }

  /** How many of them serve: one that has just been started does not yet. */
  get size(): number {
    return [...this.#living.values()].filter(({ serves }) => serves).length;
  }

  /** What they have counted, those that have ended included. */
  counts(): Promise<readonly Counts[]> {
    return this.#counts.collect(this.#living.keys());
  }

  /** Whether any of them serves. */
  isOpen(): boolean {
    return this.#serving && this.#living.size > 0;
  }

  /** The parts that at least one worker lacks. */
  degraded(): readonly string[] {
    return [...this.#living.values()].flatMap((member) => member.degraded);
  }

  /** The sessions of all workers, by host. */
  heldPerHost(): ReadonlyMap<string, number> {
    return sumsOf([...this.#living.values()].map(({ held }) => held));
  }

  /** Requests of all workers that hosts have not answered yet. */
  inFlightPerHost(): ReadonlyMap<string, number> {
    return sumsOf([...this.#living.values()].map(({ busy }) => busy));
  }

  /** The last change of the shared state that all of them know; undefined if one has not read it. */
  stateVersion(): number | undefined {
    const versions = [...this.#living.values()].map((member) => member.stateVersion);
    return versions.reduce((least, one) =>
      least === undefined || one === undefined ? undefined : Math.min(least, one),
    );
  }

  /** Calls `listener` when a worker has read more of the shared state. */
  onStateVersion(listener: () => void): void {
    this.#stateVersionChanged = listener;
  }

  /** Tells the workers what the node says of itself. */
  tellNode(report: NodeReport): void {
    this.#send({ order: 'node', report });
  }

  /** Gives this configuration to all workers, and to those started later. */
  reload(filesRead: FilesRead): void {
    this.#filesRead = filesRead;
    this.#send({ order: 'reload', filesRead });
  }

  /** Makes all workers report at `/-/ready` whether load balancers may send new requests. */
  takeOut(isOut: boolean): void {
    this.#isOut = isOut;
    this.#send({ order: 'take-out', isOut });
  }

  lastCall(): void {
    this.#stop();
    this.#send({ order: 'close' });
  }

  /** Each has a deadline of its own. */
  async drain(): Promise<void> {
    const ending = [...this.#living.keys()].filter((worker) => !worker.isDead());
    await Promise.all(ending.map((worker) => once(worker, 'exit')));
  }

  [Symbol.dispose](): void {
    this.#stop();
    for (const worker of this.#living.keys()) worker.kill('SIGKILL');
  }

  /** Resolves with its ports when it serves. */
  async #start(): Promise<UserListeners['ports']> {
    const worker = cluster.fork();
    const startedAt = performance.now();
    const member: Member = { serves: false, degraded: [], held: [], busy: [], stateVersion: undefined };
    this.#living.set(worker, member);
    const { promise, resolve, reject } = Promise.withResolvers<UserListeners['ports']>();
    worker.on('message', (message) => {
      if (!isReport(message)) return;
      this.#onReport(worker, member, message);
      if (message.report === 'ready') resolve(message.ports);
    });
    worker.once('exit', (code, signal) => {
      this.#living.delete(worker);
      void this.#counts.end(worker);
      reject(cannotServe());
      if (!this.#serving) return;
      this.#log.error('worker-exited', { worker: worker.id, code, signal });
      this.#replace(performance.now() - startedAt < shortLifeMs ? restartPauseMs : 0);
    });
    return promise;
  }

  #onReport(worker: Worker, member: Member, report: WorkerReport): void {
    const [led, filesRead, isOut] = [this.#led, this.#filesRead, this.#isOut];
    switch (report.report) {
      case 'degraded':
        member.degraded = report.degraded;
        return;
      case 'held':
        member.held = report.perHost;
        return;
      case 'busy':
        member.busy = report.perHost;
        return;
      case 'state':
        member.stateVersion = report.version;
        this.#stateVersionChanged();
        return;
      case 'counts':
        this.#counts.heard(worker, report.counts);
        return;
      case 'traffic':
        led?.traffic.add(report.slice);
        return;
      case 'evidence':
        led?.health.note(report.host, report.evidence, report.asked);
        return;
      case 'question':
        if (led !== undefined) {
          void replyTo(report.question, led.askSource).then((reply) => this.#send({ order: 'hear', reply }, [worker]));
        }
        return;
      case 'listening':
        if (filesRead !== undefined) this.#send({ order: 'start', filesRead }, [worker]);
        return;
      case 'ready':
        member.serves = true;
        worker.send(this.#healthOrder());
        if (isOut) this.#send({ order: 'take-out', isOut }, [worker]);
    }
  }

  #replace(afterMs: number): void {
    const pause = setTimeout(() => {
      this.#pauses.delete(pause);
      // One that cannot serve has ended, and is replaced like any other.
      this.#start().catch(() => undefined);
    }, afterMs);
    this.#pauses.add(pause);
  }

  #send(order: WorkerOrder, workers: Iterable<Worker> = this.#living.keys()): void {
    for (const worker of workers) if (worker.isConnected()) worker.send(order);
  }

  #healthOrder(): WorkerOrder {
    return { order: 'health', reports: [...(this.#led?.health.reports() ?? [])] };
  }

  #sendHealth(): void {
    const order = this.#healthOrder();
    const text = JSON.stringify(order);
    if (text === this.#sentHealth) return;
    this.#sentHealth = text;
    this.#send(order);
  }

  #stop(): void {
    this.#serving = false;
    this.#watching.dispose();
    for (const pause of this.#pauses) clearTimeout(pause);
  }
}

function sumsOf(counts: readonly (readonly (readonly [string, number])[])[]): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const [host, count] of counts.flat()) sums.set(host, (sums.get(host) ?? 0) + count);
  return sums;
}

function cannotServe(): PosternError {
  const message = 'a worker exited before it could serve: see its log and standard error';
  return new PosternError('ERR_CONFIG_INVALID', message, { source: 'gateway', retryable: false });
}
