import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Audit, AuditEvent } from '../core/audit.ts';
import type { Clock } from '../core/clock.ts';
import { messageFrom, PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { appendLines, listLines } from './file.ts';
import { type AuditKey, writeLine } from './line.ts';

/** Options of the audit of one process. */
interface AuditOptions {
  readonly file: string;
  /** The name of this machine in its lines. */
  readonly node: string;
  /** The current key. After a rotation the next line is signed with the new one. */
  readonly key: () => AuditKey;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Buffer;
  readonly log: Log;
  /** Called with each line that is on disk. */
  readonly written?: (line: WrittenEvent) => void;
  /** Milliseconds that a line may take to reach the disk. */
  readonly deadlineMs?: number;
}

/** A line on disk, which is now the end of its chain. */
interface WrittenEvent {
  readonly text: string;
  readonly event: AuditEvent['event'];
  readonly chain: string;
  readonly sequence: number;
  readonly mac: string;
  readonly timeMs: number;
}

/** The audit with the calls that its owner needs. */
export interface OwnAudit extends Audit, AsyncDisposable {
  /** Checks whether the file can be written, and logs if not, or if it ends in mid-line. Never rejects. */
  open(): Promise<void>;
  /** Whether the last line was written, the file can be opened, and its disk has room. */
  isWritable(): Promise<boolean>;
}

interface Waiting {
  readonly event: AuditEvent;
  readonly resolve: () => void;
  readonly reject: (error: PosternError) => void;
}

/** Lines that may wait for a disk that hangs; further ones are refused at once. */
const maxWaitingLines = 1000;
const deadlineDefaultMs = 2_000;

/**
 * Makes the audit of one process: one chain of lines, which begins with the first event. Events that come together
 * share one sync of the disk. The log has every event, even one that could not be written. Disposal writes the waiting
 * lines.
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
  #hasFailed = false;

  constructor(deps: AuditOptions) {
    this.#deps = deps;
    this.#chain = this.#deps.randomBytes(8).toString('hex');
  }

  async open(): Promise<void> {
    try {
      const { torn, failure } = await this.#withinTime(appendLines(this.#deps.file, []));
      if (torn) this.#warnOfTornLine();
      if (failure !== undefined) throw auditUnavailable(this.#deps.file, failure);
    } catch (error) {
      this.#deps.log.error('audit-unavailable', { code: 'ERR_AUDIT_UNAVAILABLE', err: error });
    }
  }

  async isWritable(): Promise<boolean> {
    return !this.#hasFailed && (await this.#withinTime(hasRoom(this.#deps.file)).catch(() => false));
  }

  async record(event: AuditEvent): Promise<void> {
    try {
      await this.#withinTime(this.#enqueue(event));
      this.#hasFailed = false;
      this.#deps.log.info('audit', { audited: event });
    } catch (error) {
      this.#hasFailed = true;
      this.#deps.log.error('audit-line-not-written', { code: 'ERR_AUDIT_UNAVAILABLE', err: error, audited: event });
      throw error;
    }
  }

  list(...[filter, limit]: Parameters<Audit['list']>): ReturnType<Audit['list']> {
    return listLines(this.#deps.file, filter, limit);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Callers that wait for a line get their answer by then, at the latest by the time limit.
    if (this.#writing !== undefined) await this.#withinTime(this.#writing).catch(() => undefined);
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
    if (torn) this.#warnOfTornLine();
    // A line in the file counts even if it may not have reached the disk.
    this.#sequence += written;
    this.#previous = written === 0 ? this.#previous : lines[written - 1]?.mac;
    for (const line of lines.slice(0, written)) this.#deps.written?.(line);
    const error = failure === undefined ? undefined : auditUnavailable(this.#deps.file, failure);
    for (const { resolve, reject } of batch) {
      if (error === undefined) resolve();
      else reject(error);
    }
  }

  #warnOfTornLine(): void {
    this.#deps.log.warn('audit-torn', { file: this.#deps.file });
  }

  /** Rejects if the work takes too long; the work itself goes on. */
  async #withinTime<T>(work: Promise<T>): Promise<T> {
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

  /** Resolves when the line is on disk. */
  #enqueue(event: AuditEvent): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (this.#waiting.length >= maxWaitingLines)
      reject(auditUnavailable(this.#deps.file, new Error('too many lines are waiting for the disk')));
    else this.#waiting.push({ event, resolve, reject });
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
    return promise;
  }
}

/** Whether a line could be appended to a file. */
async function hasRoom(file: string): Promise<boolean> {
  const { failure } = await appendLines(file, []);
  if (failure !== undefined) return false;
  const { bavail, blocks } = await statfs(dirname(file));
  // Some file systems count no blocks.
  return bavail > 0 || blocks === 0;
}

function auditUnavailable(file: string, cause: unknown): PosternError {
  const message = `the audit ${file} cannot be written: ${messageFrom(cause)}`;
  return new PosternError('ERR_AUDIT_UNAVAILABLE', message, { source: 'audit', retryable: true, cause });
}
