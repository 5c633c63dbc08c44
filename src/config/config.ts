import type { Backend, Serving } from '../core/backend.ts';
import type { PublicUrl } from '../core/http.ts';
import type { NoticePolicy, StaffGrant } from '../core/identity.ts';
import type { BackendName, LoginNameRules } from '../core/names.ts';
import type { Secret } from '../core/secret.ts';
import type { ListenAddress } from '../schema/value-parsers.ts';

/**
 * A whole configuration, checked and settled: defaults filled in, paths absolute, durations in milliseconds, secrets
 * read and wrapped. It is immutable; a reload makes another one.
 */
export interface Config {
  /** The main file, as it was named. */
  readonly file: string;
  /** What the main file says, as path → hash of the value: see {@link diffConfig}. */
  readonly written: ReadonlyMap<string, string>;
  /** Problems with the modes of secret files, each a sentence with the file and a remedy. */
  readonly exposedSecrets: readonly string[];
  readonly listen: ListenAddress;
  /** For idle connections, of the console's own listener, too. */
  readonly keepAliveMs: number;
  /** The first one is what links and examples show. */
  readonly publicUrls: readonly [PublicUrl, ...PublicUrl[]];
  /** Certificates of the public listener, the default one first; without any it speaks plain HTTP. */
  readonly tls: readonly TlsCertificateConfig[];
  /** Networks as `address/prefix`. */
  readonly trustedProxies: readonly string[];
  readonly proxyProtocol: (typeof proxyProtocolModes)[number];
  readonly operators: OperatorsConfig;
  /** How many processes serve. */
  readonly workers: number;
  readonly requests: RequestsConfig;
  readonly sessions: SessionsConfig;
  readonly state: StateConfig;
  readonly audit: AuditConfig;
  readonly moves: MovesConfig;
  readonly directory: DirectoryConfig;
  /** Left out: nobody else is told where users live. */
  readonly directoryService?: DirectoryServiceConfig;
  readonly passdb: { readonly type: 'imap' };
  readonly login: LoginConfig;
  /** Left out: there is no console, and nobody opens a mailbox but its user. */
  readonly support?: SupportConfig;
  readonly log: LogConfig;
  readonly shutdown: ShutdownConfig;
  readonly backends: ReadonlyMap<BackendName, Backend>;
  /** How the hosts of each backend share its work. */
  readonly serving: ReadonlyMap<BackendName, Serving>;
}

/** The store for states, overrides and moves. */
export interface StateConfig {
  /** Left out: they live where the sessions do. */
  readonly redis?: StoreConfig;
}

/** Where it is written what staff and operators do. */
export interface AuditConfig {
  readonly file: string;
  /** Where a copy of each line goes; left out: nowhere. */
  readonly syslog?: SyslogConfig;
}

/** `audit.syslog`: the server that receives a copy of the audit. */
export interface SyslogConfig {
  readonly host: string;
  readonly port: number;
  /** Left out: plain TCP. */
  readonly tls?: { readonly ca?: string };
}

/** Programs that run around a move, by absolute paths. */
export interface MovesConfig {
  readonly before?: string;
  readonly after?: string;
  readonly hookTimeoutMs: number;
}

/** The listeners for operators and their load balancers. */
export interface OperatorsConfig {
  readonly listen: ListenAddress;
  /** A unix socket for the API, for the owner of the process alone. */
  readonly socket?: string;
  /** The token that API clients must send over TCP; undefined turns the API off there. */
  readonly token?: Secret;
  readonly agentCheck?: ListenAddress;
  /** Under which the first is reached besides. */
  readonly hostNames?: readonly string[];
  /** In percent. */
  readonly agentWeight: number;
}

