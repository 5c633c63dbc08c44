import { randomUUID } from 'node:crypto';
import { BasicPooledClientSideCache, createClient, createCluster, createSentinel } from '@redis/client';
import { defined } from '../core/objects.ts';
import type { Secret } from '../core/secrets.ts';

/** The address of a Redis and the login there: one server, those that Sentinels watch, or a Cluster. */
export type RedisSettings = RedisCredentials & (RedisByUrl | RedisBySentinels | RedisCluster);

interface RedisCredentials {
  readonly password?: Secret;
  /** PEM certificates of the authorities to trust instead of the system's. */
  readonly ca?: string;
}

interface RedisByUrl {
  /** `redis://host:port/database`, or `rediss://` for TLS; may name an ACL user, never a password. */
  readonly url: string;
}

interface ServerLogin {
  readonly user?: string;
  readonly tls: boolean;
}

interface RedisBySentinels extends ServerLogin {
  readonly sentinels: readonly RedisServerAddress[];
  /** The name under which the Sentinels watch the master. */
  readonly name: string;
  readonly database: number;
  readonly sentinelPassword?: Secret;
}

interface RedisCluster extends ServerLogin {
  /** Some of its nodes. */
  readonly cluster: readonly RedisServerAddress[];
}

interface RedisServerAddress {
  readonly host: string;
  readonly port: number;
}

/** A client of node-redis for a topology, with what differs between them. */
interface RedisLink {
  readonly client: RedisClient;
  /** Its name in the log. */
  readonly server: string;
  isReady(): boolean;
  /** A further hint for the log if a server cannot be reached; may be empty. */
  readonly hint: string;
  /** About how many connections report that they stand when all is well. */
  readonly connections: number;
  /** Calls `ready` for each connection that stands again, and `failed` for each failure, which would else end the process. */
  listen(ready: () => void, failed: (error: unknown) => void): void;
  /** Resolves with the first connection, rejects, or never settles. */
  connect(): Promise<void>;
  destroy(): void;
}

/** A client of any topology: the commands that the stores use are the same on all three. */
export type RedisClient =
  | ReturnType<typeof createSingle>
  | ReturnType<typeof createBehindSentinels>
  | ReturnType<typeof createOfCluster>;

const connectTimeoutMs = 1_000;
/**
 * The silence on both sides after which a server is given up; the ping keeps a healthy server from being silent. Each
 * write starts the time again, so that only the heartbeat notices a frozen server under load.
 */
const socketTimeoutMs = 1_500;
const pingIntervalMs = 500;
/**
 * Each command has a deadline already (connection.ts). The client's own would be an AbortSignal for each, which lives
 * for five seconds and costs more than the command.
 */
const commandOptions = { timeout: 0 } as const;
/**
 * One connection to the master behind Sentinels, which all commands share, as with a single server. From a pool, node-redis
 * leases a connection for each command of a burst and forgets to return all but one (`??= await` in its _execute): the
 * ninth command would wait for ever.
 */
const masterConnection = { masterPoolSize: 1, reserveClient: true } as const;
/** Enough connections for a Cluster of a dozen servers. */
const clusterConnections = 12;
/** How often the Sentinels are asked for the master, in case their own message did not come. */
const sentinelScanMs = 1_000;

/** Makes a link; nothing is dialled before `connect`. */
export function createRedisLink(settings: RedisSettings, tap: InvalidationTap | undefined): RedisLink {
  if ('url' in settings) {
    const client = createSingle(settings, tap);
    const { protocol, host, pathname } = new URL(settings.url);
    return {
      client,
      server: `${protocol}//${host}${pathname}`,
      isReady: () => client.isReady,
      hint: '',
      connections: 1,
      listen: (ready, failed) => void client.on('ready', ready).on('error', failed),
      connect: async () => void (await client.connect()),
      destroy: () => (client.isOpen ? client.destroy() : undefined),
    };
  }
  if ('sentinels' in settings) {
    const client = createBehindSentinels(settings, tap);
    return {
      client,
      server: `${settings.name} of the Sentinels at ${addressList(settings.sentinels)}`,
      isReady: () => client.isReady,
      hint: `; the Sentinels say where ${settings.name} is: can that address be reached from here? (sentinel get-master-addr-by-name ${settings.name})`,
      connections: 1,
      listen: (ready, failed) => void client.on('ready', ready).on('error', failed),
      connect: async () => void (await client.connect()),
      // Not awaited: the sockets are destroyed at once.
      destroy: () => void client.destroy().catch(() => undefined),
    };
  }
  const client = createOfCluster(settings, tap);
  return {
    client,
    server: `the Cluster at ${addressList(settings.cluster)}`,
    isReady: () => client.masters.length > 0 && client.masters.every((master) => isReady(master.client)),
    hint: '; the Cluster says where its servers are: can those addresses be reached from here? (cluster nodes)',
    connections: clusterConnections,
    listen: (ready, failed) => void client.on('node-ready', ready).on('node-error', failed).on('error', failed),
    connect: async () => void (await client.connect()),
    destroy: () => (client.isOpen ? client.destroy() : undefined),
  };
}

function createSingle({ url, ...access }: RedisCredentials & RedisByUrl, tap: InvalidationTap | undefined) {
  const { protocol, hostname, port, username, pathname } = new URL(url);
  const { socket, ...node } = nodeOptions({
    ...access,
    tls: protocol === 'rediss:',
    ...defined({ user: username === '' ? undefined : decodeURIComponent(username) }),
  });
  return createClient({
    ...node,
    RESP: 3,
    socket: { ...socket, host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? 6379 : Number(port) },
    database: Number(pathname.slice(1)),
    ...defined({ clientSideCache: tap }),
  });
}

