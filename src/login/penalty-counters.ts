import {
  type RateLimiterAbstract,
  RateLimiterMemory,
  RateLimiterRedis,
  RLWrapperTimeouts,
} from 'rate-limiter-flexible';
import type { Log } from '../core/log.ts';

/** Counts by key, each for a fixed time from its first raise. Never rejects for the store's sake. */
export interface Counter {
  count(key: string): Promise<number>;
  /** The count after it was raised. */
  raise(key: string): Promise<number>;
  lower(key: string): Promise<void>;
  clear(key: string): Promise<void>;
}

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

/** Counters in Redis, or in memory without it and for as long as it cannot be asked. */
export function createCounters(redis: object | undefined, log: Log): PenaltyCounters {
  const counter = (name: string, seconds: number) => createCounter(createLimiter(name, seconds, redis, log));
  return {
    pairs: counter('pair', 900),
    guesses: counter('guess', 900),
    users: counter('user', 600),
    networks: counter('network', 600),
  };
}

/** Counts in this Redis and forgets it again. Rejects where the server refuses that. */
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

function createLimiter(name: string, duration: number, redis: object | undefined, log: Log): RateLimiterAbstract {
  const options = limiterOptions(name, duration);
  const memory = new RateLimiterMemory(options);
  if (redis === undefined) return memory;
  const limiter = new RateLimiterRedis({ ...options, ...redisOptions(redis) });
  // A store that hangs counts as one that is away: node-redis keeps a written command waiting without end.
  log.debug({ counter: name }, 'penalty counts are kept in the store');
  return new RLWrapperTimeouts({ limiter, timeoutMs: storeTimeoutMs, insuranceLimiter: memory });
}

function createCounter(limiter: RateLimiterAbstract): Counter {
  return {
    count: async (key) => Math.max((await limiter.get(key))?.consumedPoints ?? 0, 0),
    raise: async (key) => (await limiter.penalty(key)).consumedPoints,
    async lower(key) {
      await limiter.reward(key);
    },
    async clear(key) {
      await limiter.delete(key);
    },
  };
}
