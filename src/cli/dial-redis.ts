import type { StoreConfig } from '../config/config.ts';
import { type Log, silentLog } from '../core/log.ts';
import { probeSessions, probeState } from '../gateway/store-probe.ts';
import { createRedisStore } from '../sessions/redis-store.ts';
import { checkServerKeys } from '../sessions/server-keys.ts';

/** What a Redis says of itself; an undefined setting is one that it does not tell. */
export interface RedisReply {
  readonly appendonly: string | undefined;
  readonly maxmemoryPolicy: string | undefined;
  /** Whether it tells of changes; without that sessions are read again twice a second. */
  readonly tracks: boolean;
}

/**
 * Connects as the gateway would, does all that `serve` does there, under keys that go by themselves, and asks how the
 * server keeps what it is given. Rejects with what is refused, or with the server keys that the file lacks.
 */
export async function dialRedis(
  store: StoreConfig & { kind: 'redis' },
  holds: { readonly sessions: boolean; readonly state: boolean; readonly keysFile?: string },
  signal: AbortSignal,
): Promise<RedisReply> {
  let why: string | undefined;
  // The connection heals itself and says only in the log why it cannot stand.
  const log: Log = {
    ...silentLog,
    warn: (fields) => {
      if ('why' in fields) why ??= String(fields.why);
    },
  };
  await using redis = createRedisStore({ settings: store, tombstoneMs: 1, log });
  await redis.open(signal);
  const { connection } = redis;
  await connection
    .run((client) => client.exists('ps:keys'))
    .catch((error: unknown) => {
      throw why === undefined ? error : new Error(why);
    });
  if (holds.sessions) await probeSessions(connection);
  if (holds.state) await probeState(connection);
  if (holds.keysFile !== undefined) await checkServerKeys({ file: holds.keysFile, store: redis });
  // An account of the gateway's own needs no right to read the configuration.
  const read = async (name: string) =>
    connection
      .run((client) => client.configGet(name))
      .then(
        (reply) => reply[name],
        () => undefined,
      );
  return {
    appendonly: await read('appendonly'),
    maxmemoryPolicy: await read('maxmemory-policy'),
    tracks: redis.tracks(),
  };
}
