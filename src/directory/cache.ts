import { BoundedMap } from '../core/bounded-map.ts';
import type { Clock } from '../core/clock.ts';
import { untilAborted } from '../core/deadline.ts';
import { PosternError } from '../core/error.ts';
import type { LoginName } from '../core/names.ts';
import type { Source, SourceAnswer } from './source.ts';

/** Lifetimes and size of the cache of one source. */
export interface CacheOptions {
  /** How long a user who was found is not asked for again. */
  readonly ttlMs: number;
  /** The same for an unknown or refused user. */
  readonly negativeTtlMs: number;
  /** How long the source is not asked for a name again after it could not be asked. */
  readonly transientTtlMs: number;
  /** Greatest age of an answer that is served because the source cannot be asked. */
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

/** An answer with its age; `ageMs` is missing if the source was asked just now. */
export interface AgedAnswer {
  readonly answer: SourceAnswer;
  readonly ageMs?: number;
  /** The answer is too old, but the source cannot be asked. */
  readonly stale?: true;
}

/** Running totals of a cache, for the metrics. */
export interface CacheCounts {
  hits: number;
  misses: number;
  stale: number;
}

/** The remembered answer, failure and times of one name. */
interface CacheEntry {
  /** The last answer of the source, kept while it cannot be asked. */
  readonly answer?: SourceAnswer;
  readonly answeredAtMs: number;
  readonly failure?: PosternError;
  readonly failedAtMs: number;
}

/** A question under way, shared by all callers that ask for the same name. */
interface SharedQuestion {
  readonly promise: Promise<SourceAnswer>;
  readonly controller: AbortController;
  callers: number;
}

/**
 * Remembers the answers of a source.
 *
 * A failed lookup is not an answer: it is remembered for `transientTtlMs` only, so that an outage of the directory
 * neither locks users out for minutes nor is hammered by their retries; meanwhile the last answer for a known user is
 * served, up to `staleMs` old. Unknown users have no such answer: they may exist by now. Concurrent lookups of one
 * name share one question; it is aborted when its last caller is gone.
 */
export class CachedSource implements AsyncDisposable {
  readonly #counts: CacheCounts = { hits: 0, misses: 0, stale: 0 };
  readonly #source: Source;
  readonly #options: CacheOptions;
  readonly #clock: Clock;
  readonly #entries: BoundedMap<LoginName, CacheEntry>;
  readonly #questions = new Map<LoginName, SharedQuestion>();

  constructor(source: Source, options: CacheOptions, clock: Clock) {
    this.#source = source;
    this.#options = options;
    this.#clock = clock;
    this.#entries = new BoundedMap(options.maxEntries);
  }

  get counts(): Readonly<CacheCounts> {
    return this.#counts;
  }

  /** Answers from memory while that is fresh enough, else asks the source. Rejects if it has no answer at all. */
  async ask(name: LoginName, signal: AbortSignal): Promise<AgedAnswer> {
    const entry = this.#entries.get(name);
    const known = entry === undefined ? undefined : this.#remembered(name, entry, this.#clock.nowMs());
    if (known !== undefined) return known;
    this.#counts.misses += 1;
    try {
      return { answer: await this.#question(name, signal) };
    } catch (error) {
      if (!(error instanceof PosternError) || signal.aborted || entry === undefined) throw error;
      return this.#afterFailure(entry, error, this.#clock.nowMs() - entry.answeredAtMs);
    }
  }

  /** Asks the source whatever is remembered, and remembers the answer. Rejects if the source gives none. */
  async askAnew(name: LoginName, signal: AbortSignal): Promise<AgedAnswer> {
    this.#counts.misses += 1;
    return { answer: await this.#question(name, signal) };
  }

  /** Remembers an answer that did not come from the source. */
  learn(name: LoginName, answer: SourceAnswer): void {
    this.#entries.set(name, this.#answered(answer));
  }

  /** Forgets every name that `isMeant` accepts, and every name whose answer has such a user. */
  drop(isMeant: (name: string) => boolean): void {
    for (const [name, { answer }] of this.#entries) {
      const user = answer !== undefined && 'user' in answer ? answer.user : undefined;
      if (isMeant(name) || (user !== undefined && isMeant(user))) this.#entries.delete(name);
    }
    // Callers still get the answers to questions under way, but these are not remembered.
    this.#questions.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { controller } of this.#questions.values()) controller.abort();
    this.#questions.clear();
    this.#entries.clear();
    await this.#source[Symbol.asyncDispose]();
  }

  /** The answer that may be given from memory; undefined if the source must be asked. */
  #remembered(name: LoginName, entry: CacheEntry, nowMs: number): AgedAnswer | undefined {
    const { answer, failure } = entry;
    const ageMs = nowMs - entry.answeredAtMs;
    if (failure === undefined && answer !== undefined && isFresh(ageMs, ttlOf(answer, this.#options))) {
      this.#counts.hits += 1;
      this.#entries.set(name, entry);
      return { answer, ageMs };
    }
    if (failure === undefined || !isFresh(nowMs - entry.failedAtMs, this.#options.transientTtlMs)) return undefined;
    return this.#afterFailure(entry, failure, ageMs);
  }

  /** The last answer for a known user; throws `failure` if there is none. */
  #afterFailure({ answer }: CacheEntry, failure: PosternError, ageMs: number): AgedAnswer {
    if (answer === undefined || answer.kind === 'unknown-user' || ageMs >= this.#options.staleMs) throw failure;
    this.#counts.stale += 1;
    return { answer, ageMs, stale: true };
  }

  async #question(name: LoginName, signal: AbortSignal): Promise<SourceAnswer> {
    const question = this.#questions.get(name) ?? this.#begin(name);
    question.callers += 1;
    try {
      return await untilAborted(question.promise, signal);
    } finally {
      question.callers -= 1;
      if (question.callers === 0 && this.#questions.get(name) === question) {
        this.#questions.delete(name);
        question.controller.abort();
      }
    }
  }

  #begin(name: LoginName): SharedQuestion {
    const controller = new AbortController();
    const question = { promise: this.#source.ask(name, controller.signal), controller, callers: 0 };
    this.#questions.set(name, question);
    const end = (entry: CacheEntry | undefined): void => {
      // Dropped or given up meanwhile: the outcome may be outdated.
      if (this.#questions.get(name) !== question) return;
      this.#questions.delete(name);
      if (entry !== undefined) this.#entries.set(name, entry);
    };
    question.promise.then(
      // A referral costs little to ask for again; a home that was learned for the name is worth more.
      (answer) => end(answer.kind === 'referred' ? undefined : this.#answered(answer)),
      (failure: unknown) => end(failure instanceof PosternError ? this.#failed(name, failure) : undefined),
    );
    return question;
  }

  #answered(answer: SourceAnswer): CacheEntry {
    return { answer, answeredAtMs: this.#clock.nowMs(), failedAtMs: 0 };
  }

  #failed(name: LoginName, failure: PosternError): CacheEntry {
    return { answeredAtMs: 0, ...this.#entries.get(name), failure, failedAtMs: this.#clock.nowMs() };
  }
}

function ttlOf(answer: SourceAnswer, options: CacheOptions): number {
  return answer.kind === 'found' ? options.ttlMs : options.negativeTtlMs;
}

/** A clock that was set back makes an age negative: then nothing is fresh. */
function isFresh(ageMs: number, limitMs: number): boolean {
  return ageMs >= 0 && ageMs < limitMs;
}
