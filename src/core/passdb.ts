import type { Backend, BackendHost, BackendLimits, MasterIdentity } from './backend.ts';
import type { Client, Credentials } from './identity.ts';
import type { BackendName, CanonicalUser } from './names.ts';
import type { Secret } from './secret.ts';
import type { WebmailDriver } from './webmail.ts';

/**
 * What the server said of a password. `expired`, `contact-admin` and `insecure` are refusals whose text the user may
 * see (RFC 5530: EXPIRED, CONTACTADMIN, PRIVACYREQUIRED); only `wrong` may count towards the penalty. `reason`: the
 * server's own words for this user, where it is known to say them only after the right password.
 */
export type PasswordCheck =
  | { readonly kind: 'right' }
  | { readonly kind: 'wrong' }
  | { readonly kind: 'expired' }
  | { readonly kind: 'contact-admin'; readonly reason?: string }
  | { readonly kind: 'insecure' };

/** A server's words with its answer, for the log: one bounded line without the password. */
export interface ServerWords {
  /** The response code, such as `UNAVAILABLE`. */
  readonly code?: string;
  readonly text?: string;
}

/** The client on whose behalf a password is checked, and how to report on the check. */
export interface PasswordCheckContext {
  readonly client: Client;
  /** Passed on as `x-session-id`, so that the server's log and ours can be joined. */
  readonly reference: string;
  /** Told what the server said, unless that was a bare yes. */
  readonly heard?: (said: ServerWords) => void;
  /** Aborted when nobody waits any more: what has not begun by then need not, although what has is not aborted. */
  readonly left?: AbortSignal;
  readonly limits: Pick<BackendLimits, 'imapConnectMs' | 'imapGreetingMs' | 'imapAuthMs'>;
}

/** An IMAP server to ask. */
export type ImapHost = Pick<BackendHost, 'name' | 'imap'>;

/** Checks passwords against a host's mail server. */
export interface Passdb {
  /** Rejects with source `imap` when the server could not be asked, also when it says "later". */
  verify(
    credentials: Credentials,
    host: ImapHost,
    context: PasswordCheckContext,
    signal: AbortSignal,
  ): Promise<PasswordCheck>;
}

/** Checks passwords against a server that refers users to their homes. */
export interface Referrals {
  /**
   * As `verify`, of a server that may refer the user to another one (RFC 2221): `to` is the URL as it came, of which
   * nothing is checked. For `verify` a referral is no answer.
   */
  ask(
    credentials: Credentials,
    host: ImapHost,
    context: PasswordCheckContext,
    signal: AbortSignal,
  ): Promise<PasswordCheck | { readonly kind: 'referred'; readonly to: string }>;
}

/**
 * Why a mailbox is not opened by the master identity. `user-refused`: to this user it is not let in. `not-shown`: the
 * server would make a mailbox for whoever is named, and does not show that this one exists. `not-written`: it takes no
 * message of the master, for a quota or want of rights.
 */
export type MailboxRefusal = 'master-refused' | 'user-refused' | 'no-authorization-id' | 'not-shown' | 'not-written';

/** `text` is a sentence for staff and operators: what is in the way, and what an operator would do. */
export type MailboxAnswer =
  | { readonly kind: 'done' }
  | { readonly kind: 'refused'; readonly why: MailboxRefusal; readonly text: string };

/** One mailbox, and who opens it in its owner's name. */
export interface MailboxOf {
  /** The user that the directory has found: never a name that only a default answered for. */
  readonly user: CanonicalUser;
  readonly master: MasterIdentity;
  readonly host: BackendHost;
  readonly context: PasswordCheckContext;
}

/** Mailboxes, opened by a master identity. Every call rejects with source `imap` when the server could not be asked. */
export interface Mailboxes {
  /** Whether the master identity is let in to this user's own mailbox; nothing in it is touched. */
  open(mailbox: MailboxOf, signal: AbortSignal): Promise<MailboxAnswer>;
  /** Puts a message (RFC 5322, CRLF) into the INBOX, unread. */
  append(mailbox: MailboxOf, message: string, signal: AbortSignal): Promise<MailboxAnswer>;
}

/** The credentials of a client that authenticates on every request. */
export interface ClientCredentials {
  /** As it was sent. */
  readonly user: string;
  /** As it was sent, never trimmed. */
  readonly password: Secret;
  readonly client: Client;
}

/**
 * What the gateway says of them. `admitted`: with the user's home at this moment. `rejected` is an unknown user or a
 * wrong password; `refused` is a known user who may not sign in, with a reason for that user. `unavailable`: somebody
 * could not be asked, which is never a no; `busy`: too many wait already. Both have a reference that the log has too.
 */
export type ClientAdmission =
  | {
      readonly kind: 'admitted';
      readonly user: CanonicalUser;
      readonly backend: Backend;
      readonly host: BackendHost;
      readonly driver: WebmailDriver;
    }
  | { readonly kind: 'rejected' }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'busy' | 'unavailable'; readonly reference: string };

/** Decides over clients that authenticate on every request. */
export interface ClientAuthentication {
  /** Rejects with the signal's reason when the client is gone. */
  admit(credentials: ClientCredentials, gone: AbortSignal): Promise<ClientAdmission>;
  /**
   * Whether the user is still served there: for requests that wait long, while users are moved and backends closed.
   * `true` also when nobody can say.
   */
  isStillAt(user: CanonicalUser, backend: BackendName, host: string): Promise<boolean>;
  /** Forgets that these were good: the user's own backend has just refused them. */
  distrust(user: CanonicalUser, backend: BackendName, credentials: Omit<ClientCredentials, 'user'>): void;
}
