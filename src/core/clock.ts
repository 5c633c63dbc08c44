/** The source of the time. Tests pass their own. */
export interface Clock {
  /** Milliseconds since the epoch. */
  readonly nowMs: () => number;
}

/** The system's clock. */
export const systemClock: Clock = { nowMs: Date.now };

/** Whether `sinceMs` lies less than `spanMs` back. A time in the future, after a clock was set back, is not recent. */
export function isRecent(sinceMs: number, spanMs: number, nowMs: number): boolean {
  return sinceMs <= nowMs && nowMs - sinceMs < spanMs;
}

/** Formats a time as ISO 8601 in UTC, to the millisecond. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
