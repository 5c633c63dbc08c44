import type { StoreStanding } from '../admin/api-status.ts';
import type { OwnAudit } from '../audit/audit.ts';
import type { Health } from '../backends/health.ts';
import type { HomeChanges } from '../backends/home-changes.ts';
import type { MailConnections } from '../backends/mail-connections.ts';
import type { Moves } from '../backends/moves.ts';
import type { StateReplica } from '../backends/state-replica.ts';
import type { ReloadOrder } from '../backends/state-values.ts';
import type { LockControl, LockDirectoryDeps, Locks, OverrideDirectoryDeps } from '../backends/user-orders.ts';
import type { Config } from '../config/config.ts';
import type { Audit } from '../core/audit.ts';
import type { Backend, BackendHost, BackendLimits } from '../core/backend.ts';
import type { DirectorySource } from '../core/directory.ts';
import type { Build } from '../core/build.ts';
import type { HttpExchange } from '../core/http.ts';
import type { AgedReport, NodeReport, ReadReports } from '../core/node-report.ts';
import type { BackendName, CanonicalUser, LoginNameParser } from '../core/names.ts';
import type { BasicAuthentication } from '../core/passdb.ts';
import type { Place, Placement, Relocate } from '../core/placement.ts';
import type { SessionRecord } from '../core/session.ts';
import type { ReplicatedTable } from '../core/state-store.ts';
import type { StatisticsReader } from '../core/statistics.ts';
import type { SilentLogin, WebmailDriver } from '../core/webmail.ts';
import type { AskDelivery } from '../directory-service/delivery.ts';
import type { RouteMail } from '../directory-service/mail-routes.ts';
import type { Directory } from '../directory/directory.ts';
import type { AskLeader, SharedStorageStates } from '../directory/source.ts';
import type { Pages } from '../http/app.ts';
import type { ConsolePagesDeps } from '../http/console/routes.ts';
import type { Answers } from '../http/gateway-answers.ts';
import type { PagesDeps } from '../http/pages.ts';
import type { BasicLoginEvent, LoginEvent } from '../login/attempt.ts';
import type { Home } from '../login/authentication.ts';
import type { LoginDeps } from '../login/login.ts';
import type { Logout } from '../login/logout.ts';
import type { MailServers } from '../login/mail-servers.ts';
import type { PenaltyRelief } from '../login/penalty-relief.ts';
import type { Penalty } from '../login/penalty.ts';
import type { VerifiedPasswords } from '../login/verified-passwords.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Traffic } from '../observe/traffic.ts';
import type { BannerOf } from '../proxy/banner-injection.ts';
import type { BasicPaths } from '../proxy/basic-requests.ts';
import type { Connections } from '../proxy/connections.ts';
import type { IngressOptions } from '../proxy/ingress.ts';
import type { ProxyProtocol } from '../proxy/proxy-protocol-listener.ts';
import type { RequestRules } from '../proxy/routing.ts';
import type { BackendRoute } from '../proxy/session-requests.ts';
import type { TlsCertificates } from '../proxy/tls-certificates.ts';
import type { RedisConnection } from '../redis/connection.ts';
import type { NodeSessions } from '../sessions/node-sessions.ts';
import type { ServerKeys } from '../sessions/server-keys.ts';
import type { MailboxExpiry, OpenedMailbox } from '../support/mailbox-expiry.ts';
import type { Notice, Notices } from '../support/notices.ts';
import type { ConsoleLinks, OneTimeLinks, StoredLink } from '../support/one-time-links.ts';
import type { StaffChecks } from '../support/roles.ts';
import type { SecondFactors } from '../support/second-factor.ts';

/**
 * The configuration in force, and what was built from it. It is made before all other parts; parts that outlive a
 * reload read it at each use.
 */
export class ConfigHolder {
  /** The configuration in force. Only `replace` changes it. */
  config: Config;
  #current: ConfigSnapshot | undefined;
  readonly #watchers = new Set<(fresh: ConfigSnapshot) => void>();

  constructor(config: Config) {
    this.config = config;
  }

  /**
   * Whether `current` can be read. The parts of a node are opened before the first snapshot, which is built from them.
   */
  get isBuilt(): boolean {
    return this.#current !== undefined;
  }

