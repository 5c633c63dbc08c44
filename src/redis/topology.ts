import { BasicPooledClientSideCache, createClient, createCluster, createSentinel } from '@redis/client';
import type { Secret } from '../core/secret.ts';

/** Where a Redis is and how it is signed in to: one server, those that Sentinels watch, or a Cluster. */
export type RedisSettings = RedisAccess & (RedisByUrl | RedisBySentinels | RedisCluster);

interface RedisAccess {
  readonly password?: Secret;
  /** PEM certificates of the authorities to trust instead of the system's. */
  readonly ca?: string;
}

interface RedisByUrl {
  /** `redis://host:port/database`, or `rediss://` for TLS; may name an ACL user, never a password. */
  readonly url: string;
}

interface RedisLogin {
  readonly user?: string;
  readonly tls: boolean;
}

interface RedisBySentinels extends RedisLogin {
  readonly sentinels: readonly RedisServer[];
  /** Under which the Sentinels watch the master. */
  readonly name: string;
  readonly database: number;
  readonly sentinelPassword?: Secret;
}

interface RedisCluster extends RedisLogin {
  /** Some of its nodes. */
  readonly cluster: readonly RedisServer[];
}

interface RedisServer {
  readonly host: string;
  readonly port: number;
}

/** A client of node-redis for a topology, with what differs between them. */
interface RedisLink {
  readonly client: RedisClient;
  /** What the log calls it. */
  readonly server: string;
  isReady(): boolean;
  /** A further hint for when a server cannot be reached; may be empty. */
  readonly hint: string;
  /** About how many connections tell that they stand when all is well. */
  readonly connections: number;
  /**
   * Calls the listeners at each connection that stands again, and at each failure: without one the process would end.
   */
  listen(ready: () => void, failed: (error: unknown) => void): void;
  /** Resolves with the first connection, or rejects, or never settles. */
  connect(): Promise<void>;
  destroy(): void;
}

/** What the store calls is the same on all three. */
export type RedisClient =
  | ReturnType<typeof createSingle>
  | ReturnType<typeof createBehindSentinels>
  | ReturnType<typeof createOfCluster>;

const connectTimeoutMs = 1_000;
/**
 * A server that is silent while we are is given up after this; the ping keeps a healthy one from being silent. Each
 * write starts the time again, so a frozen server under load is noticed by the heartbeat only.
 */
const socketTimeoutMs = 1_500;
const pingIntervalMs = 500;
/**
 * Each command has a deadline already (redis-connection.ts). The client's own would be an AbortSignal for each, which
 * lives for five seconds and costs more than the command.
 */
const commandOptions = { timeout: 0 } as const;
/** With Sentinels a connection carries one command at a time. */
const masterConnections = 8;
/** Enough connections for a Cluster of a dozen servers. */
const clusterConnections = 12;
/** How often the Sentinels are asked who is master, should their own word not have come. */
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
      server: `${settings.name} of the Sentinels at ${listed(settings.sentinels)}`,
      isReady: () => client.isReady,
      hint: `; the Sentinels say where ${settings.name} is: can that address be reached from here? (sentinel get-master-addr-by-name ${settings.name})`,
      connections: masterConnections,
      listen: (ready, failed) => void client.on('ready', ready).on('error', failed),
      connect: async () => void (await client.connect()),
      // Waits for nothing that matters here: sockets are destroyed at once.
      destroy: () => void client.destroy().catch(() => undefined),
    };
  }
  const client = createOfCluster(settings, tap);
  return {
    client,
    server: `the Cluster at ${listed(settings.cluster)}`,
    isReady: () => client.masters.length > 0 && client.masters.every((master) => isReady(master.client)),
    hint: '; the Cluster says where its servers are: can those addresses be reached from here? (cluster nodes)',
    connections: clusterConnections,
    listen: (ready, failed) => void client.on('node-ready', ready).on('node-error', failed).on('error', failed),
    connect: async () => void (await client.connect()),
    destroy: () => (client.isOpen ? client.destroy() : undefined),
  };
}

function createSingle({ url, ...access }: RedisAccess & RedisByUrl, tap: InvalidationTap | undefined) {
  const { protocol, hostname, port, username, pathname } = new URL(url);
  const { socket, ...node } = nodeOptions({
    ...access,
    tls: protocol === 'rediss:',
    ...(username === '' ? {} : { user: decodeURIComponent(username) }),
  });
  return createClient({
    ...node,
    RESP: 3,
    socket: { ...socket, host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? 6379 : Number(port) },
    database: Number(pathname.slice(1)),
    ...(tap === undefined ? {} : { clientSideCache: tap }),
  });
}

