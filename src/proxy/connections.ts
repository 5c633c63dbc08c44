import type { Socket } from 'node:net';
// All of undici would load 90 more modules at each start: fetch, caches, mocks.
import buildConnector from 'undici/lib/core/connect.js';
import Client from 'undici/lib/dispatcher/client.js';
import type { BackendHost, BackendLimits } from '../core/backend.ts';
import { defined } from '../core/objects.ts';
import { errorCodeOf } from './failure.ts';
import { HeadCleaningSocket, maxHeadBytes } from './lenient-head.ts';

/**
 * A request that needs a connection. Exactly one of its two functions is called, synchronously if a connection is free.
 */
export interface ConnectionWaiter {
  /** The user whose share of the connections it takes; undefined for the gateway's own requests. */
  readonly user?: string;
  onConnection(client: Client): void;
  /** Called when the waiting list is full, or the wait was too long. */
  onBusy(): void;
}

/** The connections to one backend host. */
export interface HostConnections {
  acquire(waiter: ConnectionWaiter): void;
  /** Takes a waiter off the list, if it is on it. */
  forget(waiter: ConnectionWaiter): void;
  /** Returns a connection from `onConnection`. Call it exactly once. */
  release(client: Client): void;
  /**
   * Exchanges a connection from `onConnection` for one that accepts a faulty head and serves one answer. Send the
   * request again on it.
   */
  exchangeForLenient(client: Client): Client;
}

/** The connection pools to all hosts. */
export interface Connections {
  /** The connections to this host; new ones if the configuration of the host has changed. */
  to(host: BackendHost, limits: BackendLimits): HostConnections;
  stats(): { readonly host: string; readonly state: 'busy' | 'free' | 'waiting'; readonly count: number }[];
  /** Requests that hosts have not answered yet. */
  busyPerHost(): ReadonlyMap<string, number>;
  close(): Promise<void>;
}

/** The margin by which connections are closed before the server closes them, by its own Keep-Alive field. */
const keepAliveMarginMs = 4000;

/**
 * Keeps bounded connections to each backend host, most recently used first, with a bounded waiting list.
 *
 * It does not use undici's Pool. A capped Pool loses one connection for ever with each request that undici refuses
 * synchronously, its queue has no bound, and a queued request cannot leave. A Client is one connection, which
 * reconnects by itself.
 *
 * `refused` is called with the host of each request that gets no connection in time, for the metrics.
 */
export function createConnections(refused: (host: string) => void = () => {}): Connections {
  const hosts = new Map<string, HostPool>();
  const retired = new Set<Promise<void>>();

  function retire(pool: HostPool): void {
    const closed = pool.close();
    retired.add(closed);
    void closed.finally(() => retired.delete(closed));
  }

  return {
    to(host, limits) {
      const known = hosts.get(host.name);
      if (known?.serves(host, limits) === true) return known;
      if (known !== undefined) retire(known);
      const pool = new HostPool(host, limits, refused);
      hosts.set(host.name, pool);
      return pool;
    },
    stats: () => [...hosts.values()].flatMap((pool) => pool.stats()),
    busyPerHost: () => new Map([...hosts].map(([name, pool]) => [name, pool.busy])),
    async close() {
      for (const pool of hosts.values()) retire(pool);
      hosts.clear();
      await Promise.all(retired);
    },
  };
}

class HostPool implements HostConnections {
  readonly #host: BackendHost;
  readonly #limits: BackendLimits;
  readonly #refused: (host: string) => void;
  readonly #connect: buildConnector.connector;
  readonly #free: Client[] = [];
  /** Each with the user whose share it takes. */
  readonly #busy = new Map<Client, string | undefined>();
  readonly #perUser = new Map<string, number>();
  /** Busy connections that end with their answer. */
  readonly #lenient = new Set<Client>();
  /** In order of arrival; each with the timer that ends its wait. */
  readonly #waiting = new Map<ConnectionWaiter, NodeJS.Timeout>();
  #closing = false;

  constructor(host: BackendHost, limits: BackendLimits, refused: (host: string) => void) {
    this.#refused = refused;
    this.#host = host;
    this.#limits = limits;
    this.#connect = connectorTo(host, limits);
  }

