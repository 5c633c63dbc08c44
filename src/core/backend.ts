import type { BackendName } from './names.ts';
import type { Secret } from './secret.ts';

/** How TLS is spoken to a server: the name it must prove, and who may vouch for it. */
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
  /** Texts of a refusal, in lower case, by which this site's server says that it cannot judge now. */
  readonly laterTexts?: readonly string[];
  /**
   * Whether a user who is let in and referred to another server (`OK [REFERRAL …]`) stays here; `accept` when left out.
   */
  readonly okReferral?: 'accept' | 'refuse';
  /** How the server wants users to be named, as a template with %u, %n and %d; the canonical user when left out. */
  readonly loginName?: string;
}

/** Address and TLS trust of a host's webmail. */
export interface WebmailEndpoint {
  /** Scheme, host and port, for example `http://127.0.0.11` or `https://[2001:db8::1]:8443`. */
  readonly origin: string;
  /** The path of the `webmail` URL with its query: where the users of this backend land. */
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

/** Milliseconds unless said otherwise. */
export interface BackendLimits {
  readonly imapConnectMs: number;
  readonly imapGreetingMs: number;
  readonly imapAuthMs: number;
  readonly webmailConnectMs: number;
  readonly webmailFirstByteMs: number;
  /** How long an idle connection to the webmail is kept: below the webmail's own keep-alive time. */
  readonly webmailKeepAliveMs: number;
  /** Open connections per host. */
  readonly connections: number;
  /** How many of these one user may hold at once; the user's further requests wait. */
  readonly connectionsPerUser: number;
  /** Requests that may wait for a connection, per host, and for how long. */
  readonly queue: number;
  readonly queueMs: number;
  /** WebSockets and other upgraded connections per session. */
  readonly upgradesPerSession: number;
}

/** A path under which clients (DAV, ActiveSync) give name and password with each request, and who serves it. */
export interface ClientPath {
  /** Covers itself and all below it: `/SOGo/dav`. Without a final slash. */
  readonly prefix: string;
  /** Another server than the webmail: scheme, host and port, by the name of the backend's host. */
  readonly elsewhere?: Readonly<Record<string, string>>;
}

/** The identity that may open every mailbox of a backend: a master user of Dovecot, one of `proxyservers` in Cyrus. */
export interface MasterIdentity {
  readonly user: string;
  readonly password: Secret;
  /** The separator between user and master in a combined name: `alice*master`. */
  readonly separator: string;
}

/** One home mailbox server: an IMAP address and a webmail, on one or more hosts. */
export interface Backend {
  readonly name: BackendName;
  /** The webmail driver, by its name in the registry. */
  readonly driver: string;
  /** The driver's own settings, checked by the driver's schema. */
  readonly driverSettings: DriverSettings;
  /** The primary first. */
  readonly hosts: readonly [BackendHost, ...BackendHost[]];
  readonly limits: BackendLimits;
  /** How the webmail wants users to be named, as `loginName` of its IMAP server. */
  readonly webmailLoginName?: string;
  /** Without one the gateway opens nobody's mailbox over IMAP. */
  readonly master?: MasterIdentity;
  /** None when left out. */
  readonly clientPaths?: readonly ClientPath[];
}

/** How the hosts of a backend share its work. */
export interface Serving {
  /** `standby`: one host serves, the primary unless it failed, and the others stand by. `pool`: all of them serve. */
  readonly arrangement: 'standby' | 'pool';
  /** How a pool chooses the host of a new session. */
  readonly choice: 'rendezvous' | 'least-sessions';
  /** Whether a standby takes over by itself. */
  readonly failover: 'automatic' | 'manual';
  /** By the name of the host; 1 where nothing is said. */
  readonly weights: Readonly<Record<string, number>>;
  readonly health: HealthSettings;
  /** None where nobody wrote one. */
  readonly testAccount?: TestAccount;
}

/** How often hosts are looked at, and how many answers in a row change the mind. Intervals of 0 are off. */
export interface HealthSettings {
  /** The target that is asked for; the webmail driver's own choice where nothing is said. */
  readonly path?: string;
  readonly httpIntervalMs: number;
  readonly imapIntervalMs: number;
  readonly timeoutMs: number;
  readonly fall: number;
  readonly rise: number;
}

/** An account that is signed in by the whole path, to see whether that works. */
export interface TestAccount {
  /** As users are named here; servers are told it by their `loginName`. */
  readonly user: string;
  readonly password: Secret;
  readonly intervalMs: number;
}

/** Settings that only their driver understands. Secrets are read already, and file names absolute. */
export type DriverSettings = Readonly<Record<string, unknown>>;

/** A driver's problem with a setting: the path inside its settings, and what to write instead. */
export interface SettingProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
  /** Whether the key itself is wrong; the value when left out. */
  readonly at?: 'key';
}
