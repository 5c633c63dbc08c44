import type { Audit, AuditEvent } from '../core/audit.ts';
import type { Clock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { appendLines, listLines } from './file.ts';
import { type AuditKey, writeLine } from './line.ts';

/** Options of the audit of one process. */
interface AuditOptions {
  readonly file: string;
  /** The name of this machine in its lines. */
  readonly node: string;
  /** The key of the moment; another one from the next line on after a rotation. */
  readonly key: () => AuditKey;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Buffer;
  readonly log: Log;
  /** Told of each line that is on disk. */
  readonly written?: (line: WrittenEvent) => void;
  /** How long a line may take to reach the disk. */
  readonly deadlineMs?: number;
}

/** A line on disk: what it says, and where its chain ends now. */
interface WrittenEvent {
  readonly text: string;
  readonly event: AuditEvent['event'];
  readonly chain: string;
  readonly sequence: number;
  readonly mac: string;
  readonly timeMs: number;
}

/** The audit as its owner opens and closes it. */
export interface OwnAudit extends Audit, AsyncDisposable {
  /** Looks whether it can be written, and says in the log if not, or if it ends in mid-line. Never rejects. */
  open(): Promise<void>;
}

interface Waiting {
  readonly event: AuditEvent;
  readonly resolve: () => void;
  readonly reject: (error: PosternError) => void;
}

/** Lines that wait for a disk that hangs: beyond it they are refused at once. */
const maxWaitingLines = 1000;
const deadlineDefaultMs = 2_000;

/**
 * The audit of one process: one chain of lines, which begins with its first event. Events that come together share one
 * sync of the disk. The log tells of each, also of one that could not be written. Dispose of it to have what waits
 * written.
 */
export function createAudit(deps: AuditOptions): OwnAudit {
  return new ChainedAudit(deps);
}

class ChainedAudit implements OwnAudit {
  readonly #deps: AuditOptions;
  readonly #chain: string;
  readonly #waiting: Waiting[] = [];
  #sequence = 0;
  #previous: string | undefined;
  #writing: Promise<void> | undefined;

  constructor(deps: AuditOptions) {
    this.#deps = deps;
    this.#chain = this.#deps.randomBytes(8).toString('hex');
  }

  async open(): Promise<void> {
    try {
      const { torn, failure } = await this.#soon(appendLines(this.#deps.file, []));
      if (torn) this.#tellTorn();
      if (failure !== undefined) throw auditUnavailable(this.#deps.file, failure);
    } catch (error) {
      this.#deps.log.error('audit-unavailable', { code: 'ERR_AUDIT_UNAVAILABLE', err: error });
    }
  }

  async record(event: AuditEvent): Promise<void> {
    try {
      await this.#soon(this.#enqueue(event));
      this.#deps.log.info('audit', { audited: event });
    } catch (error) {
      this.#deps.log.error('audit-line-not-written', { code: 'ERR_AUDIT_UNAVAILABLE', err: error, audited: event });
      throw error;
    }
  }

  list(...[filter, limit]: Parameters<Audit['list']>): ReturnType<Audit['list']> {
    return listLines(this.#deps.file, filter, limit);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Whoever waits for a line has been told by now, or is told when time is up.
    if (this.#writing !== undefined) await this.#soon(this.#writing).catch(() => undefined);
  }

  async #writeBatch(): Promise<void> {
    const batch = this.#waiting.splice(0);
    let last = this.#previous;
    const lines = batch.map(({ event }, index): WrittenEvent => {
      const place = {
        chain: this.#chain,
        sequence: this.#sequence + 1 + index,
        timeMs: this.#deps.clock.nowMs(),
        node: this.#deps.node,
        previous: last,
      };
      const line = writeLine(place, event, this.#deps.key());
      last = line.mac;
      return { ...line, event: event.event, chain: this.#chain, sequence: place.sequence, timeMs: place.timeMs };
    });
    const texts = lines.map(({ text }) => text);
    const { written, torn, failure } = await appendLines(this.#deps.file, texts);
    if (torn) this.#tellTorn();
    // A line that stands in the file counts, though it may not have reached the disk.
    this.#sequence += written;
    this.#previous = written === 0 ? this.#previous : lines[written - 1]?.mac;
    for (const line of lines.slice(0, written)) this.#deps.written?.(line);
    const error = failure === undefined ? undefined : auditUnavailable(this.#deps.file, failure);
    for (const { resolve, reject } of batch) {
      if (error === undefined) resolve();
      else reject(error);
    }
  }

  #tellTorn(): void {
    this.#deps.log.warn('audit-torn', { file: this.#deps.file });
  }

  /** Rejects when it takes too long. What it began goes on. */
  async #soon<T>(work: Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(auditUnavailable(this.#deps.file, new Error('the disk does not answer'))),
      this.#deps.deadlineMs ?? deadlineDefaultMs,
    );
    try {
      return await Promise.race([work, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) await this.#writeBatch();
  }

  /** Resolves when it is on disk. */
  #enqueue(event: AuditEvent): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (this.#waiting.length >= maxWaitingLines)
      reject(auditUnavailable(this.#deps.file, new Error('too many lines wait for the disk')));
    else this.#waiting.push({ event, resolve, reject });
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
    return promise;
  }
}

function auditUnavailable(file: string, cause: unknown): PosternError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const message = `the audit ${file} cannot be written: ${why}`;
  return new PosternError('ERR_AUDIT_UNAVAILABLE', message, { source: 'audit', retryable: true, cause });
}
