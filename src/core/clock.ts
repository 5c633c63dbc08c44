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

/**
 * The moment that a text names, in milliseconds since the epoch: `2030-01-31`, `2030-01-31T06:00` or with a zone,
 * `2030-01-31T06:00:00+01:00`; UTC without one. NaN if there is no such moment, as on 30 February.
 */
export function momentNamed(text: string): number {
  const parts = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)(Z|[+-]\d\d:\d\d)?)?$/.exec(text);
  const [, day = '', time = '00:00', zone = 'Z'] = parts ?? [];
  const dayMs = Date.parse(`${day}T00:00Z`);
  // Date.parse takes 30 February for 2 March.
  if (Number.isNaN(dayMs) || isoTime(dayMs).slice(0, 10) !== day) return Number.NaN;
  const ms = Date.parse(`${day}T${time}${zone}`);
  // A zone may lead out of the years of four digits, which nobody else reads.
  return isoTime(Number.isNaN(ms) ? 0 : ms).length === 24 ? ms : Number.NaN;
}

/** The moments that a date can be: what lies further away has no text. */
const furthestMs = 8_640_000_000_000_000;

/** Whether a value that was stored is a moment, in milliseconds since the epoch. */
export function isMoment(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= furthestMs;
}

/** Formats a time as ISO 8601 in UTC, to the millisecond. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