/** PEM files as absolute paths, which were readable and a pair when the configuration was read. */
export interface TlsCertificateConfig {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** Whether connections of load balancers begin with a PROXY protocol header. */
export const proxyProtocolModes = ['off', 'optional', 'required'] as const;

/** What the head of a request may be, and which of its fields never reach a backend. */
export interface RequestsConfig {
  readonly headerBytes: number;
  readonly headerFields: number;
  readonly headerDeadlineMs: number;
  readonly stallMs: number;
  readonly uploadBytesPerSecond: number;
  /** Further fields to drop, in lower case. */
  readonly dropHeaders: readonly string[];
}

/** Where sessions live: Redis for several nodes, a file for one process. */
export type StoreConfig =
  | ({ readonly kind: 'redis' } & RedisAccess & RedisPlace)
  | { readonly kind: 'embedded'; readonly file: string };

interface RedisAccess {
  readonly password?: Secret;
  /** PEM certificates to trust instead of the system's. */
  readonly ca?: string;
}

/** One server, those that Sentinels watch, or a Cluster. */
type RedisPlace =
  /** `redis:` or `rediss:`, with the user and the database where they were given; never with a password. */
  | { readonly url: string }
  | ({
      readonly sentinels: RedisServers;
      readonly name: string;
      readonly database: number;
      readonly sentinelPassword?: Secret;
    } & RedisLogin)
  | ({ readonly cluster: RedisServers } & RedisLogin);

interface RedisLogin {
  readonly user?: string;
  readonly tls: boolean;
}

/** Address of one Redis server. */
export interface RedisServer {
  readonly host: string;
  readonly port: number;
}

type RedisServers = readonly [RedisServer, ...RedisServer[]];

/** `sessions`, parsed. Times are in milliseconds. */
export interface SessionsConfig {
  readonly store: StoreConfig;
  readonly keysFile: string;
  readonly idleTimeoutMs: number;
  readonly absoluteTimeoutMs: number;
  readonly serveStaleMs: number;
  readonly maxPerUser: number;
  readonly idleCountsPolls: boolean;
  readonly forgetPassword: boolean;
}

/** One source: its type and its settings as they are written, with paths absolute and secrets wrapped. */
export interface SourceConfig {
  readonly type: string;
  readonly [setting: string]: unknown;
}

/** `directory`, parsed. */
export interface DirectoryConfig {
  readonly nameRules: LoginNameRules;
  readonly sources: readonly [SourceConfig, ...SourceConfig[]];
  /** Further names that sources use for backends. */
  readonly hosts: Readonly<Record<string, string>>;
  /** For each source that sets none of its own, and over all of them. */
  readonly timeouts: { readonly sourceMs: number; readonly lookupMs: number };
  readonly cache: {
    readonly ttlMs: number;
    readonly negativeTtlMs: number;
    readonly transientTtlMs: number;
    readonly staleMs: number;
  };
}

/** The listener on which other proxies ask where users live. */
export interface DirectoryServiceConfig {
  readonly listen: ListenAddress;
  /** Networks as `address/prefix`. */
  readonly allow: readonly string[];
  readonly key?: Secret;
  /** Ports of the mail servers, by protocol. */
  readonly ports: { readonly imap: number; readonly pop3: number; readonly smtp: number };
}

/** `login`, parsed. Times are in milliseconds. */
export interface LoginConfig {
  readonly refusalAfterMs: number;
  readonly deadlineMs: number;
  /** Networks whose users share an address: not counted as one stranger. */
  readonly exemptNetworks: readonly string[];
  readonly branding: BrandingConfig;
}

/** `login.branding`, with the files that it names read. */
export interface BrandingConfig {
  readonly name: string;
  readonly logo?: { readonly contentType: string; readonly body: Uint8Array };
  /** In the place of the logo on a dark page. */
  readonly logoDark?: { readonly contentType: string; readonly body: Uint8Array };
  /** `auto`: as each browser wants it. */
  readonly scheme: 'auto' | 'light' | 'dark';
  /** `#rrggbb`. */
  readonly accentColour: string;
  readonly links: readonly { readonly label: string; readonly href: string }[];
  readonly defaultLocale: string;
}

/** The console of the staff and the mailboxes that they open. */
export interface SupportConfig {
  readonly console: PublicUrl;
  /** Where opened mailboxes are shown. */
  readonly assist: PublicUrl;
  /** The console's own listener; undefined if the public listener serves it. */
  readonly listen?: ListenAddress;
  /** By canonical user. */
  readonly staff: ReadonlyMap<string, StaffGrant>;
  readonly rolesFromDirectory: boolean;
  /** Canonical users. */
  readonly neverOpened: ReadonlySet<string>;
  readonly notice: NoticePolicy;
  /** Timeouts of a staff member's session. */
  readonly idleTimeoutMs: number;
  readonly absoluteTimeoutMs: number;
}

/** `log`, parsed. */
export interface LogConfig {
  readonly level: (typeof logLevels)[number];
  /** The share of proxied requests that are logged: 0 none, 1 all. */
  readonly requests: number;
}

/** Values of `log.level`, the most talkative first. */
export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;

/** `shutdown`, parsed. Times are in milliseconds. */
export interface ShutdownConfig {
  readonly delayMs: number;
  readonly deadlineMs: number;
}
