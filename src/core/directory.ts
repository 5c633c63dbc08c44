import type { BackendLimits, ImapEndpoint } from './backend.ts';
import { PosternError } from './error.ts';
import type { BackendName, CanonicalUser, LoginName } from './names.ts';

/**
 * A source's answer about a user. `refused` is a known user who may not sign in; `reason` may be shown to that user,
 * who is known by the right password: `at` is where that can be checked, as far as a source says where the user lives.
 * `referred`: only an IMAP server can say, and only to who signs in there; nobody knows yet whether there is such a
 * user. `role` is what the directory calls this member of the staff; whether it grants anything is the configuration's
 * to say. `stays`: the user lives there because of sessions there, and belongs to them also where nobody new is taken.
 * A source that could not be asked rejects with a {@link PosternError} of source `directory`: that is never an answer.
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
  | { readonly kind: 'refused'; readonly reason: string; readonly at?: UserHome }
  | { readonly kind: 'unknown-user' };

/** A user, and the backend where that user lives. */
export interface UserHome {
  readonly user: CanonicalUser;
  readonly backend: BackendName;
}

/**
 * A source says that the user is to try again later; whoever has no password is told nothing of it, where `at` is
 * known.
 */
export class UserIsToWait extends PosternError {
  /** The source that says so, as logs call it. */
  readonly by: string;
  readonly at: UserHome | undefined;

  constructor(by: string, at?: UserHome) {
    const message = `${by} says that the user is to try again later`;
    super('ERR_DIRECTORY_UNAVAILABLE', message, { source: 'directory', retryable: true });
    this.by = by;
    this.at = at;
  }
}

/** A user who must be asked for with the password. */
export interface ReferredUser {
  readonly kind: 'referred';
  readonly user: CanonicalUser;
  readonly server: Referrer;
}

/** An IMAP server that refers users to their homes (RFC 2221). `name` is how logs call it. */
export interface ReferralServer {
  readonly name: string;
  readonly imap: ImapEndpoint;
  readonly limits: Pick<BackendLimits, 'imapConnectMs' | 'imapGreetingMs' | 'imapAuthMs'>;
}

/** Such a server, asked for one user. */
export interface Referrer extends ReferralServer {
  /**
   * The home that its answer means: the URL of a referral, or undefined if it took the password itself. Throws a
   * {@link PosternError} of source `directory` where that is no configured backend, or the URL is of another user.
   */
  homeOf(referral: string | undefined): BackendName;
  /** Remembers the home, once the password was right there. */
  learn(backend: BackendName): void;
}

/** Answers on which backend a user lives. */
export interface DirectorySource extends AsyncDisposable {
  /** Rejects when it could not ask, and when `signal` is aborted. */
  lookup(name: LoginName, signal: AbortSignal): Promise<HomeLookup>;
}
