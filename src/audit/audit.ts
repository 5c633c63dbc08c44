import type { Audit, AuditEvent } from '../core/audit.ts';
import type { Clock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { appendLines, listLines } from './file.ts';
import { type AuditKey, writeLine } from './line.ts';

/** Options of the audit of one process. */
export interface AuditOptions {
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

/** The audit, for whoever opens and closes it. */
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
const mostWaiting = 1000;
const deadlineDefaultMs = 2_000;

/**
 * The audit of one process: one chain of lines, which begins with its first event. Events that come together share one
 * sync of the disk. The log tells of each, also of one that could not be written. Dispose of it to have what waits written.
 */
export function createAudit(options: AuditOptions): OwnAudit {
  const { file, node, clock, log, deadlineMs = deadlineDefaultMs } = options;
  const chain = options.randomBytes(8).toString('hex');
  const waiting: Waiting[] = [];
  let sequence = 0;
  let previous: string | undefined;
  let writing: Promise<void> | undefined;

  async function writeBatch(): Promise<void> {
    const batch = waiting.splice(0);
    let last = previous;
    const lines = batch.map(({ event }, index): WrittenEvent => {
      const place = { chain, sequence: sequence + 1 + index, timeMs: clock.nowMs(), node, previous: last };
      const line = writeLine(place, event, options.key());
      last = line.mac;
      return { ...line, event: event.event, chain, sequence: place.sequence, timeMs: place.timeMs };
    });
    const texts = lines.map(({ text }) => text);
    const { written, torn, failure } = await appendLines(file, texts);
    if (torn) tellTorn();
    // A line that stands in the file counts, though it may not have reached the disk.
    sequence += written;
    previous = written === 0 ? previous : lines[written - 1]?.mac;
    for (const line of lines.slice(0, written)) options.written?.(line);
    const error = failure === undefined ? undefined : unavailable(file, failure);
    for (const { resolve, reject } of batch) {
      if (error === undefined) resolve();
      else reject(error);
    }
  }

  function tellTorn(): void {
    log.warn('audit-torn', { file });
  }

  /** Rejects when it takes too long. What it began goes on. */
  async function soon<T>(work: Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(unavailable(file, new Error('the disk does not answer'))), deadlineMs);
    try {
      return await Promise.race([work, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async function writeAll(): Promise<void> {
    while (waiting.length > 0) await writeBatch();
  }

  /** Resolves when it is on disk. */
  function enqueue(event: AuditEvent): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (waiting.length >= mostWaiting) reject(unavailable(file, new Error('too many lines wait for the disk')));
    else waiting.push({ event, resolve, reject });
    writing ??= writeAll().finally(() => {
      writing = undefined;
    });
    return promise;
  }

  return {
    async open() {
      try {
        const { torn, failure } = await soon(appendLines(file, []));
        if (torn) tellTorn();
        if (failure !== undefined) throw unavailable(file, failure);
      } catch (error) {
        log.error('audit-unavailable', { code: 'ERR_AUDIT_UNAVAILABLE', err: error });
      }
    },
    async record(event) {
      try {
        await soon(enqueue(event));
        log.info('audit', { audited: event });
      } catch (error) {
        log.error('audit-line-not-written', { code: 'ERR_AUDIT_UNAVAILABLE', err: error, audited: event });
        throw error;
      }
    },
    list: (filter, limit) => listLines(file, filter, limit),
    async [Symbol.asyncDispose]() {
      // Whoever waits for a line has been told by now, or is told when time is up.
      if (writing !== undefined) await soon(writing).catch(() => undefined);
    },
  };
}

function unavailable(file: string, cause: unknown): PosternError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const message = `the audit ${file} cannot be written: ${why}`;
  return new PosternError('ERR_AUDIT_UNAVAILABLE', message, { source: 'audit', retryable: true, cause });
}
