import type { Backend, BackendHost, BackendLimits, MasterIdentity } from './backend.ts';
import type { Client, Credentials } from './identity.ts';
import type { BackendName, CanonicalUser } from './names.ts';
import type { Secret } from './secrets.ts';
import type { WebmailDriver } from './webmail.ts';

/**
 * A server's verdict on a password. `expired`, `contact-admin` and `insecure` are refusals whose text the user may see
 * (RFC 5530: EXPIRED, CONTACTADMIN, PRIVACYREQUIRED); only `wrong` may count towards the penalty. `reason` is the
 * server's own text for this user, set only for servers that send it after the right password alone.
 */
export type PasswordCheck =
  | { readonly kind: 'right' }
  | { readonly kind: 'wrong' }
  | { readonly kind: 'expired' }
  | { readonly kind: 'contact-admin'; readonly reason?: string }
  | { readonly kind: 'insecure' };

/** Code and text of a server's answer, for the log: one bounded line without the password. */
export interface ServerWords {
  /** The response code, such as `UNAVAILABLE`. */
  readonly code?: string;
  readonly text?: string;
}

/** The client for whom a password is checked, and how to report on the check. */
export interface PasswordCheckContext {
  readonly client: Client;
  /** Sent as `x-session-id`, so that the server's log and ours can be joined. */
  readonly reference: string;
  /** Called with the server's answer, unless that was a bare yes. */
  readonly heard?: (said: ServerWords) => void;
  /** Aborted when nobody waits any more. A check that has not begun is then skipped; one that has begun goes on. */
  readonly left?: AbortSignal;
  readonly limits: Pick<BackendLimits, 'imapConnectMs' | 'imapGreetingMs' | 'imapAuthMs'>;
}

/** An IMAP server to ask. */
export type ImapHost = Pick<BackendHost, 'name' | 'imap'>;

/** Checks passwords against a host's mail server. */
export interface Passdb {
  /** Rejects with source `imap` if the server could not be asked, or says "later". */
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
   * Checks a password as `verify` does, on a server that may refer the user to another one (RFC 2221). `to` is the URL
   * as it came, unchecked. `verify` takes a referral for a failure.
   */
  ask(
    credentials: Credentials,
    host: ImapHost,
    context: PasswordCheckContext,
    signal: AbortSignal,
  ): Promise<PasswordCheck | { readonly kind: 'referred'; readonly to: string }>;
}

/**
 * Why the master identity could not open a mailbox. `user-refused`: it may not open this user's. `not-shown`: the
 * server would create a mailbox for any name, and does not show that this one exists. `not-written`: the server takes
 * no message from the master, because of a quota or missing rights.
 */
export type MailboxRefusal = 'master-refused' | 'user-refused' | 'no-authorization-id' | 'not-shown' | 'not-written';

/** Result of opening a mailbox. `text` tells staff and operators what is in the way, and what an operator would do. */
export type MailboxAnswer =
  | { readonly kind: 'done' }
  | { readonly kind: 'refused'; readonly why: MailboxRefusal; readonly text: string };

/** One mailbox, and the master identity that opens it in its owner's name. */
export interface MailboxOf {
  /** A user that the directory has found, never one that only a default answered for. */
  readonly user: CanonicalUser;
  readonly master: MasterIdentity;
  readonly host: BackendHost;
  readonly context: PasswordCheckContext;
}

/** Opens mailboxes by a master identity. Every call rejects with source `imap` if the server could not be asked. */
export interface Mailboxes {
  /** Checks whether the master identity may open this user's mailbox; changes nothing in it. */
  open(mailbox: MailboxOf, signal: AbortSignal): Promise<MailboxAnswer>;
  /** Appends a message (RFC 5322, CRLF) to the INBOX, unread. */
  append(mailbox: MailboxOf, message: string, signal: AbortSignal): Promise<MailboxAnswer>;
}

/** The credentials of a Basic client, which authenticates on every request. */
export interface BasicLoginCredentials {
  /** As sent. */
  readonly user: string;
  /** As sent, never trimmed. */
  readonly password: Secret;
  readonly client: Client;
}

/**
 * The verdict on a Basic client. `admitted`: with the user's home at this moment. `rejected`: an unknown user or a
 * wrong password. `refused`: a known user who may not sign in, with a reason for that user. `unavailable`: a server
 * could not be asked, which is never a no. `busy`: too many clients wait already. Both have a reference that the log
 * has too.
 */
export type BasicAdmission =
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

/** The credentials of one request of a Basic client. */
export interface BasicLoginAttempt extends BasicLoginCredentials {
  readonly requestId: string;
}

/** Authenticates Basic clients. */
export interface BasicAuthentication {
  /** Rejects with the reason of `gone` when the client is gone. */
  admit(attempt: BasicLoginAttempt, gone: AbortSignal): Promise<BasicAdmission>;
  /**
   * Whether the user is still served there, for requests that wait while users are moved and backends closed. True if
   * that cannot be told.
   */
  isStillAt(user: CanonicalUser, backend: BackendName, host: string): Promise<boolean>;
  /** Forgets that these credentials were right, because the user's backend has just refused them. */
  distrust(user: CanonicalUser, backend: BackendName, credentials: Omit<BasicLoginCredentials, 'user'>): void;
}
