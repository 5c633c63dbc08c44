import type { Clock } from './clock.ts';
import type { LogLevel } from './log-event-row.ts';
import type { logEvents } from './log-events.ts';

type Events = typeof logEvents;

/** Stable name of an event, as the field `event` of its lines says it. */
export type EventName = keyof Events;

/** The events that may be logged at a level; capped ones go through createWarnings. */
type EventAt<L extends LogLevel> = {
  [E in EventName]: L extends Events[E]['levels'][number] ? E : never;
}[EventName];

/** The events that strangers can cause. */
export type CappedEvent = { [E in EventName]: Events[E]['capped'] extends true ? E : never }[EventName];

/** The fields that lines of an event may have. */
type EventFields<E extends EventName> = { readonly [F in Events[E]['fields'][number]]?: unknown };

/** Writes a line of one event of the table: its fields here, its constant message from the table. */
type Write<L extends LogLevel> = <E extends EventAt<L>>(event: E, fields?: EventFields<E>) => void;

/** Structured log: one event a line, facts in fields, a constant message. */
export interface Log {
  readonly debug: Write<'debug'>;
  readonly info: Write<'info'>;
  readonly warn: Write<'warn'>;
  readonly error: Write<'error'>;
}

/** A log that keeps nothing, for parts that are used outside a gateway. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * Logs a warning that strangers can cause, unless the same event was logged with the same detail within the last
 * minute, or with {@link maxDetails} others.
 */
export type Warn = <E extends CappedEvent>(event: E, detail: string, fields: EventFields<E>) => void;

const windowMs = 60_000;
/** A scan names another host with each request: of one event only so many details are told apart. */
const maxDetails = 10;

interface Window {
  readonly sinceMs: number;
  readonly details: Set<string>;
  /** Warnings of further details that were not logged. */
  leftOut: number;
}

/**
 * At most ten lines a minute for each event, one for each detail: a scan must not fill the log. The next line of the
 * event says how many were left out before it.
 */
export function createWarnings(log: Log, clock: Clock): Warn {
  const windows = new Map<CappedEvent, Window>();
  return (event, detail, fields) => {
    const nowMs = clock.nowMs();
    const before = windows.get(event);
    const isOver = before === undefined || nowMs - before.sinceMs >= windowMs;
    const window = isOver ? { sinceMs: nowMs, details: new Set<string>(), leftOut: 0 } : before;
    windows.set(event, window);
    if (window.details.has(detail)) return;
    if (window.details.size >= maxDetails) {
      window.leftOut += 1;
      return;
    }
    window.details.add(detail);
    const leftOut = isOver ? (before?.leftOut ?? 0) : 0;
    log.warn(event, leftOut === 0 ? fields : { ...fields, leftOut });
  };
}
