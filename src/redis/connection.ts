import { setTimeout as wait } from 'node:timers/promises';
import { ErrorReply } from '@redis/client';
import { explainFailure } from '../core/connection-failure.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { shortLine } from '../core/text.ts';
import { createRedisLink, type InvalidationTap, type RedisClient, type RedisSettings } from './topology.ts';

/** Options of createRedisConnection. */
interface RedisConnectionOptions {
  readonly settings: RedisSettings;
  readonly log: Log;
  readonly tap?: InvalidationTap;
  /** Called after each command, for the metrics. */
  readonly observe?: (took: { readonly ms: number; readonly failed: boolean }) => void;
}

const commandTimeoutMs = 500;
/** How long `open` waits for the first connection. */
const openWaitMs = 1_000;
/** The pause before the first of several dials in a row; it doubles with each. */
const redialMs = 100;
const redialMostMs = 5_000;
/** Connections in a row without a single good answer before the next dial is delayed. */
const emptyConnections = 3;
const tryAgainMs = 10;
/** How long a refusal is not logged again. */
const refusalQuietMs = 60_000;

const echoKeptMs = 1_000;
/** Any key: a Cluster asks the server that has it. */
const roleKey = 'ps:h:{role}';
/** A script, because the clients of the three topologies have it alike. An empty text if the ACL allows no INFO. */
const roleScript = `
local said = redis.pcall('INFO', 'replication')
return type(said) == 'string' and string.match(said, 'role:(%a+)') or ''`;

/** A connection that heals itself, and whose commands always settle. */
export interface RedisConnection {
  /** For libraries that take a node-redis client. Their commands have no deadline of their own. */
  readonly client: RedisClient;
  /** Runs a command. Rejects with ERR_STORE_UNAVAILABLE if there is no good answer within 500 ms. */
  run<Reply>(command: (client: RedisClient) => Promise<Reply>): Promise<Reply>;
  isReady(): boolean;
  /** Calls the listener each time that a connection stands again. */
  onReady(listener: () => void): void;
  /** Resolves when the first connection stands, or after a second without one: the connection goes on trying. */
  open(signal: AbortSignal): Promise<void>;
  /** Milliseconds until a change was reported here; undefined if none is reported in time. For the metrics. */
  lagMs(): Promise<number | undefined>;
  /** The role of the server; `unknown` if it does not say. For the metrics. */
  role(): Promise<'master' | 'replica' | 'unknown'>;
  /** Gives up a connection that does not answer, and dials again after a growing pause. */
  renew(): void;
  close(): void;
}

/** Makes a connection; nothing is dialled before `open`. */
export function createRedisConnection(options: RedisConnectionOptions): RedisConnection {
  return new HealingConnection(options);
}

class HealingConnection implements RedisConnection {
  readonly #options: RedisConnectionOptions;
  readonly #link: ReturnType<typeof createRedisLink>;
  readonly #readyListeners = new Set<() => void>();
  #lastProblem = '';
  #lastRefusal = '';
  #refusedAt = 0;
  #redial: NodeJS.Timeout | undefined;
  #isClosed = false;
  #hasStood = false;
  /** Dials since the last good answer. */
  #vain = 0;
  /** Connections that stood since the last good answer. */
  #empty = 0;

