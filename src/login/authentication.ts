import type { Backend, BackendHost } from '../core/backend.ts';
import {
  type DirectorySource,
  type HomeLookup,
  type LockRefusal,
  type ReferredUser,
  type UserHome,
  TryAgainLater,
} from '../core/directory.ts';
import { PosternError } from '../core/error.ts';
import type { BackendName, CanonicalUser, LoginName, LoginNameParser } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import type { Passdb, PasswordCheck, PasswordCheckContext, Referrals, ServerWords } from '../core/passdb.ts';
import type { Closure } from '../core/placement.ts';
import type { Secret } from '../core/secrets.ts';
import type { WebmailDriver } from '../core/webmail.ts';
import type { AuthenticationRefusal, LoginAttempt } from './attempt.ts';
import type { Admission, Penalty } from './penalty.ts';

/** The home for a login: backend, driver, and the host that takes new sessions. */
export interface Home {
  readonly backend: Backend;
  readonly host: BackendHost;
  readonly driver: WebmailDriver;
}

/** A backend that accepts no logins now. `home` can still check passwords; undefined if no host there can be asked. */
export interface ClosedHome {
  readonly closure: Closure;
  readonly home?: Home;
}

/** The refusal of all who come from an address; undefined if its network is not locked. */
type NetworkLock = (address: string) => LockRefusal | undefined;

/** Dependencies of createAuthenticate. */
export interface AuthenticationDeps {
  readonly parseName: LoginNameParser;
  /** Rejects when the session store does not answer: then no password is tried. */
  readonly storeAnswers: () => Promise<void>;
  readonly directory: Pick<DirectorySource, 'lookup'>;
  /** The lock of the network of an address. Nobody is asked about a user from there. */
  readonly networkLock?: NetworkLock;
  readonly penalty: Penalty;
  readonly passdb: Passdb & Referrals;
  readonly homeOf: HomeOf;
}

/**
 * The home where this user can sign in now, or why there is none; undefined for a backend that is not configured.
 * `stays`: the user has sessions there already.
 */
type HomeOf = (backend: BackendName, user: CanonicalUser, stays?: boolean) => Home | ClosedHome | undefined;

type Admitted = Extract<Admission, { kind: 'admitted' }>;

type Authenticated = { readonly kind: 'authenticated'; readonly user: CanonicalUser; readonly home: Home };

/**
 * The user that a login name stands for. `nobody`: no server can check the password. Clients cannot tell an unknown
 * name from a refused user whose home no source names. `barred`: the reason is told after the right password.
 */
export type FoundUser =
  | Extract<HomeLookup, { kind: 'found' | 'referred' }>
  | { readonly kind: 'nobody'; readonly why: 'unknown-user' | 'refused' }
  | ({ readonly kind: 'barred'; readonly because: Barring | TryAgainLater } & UserHome);

/** Why a user may not sign in, for that user. */
type Barring = Pick<Extract<HomeLookup, { kind: 'refused' }>, 'reason' | 'lock'>;

/** The first half of every login: refuse malformed input, find the home, wait out the penalty, check the password. */
type Authenticate = (login: LoginAttempt) => Promise<Authenticated | AuthenticationRefusal>;

