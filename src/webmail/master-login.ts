import type { BackendHost, MasterIdentity } from '../core/backend.ts';
import { PosternError } from '../core/error.ts';
import type { SignInIdentity } from '../core/identity.ts';
import type { Secret } from '../core/secret.ts';
import type { MasterEntry, WebmailSignIn } from '../core/webmail.ts';
import { strangeAnswer } from './browser.ts';

/** A name and a password, as a form or HTTP Basic takes them. */
export interface MasterLogin {
  readonly user: string;
  readonly password: Secret;
}

/**
 * How a webmail that takes a name and a password is entered where there is no password of the user: by nothing, or as
 * `user*master` with the master's password, where the operator declared it (`master_login: true`). Most webmails keep
 * settings by that name, so it is another account of theirs.
 */
export interface MasterLogins {
  readonly masterEntry: MasterEntry;
  /** The user's own password where there is one, else the master's; undefined if neither may be sent. */
  of(as: Pick<SignInIdentity, 'user' | 'password'>): MasterLogin | undefined;
}

/**
 * `otherwise` says why not, and what an operator would do, where `master_login` is not declared. `isOwnAccount`: the
 * operator had the webmail know `user*master` as the user.
 */
export function createMasterLogins(
  declared: boolean,
  master: MasterIdentity | undefined,
  otherwise: string,
  isOwnAccount = false,
): MasterLogins {
  const entry = entryOf(declared, master, otherwise);
  return {
    masterEntry: isOwnAccount && entry.kind === 'other-account' ? { kind: 'own-account' } : entry,
    of({ user, password }) {
      if (password !== undefined) return { user, password };
      if (!declared || master === undefined) return undefined;
      return { user: `${user}${master.separator}${master.user}`, password: master.password };
    },
  };
}

function entryOf(declared: boolean, master: MasterIdentity | undefined, otherwise: string): MasterEntry {
  if (!declared) return { kind: 'impossible', why: otherwise };
  if (master === undefined) {
    return { kind: 'impossible', why: 'master_login is set, but the backend has no master: set its user and password' };
  }
  const why = `the webmail takes USER${master.separator}${master.user} for a user of its own: settings, address book and sender are not the user’s`;
  return { kind: 'other-account', why };
}

/** The error thrown instead of sending an empty password. */
export function noMasterEntry(host: BackendHost, entry: MasterEntry): PosternError {
  const why = entry.kind === 'own-account' ? 'it needs the password' : entry.why;
  const message = `webmail of ${host.name} cannot be entered without the user's password: ${why}`;
  return new PosternError('ERR_NO_MASTER_ENTRY', message, { source: 'webmail', retryable: false });
}

/** A sign-in that was refused: of the user's own password, or of the master identity, which is no word on the user. */
export function refusedLogin(host: BackendHost, as: Pick<SignInIdentity, 'password'>): WebmailSignIn {
  if (as.password !== undefined) return { kind: 'rejected' };
  throw strangeAnswer(host, 'the master identity was refused: check master, and the separator of the IMAP server');
}
