import { randomBytes } from 'node:crypto';
import { type Clock, systemClock } from '../core/clock.ts';
import { type Log, silentLog } from '../core/log.ts';
import { defined } from '../core/objects.ts';
import type { StatisticsBatch, StatisticsStore } from '../core/statistics.ts';
import { StatisticsCollector } from '../observe/statistics/collector.ts';
import { createRedisConnection, type RedisConnection } from '../redis/connection.ts';
import type { ConfigHolder, NodeStatistics, NotedLogin } from './parts.ts';
import { scriptsOn } from './stores.ts';

interface StatisticsOptions {
  readonly holder: ConfigHolder;
  readonly log: Log;
  /** The Redis of the sessions; undefined with the embedded store. */
  readonly redis: RedisConnection | undefined;
  readonly clock?: Clock;
}

/** Opens the statistics of this process. Their store is opened when it is needed first. */
export function openStatistics({ holder, log, redis, clock = systemClock }: StatisticsOptions): NodeStatistics {
  const stores = new AsyncDisposableStack();
  let opening: Promise<StatisticsStore> | undefined;

  function store(): Promise<StatisticsStore> {
    opening ??= openStatisticsStore({ holder, redis }, stores).catch((error: unknown) => {
      opening = undefined;
      throw error;
    });
    return opening;
  }

  async function add(batch: StatisticsBatch): Promise<void> {
    const { keptMs } = holder.config.statistics;
    const there = await store();
    await there.add(batch, keptMs);
    await there.sweep(clock.nowMs(), keptMs);
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
      // What was handed to the store is there first, so that it cannot come after.
      await collector.flush();
      collector.forget(user);
      return (await store()).erase(user);
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
  { holder: { config }, redis }: Pick<StatisticsOptions, 'holder' | 'redis'>,
  opened: AsyncDisposableStack,
): Promise<StatisticsStore> {
  const own = config.state.redis;
  if (own === undefined && redis === undefined) {
    const { store } = config.sessions;
    if (store.kind !== 'embedded') throw new TypeError('the sessions live in a Redis that was not handed in');
    const { SqliteStatisticsStore } = await import('../observe/statistics/sqlite-store.ts');
    return opened.use(new SqliteStatisticsStore(store.file));
  }
  const { RedisStatisticsStore } = await import('../observe/statistics/redis-store.ts');
  if (own?.kind !== 'redis') {
    if (redis === undefined) throw new TypeError('the state lives in a Redis that was not handed in');
    return new RedisStatisticsStore(scriptsOn(redis));
  }
  const { kind: _, ...settings } = own;
  // The state itself logs that this server is away.
  const connection = createRedisConnection({ settings, log: silentLog });
  opened.defer(() => connection.close());
  await connection.open(new AbortController().signal);
  return new RedisStatisticsStore(scriptsOn(connection));
}
