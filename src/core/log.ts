import type { Clock } from './clock.ts';

/** Structured log: facts in fields, a constant message. pino's loggers satisfy it. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** A log that keeps nothing, for parts that are used outside a gateway. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * Logs a warning, unless the same cause was warned of with the same detail within the last minute, or with
 * {@link maxDetails} others.
 */
export type Warn = (cause: string, detail: string, fields: object, message: string) => void;

const windowMs = 60_000;
/** A scan names another host with each request: of one cause only so many are told apart. */
const maxDetails = 10;

interface Window {
  readonly sinceMs: number;
  readonly details: Set<string>;
  /** Warnings of further details that were not logged. */
  leftOut: number;
}

/**
 * At most ten lines a minute for each cause, one for each detail: a scan must not fill the log. The next line of a
 * cause says how many were left out before it. The causes are the caller's own few words.
 */
export function createWarnings(log: Log, clock: Clock): Warn {
  const windows = new Map<string, Window>();
  return (cause, detail, fields, message) => {
    const nowMs = clock.nowMs();
    const before = windows.get(cause);
    const isOver = before === undefined || nowMs - before.sinceMs >= windowMs;
    const window = isOver ? { sinceMs: nowMs, details: new Set<string>(), leftOut: 0 } : before;
    windows.set(cause, window);
    if (window.details.has(detail)) return;
    if (window.details.size >= maxDetails) {
      window.leftOut += 1;
      return;
    }
    window.details.add(detail);
    const leftOut = isOver ? (before?.leftOut ?? 0) : 0;
    log.warn(leftOut === 0 ? fields : { ...fields, leftOut }, message);
  };
}
