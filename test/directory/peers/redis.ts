import type { ConnectRedis } from '../../../src/directory/redis.ts';
import { createRedisConnection } from '../../../src/sessions/redis-connection.ts';

/** Connects as the gateway does. */
export const connectRedis: ConnectRedis = async (settings, log) => {
  const connection = createRedisConnection({ settings, log });
  await connection.open(AbortSignal.timeout(5000));
  return {
    get: (key) => connection.run((client) => client.get(key)),
    hGet: (key, field) => connection.run((client) => client.hGet(key, field)),
    close: () => connection.close(),
  };
};
