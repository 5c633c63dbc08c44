import type { CookieJar } from './cookie-jar.ts';
import type { CanonicalUser } from './names.ts';
import type { Secret } from './secrets.ts';

/** A user and a password that may still be wrong. */
export interface Credentials {
  readonly user: CanonicalUser;
  readonly password: Secret;
}

/** The client of a request, as trusted proxies report it. */
export interface Client {
  /** IP address, without brackets or zone; never a name. */
  readonly address: string;
  readonly port: number;
  /** The User-Agent of the request; undefined if it has none. */
  readonly userAgent: string | undefined;
  /** The Accept-Language of the request; undefined if it has none. */
  readonly language?: string | undefined;
  /** The ids of the request; undefined if the gateway asks for itself, as its checks do. */
  readonly trace?: TraceIds;
}

/** The ids of a request, by which the logs of proxies, of the gateway and of the webmail are joined. */
export interface TraceIds {
  /** The request's id: a trusted proxy's X-Request-Id, or made here. */
  readonly requestId: string;
  /** The W3C trace context: a trusted proxy's, or begun here. */
  readonly traceparent: string;
  readonly tracestate?: string;
}

/** The user and browser as which a webmail driver signs in. */
export interface SignInIdentity {
  readonly user: CanonicalUser;
  /** Undefined if the driver enters by a master identity, see its `masterEntry`. */
  readonly password: Secret | undefined;
  readonly client: Client;
  /** IANA name such as `Europe/Berlin`; some webmails show all times in UTC without it. */
  readonly timeZone: string | undefined;
  /** Scheme, host and port under which the browser sees the webmail. */
  readonly publicOrigin: string;
  /** Set if a member of staff opens the mailbox. */
  readonly actor?: CanonicalUser;
  /** Cookies of the webmail that this browser has already, if its driver carries their names. */
  readonly carried?: CookieJar;
}

/**
 * Roles of staff. `support` opens mailboxes of users, `operator` sees and changes backends, `viewer` sees what operators
 * see and changes nothing, `auditor` reads the audit.
 */
export const staffRoles = ['support', 'operator', 'viewer', 'auditor'] as const;
type StaffRole = (typeof staffRoles)[number];

/** Whether one of these roles is the wanted one, or includes it: an operator sees what a viewer sees. */
export function includesRole(roles: readonly string[], wanted: StaffRole): boolean {
  return roles.includes(wanted) || (wanted === 'viewer' && roles.includes('operator'));
}

/**
 * The roles that domains do not limit: their pages show users of every domain. A grant with one of them and with domains
 * would promise a limit that does not hold.
 */
export function rolesWithoutLimit(roles: readonly StaffRole[]): readonly StaffRole[] {
  return roles.filter((role) => role !== 'support');
}

/** The roles of one member of staff. They come from the configuration or the directory, never from a form. */
export interface StaffGrant {
  readonly roles: readonly StaffRole[];
  /** Domains whose users `support` may see and open; all domains if undefined. Only where `support` is the one role. */
  readonly domains?: readonly string[];
}

/** How a user learns that staff opened the mailbox. */
export const noticePolicies = ['never', 'at-sign-in', 'message'] as const;

/** A value of `notices`: when users hear that staff opened their mailbox. */
export type NoticePolicy = (typeof noticePolicies)[number];
