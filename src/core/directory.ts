import type { BackendLimits, ImapEndpoint } from './backend.ts';
import { PosternError } from './error.ts';
import type { BackendName, CanonicalUser, LoginName } from './names.ts';

/**
 * A source's answer about a user.
 *
 * `refused`: a known user who may not sign in. `reason` may be shown to that user once the password was right; `at` is
 * the home where the password can be checked, undefined if no source names it; `lock` is set if a lock refuses the user. `referred`: only an IMAP server knows
 * the home, and says so only at a sign-in; whether the user exists is not known yet. `role` is the directory's name for
 * the role of a member of staff; the configuration says what it grants. `stays`: the user lives there because of open
 * sessions, and stays even where no new users are taken. A source that could not be asked rejects with a {@link
 * PosternError} of source `directory`: that is never an answer.
 */
export type HomeLookup =
  | {
      readonly kind: 'found';
      readonly backend: BackendName;
      readonly user: CanonicalUser;
      readonly role?: string;
      readonly stays?: true;
    }
  | ReferredUser
  | { readonly kind: 'refused'; readonly reason: string; readonly at?: UserHome; readonly lock?: LockNotice }
  | { readonly kind: 'unknown-user' };

/** What those read whom a lock refuses. It tells them nothing of the operator's reason. */
export interface LockNotice {
  /** The operator's own words, by language tag; perhaps none. */
  readonly texts: Readonly<Record<string, string>>;
  /** When the lock lifts itself; undefined if nobody has said. */
  readonly untilMs?: number;
}

/** A refusal by a lock. `reason`: its words where nobody's language is known. */
export interface LockRefusal {
  readonly kind: 'refused';
  readonly reason: string;
  readonly lock: LockNotice;
}

/** A user, and the backend where that user lives. */
export interface UserHome {
  readonly user: CanonicalUser;
  readonly backend: BackendName;
}

/**
 * A source says that the user must try again later. If `at` is known, only somebody with the right password is told.
 */
export class TryAgainLater extends PosternError {
  /** Name of the source in logs. */
  readonly by: string;
  readonly at: UserHome | undefined;

  constructor(by: string, at?: UserHome) {
    const message = `${by} says "try again later"`;
    super('ERR_DIRECTORY_UNAVAILABLE', message, { source: 'directory', retryable: true });
    this.by = by;
    this.at = at;
  }
}

/** A user whose home only a referral server knows, which needs the password. */
export interface ReferredUser {
  readonly kind: 'referred';
  readonly user: CanonicalUser;
  readonly server: Referrer;
  /** Set if a lock refuses the user, once the password was right. */
  readonly refusal?: LockRefusal;
}

/** An IMAP server that refers users to their homes (RFC 2221). `name` is its name in logs. */
export interface ReferralServer {
  readonly name: string;
  readonly imap: ImapEndpoint;
  readonly limits: Pick<BackendLimits, 'imapConnectMs' | 'imapGreetingMs' | 'imapAuthMs'>;
}

/** A referral server, asked for one user. */
export interface Referrer extends ReferralServer {
  /**
   * Returns the home for its answer: `referral` is the URL, or undefined if the server took the password itself. Throws
   * a {@link PosternError} of source `directory` if the URL names no configured backend, or another user.
   */
  homeOf(referral: string | undefined): BackendName;
  /** Remembers the home; called once the password was right there. */
  learn(backend: BackendName): void;
}

/** The maps that Postfix may ask for: where mail is delivered, whose mail is taken, and which user an address means. */
export const deliveryMaps = ['homes', 'users', 'aliases'] as const;

/** A map that Postfix may ask for. */
export type DeliveryMap = (typeof deliveryMaps)[number];

/** Answers on which backend a user lives. */
export interface DirectorySource extends AsyncDisposable {
  /** Rejects if it could not ask, and when `signal` is aborted. */
  lookup(name: LoginName, signal: AbortSignal): Promise<HomeLookup>;
}
