import { createClient } from 'redis';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { Secret } from '../core/secret.ts';
import type { InvalidationTap } from './redis-tap.ts';

/** Where a Redis is and how it is signed in to. */
export interface RedisSettings {
  /** `redis://host:port/database`, or `rediss://` for TLS; may name an ACL user, never a password. */
  readonly url: string;
  readonly password?: Secret;
  /** PEM certificates of the authorities to trust instead of the system's. */
  readonly ca?: string;
}

export interface RedisConnectionOptions {
  readonly settings: RedisSettings;
  readonly log: Log;
  readonly tap?: InvalidationTap;
  /** Called after each command, for the metrics. */
  readonly observe?: (took: { readonly ms: number; readonly failed: boolean }) => void;
}

const commandTimeoutMs = 500;
const connectTimeoutMs = 1_000;
/**
 * A server that is silent while we are is given up after this; the ping keeps a healthy one from being silent. Each
 * write starts the time again, so a frozen server under load is noticed by the heartbeat only: see `renew`.
 */
const socketTimeoutMs = 1_500;
const pingIntervalMs = 500;

function createNodeRedis({ settings, tap }: Pick<RedisConnectionOptions, 'settings' | 'tap'>) {
  const { protocol, hostname, port, username, pathname } = new URL(settings.url);
  const socket = {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? 6379 : Number(port),
    connectTimeout: connectTimeoutMs,
    socketTimeout: socketTimeoutMs,
    // With a socketTimeout the default strategy gives up for good.
    reconnectStrategy: (retries: number) => Math.min(100 + 50 * retries, 1_000),
  };
  const trust = settings.ca === undefined ? {} : { ca: settings.ca };
  return createClient({
    RESP: 3,
    socket: protocol === 'rediss:' ? { ...socket, ...trust, tls: true } : socket,
    database: Number(pathname.slice(1)),
    pingInterval: pingIntervalMs,
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: 'disabled',
    ...(username === '' ? {} : { username: decodeURIComponent(username) }),
    ...(settings.password === undefined ? {} : { password: settings.password.reveal() }),
    ...(tap === undefined ? {} : { clientSideCache: tap }),
  });
}

/** The client of node-redis, as configured here. */
type RedisClient = ReturnType<typeof createNodeRedis>;

/** A connection that heals itself, and whose commands always settle. */
export interface RedisConnection {
  /** For libraries that take a node-redis client. What they send has no deadline of its own. */
  readonly client: RedisClient;
  /** Runs a command. Rejects with ERR_STORE_UNAVAILABLE when there is no good answer within 500 ms. */
  run<Reply>(command: (client: RedisClient) => Promise<Reply>): Promise<Reply>;
  /** Resolves when the first connection stands, or after a second without one: the connection goes on trying. */
  open(signal: AbortSignal): Promise<void>;
  /** Gives up a connection that stands but does not answer, and dials anew. */
  renew(): void;
  close(): void;
}

/** Makes a connection; nothing is dialled before `open`. */
export function createRedisConnection(options: RedisConnectionOptions): RedisConnection {
  const { settings, log, observe } = options;
  const client = createNodeRedis(options);
  const { protocol, host, pathname } = new URL(settings.url);
  const server = `${protocol}//${host}${pathname}`;
  let lastProblem = '';
  // Without a listener an 'error' event would end the process. One line per problem, not one per attempt.
  client.on('error', (error: unknown) => {
    const problem = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    if (problem !== lastProblem) log.warn({ server, err: error }, 'Redis does not answer');
    lastProblem = problem;
  });
  client.on('ready', () => {
    lastProblem = '';
    log.info({ server }, 'Redis answers');
  });

  /** Settles with the connection, or when the client is closed while it still tries, or never. */
  async function dial(): Promise<void> {
    try {
      await client.connect();
    } catch {
      // Closed: each failed attempt before was told by an 'error' event.
    }
  }

  return {
    client,
    async run(command) {
      const startedAt = performance.now();
      let failed = true;
      try {
        const reply = await withinDeadline(command(client));
        failed = false;
        return reply;
      } catch (error) {
        const why = error instanceof Error ? error.message || error.name : String(error);
        const message = `Redis at ${server} gave no good answer: ${why}`;
        throw new PosternError('ERR_STORE_UNAVAILABLE', message, { source: 'store', retryable: true, cause: error });
      } finally {
        observe?.({ ms: performance.now() - startedAt, failed });
      }
    },
    async open(signal) {
      const deadline = AbortSignal.any([signal, AbortSignal.timeout(connectTimeoutMs)]);
      const gaveUp = new Promise<void>((resolve) => {
        if (deadline.aborted) resolve();
        deadline.addEventListener('abort', () => resolve(), { once: true });
      });
      await Promise.race([dial(), gaveUp]);
    },
    renew() {
      // One that does not stand is being dialled already.
      if (!client.isReady) return;
      client.destroy();
      void dial();
    },
    close() {
      if (client.isOpen) client.destroy();
    },
  };
}

/** node-redis stops counting its own command timeout once the command is written: a frozen server would hang callers. */
async function withinDeadline<Reply>(reply: Promise<Reply>): Promise<Reply> {
  const { promise: deadline, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${commandTimeoutMs} ms`)), commandTimeoutMs);
  try {
    return await Promise.race([reply, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