function createBehindSentinels(settings: RedisAccess & RedisBySentinels, tap: InvalidationTap | undefined) {
  const { sentinels, name, database, sentinelPassword, password: _, ...access } = settings;
  const { user: __, ...sentinelAccess } = access;
  return createSentinel({
    name,
    RESP: 3,
    sentinelRootNodes: sentinels.map(({ host, port }) => ({ host, port })),
    nodeClientOptions: { ...nodeOptions(settings), database },
    sentinelClientOptions: nodeOptions({
      ...sentinelAccess,
      ...(sentinelPassword === undefined ? {} : { password: sentinelPassword }),
    }),
    masterPoolSize: masterConnections,
    scanInterval: sentinelScanMs,
    commandOptions,
    passthroughClientErrorEvents: true,
    ...(tap === undefined ? {} : { clientSideCache: tap }),
  });
}

function createOfCluster({ cluster, ...access }: RedisAccess & RedisCluster, tap: InvalidationTap | undefined) {
  const node = nodeOptions(access);
  return createCluster({
    RESP: 3,
    rootNodes: cluster.map(({ host, port }) => ({ ...node, socket: { ...node.socket, host, port } })),
    defaults: node,
    // A master that is gone never comes back under its address: its replica must be found within seconds.
    topologyRefreshOnReconnectionAttemptStrategy: 500,
    commandOptions,
    ...(tap === undefined ? {} : { clientSideCache: tap }),
  });
}

/** Options of every connection to a server, in each topology. */
function nodeOptions({ tls, user, password, ca }: RedisAccess & RedisLogin) {
  const socket = {
    connectTimeout: connectTimeoutMs,
    socketTimeout: socketTimeoutMs,
    // With a socketTimeout the default strategy gives up for good.
    reconnectStrategy: (retries: number) => Math.min(100 + 50 * retries, 1_000),
  };
  return {
    socket: tls ? { ...socket, ...(ca === undefined ? {} : { ca }), tls: true as const } : socket,
    pingInterval: pingIntervalMs,
    commandOptions,
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: 'disabled' as const,
    ...(user === undefined ? {} : { username: user }),
    ...(password === undefined ? {} : { password: password.reveal() }),
  };
}

function isReady(client: unknown): boolean {
  return typeof client === 'object' && client !== null && 'isReady' in client && client.isReady === true;
}

function listed(servers: readonly RedisServer[]): string {
  return servers.map(({ host, port }) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)).join(', ');
}

/** What the tap calls. Both may be called more than once for one event. */
interface TapListener {
  /** A key under one of the prefixes changed, expired or went. */
  invalidated(redisKey: string): void;
  /** Changes may have been missed: the connection broke, or the server forgot everything. */
  gap(): void;
}

type HandleCache = BasicPooledClientSideCache['handleCache'];

/**
 * Tells of changes to keys under some prefixes by Redis' own client tracking, and caches nothing.
 *
 * It sits where node-redis has its client-side cache, because only there a client, a cluster and a sentinel client
 * alike pass on invalidations and turn tracking on again at each connection. BCAST needs no read before it tells.
 * Not NOLOOP: Redis notes one author per key and event-loop round, so that another node's change could get lost
 * behind our own.
 */
export class InvalidationTap extends BasicPooledClientSideCache {
  readonly #prefixes: readonly string[];
  readonly #listener: TapListener;
  #isWatching = true;

  constructor(prefixes: readonly string[], listener: TapListener) {
    super();
    this.#prefixes = prefixes;
    this.#listener = listener;
  }

  override async handleCache(...[, , run, transform, typeMapping]: Parameters<HandleCache>): ReturnType<HandleCache> {
    const reply = await run();
    return transform === undefined ? reply : transform(reply, undefined, typeMapping);
  }

  /** False once the server was found to have no client tracking, or not to allow it. */
  get isWatching(): boolean {
    return this.#isWatching;
  }

  /** From the next connection on tracking is not asked for, and changes are not told. */
  giveUp(): void {
    this.#isWatching = false;
  }

  override trackingOn(): string[] {
    // The client sends some command in its place: this one is allowed to everybody who may read anything here.
    if (!this.#isWatching) return ['EXISTS', `${this.#prefixes[0]}{none}`];
    return ['CLIENT', 'TRACKING', 'ON', 'BCAST', ...this.#prefixes.flatMap((prefix) => ['PREFIX', prefix])];
  }

  override invalidate(key: Parameters<BasicPooledClientSideCache['invalidate']>[0]): void {
    if (key === null) this.#listener.gap();
    else this.#listener.invalidated(key.toString());
  }

  override onError(): void {
    this.#listener.gap();
  }

  override onClose(): void {
    this.#listener.gap();
  }
}
