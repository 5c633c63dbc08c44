/** Where the time comes from. Tests hand in their own. */
export interface Clock {
  /** Milliseconds since the epoch. */
  readonly nowMs: () => number;
}

/** The system's clock. */
export const systemClock: Clock = { nowMs: Date.now };

/** Whether less than `spanMs` went by since then. A time that lies ahead, since a clock was set back, is no recent one. */
export function isRecent(sinceMs: number, spanMs: number, nowMs: number): boolean {
  return sinceMs <= nowMs && nowMs - sinceMs < spanMs;
}

/** A time in ISO 8601, UTC, to the millisecond. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
