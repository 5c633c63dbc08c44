import { setTimeout as wait } from 'node:timers/promises';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { InvalidationTap } from './redis-tap.ts';
import { createRedisLink, type RedisClient, type RedisSettings } from './redis-topology.ts';

export interface RedisConnectionOptions {
  readonly settings: RedisSettings;
  readonly log: Log;
  readonly tap?: InvalidationTap;
  /** Called after each command, for the metrics. */
  readonly observe?: (took: { readonly ms: number; readonly failed: boolean }) => void;
}

const commandTimeoutMs = 500;
const connectTimeoutMs = 1_000;
/** How long a first connection that failed is waited for before it is tried again. */
const redialMs = 1_000;
const tryAgainMs = 10;

/** A connection that heals itself, and whose commands always settle. */
export interface RedisConnection {
  /** For libraries that take a node-redis client. What they send has no deadline of its own. */
  readonly client: RedisClient;
  /** Runs a command. Rejects with ERR_STORE_UNAVAILABLE when there is no good answer within 500 ms. */
  run<Reply>(command: (client: RedisClient) => Promise<Reply>): Promise<Reply>;
  isReady(): boolean;
  /** Calls the listener each time that a connection stands again. */
  onReady(listener: () => void): void;
  /** Resolves when the first connection stands, or after a second without one: the connection goes on trying. */
  open(signal: AbortSignal): Promise<void>;
  /** Gives up a connection that stands but does not answer, and dials anew. */
  renew(): void;
  close(): void;
}

/** Makes a connection; nothing is dialled before `open`. */
export function createRedisConnection(options: RedisConnectionOptions): RedisConnection {
  const { settings, log, observe } = options;
  const link = createRedisLink(settings, options.tap);
  const { client, server } = link;
  const readyListeners = new Set<() => void>();
  let lastProblem = '';
  let redial: NodeJS.Timeout | undefined;
  let isClosed = false;
  // One line per problem, not one per attempt.
  const failed = (error: unknown): void => {
    const problem = reasonOf(error);
    if (problem !== lastProblem) log.warn({ server, err: error }, 'Redis does not answer');
    lastProblem = problem;
  };
  const ready = (): void => {
    lastProblem = '';
    log.info({ server }, 'Redis answers');
    for (const listener of readyListeners) listener();
  };
  link.listen(ready, failed);

  /** Settles with the connection, or when it is closed while it still tries, or never. */
  async function dial(): Promise<void> {
    clearTimeout(redial);
    try {
      await link.connect();
    } catch (error) {
      if (isClosed) return;
      // Sentinels and clusters give up when none of the servers that are configured can be asked.
      failed(error);
      redial = setTimeout(() => void dial(), redialMs).unref();
    }
  }

  return {
    client,
    isReady: () => link.isReady(),
    onReady: (listener) => void readyListeners.add(listener),
    async run(command) {
      const startedAt = performance.now();
      let failed = true;
      try {
        const reply = await withinDeadline(() => command(client));
        failed = false;
        return reply;
      } catch (error) {
        // Without a connection the client says only that it has none.
        const why = link.isReady() || lastProblem === '' ? reasonOf(error) : lastProblem;
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
      if (!link.isReady()) return;
      link.destroy();
      void dial();
    },
    close() {
      isClosed = true;
      clearTimeout(redial);
      link.destroy();
    },
  };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}

/**
 * node-redis stops counting its own command timeout once the command is written: a frozen server would hang callers.
 */
async function withinDeadline<Reply>(command: () => Promise<Reply>): Promise<Reply> {
  const { promise: deadline, reject } = Promise.withResolvers<never>();
  const gone = new AbortController();
  const timer = setTimeout(() => {
    gone.abort();
    reject(new Error(`no answer within ${commandTimeoutMs} ms`));
  }, commandTimeoutMs);
  try {
    return await Promise.race([onceWhole(command, gone.signal), deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * A Cluster that leads a slot to another master refuses, without doing anything, what takes several of its keys while
 * some of them have gone: for milliseconds. node-redis follows MOVED and ASK, but not this.
 */
async function onceWhole<Reply>(command: () => Promise<Reply>, gone: AbortSignal): Promise<Reply> {
  for (;;) {
    try {
      return await command();
    } catch (error) {
      if (gone.aborted || !reasonOf(error).startsWith('TRYAGAIN')) throw error;
      await wait(tryAgainMs);
    }
  }
}