/** Creates the first half of a login. */
export function createAuthenticate(deps: AuthenticationDeps): Authenticate {
  return async (login) => {
    const { attempt, times, trace, gone } = login;
    const parsed = deps.parseName(attempt.user);
    if (parsed.kind === 'malformed') return { kind: 'malformed', field: 'user' };
    if (isMalformedPassword(attempt.password)) return { kind: 'malformed', field: 'password' };
    trace.user = parsed.name;
    const barred = deps.networkLock?.(attempt.client.address);
    if (barred !== undefined) {
      trace.why = 'locked';
      return barred;
    }
    times.enter('store');
    await deps.storeAnswers();

    times.enter('directory');
    const found = await login.within('directory', (signal) => findUser(deps.directory, parsed.name, signal));
    if (found.kind === 'nobody') trace.why = found.why;
    else trace.user = found.user;
    if ('backend' in found) trace.backend = found.backend;

    times.enter('penalty');
    const { password, client, reference } = attempt;
    const { address, userAgent } = client;
    const admission = await deps.penalty.admit({ user: trace.user, address, password, reference, userAgent }, gone);
    if (admission.kind === 'busy') return admission;
    if (admission.kind === 'refused') {
      if (admission.said !== undefined) trace.said = admission.said;
      return { kind: 'rejected', by: 'policy' };
    }
    times.enter('imap');
    try {
      return await decide(login, found, admission);
    } finally {
      // Settled already, unless a server could not be asked.
      await admission.settle(gone.aborted ? 'abandoned' : 'undecided');
    }
  };

  async function decide(
    login: LoginAttempt,
    found: FoundUser,
    admission: Admitted,
  ): Promise<Authenticated | AuthenticationRefusal> {
    const { trace } = login;
    if (found.kind === 'nobody') {
      await admission.settle('wrong');
      return { kind: 'rejected' };
    }
    const trial = createPasswordTrial(deps.passdb, login, admission);
    if (found.kind === 'barred') {
      const { user, backend, because } = found;
      const home = requireConfigured(backend, deps.homeOf(backend, user));
      const check = await checkAtHome(login, { user, home, trial, admission });
      if (check.kind !== 'right') return refusalFor(login, check);
      if (because instanceof TryAgainLater) throw because;
      if (because.lock !== undefined) trace.why = 'locked';
      return { kind: 'refused', reason: because.reason, ...defined({ lock: because.lock }) };
    }
    const located = await trial.whereIs(found);
    if (located.kind !== 'found') return refusalFor(login, located);
    trace.backend = located.backend;
    const stays = found.kind === 'found' && found.stays === true;
    const home = requireConfigured(located.backend, deps.homeOf(located.backend, located.user, stays));
    const check = await checkAtHome(login, { user: found.user, home, trial, admission });
    if (check.kind !== 'right') return refusalFor(login, check);
    if (found.kind === 'referred' && found.refusal !== undefined) {
      trace.why = 'locked';
      return found.refusal;
    }
    if ('closure' in home) return { kind: 'closed', closure: home.closure };
    if (found.kind === 'referred') found.server.learn(located.backend);
    return { kind: 'authenticated', user: found.user, home };
  }
}

/**
 * Asks the directory which user a name stands for. Rejects when it cannot say, or says "later" of a user without a
 * home.
 */
export async function findUser(
  directory: Pick<DirectorySource, 'lookup'>,
  name: LoginName,
  signal: AbortSignal,
): Promise<FoundUser> {
  try {
    const found = await directory.lookup(name, signal);
    if (found.kind === 'found' || found.kind === 'referred') return found;
    if (found.kind === 'unknown-user' || found.at === undefined) return { kind: 'nobody', why: found.kind };
    return { kind: 'barred', because: found, ...found.at };
  } catch (error) {
    if (error instanceof TryAgainLater && error.at !== undefined)
      return { kind: 'barred', because: error, ...error.at };
    throw error;
  }
}

interface CheckAtHome {
  readonly user: CanonicalUser;
  readonly home: Home | ClosedHome;
  readonly trial: PasswordTrial;
  readonly admission: Admitted;
}

/** Checks the password on the user's home. Rejects if no host there can be asked; the attempt counts all the same. */
async function checkAtHome(
  { trace }: LoginAttempt,
  { user, home, trial, admission }: CheckAtHome,
): Promise<PasswordCheck> {
  const checking = checkingHome(home);
  if ('closure' in checking) {
    await admission.settle('wrong');
    throw cannotBeChecked(checking.closure);
  }
  trace.host = checking.host.name;
  return trial.check(user, checking);
}

/** The home that checks passwords, or why no host can be asked. */
export function checkingHome(home: Home | ClosedHome): Home | { readonly closure: Closure } {
  return 'closure' in home ? (home.home ?? home) : home;
}