  /** Whether the pool still fits the configuration. A reload makes new objects even for hosts that did not change. */
  serves(host: BackendHost, limits: BackendLimits): boolean {
    if (host === this.#host && limits === this.#limits) return true;
    return (
      host.webmail.origin === this.#host.webmail.origin &&
      host.webmail.trust.ca === this.#host.webmail.trust.ca &&
      host.webmail.trust.servername === this.#host.webmail.trust.servername &&
      limits.webmailConnectMs === this.#limits.webmailConnectMs &&
      limits.webmailKeepAliveMs === this.#limits.webmailKeepAliveMs &&
      limits.connections === this.#limits.connections &&
      limits.connectionsPerUser === this.#limits.connectionsPerUser &&
      limits.queue === this.#limits.queue &&
      limits.queueMs === this.#limits.queueMs
    );
  }

  acquire(waiter: ConnectionWaiter): void {
    const mayHave = this.#mayHave(waiter);
    const free = mayHave ? this.#free.pop() : undefined;
    if (free !== undefined) {
      this.#lend(free, waiter);
    } else if (mayHave && this.#busy.size < this.#limits.connections && !this.#closing) {
      this.#lend(this.#open(), waiter);
    } else if (this.#waiting.size < this.#limits.queue && (mayHave || this.#mayWait(waiter)) && !this.#closing) {
      const timer = setTimeout(() => {
        this.#waiting.delete(waiter);
        this.#refuse(waiter);
      }, this.#limits.queueMs);
      this.#waiting.set(waiter, timer);
    } else {
      this.#refuse(waiter);
    }
  }

  forget(waiter: ConnectionWaiter): void {
    clearTimeout(this.#waiting.get(waiter));
    this.#waiting.delete(waiter);
  }

  release(client: Client): void {
    if (!this.#busy.has(client)) return;
    this.#giveBack(this.#busy.get(client));
    this.#busy.delete(client);
    const isSpent = this.#lenient.delete(client);
    if (this.#closing || isSpent) void client.destroy();
    if (this.#closing) return;
    const next = this.#waiting.size === 0 ? undefined : this.#next();
    if (next !== undefined) {
      this.forget(next);
      this.#lend(isSpent ? this.#open() : client, next);
    } else if (!isSpent) {
      this.#free.push(client);
    }
  }

  exchangeForLenient(client: Client): Client {
    const user = this.#busy.get(client);
    this.#busy.delete(client);
    void client.destroy();
    const lenient = this.#open((options, callback) => {
      this.#connect(options, (error, socket) => {
        if (error === null) callback(null, new HeadCleaningSocket(socket));
        else callback(error, null);
      });
    });
    this.#busy.set(lenient, user);
    this.#lenient.add(lenient);
    return lenient;
  }

  get busy(): number {
    return this.#busy.size;
  }

  stats(): { readonly host: string; readonly state: 'busy' | 'free' | 'waiting'; readonly count: number }[] {
    const host = this.#host.name;
    return [
      { host, state: 'busy', count: this.#busy.size },
      { host, state: 'free', count: this.#free.filter((client) => client.stats.connected).length },
      { host, state: 'waiting', count: this.#waiting.size },
    ];
  }

  /** Lets busy connections finish, and refuses all waiters. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const waiter of this.#waiting.keys()) {
      this.forget(waiter);
      waiter.onBusy();
    }
    await Promise.all([...this.#free.splice(0), ...this.#busy.keys()].map((client) => client.close()));
  }

  #refuse(waiter: ConnectionWaiter): void {
    this.#refused(this.#host.name);
    waiter.onBusy();
  }

  #lend(client: Client, waiter: ConnectionWaiter): void {
    const { user } = waiter;
    this.#busy.set(client, user);
    if (user !== undefined) this.#perUser.set(user, (this.#perUser.get(user) ?? 0) + 1);
    waiter.onConnection(client);
  }

  #giveBack(user: string | undefined): void {
    if (user === undefined) return;
    const left = (this.#perUser.get(user) ?? 1) - 1;
    if (left === 0) this.#perUser.delete(user);
    else this.#perUser.set(user, left);
  }

  /** Whether the user's share has room: no user may take all connections. */
  #mayHave({ user }: ConnectionWaiter): boolean {
    return user === undefined || (this.#perUser.get(user) ?? 0) < this.#limits.connectionsPerUser;
  }

  /** Whether a user whose share is full may still wait. A user's share of the waiting list is bounded, too. */
  #mayWait({ user }: ConnectionWaiter): boolean {
    let waiting = 0;
    for (const waiter of this.#waiting.keys()) if (waiter.user === user) waiting += 1;
    return waiting < this.#limits.connectionsPerUser;
  }

  #next(): ConnectionWaiter | undefined {
    for (const waiter of this.#waiting.keys()) if (this.#mayHave(waiter)) return waiter;
    return undefined;
  }

  #open(connect = this.#connect): Client {
    const client = new Client(this.#host.webmail.origin, {
      pipelining: 1,
      allowH2: false,
      connect,
      maxHeaderSize: maxHeadBytes,
      keepAliveTimeout: this.#limits.webmailKeepAliveMs,
      keepAliveTimeoutThreshold: keepAliveMarginMs,
      // Each request has timeouts of its own.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    return client;
  }
}

/**
 * Connects and verifies the backend's own name: undici would take the name from the Host field, which is the public
 * one.
 */
function connectorTo(host: BackendHost, limits: BackendLimits): buildConnector.connector {
  const { trust } = host.webmail;
  const connect = buildConnector({
    timeout: limits.webmailConnectMs,
    allowH2: false,
    ...defined({ ca: trust.ca }),
  });
  return (options, callback) => {
    connect({ ...options, servername: trust.servername ?? serverNameOf(options.hostname) }, (error, socket) => {
      if (error !== null) return callback(error, null);
      resetIsNoEnd(socket);
      callback(null, socket);
    });
  };
}

/**
 * Makes a reset an error. undici takes it for the end of an answer without a length, so that a cut download would pass
 * for a whole one.
 */
function resetIsNoEnd(socket: Socket): void {
  socket.on('error', (error) => {
    if (errorCodeOf(error) === 'ECONNRESET') Object.assign(error, { code: 'UND_ERR_SOCKET' });
  });
}

/** The name for SNI; empty for an address, which must not be sent as a server name (RFC 6066, 3). */
function serverNameOf(hostname: string): string {
  return /^[\d.]+$|:/.test(hostname) ? '' : hostname;
}
