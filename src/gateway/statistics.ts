import { createHmac, type KeyObject, randomBytes } from 'node:crypto';
import { type Clock, systemClock } from '../core/clock.ts';
import { type Log, silentLog } from '../core/log.ts';
import { defined } from '../core/objects.ts';
import type { StatisticsBatch, StatisticsStore } from '../core/statistics.ts';
import { StatisticsCollector } from '../observe/statistics/collector.ts';
import type { MarksOf } from '../observe/statistics/erasures.ts';
import { createRedisConnection, type RedisConnection } from '../redis/connection.ts';
import type { ServerKeys } from '../sessions/server-keys.ts';
import type { ConfigHolder, NodeStatistics, NotedLogin } from './parts.ts';
import { scriptsOn } from './stores.ts';

interface StatisticsOptions {
  readonly holder: ConfigHolder;
  readonly log: Log;
  readonly keys: Pick<ServerKeys, 'current'>;
  /** The Redis of the sessions; undefined with the embedded store. */
  readonly redis: RedisConnection | undefined;
  readonly clock?: Clock;
}

/** Opens the statistics of this process. Their store is opened when it is needed first. */
export function openStatistics({ holder, log, keys, redis, clock = systemClock }: StatisticsOptions): NodeStatistics {
  const stores = new AsyncDisposableStack();
  let opening: Promise<StatisticsStore> | undefined;

  function store(): Promise<StatisticsStore> {
    opening ??= openStatisticsStore({ holder, keys, redis }, stores).catch((error: unknown) => {
      opening = undefined;
      throw error;
    });
    return opening;
  }

  async function add(batch: StatisticsBatch): Promise<string> {
    const { keptMs } = holder.config.statistics;
    const there = await store();
    const erasures = await there.add(batch, keptMs, clock);
    await there.sweep(clock.nowMs(), keptMs);
    return erasures;
  }

  /** What has ended and is not counted yet: counting is no part of a sign-in. */
  const noted: NotedLogin[] = [];

  function count(): void {
    for (const { way, event, atMs } of noted.splice(0)) {
      const webmail = holder.isBuilt ? holder.current.backendNamed(event.backend ?? '')?.driver : undefined;
      collector.count({ way, atMs, ...factsOf(event), ...defined({ webmail }) });
    }
  }

  const collector = new StatisticsCollector({
    clock,
    log,
    process: randomBytes(9).toString('base64url'),
    collect: count,
    store: add,
    settings: () => holder.config.statistics,
  });
  return {
    noted,
    count,
    mailRouted: (user) => collector.routed(user),
    async figures() {
      await collector.flush();
      const { StatisticsFigures } = await import('../observe/statistics/figures.ts');
      return new StatisticsFigures({
        store: await store(),
        nowMs: clock.nowMs,
        keptMs: () => holder.config.statistics.keptMs,
      });
    },
    async erase(user) {
      // Tells whether anything was known of the user.
      await collector.flush();
      return (await store()).erase(user, clock);
    },
    async [Symbol.asyncDispose]() {
      await collector[Symbol.asyncDispose]();
      await stores.disposeAsync();
    },
  };
}

/** The facts of an event that are counted. A name counts only if it is a user's: strangers type what they like. */
function factsOf({ result, user, backend, why, userAgent }: NotedLogin['event']) {
  const isFound = backend !== undefined || why === 'refused';
  return { result, ...defined({ user: isFound ? user : undefined, backend, userAgent }) };
}

/**
 * Opens the store for what must survive. A Redis of the state gets a connection of its own, so that long lists never
 * stand before a state of a backend.
 */
async function openStatisticsStore(
  { holder: { config }, keys, redis }: Pick<StatisticsOptions, 'holder' | 'keys' | 'redis'>,
  opened: AsyncDisposableStack,
): Promise<StatisticsStore> {
  const marksOf: MarksOf = (user) => keys.current().all.map((key) => erasureMark(key.subkey('statistics'), user));
  const own = config.state.redis;
  if (own === undefined && redis === undefined) {
    const { store } = config.sessions;
    if (store.kind !== 'embedded') throw new TypeError('the sessions live in a Redis that was not handed in');
    const { SqliteStatisticsStore } = await import('../observe/statistics/sqlite-store.ts');
    return opened.use(new SqliteStatisticsStore(store.file, marksOf));
  }
  const { RedisStatisticsStore } = await import('../observe/statistics/redis-store.ts');
  if (own?.kind !== 'redis') {
    if (redis === undefined) throw new TypeError('the state lives in a Redis that was not handed in');
    return new RedisStatisticsStore(scriptsOn(redis), marksOf);
  }
  const { kind: _, ...settings } = own;
  // The state itself logs that this server is away.
  const connection = createRedisConnection({ settings, log: silentLog });
  opened.defer(() => connection.close());
  await connection.open(new AbortController().signal);
  return new RedisStatisticsStore(scriptsOn(connection), marksOf);
}

function erasureMark(key: KeyObject, user: string): string {
  return createHmac('sha256', key).update(user).digest().subarray(0, 16).toString('base64url');
}