function createBehindSentinels(settings: RedisCredentials & RedisBySentinels, tap: InvalidationTap | undefined) {
  const { sentinels, name, database, sentinelPassword, password: _, ...access } = settings;
  const { user: __, ...sentinelAccess } = access;
  return createSentinel({
    name,
    RESP: 3,
    sentinelRootNodes: sentinels.map(({ host, port }) => ({ host, port })),
    nodeClientOptions: { ...nodeOptions(settings), database },
    sentinelClientOptions: nodeOptions({ ...sentinelAccess, ...defined({ password: sentinelPassword }) }),
    ...masterConnection,
    scanInterval: sentinelScanMs,
    commandOptions,
    passthroughClientErrorEvents: true,
    ...defined({ clientSideCache: tap }),
  });
}

function createOfCluster({ cluster, ...access }: RedisCredentials & RedisCluster, tap: InvalidationTap | undefined) {
  const node = nodeOptions(access);
  return createCluster({
    RESP: 3,
    rootNodes: cluster.map(({ host, port }) => ({ ...node, socket: { ...node.socket, host, port } })),
    defaults: node,
    // A lost master never comes back under its address: its replica must be found within seconds.
    topologyRefreshOnReconnectionAttemptStrategy: 500,
    commandOptions,
    ...defined({ clientSideCache: tap }),
  });
}

/** Options of every connection to a server, in each topology. */
function nodeOptions({ tls, user, password, ca }: RedisCredentials & ServerLogin) {
  const socket = {
    connectTimeout: connectTimeoutMs,
    socketTimeout: socketTimeoutMs,
    // With a socketTimeout the default strategy gives up for good.
    reconnectStrategy: (retries: number) => Math.min(100 + 50 * retries, 1_000),
  };
  return {
    socket: tls ? { ...socket, ...defined({ ca }), tls: true as const } : socket,
    pingInterval: pingIntervalMs,
    commandOptions,
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: 'disabled' as const,
    ...defined({ username: user, password: password?.reveal() }),
  };
}

function isReady(client: unknown): boolean {
  return typeof client === 'object' && client !== null && 'isReady' in client && client.isReady === true;
}

function addressList(servers: readonly RedisServerAddress[]): string {
  return servers.map(({ host, port }) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)).join(', ');
}

/** The listener of a tap. Both functions may be called more than once for one event. */
interface TapListener {
  /** A key under one of the prefixes was changed, expired or deleted. */
  invalidated(redisKey: string): void;
  /** Changes may have been missed: the connection broke, or the server forgot everything. */
  gap(): void;
}

type HandleCache = BasicPooledClientSideCache['handleCache'];

/**
 * Reports changes of keys under some prefixes by Redis' own client tracking, and caches nothing.
 *
 * It takes the place of node-redis' client-side cache: only there a client, a cluster and a sentinel client alike pass
 * on invalidations and turn tracking on again at each connection. BCAST reports keys that nobody has read. NOLOOP is not
 * used: Redis notes one author per key and event-loop round, so that another node's change could get lost behind our
 * own.
 */
export class InvalidationTap extends BasicPooledClientSideCache {
  readonly #prefixes: readonly string[];
  readonly #listener: TapListener;
  #isWatching = true;
  /** Keys whose next change somebody waits for. */
  readonly #awaited = new Map<string, () => void>();

  constructor(prefixes: readonly string[], listener: TapListener) {
    super();
    this.#prefixes = prefixes;
    this.#listener = listener;
  }

  override async handleCache(...[, , run, transform, typeMapping]: Parameters<HandleCache>): ReturnType<HandleCache> {
    const reply = await run();
    return transform === undefined ? reply : transform(reply, undefined, typeMapping);
  }

  /** False once the server has refused client tracking. */
  get isWatching(): boolean {
    return this.#isWatching;
  }

  /** Stops asking for tracking from the next connection on: changes are not reported then. */
  giveUp(): void {
    this.#isWatching = false;
  }

  override trackingOn(): string[] {
    // The client sends some command in its place: EXISTS is allowed to every user who may read these keys.
    if (!this.#isWatching) return ['EXISTS', `${this.#prefixes[0]}{none}`];
    return ['CLIENT', 'TRACKING', 'ON', 'BCAST', ...this.#prefixes.flatMap((prefix) => ['PREFIX', prefix])];
  }

  /** Changes a key of its own by `change`. Resolves when that is reported; rejects with the change, or with the signal. */
  async echo(change: (key: string) => Promise<unknown>, signal: AbortSignal): Promise<void> {
    const key = `${this.#prefixes[0]}{echo}${randomUUID()}`;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    this.#awaited.set(key, resolve);
    try {
      await Promise.all([change(key), promise]);
    } finally {
      this.#awaited.delete(key);
    }
  }

  override invalidate(key: Parameters<BasicPooledClientSideCache['invalidate']>[0]): void {
    if (key === null) return this.#listener.gap();
    const name = key.toString();
    const resolve = this.#awaited.get(name);
    if (resolve === undefined) this.#listener.invalidated(name);
    else resolve();
  }

  override onError(): void {
    this.#listener.gap();
  }

  override onClose(): void {
    this.#listener.gap();
  }
}
