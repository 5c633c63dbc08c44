import type { StoreConfig } from '../config/config.ts';
import type { Log } from '../core/log.ts';
import { silentLog } from '../core/log.ts';
import { createRedisConnection } from '../sessions/redis-connection.ts';

/** What a Redis says of itself; an undefined setting is one that it does not tell. */
export interface RedisReply {
  readonly appendonly: string | undefined;
  readonly maxmemoryPolicy: string | undefined;
}

/** Connects and pings as the gateway would, and asks how the server keeps what it is given. */
export async function dialRedis(store: StoreConfig & { kind: 'redis' }, signal: AbortSignal): Promise<RedisReply> {
  let why: unknown;
  // The connection heals itself and says only in the log why it cannot stand.
  const log: Log = {
    ...silentLog,
    warn: (fields) => {
      why ??= 'err' in fields ? fields.err : undefined;
    },
  };
  const connection = createRedisConnection({ settings: store, log });
  try {
    await connection.open(signal);
    await connection
      .run((client) => client.ping())
      .catch((error: unknown) => {
        throw why ?? error;
      });
    // An account of the gateway's own needs no right to read the configuration.
    const read = async (name: string) =>
      connection
        .run((client) => client.configGet(name))
        .then(
          (reply) => reply[name],
          () => undefined,
        );
    return { appendonly: await read('appendonly'), maxmemoryPolicy: await read('maxmemory-policy') };
  } finally {
    connection.close();
  }
}
