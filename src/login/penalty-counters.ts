import { createHmac, type KeyObject } from 'node:crypto';
import { type RateLimiterAbstract, RateLimiterRedis, RLWrapperTimeouts } from 'rate-limiter-flexible';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';

/** Counts by key, each for a fixed time from its first raise. Only `look` and `lift` reject if the store fails. */
export interface Counter {
  count(key: string): Promise<number>;
  /** Raises the count, and resolves with it. */
  raise(key: string): Promise<number>;
  lower(key: string): Promise<void>;
  clear(key: string): Promise<void>;
  /** The count, and the time that it still lasts, for operators. Rejects if the store cannot be asked. */
  look(key: string): Promise<{ readonly count: number; readonly leftMs: number }>;
  /** Like `clear`, but rejects if the store cannot be asked. */
  lift(key: string): Promise<void>;
}

/** The counters behind the penalty, kept in Redis or in memory. */
export interface PenaltyCounters {
  /** Refusals of a user from a network, those in flight included. */
  readonly pairs: Counter;
  /** Wrong passwords that were tried, as 32 bits of a keyed hash. */
  readonly guesses: Counter;
  /** Refusals of a user, from everywhere. */
  readonly users: Counter;
  /** Refusals of a network, over all names. */
  readonly networks: Counter;
}

const storeTimeoutMs = 500;

/** The names of the counts: keyed hashes, so that the store names neither a user nor a network. */
export function createPenaltyHashes(key: KeyObject) {
  const hash = (...parts: readonly string[]) =>
    createHmac('sha256', key).update(JSON.stringify(parts)).digest().subarray(0, 16).toString('base64url');
  return {
    user: (user: string) => hash('user', user),
    network: (network: string) => hash('network', network),
    pair: (user: string, network: string) => hash('pair', user, network),
    guess: (user: string, network: string, password: string) => hash('guess', user, network, password).slice(0, 6),
  };
}

const stepsMs = [0, 2_000, 4_000, 8_000, 15_000] as const;
/** Refusals of one network, over all names, before its logins wait. */
const networkAllowance = 30;
/** Refusals of one user, over all networks, for each step; strangers can cause no more than the last one. */
const refusalsPerUserStep = 10;
const userStepsMs = [0, 2_000, 4_000] as const;

/** The delay in milliseconds for refusals of one user from one network. */
export function delayOfPair(refusals: number): number {
  return stepOf(stepsMs, refusals);
}

/**
 * The delay in milliseconds for refusals of one network. Waiting attempts count like refusals once the network has used
 * its allowance.
 */
export function delayOfNetwork(refusals: number, waiting: number): number {
  return refusals < networkAllowance ? 0 : stepOf(stepsMs, refusals + waiting - networkAllowance + 1);
}

/** The delay in milliseconds for refusals of one user from everywhere. */
export function delayOfUser(refusals: number): number {
  return stepOf(userStepsMs, Math.floor(refusals / refusalsPerUserStep));
}

function stepOf(steps: readonly number[], refusals: number): number {
  return steps[Math.min(Math.max(refusals, 0), steps.length - 1)] ?? 0;
}

/** Counters in Redis; in memory if there is none, or while it does not answer. */
export function createCounters(redis: object | undefined, log: Log): PenaltyCounters {
  const counter = (name: string, seconds: number): Counter => {
    const memory = createMemoryCounter(seconds, () => performance.now());
    if (redis === undefined) return memory;
    // A store that hangs counts as one that is away: node-redis keeps a written command waiting without end.
    log.debug('penalty-stored', { counter: name });
    return createStoredCounter(createLimiter(name, seconds, redis), memory);
  };
  return {
    pairs: counter('pair', 900),
    guesses: counter('guess', 900),
    users: counter('user', 600),
    networks: counter('network', 600),
  };
}

/** Counts in this Redis and removes the count. Rejects if the server refuses that. */
export async function probeCounters(redis: object): Promise<void> {
  const limiter = new RateLimiterRedis({ ...limiterOptions('probe', 1), ...redisOptions(redis) });
  await limiter.penalty('probe');
  await limiter.get('probe');
  await limiter.reward('probe');
  await limiter.delete('probe');
}

// The points decide nothing: counts are read and turned into delays here, never into a lockout.
function limiterOptions(name: string, duration: number) {
  return { keyPrefix: `ps:p:${name}`, points: Number.MAX_SAFE_INTEGER, duration };
}

// Without useRedisPackage the limiter calls a function of another client library.
function redisOptions(redis: object) {
  return { storeClient: redis, useRedisPackage: true, rejectIfRedisNotReady: true };
}

function createLimiter(name: string, duration: number, redis: object): RateLimiterAbstract {
  const limiter = new RateLimiterRedis({ ...limiterOptions(name, duration), ...redisOptions(redis) });
  return new RLWrapperTimeouts({ limiter, timeoutMs: storeTimeoutMs });
}

/** Falls back to this process' memory for each call that the store does not answer. */
function createStoredCounter(limiter: RateLimiterAbstract, memory: Counter): Counter {
  return {
    count: (key) =>
      limiter.get(key).then(
        (found) => Math.max(found?.consumedPoints ?? 0, 0),
        () => memory.count(key),
      ),
    raise: (key) =>
      limiter.penalty(key).then(
        ({ consumedPoints }) => consumedPoints,
        () => memory.raise(key),
      ),
    lower: (key) =>
      limiter.reward(key).then(
        () => undefined,
        () => memory.lower(key),
      ),
    clear: (key) =>
      limiter.delete(key).then(
        () => undefined,
        () => memory.clear(key),
      ),
    async look(key) {
      const found = await limiter.get(key).catch(unavailable);
      return { count: Math.max(found?.consumedPoints ?? 0, 0), leftMs: Math.max(found?.msBeforeNext ?? 0, 0) };
    },
    async lift(key) {
      await Promise.all([limiter.delete(key).catch(unavailable), memory.clear(key)]);
    },
  };
}

function unavailable(cause: unknown): never {
  const message = 'the store of penalties did not answer: look at Redis, and try again';
  throw new PosternError('ERR_STORE_UNAVAILABLE', message, { source: 'store', retryable: true, cause });
}

/** Counts of one process. A count of 0 takes no memory; expired ones are removed by the next raise. */
export function createMemoryCounter(seconds: number, nowMs: () => number): Counter & { readonly size: number } {
  // All last equally long from their first raise, so the oldest is first.
  const counts = new Map<string, { count: number; readonly endMs: number }>();

  function living(key: string) {
    const found = counts.get(key);
    return found !== undefined && nowMs() < found.endMs ? found : undefined;
  }

  function forgetEnded(): void {
    for (const [key, { endMs }] of counts) {
      if (nowMs() < endMs) return;
      counts.delete(key);
    }
  }

  return {
    get size() {
      return counts.size;
    },
    async count(key) {
      return living(key)?.count ?? 0;
    },
    async raise(key) {
      forgetEnded();
      const found = living(key) ?? { count: 0, endMs: nowMs() + seconds * 1000 };
      found.count += 1;
      counts.set(key, found);
      return found.count;
    },
    async lower(key) {
      const found = living(key);
      if (found === undefined) return;
      found.count -= 1;
      if (found.count <= 0) counts.delete(key);
    },
    async clear(key) {
      counts.delete(key);
    },
    async look(key) {
      const { count, endMs } = living(key) ?? { count: 0, endMs: 0 };
      return { count, leftMs: Math.max(endMs - nowMs(), 0) };
    },
    async lift(key) {
      counts.delete(key);
    },
  };
}
