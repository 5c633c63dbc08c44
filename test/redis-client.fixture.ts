import { after, before } from 'node:test';
import { createClient } from 'redis';
import type { RunScript } from '../src/core/state-store.ts';
import { type RedisServer, startRedisServer } from './redis-server.fixture.ts';

/** A Redis of a suite, empty at first, with a client. */
export interface SuiteRedis {
  /** Runs a script on it, as the gateway does. */
  readonly run: RunScript;
  url(): string;
  client(): Awaited<ReturnType<typeof connect>>;
}

function connect(url: string) {
  return createClient({ url, RESP: 3 }).connect();
}

/** Starts a Redis before the tests of the suite that calls this, and ends it after them. */
export function redisForSuite(): SuiteRedis {
  let server: RedisServer;
  let connected: Awaited<ReturnType<typeof connect>>;
  before(async () => {
    server = await startRedisServer();
    connected = await connect(server.url);
  });
  after(async () => {
    connected.destroy();
    await server[Symbol.asyncDispose]();
  });
  return {
    url: () => server.url,
    client: () => connected,
    run: (script, keys, args) => connected.eval(script, { keys: [...keys], arguments: [...args] }),
  };
}
