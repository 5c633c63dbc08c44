import { BoundedMap } from '../core/bounded-map.ts';
import type { Clock } from '../core/clock.ts';
import { untilAborted } from '../core/deadline.ts';
import { PosternError } from '../core/error.ts';
import type { LoginName } from '../core/names.ts';
import type { Source, SourceAnswer } from './source.ts';

/** Lifetimes and size of the cache of one source. */
export interface CacheOptions {
  /** How long a user who was found is believed without asking again. */
  readonly ttlMs: number;
  /** The same for an unknown or refused user. */
  readonly negativeTtlMs: number;
  /** How long the source is left alone about a name after it could not be asked. */
  readonly transientTtlMs: number;
  /** How old an answer may be that is served because the source cannot be asked. */
  readonly staleMs: number;
  /** Names kept; the least recently used go first. */
  readonly maxEntries: number;
}

/** Cache settings of a source that sets none. */
export const cacheDefaults: CacheOptions = {
  ttlMs: 600_000,
  negativeTtlMs: 30_000,
  transientTtlMs: 5_000,
  staleMs: 86_400_000,
  maxEntries: 100_000,
};

/**
 * An answer, and where it comes from: asked just now when `ageMs` is missing; `stale` when it should be asked again but
 * cannot.
 */
export interface Told {
  readonly answer: SourceAnswer;
  readonly ageMs?: number;
  readonly stale?: true;
}

/** Running totals of a cache, for the metrics. */
export interface CacheCounts {
  hits: number;
  misses: number;
  stale: number;
}

/** A source behind its cache. */
export interface CachedSource extends AsyncDisposable {
  readonly counts: Readonly<CacheCounts>;
  readonly ask: (name: LoginName, signal: AbortSignal) => Promise<Told>;
  /** Asks the source whatever is remembered, and remembers what it says. Without an answer it rejects. */
  readonly askAnew: (name: LoginName, signal: AbortSignal) => Promise<Told>;
  /** Remembers an answer that was had in another way. */
  learn(name: LoginName, answer: SourceAnswer): void;
  /** Forgets every name that is meant, and every name that was answered with a user who is meant. */
  drop(isMeant: (name: string) => boolean): void;
}

interface Entry {
  /** The last real answer, also while the source cannot be asked. */
  readonly answer?: SourceAnswer;
  readonly answeredAtMs: number;
  readonly failure?: PosternError;
  readonly failedAtMs: number;
}

interface Flight {
  readonly promise: Promise<SourceAnswer>;
  readonly controller: AbortController;
  waiting: number;
}

/**
 * Remembers the answers of a source.
 *
 * A failed lookup is not an answer: it is remembered for `transientTtlMs` only, so that an outage of the directory
 * neither locks users out for minutes nor is hammered by their retries; meanwhile the last answer for a known user is
 * served, up to `staleMs` old. Unknown users have no such answer: they may exist by now. Concurrent lookups of one
 * name share one question; it is aborted when its last caller is gone.
 */
export function cached(source: Source, options: CacheOptions, clock: Clock): CachedSource {
  const entries = new BoundedMap<LoginName, Entry>(options.maxEntries);
  const flights = new Map<LoginName, Flight>();
  const counts: CacheCounts = { hits: 0, misses: 0, stale: 0 };

  function answered(answer: SourceAnswer): Entry {
    return { answer, answeredAtMs: clock.nowMs(), failedAtMs: 0 };
  }

  /** The answer that may be given from memory; undefined if the source must be asked. */
  function remembered(name: LoginName, entry: Entry, nowMs: number): Told | undefined {
    const { answer, failure } = entry;
    const ageMs = nowMs - entry.answeredAtMs;
    if (failure === undefined && answer !== undefined && within(ageMs, ttlOf(answer, options))) {
      counts.hits += 1;
      entries.set(name, entry);
      return { answer, ageMs };
    }
    if (failure === undefined || !within(nowMs - entry.failedAtMs, options.transientTtlMs)) return undefined;
    return afterFailure(entry, failure, ageMs);
  }

  function afterFailure({ answer }: Entry, failure: PosternError, ageMs: number): Told {
    if (answer === undefined || answer.kind === 'unknown-user' || ageMs >= options.staleMs) throw failure;
    counts.stale += 1;
    return { answer, ageMs, stale: true };
  }

  function launch(name: LoginName): Flight {
    const controller = new AbortController();
    const flight: Flight = { promise: source.ask(name, controller.signal), controller, waiting: 0 };
    flights.set(name, flight);
    const land = (entry: Entry | undefined): void => {
      // Dropped or given up meanwhile: this outcome is no news any more.
      if (flights.get(name) !== flight) return;
      flights.delete(name);
      if (entry !== undefined) entries.set(name, entry);
    };
    flight.promise.then(
      // That somebody must be asked is soon said again; what was learned of the name is worth more.
      (answer) => land(answer.kind === 'referred' ? undefined : answered(answer)),
      (failure: unknown) =>
        land(
          failure instanceof PosternError
            ? { answeredAtMs: 0, ...entries.get(name), failure, failedAtMs: clock.nowMs() }
            : undefined,
        ),
    );
    return flight;
  }

  async function board(name: LoginName, signal: AbortSignal): Promise<SourceAnswer> {
    const flight = flights.get(name) ?? launch(name);
    flight.waiting += 1;
    try {
      return await untilAborted(flight.promise, signal);
    } finally {
      flight.waiting -= 1;
      if (flight.waiting === 0 && flights.get(name) === flight) {
        flights.delete(name);
        flight.controller.abort();
      }
    }
  }

  return {
    counts,
    async ask(name, signal) {
      const entry = entries.get(name);
      const known = entry === undefined ? undefined : remembered(name, entry, clock.nowMs());
      if (known !== undefined) return known;
      counts.misses += 1;
      try {
        return { answer: await board(name, signal) };
      } catch (error) {
        if (!(error instanceof PosternError) || signal.aborted || entry === undefined) throw error;
        return afterFailure(entry, error, clock.nowMs() - entry.answeredAtMs);
      }
    },
    async askAnew(name, signal) {
      counts.misses += 1;
      return { answer: await board(name, signal) };
    },
    learn: (name, answer) => void entries.set(name, answered(answer)),
    drop(isMeant) {
      for (const [name, { answer }] of entries) {
        const user = answer !== undefined && 'user' in answer ? answer.user : undefined;
        if (isMeant(name) || (user !== undefined && isMeant(user))) entries.delete(name);
      }
      // Whoever is waiting gets the answer; it is not remembered.
      flights.clear();
    },
    async [Symbol.asyncDispose]() {
      for (const flight of flights.values()) flight.controller.abort();
      flights.clear();
      entries.clear();
      await source[Symbol.asyncDispose]();
    },
  };
}

function ttlOf(answer: SourceAnswer, options: CacheOptions): number {
  return answer.kind === 'found' ? options.ttlMs : options.negativeTtlMs;
}

/** A clock that was set back makes an age negative: then nothing is fresh. */
function within(ageMs: number, limitMs: number): boolean {
  return ageMs >= 0 && ageMs < limitMs;
}
