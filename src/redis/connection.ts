import { setTimeout as wait } from 'node:timers/promises';
import { ErrorReply } from '@redis/client';
import { explainFailure } from '../core/connection-failure.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { shortLine } from '../core/short-line.ts';
import { createRedisLink, type InvalidationTap, type RedisClient, type RedisSettings } from './topology.ts';

interface RedisConnectionOptions {
  readonly settings: RedisSettings;
  readonly log: Log;
  readonly tap?: InvalidationTap;
  /** Called after each command, for the metrics. */
  readonly observe?: (took: { readonly ms: number; readonly failed: boolean }) => void;
}

const commandTimeoutMs = 500;
const connectTimeoutMs = 1_000;
/** The pause before the first of several dials in a row; it doubles with each. */
const redialMs = 100;
const redialMostMs = 5_000;
/** Connections in a row without a single good answer before the next dial is delayed. */
const emptyConnections = 3;
const tryAgainMs = 10;
const sayAgainMs = 60_000;

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
  /** Gives up a connection that does not answer, and dials again after a growing pause. */
  renew(): void;
  close(): void;
}

/** Makes a connection; nothing is dialled before `open`. */
export function createRedisConnection(options: RedisConnectionOptions): RedisConnection {
  const { settings, log, observe, tap } = options;
  const link = createRedisLink(settings, tap);
  const { client, server } = link;
  const readyListeners = new Set<() => void>();
  let lastProblem = '';
  let lastRefusal = '';
  let refusedAt = 0;
  let redial: NodeJS.Timeout | undefined;
  let isClosed = false;
  let hasStood = false;
  /** Dials since the last good answer. */
  let vain = 0;
  /** Connections that stood since the last good answer. */
  let empty = 0;
  // One line per problem, not one per attempt.
  const failed = (error: unknown): void => {
    if (tap?.isWatching === true && isTrackingRefused(error)) {
      tap.giveUp();
      log.warn('redis-untracked', { server, err: error });
      return;
    }
    if (isRefusal(error)) {
      refused(error);
      // It refused the connection itself: that is why commands have none.
      if (!link.isReady()) lastProblem = reasonOf(error);
      return;
    }
    const problem = `${reasonOf(error)}${hasStood ? '' : otherProtocol(error, settings)}${link.hint}`;
    if (problem !== lastProblem) log.warn('redis-down', { server, why: problem, err: error });
    lastProblem = problem;
  };
  /** Other commands may well be answered meanwhile: one line a minute says what is refused. */
  const refused = (error: unknown): void => {
    const [problem, now] = [reasonOf(error), performance.now()];
    if (problem === lastRefusal && now - refusedAt < sayAgainMs) return;
    [lastRefusal, refusedAt] = [problem, now];
    log.warn('redis-refused', { server, why: problem });
  };
  const ready = (): void => {
    empty += 1;
    hasStood = true;
    // A server that takes connections and drops them at once would otherwise be dialled without a pause.
    if (empty > emptyConnections * link.connections) return dialLater();
    if (lastProblem === '' || empty === 1) log.info('redis-up', { server });
    for (const listener of readyListeners) listener();
  };
  link.listen(ready, failed);

  /** Settles with the connection, or when it is closed while it still tries, or never. */
  async function dial(): Promise<void> {
    clearTimeout(redial);
    redial = undefined;
    try {
      await link.connect();
    } catch (error) {
      if (isClosed) return;
      // Sentinels and clusters give up when none of the servers that are configured can be asked.
      failed(error);
      dialLater();
    }
  }

  function dialLater(): void {
    if (isClosed || redial !== undefined) return;
    link.destroy();
    redial = setTimeout(() => void dial(), Math.min(redialMs * 2 ** vain, redialMostMs)).unref();
    vain += 1;
  }

  return {
    client,
    isReady: () => link.isReady(),
    onReady: (listener) => void readyListeners.add(listener),
    async run(command) {
      const startedAt = performance.now();
      let isGood = false;
      try {
        const reply = await withinDeadline(() => command(client));
        isGood = true;
        vain = 0;
        empty = 0;
        lastProblem = '';
        return reply;
      } catch (error) {
        // Sentinels and Clusters try for long before they say anything.
        if (!link.isReady() && lastProblem === '') failed(error);
        // Without a connection the client says only that it has none.
        const why = link.isReady() || lastProblem === '' ? reasonOf(error) : lastProblem;
        const message = `Redis at ${server} ${isRefusal(error) ? 'answers' : 'gave no good answer'}: ${why}`;
        throw new PosternError('ERR_STORE_UNAVAILABLE', message, { source: 'store', retryable: true, cause: error });
      } finally {
        observe?.({ ms: performance.now() - startedAt, failed: !isGood });
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
      if (link.isReady()) dialLater();
    },
    close() {
      isClosed = true;
      clearTimeout(redial);
      link.destroy();
    },
  };
}

const tooOld = 'it is older than Redis 6, or a proxy that does not pass HELLO on';

/** The operator's meaning of Redis' refusals, by their first word. */
const refusals: Readonly<Record<string, string>> = {
  MISCONF: 'it takes no writes because it cannot save its snapshot: is its disk full?',
  MASTERDOWN: 'it is a replica that has lost its master, and serves nothing until it is back',
  READONLY: 'it is a replica, and takes no writes: is this the address of the master?',
  LOADING: 'it reads its data from disk, and will answer soon',
  OOM: 'its memory is full: raise maxmemory',
  NOPERM: 'its ACL lets this user not do that; docs/operate.md has the line that it needs',
  NOAUTH: 'it wants a password: set sessions.redis.password',
  WRONGPASS: 'the user name or password is wrong, or the user is off',
  DENIED: 'it is in protected mode: give it a password, and set sessions.redis.password',
  BUSY: 'a script of somebody keeps it busy',
  CLUSTERDOWN: 'its Cluster has no master for some of the keys',
  MOVED: 'it is one node of a Cluster: write cluster instead of url',
  NOREPLICAS: 'too few of its replicas are there for it to take a write',
  NOPROTO: tooOld,
};

/** The same of those that have no word of their own. */
const plainRefusals: readonly (readonly [text: RegExp, meaning: string])[] = [
  [/can't run this command/, refusals['NOPERM'] ?? ''],
  [/^ERR unknown command '?`?HELLO/i, tooOld],
  [/^ERR unknown command/i, 'it does not have the command, or has it renamed: docs/operate.md lists what is needed'],
  [/^ERR max number of clients/i, 'it takes no more connections: raise maxclients'],
  [/^ERR DB index is out of range/i, 'it has no database of this number'],
];

function reasonOf(error: unknown): string {
  // An error of the network names its code, and where it happened the address.
  if (error instanceof Error && 'code' in error) return `${explainFailure(error)}${addressOf(error)}`;
  const message = shortLine(withoutArguments(error instanceof Error ? error.message || error.name : String(error)));
  const plain = plainRefusals.find(([text]) => text.test(message));
  const meaning = plain?.[1] ?? refusals[/^[A-Z]+/.exec(message)?.[0] ?? ''];
  return meaning === undefined ? message : `${meaning} (${message})`;
}

/** TLS to a server without TLS, or the reverse, gets no answer or a closed connection. */
function otherProtocol(error: unknown, settings: RedisSettings): string {
  const isSilence =
    error instanceof Error &&
    /^(?:ClientOffline|ConnectionTimeout|SocketTimeout|SocketClosedUnexpectedly)Error$/.test(error.constructor.name);
  const isReset = error instanceof Error && 'code' in error && error.code === 'ECONNRESET';
  if (!isSilence && !isReset) return '';
  const usesTls = 'url' in settings ? settings.url.startsWith('rediss:') : settings.tls;
  return usesTls
    ? '; this side speaks TLS: where that server speaks none, write redis://, or tls: false'
    : '; this side speaks no TLS: where that server does, write rediss://, or tls: true';
}

/** An older Redis repeats what it does not understand: of HELLO that is the password. */
function withoutArguments(message: string): string {
  return message.replace(/,? with args beginning with:.*$/s, '');
}

function addressOf(error: object): string {
  return 'address' in error && 'port' in error ? ` (${String(error.address)}:${String(error.port)})` : '';
}

/** Whether this is a word of the server: it is there, and does not do what it was asked. */
export function isRefusal(error: unknown): boolean {
  return error instanceof ErrorReply || (error instanceof PosternError && isRefusal(error.cause));
}

function isTrackingRefused(error: unknown): boolean {
  return isRefusal(error) && error instanceof Error && /tracking/i.test(error.message);
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
