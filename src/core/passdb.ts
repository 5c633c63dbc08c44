import type { BackendHost, BackendLimits } from './backend.ts';
import type { Client, Credentials } from './identity.ts';

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

/** What a server said with its answer, as a log may show it: bounded, in one line, and without the password. */
export interface ServerWords {
  /** The response code, such as `UNAVAILABLE`. */
  readonly code?: string;
  readonly text?: string;
}

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

export interface Passdb {
  /** Rejects with source `imap` when the server could not be asked, also when it says "later". */
  verify(
    credentials: Credentials,
    host: ImapHost,
    context: PasswordCheckContext,
    signal: AbortSignal,
  ): Promise<PasswordCheck>;
}

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
