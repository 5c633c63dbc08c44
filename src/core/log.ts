import type { Clock } from './clock.ts';
import type { LogLevel } from './log-event-row.ts';
import type { logEvents } from './log-events.ts';

type Events = typeof logEvents;

/** Stable name of an event, the field `event` of its lines. */
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

/** A log that discards everything, for parts that are used outside a gateway. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * Logs a warning that strangers can cause, unless within the last minute the same event was logged with this detail or
 * with {@link maxDetails} others.
 */
export type Warn = <E extends CappedEvent>(event: E, detail: string, fields: EventFields<E>) => void;

const warningWindowMs = 60_000;
/** Details of one event that are told apart: a scan names another host with each request. */
const maxDetails = 10;

interface Window {
  readonly sinceMs: number;
  readonly details: Set<string>;
  /** Warnings of further details that were not logged. */
  leftOut: number;
}

/**
 * Limits each event to ten lines a minute, one for each detail: a scan must not fill the log. The next line of the
 * event says how many were left out before it.
 */
export function createWarnings(log: Log, clock: Clock): Warn {
  const windows = new Map<CappedEvent, Window>();
  return (event, detail, fields) => {
    const nowMs = clock.nowMs();
    const before = windows.get(event);
    const isOver = before === undefined || nowMs - before.sinceMs >= warningWindowMs;
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
