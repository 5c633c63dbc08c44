import type { BackendName } from './names.ts';
import type { Secret } from './secrets.ts';

/** How a server's certificate is checked: the name that it must carry, and the authorities that are trusted. */
export interface TlsTrust {
  /** The name that the certificate must carry; the dialled host when left out. */
  readonly servername?: string;
  /** PEM certificates of the authorities to trust instead of the system's. */
  readonly ca?: string;
}

/** Address and TLS mode of a host's IMAP server. */
export interface ImapEndpoint {
  /** Host name or IP address, without brackets. */
  readonly hostname: string;
  readonly port: number;
  /** `tls`: TLS from the first byte. `starttls`: upgraded before anything is sent, or refused. */
  readonly security: 'tls' | 'starttls';
  readonly trust: TlsTrust;
  /** Texts of refusals, in lower case, with which this site's server means that it cannot check passwords now. */
  readonly laterTexts?: readonly string[];
  /** Whether a user stays here whom the server lets in and refers elsewhere (`OK [REFERRAL …]`); default `accept`. */
  readonly okReferral?: 'accept' | 'refuse';
  /** Template for the names of users on this server, with %u, %n and %d; the canonical user when left out. */
  readonly loginName?: string;
}

/** Address and TLS trust of a host's webmail. */
export interface WebmailEndpoint {
  /** Scheme, host and port, for example `http://127.0.0.11` or `https://[2001:db8::1]:8443`. */
  readonly origin: string;
  /** Path and query of the `webmail` URL, where the users of this backend land. */
  readonly landing: string;
  readonly trust: TlsTrust;
}

/** One machine of a backend. */
export interface BackendHost {
  /** Unique among all hosts of the configuration: the backend's name, and for further hosts `name/number`. */
  readonly name: string;
  readonly imap: ImapEndpoint;
  readonly webmail: WebmailEndpoint;
}

/** Limits of a backend; times are in milliseconds. */
export interface BackendLimits {
  readonly imapConnectMs: number;
  readonly imapGreetingMs: number;
  readonly imapAuthMs: number;
  readonly webmailConnectMs: number;
  readonly webmailFirstByteMs: number;
  /** How long an idle connection to the webmail is kept: less than the webmail's own keep-alive time. */
  readonly webmailKeepAliveMs: number;
  /** Open connections per host. */
  readonly connections: number;
  /** Connections that one user may hold at once; the user's further requests wait. */
  readonly connectionsPerUser: number;
  /** Requests that may wait for a connection, per host. */
  readonly queue: number;
  /** How long a request may wait. */
  readonly queueMs: number;
  /** WebSockets and other upgraded connections per session. */
  readonly upgradesPerSession: number;
}

/** A path for Basic clients (DAV, ActiveSync), and the server behind it. */
export interface BasicPath {
  /** A path without a final slash, such as `/SOGo/dav`: it covers itself and everything below it. */
  readonly prefix: string;
  /** Origin of another server than the webmail, by the name of the backend's host. */
  readonly elsewhere?: Readonly<Record<string, string>>;
}

/** An account that may open every mailbox of a backend: a master user of Dovecot, one of the `admins` of Cyrus. */
export interface MasterIdentity {
  readonly user: string;
  readonly password: Secret;
  /** The separator between user and master in a combined name: `alice*master`. */
  readonly separator: string;
}

/** The services of mail servers, by the names of their ports in the configuration. */
const mailServices = ['imap', 'pop3', 'smtp', 'submission', 'lmtp', 'sieve'] as const;

/** The port of each service of a mail server. */
export type MailPorts = Readonly<Record<(typeof mailServices)[number], number>>;

/** A place where mail of users lives: one host or several, each with an IMAP server and a webmail. */
export interface Backend {
  readonly name: BackendName;
  /** The webmail driver, by its name in the registry. */
  readonly driver: string;
  /** The driver's own settings, checked by the driver's schema. */
  readonly driverSettings: DriverSettings;
  /** The primary first. */
  readonly hosts: readonly [BackendHost, ...BackendHost[]];
  readonly limits: BackendLimits;
  /** Template for the names of users in the webmail, like `loginName` of the IMAP server. */
  readonly webmailLoginName?: string;
  /** Undefined if the gateway may open no mailbox over IMAP. */
  readonly master?: MasterIdentity;
  readonly basicPaths?: readonly BasicPath[];
  /** Ports of its mail servers that differ from those of the other backends. */
  readonly mailPorts?: Partial<MailPorts>;
}

/** How the hosts of a backend share its work. */
export interface Serving {
  /** `standby`: one host serves (the primary, unless it failed), the others stand by. `pool`: all of them serve. */
  readonly arrangement: 'standby' | 'pool';
  /** How a pool chooses the host of a new session. */
  readonly choice: 'rendezvous' | 'least-sessions';
  /** Whether a standby takes over by itself. */
  readonly failover: 'automatic' | 'manual';
  /** Weights by the name of the host; 1 where none is given. */
  readonly weights: Readonly<Record<string, number>>;
  readonly health: HealthSettings;
  readonly testAccount?: TestAccount;
}

/**
 * How often hosts are checked, and how many results in a row change their state. An interval of 0 turns a check off.
 */
export interface HealthSettings {
  /** Target of the HTTP check; the webmail driver's own choice when left out. */
  readonly path?: string;
  readonly httpIntervalMs: number;
  readonly imapIntervalMs: number;
  readonly timeoutMs: number;
  readonly fall: number;
  readonly rise: number;
}

/** An account that the gateway signs in through IMAP and webmail, to see whether sign-ins work. */
export interface TestAccount {
  /** The canonical user; servers get it by their `loginName`. */
  readonly user: string;
  readonly password: Secret;
  readonly intervalMs: number;
}

/** Settings that only their driver understands. Secrets have been read, and file names are absolute. */
export type DriverSettings = Readonly<Record<string, unknown>>;

/** A problem that a driver finds in its settings: the path inside them, and what to write instead. */
export interface SettingProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
  /** Set if the key itself is wrong; otherwise the value is. */
  readonly at?: 'key';
}
