import type { Config } from '../config/config.ts';
import { systemClock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import { createDirectory, type Directory } from '../directory/directory.ts';
import type { AskLeader, ConnectRedis, RingStates } from '../directory/source.ts';
import { createRedisConnection } from '../redis/connection.ts';

/**
 * Opens the directory of a configuration, with all its sources. Without `ringStates` all backends count as available,
 * as for a command that runs beside the gateway; without `askLeader` it opens also what a node has once only.
 */
export function openDirectory(
  config: Config,
  log: Log,
  { ringStates: states, askLeader }: { readonly ringStates?: RingStates; readonly askLeader?: AskLeader } = {},
): Promise<Directory> {
  return createDirectory({
    ...config.directory,
    backends: config.backends,
    clock: systemClock,
    log,
    connectRedis,
    ...(states === undefined ? {} : { states }),
    ...(askLeader === undefined ? {} : { askLeader }),
  });
}

/** A connection of the source's own, which heals as that of the sessions does. */
export const connectRedis: ConnectRedis = async (settings, log) => {
  const connection = createRedisConnection({ settings, log });
  // It waits for a second at most; who asks a server that is away is told so.
  await connection.open(new AbortController().signal);
  return {
    get: (key) => connection.run((client) => client.get(key)),
    hGet: (key, field) => connection.run((client) => client.hGet(key, field)),
    close: () => connection.close(),
  };
};
