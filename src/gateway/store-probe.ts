import { createRedisStateStore } from '../backends/redis-state-store.ts';
import { systemClock } from '../core/clock.ts';
import { silentLog } from '../core/log.ts';
import { probeCounters } from '../login/penalty-counters.ts';
import { createRedisConnection, isRefusal, type RedisConnection } from '../redis/connection.ts';
import type { RedisSettings } from '../redis/topology.ts';
import { probeSessionStore } from '../sessions/redis-store.ts';
import { probeSignIns } from '../support/recent-logins.ts';
import { scriptsOn } from './state-store.ts';

/**
 * Does on a Redis all that serving does there with sessions, penalties and recent sign-ins. Rejects with
 * ERR_STORE_UNAVAILABLE, which says what is refused.
 */
export async function probeSessions(connection: RedisConnection): Promise<void> {
  await probeSessionStore(connection);
  await connection.run((client) => probeCounters(client));
  await probeSignIns(scriptsOn(connection));
}

/** Does on a Redis what serving does there with states, moves and all else that must survive. Rejects as above. */
export async function probeState(connection: RedisConnection): Promise<void> {
  const state = createRedisStateStore(scriptsOn(connection));
  await state.put('probe', 'start', new Date(systemClock.nowMs()).toISOString());
  await state.put('probe', 'start', undefined);
  await state.changesSince(0);
}

/**
 * Does the same on a Redis that is for the state alone, on a connection of its own. One that is away is no reason not to
 * start: what a node knows stays in force.
 */
export async function probeOwnState(settings: RedisSettings): Promise<void> {
  const connection = createRedisConnection({ settings, log: silentLog });
  try {
    await connection.open(new AbortController().signal);
    await probeState(connection);
  } catch (error) {
    if (isRefusal(error)) throw error;
  } finally {
    connection.close();
  }
}