  constructor(options: RedisConnectionOptions) {
    this.#options = options;
    this.#link = createRedisLink(options.settings, options.tap);
    this.#link.listen(
      () => this.#ready(),
      (error) => this.#failed(error),
    );
  }

  get client(): RedisClient {
    return this.#link.client;
  }

  isReady(): boolean {
    return this.#link.isReady();
  }

  onReady(listener: () => void): void {
    this.#readyListeners.add(listener);
  }

  async run<Reply>(command: (client: RedisClient) => Promise<Reply>): Promise<Reply> {
    const startedAt = performance.now();
    let isGood = false;
    try {
      const reply = await withinCommandTimeout(() => command(this.#link.client));
      isGood = true;
      this.#vain = 0;
      this.#empty = 0;
      this.#lastProblem = '';
      return reply;
    } catch (error) {
      throw this.#unavailable(error);
    } finally {
      this.#options.observe?.({ ms: performance.now() - startedAt, failed: !isGood });
    }
  }

  async open(signal: AbortSignal): Promise<void> {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(openWaitMs)]);
    const gaveUp = new Promise<void>((resolve) => {
      if (deadline.aborted) resolve();
      deadline.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([this.#dial(), gaveUp]);
  }

  async lagMs(): Promise<number | undefined> {
    const { tap } = this.#options;
    if (tap?.isWatching !== true || !this.isReady()) return undefined;
    const startedAt = performance.now();
    const change = (key: string) => this.#link.client.set(key, '', { expiration: { type: 'PX', value: echoKeptMs } });
    try {
      await tap.echo(change, AbortSignal.timeout(commandTimeoutMs));
      return performance.now() - startedAt;
    } catch {
      return undefined;
    }
  }

  async role(): Promise<'master' | 'replica' | 'unknown'> {
    if (!this.isReady()) return 'unknown';
    const ask = () => this.#link.client.eval(roleScript, { keys: [roleKey] });
    const said = await withinCommandTimeout(ask).catch(() => undefined);
    return said === 'master' ? 'master' : said === 'slave' ? 'replica' : 'unknown';
  }

  renew(): void {
    // A connection that does not stand is being dialled already.
    if (this.#link.isReady()) this.#dialLater();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#redial);
    this.#link.destroy();
  }

  #unavailable(error: unknown): PosternError {
    // Sentinels and Clusters try for long before they report a failure.
    if (!this.#link.isReady() && this.#lastProblem === '') this.#failed(error);
    // Without a connection the client says only that it has none.
    const why = this.#link.isReady() || this.#lastProblem === '' ? redisFailureText(error) : this.#lastProblem;
    const said = isRefusal(error) ? 'answers' : 'gave no good answer';
    const message = `Redis at ${this.#link.server} ${said}: ${why}`;
    return new PosternError('ERR_STORE_UNAVAILABLE', message, { source: 'store', retryable: true, cause: error });
  }

  #ready(): void {
    this.#empty += 1;
    this.#hasStood = true;
    // A server that takes connections and drops them at once would otherwise be dialled without a pause.
    if (this.#empty > emptyConnections * this.#link.connections) return this.#dialLater();
    if (this.#lastProblem === '' || this.#empty === 1)
      this.#options.log.info('redis-up', { server: this.#link.server });
    for (const listener of this.#readyListeners) listener();
  }

  /** Logs one line per problem, not one per attempt. */
  #failed(error: unknown): void {
    const { settings, log, tap } = this.#options;
    const { server, hint } = this.#link;
    if (tap?.isWatching === true && isTrackingRefused(error)) {
      tap.giveUp();
      log.warn('redis-untracked', { server, err: error });
      return;
    }
    if (isRefusal(error)) {
      this.#refused(error);
      // The server refused the connection itself: that is why commands have none.
      if (!this.#link.isReady()) this.#lastProblem = redisFailureText(error);
      return;
    }
    const protocolHint = this.#hasStood ? '' : otherProtocol(error, settings);
    const problem = `${redisFailureText(error)}${protocolHint}${hint}`;
    if (problem !== this.#lastProblem) log.warn('redis-down', { server, why: problem, err: error });
    this.#lastProblem = problem;
  }

  /** Logs a refusal once a minute: other commands may well be answered meanwhile. */
  #refused(error: unknown): void {
    const [problem, now] = [redisFailureText(error), performance.now()];
    if (problem === this.#lastRefusal && now - this.#refusedAt < refusalQuietMs) return;
    [this.#lastRefusal, this.#refusedAt] = [problem, now];
    this.#options.log.warn('redis-refused', { server: this.#link.server, why: problem });
  }

  /** Settles with the connection, or when it is closed while it still tries, or never. */
  async #dial(): Promise<void> {
    clearTimeout(this.#redial);
    this.#redial = undefined;
    try {
      await this.#link.connect();
    } catch (error) {
      if (this.#isClosed) return;
      // Sentinels and Clusters give up if none of the configured servers can be asked.
      this.#failed(error);
      this.#dialLater();
    }
  }

  #dialLater(): void {
    if (this.#isClosed || this.#redial !== undefined) return;
    this.#link.destroy();
    const pauseMs = Math.min(redialMs * 2 ** this.#vain, redialMostMs);
    this.#redial = setTimeout(() => void this.#dial(), pauseMs).unref();
    this.#vain += 1;
  }
}

const tooOld = 'it is older than Redis 6, or a proxy that does not pass HELLO on';

/** The meaning of a refusal, for operators, by the first word of Redis' message. */
const refusalMeanings: Readonly<Record<string, string>> = {
  MISCONF: 'it refuses writes because it cannot save its snapshot: is its disk full?',
  MASTERDOWN: 'it is a replica that has lost its master, and serves nothing until the master is back',
  READONLY: 'it is a replica and refuses writes: is this the address of the master?',
  LOADING: 'it is loading its data from disk, and will answer soon',
  OOM: 'its memory is full: raise maxmemory',
  NOPERM: 'its ACL does not allow that for this user; docs/operate.md has the line that is needed',
  NOAUTH: 'it requires a password: set sessions.redis.password',
  WRONGPASS: 'the user name or password is wrong, or the user is off',
  DENIED: 'it is in protected mode: give it a password, and set sessions.redis.password',
  BUSY: 'a script is keeping it busy',
  CLUSTERDOWN: 'its Cluster has no master for some of the keys',
  MOVED: 'it is one node of a Cluster: write cluster instead of url',
  NOREPLICAS: 'it has too few replicas to accept a write',
  NOPROTO: tooOld,
};

/** The same for refusals that have no word of their own. */
const plainRefusals: readonly (readonly [text: RegExp, meaning: string])[] = [
  [/can't run this command/, refusalMeanings['NOPERM'] ?? ''],
  [/^ERR unknown command '?`?HELLO/i, tooOld],
  [/^ERR unknown command/i, 'it does not have the command, or has it renamed: docs/operate.md lists what is needed'],
  [/^ERR max number of clients/i, 'it accepts no more connections: raise maxclients'],
  [/^ERR DB index is out of range/i, 'it has no database with this number'],
];

function redisFailureText(error: unknown): string {
  // A network error names its code, and the address where it happened.
  if (error instanceof Error && 'code' in error) return `${explainFailure(error)}${failedAddress(error)}`;
  const message = shortLine(withoutArguments(error instanceof Error ? error.message || error.name : String(error)));
  const plain = plainRefusals.find(([text]) => text.test(message));
  const meaning = plain?.[1] ?? refusalMeanings[/^[A-Z]+/.exec(message)?.[0] ?? ''];
  return meaning === undefined ? message : `${meaning} (${message})`;
}

/** A hint for the log: TLS to a server without TLS, or the reverse, gets no answer or a closed connection. */
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

/** The message without the arguments: an older Redis repeats those of HELLO, which hold the password. */
function withoutArguments(message: string): string {
  return message.replace(/,? with args beginning with:.*$/s, '');
}

function failedAddress(error: object): string {
  return 'address' in error && 'port' in error ? ` (${String(error.address)}:${String(error.port)})` : '';
}

/** Whether the server answered and refused the command, as opposed to not answering. */
export function isRefusal(error: unknown): boolean {
  return error instanceof ErrorReply || (error instanceof PosternError && isRefusal(error.cause));
}

function isTrackingRefused(error: unknown): boolean {
  return isRefusal(error) && error instanceof Error && /tracking/i.test(error.message);
}

/**
 * Rejects a command that has no answer in time. node-redis' own command timeout ends once the command is written: a frozen
 * server would hang callers.
 */
async function withinCommandTimeout<Reply>(command: () => Promise<Reply>): Promise<Reply> {
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
 * Repeats a command that a Cluster refuses with TRYAGAIN: while a slot moves to another master, for milliseconds, it does
 * not run a command of several keys that are not all on one side. node-redis follows MOVED and ASK, but not TRYAGAIN.
 */
async function onceWhole<Reply>(command: () => Promise<Reply>, gone: AbortSignal): Promise<Reply> {
  for (;;) {
    try {
      return await command();
    } catch (error) {
      if (gone.aborted || !redisFailureText(error).startsWith('TRYAGAIN')) throw error;
      await wait(tryAgainMs);
    }
  }
}
