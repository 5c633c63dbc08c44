import type { CookieJar } from './cookie-jar.ts';
import type { CanonicalUser } from './names.ts';
import type { Secret } from './secret.ts';

/** A user and a password that may still be wrong. */
export interface Credentials {
  readonly user: CanonicalUser;
  readonly password: Secret;
}

/** The client at the other end of the connection, after trusted proxies were believed. */
export interface Client {
  /** IP address, without brackets or zone; never a name. */
  readonly address: string;
  readonly port: number;
  /** The browser's own User-Agent, or undefined. */
  readonly userAgent: string | undefined;
  /** The browser's own Accept-Language, or undefined. */
  readonly language?: string | undefined;
}

/** The identity with which a webmail driver signs a user in as if the browser did it. */
export interface SignInIdentity {
  readonly user: CanonicalUser;
  /** Undefined: the webmail is entered by a master identity, see `masterEntry` of its driver. */
  readonly password: Secret | undefined;
  readonly client: Client;
  /** IANA name such as `Europe/Berlin`; some webmails show all times in UTC without it. */
  readonly timeZone: string | undefined;
  /** Scheme, host and port under which the browser sees the webmail. */
  readonly publicOrigin: string;
  /** The member of staff who opens this mailbox. */
  readonly actor?: CanonicalUser;
  /** Cookies of the webmail that this browser has already, of the names that its driver carries. */
  readonly carried?: CookieJar;
}

/**
 * Roles of staff. `support`: open mailboxes of users; `operator`: see and act on backends; `auditor`:
 * read the audit, and nothing else.
 */
export const staffRoles = ['support', 'operator', 'auditor'] as const;
type StaffRole = (typeof staffRoles)[number];

/** The roles granted to one member of staff. They come from the configuration or the directory, never from a form. */
export interface StaffGrant {
  readonly roles: readonly StaffRole[];
  /** The domains whose users `support` may see and open; nothing stands for all of them. */
  readonly domains?: readonly string[];
}

/** How a user learns that staff opened the mailbox. */
export const noticePolicies = ['never', 'at-sign-in', 'message'] as const;

/** A value of `notices`: when users hear that staff opened their mailbox. */
export type NoticePolicy = (typeof noticePolicies)[number];
