import { createRedisStateStore, type RunScript } from '../backends/redis-state-store.ts';
import { createSqliteStateStore } from '../backends/sqlite-state-store.ts';
import { createVouchedStateStore, type StateKeys, type VouchedStateStore } from '../backends/vouched-state-store.ts';
import type { Config } from '../config/config.ts';
import { systemClock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { StateStore } from '../core/state-store.ts';
import { createRedisConnection, type RedisConnection } from '../redis/connection.ts';

/**
 * Opens the state of a configuration. `redis` is the connection of the sessions, where they have one that is open; for a
 * command that runs beside the gateway there is none, and what it opens instead goes onto `opened`. Of its entries only
 * those count for which one of `keys` vouches.
 */
export async function openStateStore(
  config: Config,
  log: Log,
  redis: RedisConnection | undefined,
  opened: AsyncDisposableStack,
  keys: StateKeys,
): Promise<VouchedStateStore> {
  const store = await openBareStore(config, log, redis, opened);
  return createVouchedStateStore({ store, keys, clock: systemClock, log });
}

async function openBareStore(
  config: Config,
  log: Log,
  redis: RedisConnection | undefined,
  opened: AsyncDisposableStack,
): Promise<StateStore> {
  const own = config.state.redis ?? (redis === undefined ? config.sessions.store : undefined);
  if (own?.kind === 'redis') {
    const { kind: _, ...settings } = own;
    const connection = createRedisConnection({ settings, log });
    opened.defer(() => connection.close());
    await connection.open(new AbortController().signal);
    return createRedisStateStore(scriptsOn(connection));
  }
  if (redis !== undefined) return createRedisStateStore(scriptsOn(redis));
  const { store } = config.sessions;
  if (store.kind !== 'embedded') throw new TypeError('the sessions live in a Redis that was not handed in');
  return createSqliteStateStore(store.file);
}

/** Scripts on a connection of the sessions. */
export function scriptsOn(connection: RedisConnection): RunScript {
  return (script, keys, args) =>
    connection.run((client) => client.eval(script, { keys: [...keys], arguments: [...args] }));
}
