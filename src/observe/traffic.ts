import {
  type BackendReport,
  durationStep,
  durationSteps,
  type LoginCounts,
  quantileMs,
  sumOfLogins,
} from '../core/node-report.ts';

/** Results of sign-ins that say nothing about the gateway or the user: the browser left. */
const ignoredResult = 'abandoned';
const goodResults: ReadonlySet<string> = new Set(['signed-in', 'authenticated']);
const failedResults: ReadonlySet<string> = new Set(['unavailable', 'failed', 'busy']);

/** Positions in the counts of a backend; the durations follow. */
const places = { ok: 0, refused: 1, failed: 2, requests: 3, errors: 4, durations: 5 } as const;
const countsLength = places.durations + durationSteps;

/** What was counted in a few seconds: by backend, '' for sign-ins of users of none, and alarms by code. */
export interface TrafficSlice {
  readonly backends: readonly (readonly [backend: string, counts: readonly number[]])[];
  readonly alarms: readonly (readonly [code: string, count: number])[];
}

/** What a backend was asked, and how it answered. */
export type BackendTraffic = Omit<BackendReport, 'sessions' | 'inFlight'>;

/** How often `turn` is called. */
export const sliceMs = 5_000;
const slicesOfMinute = 60_000 / sliceMs;
const alarmSpanMs = 300_000;
const spansOfHour = 3_600_000 / alarmSpanMs;
const slicesOfSpan = alarmSpanMs / sliceMs;

/**
 * Counts requests and sign-ins of the last minute, and alarms of the last hour. Counting one adds to a row of numbers.
 * Memory is bounded: a row for each backend with traffic and each slice of the minute.
 */
export class Traffic {
  #counts = new Map<string, number[]>();
  #alarms = new Map<string, number>();
  readonly #minute: ReadonlyMap<string, readonly number[]>[] = [];
  readonly #hour: Map<string, number>[] = [];
  #turns = 0;

  requestFinished(backend: string, status: number, durationMs: number): void {
    const counts = this.#of(backend);
    counts[places.requests] = (counts[places.requests] ?? 0) + 1;
    if (status >= 500) counts[places.errors] = (counts[places.errors] ?? 0) + 1;
    const step = places.durations + durationStep(durationMs);
    counts[step] = (counts[step] ?? 0) + 1;
  }

  loginFinished(result: string, backend: string | undefined): void {
    if (result === ignoredResult) return;
    const counts = this.#of(backend ?? '');
    const place = places[goodResults.has(result) ? 'ok' : failedResults.has(result) ? 'failed' : 'refused'];
    counts[place] = (counts[place] ?? 0) + 1;
  }

  alarm(code: string): void {
    countMore(this.#alarms, code, 1);
  }

  /** Takes out what was counted since the last call, for another process to add. */
  take(): TrafficSlice {
    const slice = { backends: [...this.#counts], alarms: [...this.#alarms] };
    this.#counts = new Map();
    this.#alarms = new Map();
    return slice;
  }

  /** Adds what another process has taken. */
  add({ backends, alarms }: TrafficSlice): void {
    for (const [backend, more] of backends) addCounts(this.#of(backend), more);
    for (const [code, count] of alarms) countMore(this.#alarms, code, count);
  }

  /** Begins the next slice, and forgets the oldest. */
  turn(): void {
    const { backends, alarms } = this.take();
    keepLast(this.#minute, new Map(backends), slicesOfMinute);
    if (this.#turns % slicesOfSpan === 0) keepLast(this.#hour, new Map(), spansOfHour);
    this.#turns += 1;
    const span = this.#hour.at(-1);
    if (span !== undefined) for (const [code, count] of alarms) countMore(span, code, count);
  }

  /** The last minute by backend, up to the last `turn`. */
  lastMinute(): ReadonlyMap<string, BackendTraffic> {
    const sums = new Map<string, number[]>();
    for (const slice of this.#minute) {
      for (const [backend, counts] of slice) {
        const sum = sums.get(backend);
        if (sum === undefined) sums.set(backend, [...counts]);
        else addCounts(sum, counts);
      }
    }
    return new Map([...sums].map(([backend, counts]) => [backend, asTraffic(counts)]));
  }

  /** The alarms of the last hour, up to the last `turn`. */
  lastHour(): ReadonlyMap<string, number> {
    const sums = new Map<string, number>();
    for (const span of this.#hour) for (const [code, count] of span) countMore(sums, code, count);
    return sums;
  }

  #of(backend: string): number[] {
    let counts = this.#counts.get(backend);
    if (counts === undefined) {
      counts = Array.from<number>({ length: countsLength }).fill(0);
      this.#counts.set(backend, counts);
    }
    return counts;
  }
}

const noLogins: LoginCounts = { ok: 0, refused: 0, failed: 0 };

/** No sign-ins and no requests. */
export const noTraffic: BackendTraffic = { logins: noLogins, requests: 0, errors: 0, durations: [] };

/** The sign-ins of all backends, and of users of none. */
export function loginsOf(traffic: Iterable<BackendTraffic>): LoginCounts {
  return [...traffic].reduce((sum, { logins }) => sumOfLogins(sum, logins), noLogins);
}

function asTraffic(counts: readonly number[]): BackendTraffic {
  const count = (place: number) => counts[place] ?? 0;
  const durations = counts.slice(places.durations);
  const p95Ms = quantileMs(durations, 0.95);
  return {
    logins: { ok: count(places.ok), refused: count(places.refused), failed: count(places.failed) },
    requests: count(places.requests),
    errors: count(places.errors),
    ...(p95Ms === undefined ? {} : { p95Ms }),
    durations: durations.slice(0, durations.findLastIndex((one) => one > 0) + 1),
  };
}

function addCounts(sum: number[], more: readonly number[]): void {
  for (const [place, count] of more.entries()) sum[place] = (sum[place] ?? 0) + count;
}

function countMore(sums: Map<string, number>, key: string, count: number): void {
  sums.set(key, (sums.get(key) ?? 0) + count);
}

function keepLast<T>(row: T[], next: T, most: number): void {
  row.push(next);
  if (row.length > most) row.shift();
}