/** The answer for a user whose mail server cannot be asked. Unknown users get the same answer meanwhile. */
export function cannotBeChecked({ backend, kind }: Closure): PosternError {
  const message = `no mail server of the backend ${backend} can be asked about passwords: it is closed (${kind})`;
  return new PosternError('ERR_IMAP_UNAVAILABLE', message, { source: 'imap', retryable: true });
}

function refusalFor({ trace }: LoginAttempt, check: Exclude<PasswordCheck, { kind: 'right' }>): AuthenticationRefusal {
  if (check.kind !== 'wrong') return check;
  trace.why = 'wrong-password';
  return { kind: 'rejected' };
}

/** Throws ERR_DIRECTORY_ANSWER for a backend that nobody configured. */
export function requireConfigured<T>(backend: BackendName, home: T | undefined): T {
  if (home === undefined) throw notConfigured(backend);
  return home;
}

/** The directory names a backend that is not configured: an error of the configuration, not an answer. */
function notConfigured(backend: BackendName): PosternError {
  const message = `the directory names the backend ${JSON.stringify(backend)}, which is not configured`;
  return new PosternError('ERR_DIRECTORY_ANSWER', message, { source: 'directory', retryable: false });
}

/** Tries one password on the servers that can check it, and reports each verdict to the penalty. */
interface PasswordTrial {
  /** The known home, or the one that a referring server names for this password. The password is then tried there. */
  whereIs(found: Extract<HomeLookup, { kind: 'found' | 'referred' }>): Promise<ReferredHome>;
  check(user: CanonicalUser, home: Home): Promise<PasswordCheck>;
}

function createPasswordTrial(
  passdb: Passdb & Referrals,
  login: LoginAttempt,
  admission: Extract<Admission, { kind: 'admitted' }>,
): PasswordTrial {
  const { client, password, reference } = login.attempt;
  const heard = (said: ServerWords): void => {
    login.trace.said = said;
  };

  async function settled<T extends PasswordCheck | ReferredHome>(ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const check = await login.within('imap', ask);
    if (check.kind === 'right' || check.kind === 'wrong') await admission.settle(check.kind);
    else if (check.kind !== 'found') await admission.settle('undecided');
    return check;
  }

  return {
    async whereIs(found) {
      if (found.kind === 'found') return found;
      const context = { client, reference, heard };
      return settled((signal) => findReferredHome(passdb, found, password, context, signal));
    },
    check(user, { backend, host }) {
      const context = { client, reference, heard, limits: backend.limits };
      return settled((signal) => passdb.verify({ user, password }, host, context, signal));
    },
  };
}

/** The home, or why the referring server refused the password. */
type ReferredHome =
  | { readonly kind: 'found'; readonly user: CanonicalUser; readonly backend: BackendName }
  | Exclude<PasswordCheck, { kind: 'right' }>;

/**
 * Asks the server that refers users to their homes, with the user's own password. The caller then tries the password
 * there; that server must not refer again. Rejects with source `imap` when the server could not be asked, with source
 * `directory` when it names no configured backend, or another user.
 */
export async function findReferredHome(
  referrals: Referrals,
  { user, server }: ReferredUser,
  password: Secret,
  context: Omit<PasswordCheckContext, 'limits'>,
  signal: AbortSignal,
): Promise<ReferredHome> {
  const check = await referrals.ask({ user, password }, server, { ...context, limits: server.limits }, signal);
  switch (check.kind) {
    case 'right':
      return { kind: 'found', user, backend: server.homeOf(undefined) };
    case 'referred':
      return { kind: 'found', user, backend: server.homeOf(check.to) };
    default:
      return check;
  }
}

const maxPasswordBytes = 1024;

/**
 * Whether a password cannot be one: empty, over 1024 bytes, with NUL, CR or LF, or not UTF-8.
 *
 * Any other character is taken as it is. Broken UTF-8 from a browser shows as U+FFFD.
 */
export function isMalformedPassword(password: Secret): boolean {
  const text = password.reveal();
  return (
    text === '' || Buffer.byteLength(text) > maxPasswordBytes || /[\0\r\n\ufffd]/.test(text) || !text.isWellFormed()
  );
}