  /** The present snapshot. */
  get current(): ConfigSnapshot {
    if (this.#current === undefined) throw new TypeError('the gateway serves before its first snapshot is built');
    return this.#current;
  }

  /** Puts another snapshot in force. The one before stays open: requests may be using it. */
  replace(fresh: ConfigSnapshot): void {
    this.config = fresh.config;
    this.#current = fresh;
    for (const watcher of this.#watchers) watcher(fresh);
  }

  /**
   * Calls `watcher` with each snapshot that comes into force, the first one included. Returns a function that ends
   * this.
   */
  onReplace(watcher: (fresh: ConfigSnapshot) => void): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }
}

/** The listeners that users connect to: those of this process, or of its workers. */
export interface UserListeners {
  /** Bound ports, for configurations that say 0. */
  readonly ports: { readonly public: number; readonly console?: number };
  /** Closes each connection after its next answer. Refuses nothing yet. */
  lastCall(): void;
  /** Accepts nothing new. Resolves when everything in flight has ended, or at the signal. */
  drain(signal: AbortSignal): Promise<void>;
}

/** The parts of the console that a node keeps over every reload. */
export interface NodeConsole extends AsyncDisposable {
  /** Dependencies of its pages, but for those that a snapshot holds. */
  readonly parts: Omit<ConsolePagesDeps, 'staffLogin' | 'impersonation' | 'serviceName' | 'views'> & {
    /** Links that open the console once. */
    readonly links: ConsoleLinks;
  };
  /** Keeps a login for support to see. */
  noteSignIn(event: LoginEvent): void;
}

/** The replicated tables of support, which all nodes share. */
export interface SupportTables {
  readonly links: ReplicatedTable<StoredLink>;
  readonly opened: ReplicatedTable<OpenedMailbox>;
  readonly notices: ReplicatedTable<readonly Notice[]>;
}

/** The parts of support that a node keeps over every reload. Opened only if the configuration has support. */
export interface NodeSupport extends AsyncDisposable {
  readonly console: NodeConsole;
  readonly staffChecks: StaffChecks;
  readonly links: OneTimeLinks;
  readonly notices: Notices;
  readonly mailboxExpiry: MailboxExpiry;
  /** Reads what other nodes wrote. Rejects when the state store cannot be asked. */
  readonly refresh: () => Promise<void>;
}

/** How the node stands, as its first process knows it. */
export interface NodeStanding {
  /** How many processes serve. */
  readonly workers: number;
  readonly draining: () => boolean;
  readonly degraded: () => readonly string[];
  /** The last change of the shared state that all of its processes know; undefined if one has not read it. */
  readonly stateVersion: () => number | undefined;
}

/** What the nodes say of themselves. */
export interface NodeReports extends AsyncDisposable {
  /**
   * The reports of all nodes that live, by name: this node's as it is now, and those that the others published in the
   * last 20 s. Rejects with ERR_STORE_UNAVAILABLE if Redis cannot be asked.
   */
  readonly read: ReadReports;
  /**
   * As `read`, and also the last reports of nodes that have been silent for at most `sessions.serve_stale`, unless they
   * have closed.
   */
  known(): Promise<readonly AgedReport[]>;
  /** This node's report as it is now. */
  own(): NodeReport;
  /** Publishes this node's report every five seconds from now on, and calls `made` with each. */
  begin(standing: NodeStanding, made?: (report: NodeReport) => void): void;
  /** Notes what a reload did, for the node that has ordered it. */
  noteReload(reload: NonNullable<NodeReport['reload']>): void;
  /** Publishes now what has changed. Never rejects. */
  publish(): Promise<void>;
  /** Takes over what the first process of this node reports. Only for a worker. */
  follow(report: NodeReport): void;
}

/** A sign-in, or a password check of a Basic client, that has ended. */
export interface NotedLogin {
  readonly way: 'web' | 'program';
  readonly event: LoginEvent | BasicLoginEvent;
  readonly atMs: number;
}

/** The statistics of a node. */
export interface NodeStatistics extends AsyncDisposable {
  /** What is to be counted later, off the way of a sign-in. */
  readonly noted: NotedLogin[];
  /** Counts what is noted; a timer does so, too. */
  count(): void;
  /** Notes that the directory service led a mail client to the home of a user. */
  mailRouted(user: string): void;
  /** The figures of all nodes, after this process has stored its own. Rejects if the store cannot be opened. */
  figures(): Promise<StatisticsReader>;
  /** Forgets the last sign-ins of a user. Resolves with whether there were any. Rejects if the store cannot be asked. */
  erase(user: string): Promise<boolean>;
}

/** The parts that a node opens once and keeps over every reload: the store, the keys, the sessions, the connections. */
export interface GatewayNode extends AsyncDisposable {
  readonly build: Build;
  readonly keys: ServerKeys;
  readonly sessions: NodeSessions;
  /** Sessions of this node by host, its workers included. */
  readonly heldPerHost: () => ReadonlyMap<string, number>;
  /** Requests that hosts have not answered yet, those of its workers included. */
  readonly inFlightPerHost: () => ReadonlyMap<string, number>;
  readonly lockControl: LockControl;
  /** What all nodes say of themselves. */
  readonly reports: NodeReports;
  /** Requests and sign-ins of this process, for the reports. */
  readonly traffic: Traffic;
  readonly connections: Connections;
  readonly metrics: Metrics;
  readonly proxyProtocol: ProxyProtocol;
  /** Certificates of the public listener; undefined if it speaks plain HTTP. */
  readonly certificates: TlsCertificates | undefined;
  /** The connection of the sessions; undefined with the embedded store. */
  readonly redis: RedisConnection | undefined;
  readonly silentLogin: SilentLogin;
  /** The penalties of all nodes, for operators. */
  readonly penalties: PenaltyRelief;
  /** Undefined if the configuration has none. */
  readonly support: NodeSupport | undefined;
  readonly cluster: ClusterState;
  /** The log of what staff and operators did. */
  readonly audit: Audit;
  /** Asks the store of the sessions now. Never rejects. */
  storeStanding(): Promise<StoreStanding>;
  /** Whether the store answered the last command. */
  storeUp(): boolean;
  /** The parts that every snapshot is built from. */
  readonly parts: SharedParts;
}

/** The homes of users and the states of their servers: opened once, kept over every reload. */
export interface ClusterState extends AsyncDisposable {
  readonly audit: Audit & Pick<OwnAudit, 'isWritable'>;
  readonly state: StateReplica;
  /** Who is locked, as this process knows it. */
  readonly locks: Locks;
  readonly reloads: ReplicatedTable<ReloadOrder>;
  /** Undefined if the configuration has no support. */
  readonly support: SupportTables | undefined;
  /** The second factors of the staff, which operators see also without support. The first call makes them. */
  readonly factors: () => SecondFactors;
  readonly health: Health;
  readonly placement: Placement;
  readonly relocate: Relocate;
  readonly moves: Moves;
  readonly mail: MailConnections;
  readonly homeChanges: HomeChanges;
  /** The name of this node in its decisions. */
  readonly nodeName: string;
  /** Makes all nodes forget what they remember of a user's home. Rejects when the store cannot be asked. */
  forgetHome(user: CanonicalUser): Promise<void>;
  /** For a computed directory. */
  readonly sharedStorage: SharedStorageStates;
  /** The place of a session, after standbys had time to take over and the directory to name another home. */
  reconsider(record: SessionRecord): Promise<Place>;
  /** Resolves when standbys have taken over from hosts that are known to be lost. */
  takenOver(): Promise<void>;
}

/** The parts that outlive a reload and that every snapshot is built from. */
export interface SharedParts extends Omit<PagesDeps, 'login' | 'logout' | 'views' | 'notices' | 'tellsOfOpened'> {
  /** Set if the configuration has support. */
  readonly support?: NodeSupport;
  readonly audit: Audit;
  readonly logout: Logout;
  readonly exchange: HttpExchange;
  readonly placement: Placement;
  readonly arrived: NonNullable<LoginDeps['arrived']>;
  readonly overrides: OverrideDirectoryDeps['overrides'];
  readonly locks: Locks;
  readonly lockDirectory: LockDirectoryDeps;
  /** For a computed directory. */
  readonly sharedStorage: SharedStorageStates;
  /** Set only in a worker process. */
  readonly askLeader?: AskLeader;
  readonly penalty: Penalty;
  readonly mailServers: MailServers;
  readonly storeAnswers: LoginDeps['storeAnswers'];
  readonly proxiedClient?: NonNullable<IngressOptions['proxiedClient']>;
  /** Makes logins count as in progress while they run. */
  readonly countedLogin: Metrics['counted'];
  /** For the metrics; the snapshot has the log. */
  readonly loginFinished: (event: LoginEvent) => void;
  readonly clientChecks: VerifiedPasswords;
  /** For the metrics; the snapshot has the log. */
  readonly clientChecked: (event: BasicLoginEvent) => void;
  /** For the metrics: the policy server delays a login. */
  readonly policyDelayed: (ms: number) => void;
  readonly statistics: NodeStatistics;
  /** For the statistics: staff at the console is not counted. */
  readonly noteLogin: (way: NotedLogin['way'], event: NotedLogin['event']) => void;
}

/** Everything that follows from one configuration; a reload replaces it as a whole. */
export interface ConfigSnapshot extends AsyncDisposable {
  readonly config: Config;
  readonly directory: Directory;
  /** The directory with the overrides of moved users. */
  readonly homes: Pick<DirectorySource, 'lookup'>;
  readonly parseName: LoginNameParser;
  /** The rules for requests of each listener: the public one, and the console's own. */
  readonly requestRules: Readonly<Record<'public' | 'console', RequestRules>>;
  readonly pages: Pages;
  readonly answers: Answers;
  /** For pages of opened mailboxes. */
  readonly bannerOf: BannerOf;
  /** Undefined if no backend has paths for Basic clients. */
  readonly basicPaths: BasicPaths | undefined;
  readonly basicAuthentication: BasicAuthentication;
  /** One driver of each kind, for requests without a session. */
  readonly drivers: readonly WebmailDriver[];
  readonly homeOf: (name: BackendName) => Home | undefined;
  /** The configured backend of this name; undefined if there is none. */
  readonly backendNamed: (name: string) => Backend | undefined;
  /** Forgets what is remembered of a user's home. */
  readonly forgetHome: (user: CanonicalUser) => void;
  /** The backend of a host, by their names. */
  readonly backendOfHost: (host: string) => BackendName | undefined;
  readonly routes: ReadonlyMap<BackendName, BackendRoute>;
  /** For proxies of mail. */
  readonly routeMail: RouteMail;
  /** For Postfix; undefined if it gets no answers. */
  readonly askDelivery?: AskDelivery;
  /** Whether this client address may query routes. */
  readonly mayAskForRoutes: (address: string) => boolean;
  readonly limitsOf: (host: BackendHost) => BackendLimits;
  readonly isTrustedProxy: (address: string) => boolean;
  readonly isExempt: (address: string) => boolean;
}
