import type { Backend, BackendHost } from '../core/backend.ts';
import { type DirectorySource, type HomeLookup, type UserHome, UserIsToWait } from '../core/directory.ts';
import { type ErrorCode, type FailureSource, PosternError } from '../core/error.ts';
import type { BackendName, CanonicalUser, LoginName, LoginNameParser } from '../core/names.ts';
import type { Passdb, PasswordCheck, Referrals } from '../core/passdb.ts';
import type { Closure } from '../core/placement.ts';
import type { WebmailDriver } from '../core/webmail.ts';
import type { Course } from './course.ts';
import { isMalformedPassword } from './malformed-password.ts';
import { createPasswordTrial, type PasswordTrial } from './password-trial.ts';
import type { Admission, Penalty } from './penalty.ts';

/** Where a backend's users are signed in now: `host` is the one that takes new sessions. */
export interface Home {
  readonly backend: Backend;
  readonly host: BackendHost;
  readonly driver: WebmailDriver;
}

/** Where nobody is signed in now. `home` can judge passwords all the same; undefined while nobody there can be asked. */
export interface ClosedHome {
  readonly closure: Closure;
  readonly home?: Home;
}

/**
 * Why somebody is not who was claimed, or may not come in. `rejected` is an unknown user or a wrong password, and nobody
 * outside can tell which; `refused` is a known user who may not sign in, with a reason for that user; `expired`,
 * `contact-admin` and `insecure` are the mail server's own refusals; `busy`: too many logins are waiting; `closed`: the
 * user's backend takes nobody now, or the user is being moved; `unavailable`: somebody could not be asked. What is told
 * of a known user alone (`refused`, `closed`) is told after the right password.
 */
export type AuthenticationRefusal =
  | { readonly kind: 'rejected' }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'expired' }
  | { readonly kind: 'contact-admin'; readonly reason?: string }
  | { readonly kind: 'insecure' }
  | { readonly kind: 'malformed'; readonly field: 'user' | 'password' }
  | { readonly kind: 'busy' }
  | { readonly kind: 'closed'; readonly closure: Closure }
  | {
      readonly kind: 'unavailable';
      readonly code: ErrorCode;
      readonly source: FailureSource;
      readonly retryable: boolean;
    };

export interface AuthenticationDeps {
  readonly parseName: LoginNameParser;
  /** Rejects when no session could be kept now: better before a password is tried than after. */
  readonly storeAnswers: () => Promise<void>;
  readonly directory: Pick<DirectorySource, 'lookup'>;
  readonly penalty: Penalty;
  readonly passdb: Passdb & Referrals;
  readonly homeOf: HomeOf;
}

/**
 * Where this user is signed in now, or why nowhere; nothing for a backend that is not configured. `stays`: the user has
 * sessions there already.
 */
type HomeOf = (backend: BackendName, user: CanonicalUser, stays?: boolean) => Home | ClosedHome | undefined;

type Admitted = Extract<Admission, { kind: 'admitted' }>;

type Authenticated = { readonly kind: 'authenticated'; readonly user: CanonicalUser; readonly home: Home };

/**
 * Whom a name means to a sign-in. `nobody`: no server can judge the password; outside, an unknown name and a refused user
 * whose home no source says are one. `barred`: whoever has the password is told so.
 */
export type Sought =
  | Extract<HomeLookup, { kind: 'found' | 'referred' }>
  | { readonly kind: 'nobody'; readonly why: 'unknown-user' | 'refused' }
  | ({ readonly kind: 'barred'; readonly because: { readonly reason: string } | UserIsToWait } & UserHome);

/** The first half of every sign-in: refuse what is malformed, find the home, wait out the penalty, check the password. */
export type Authenticate = (course: Course) => Promise<Authenticated | AuthenticationRefusal>;

export function createAuthenticate(deps: AuthenticationDeps): Authenticate {
  return async (course) => {
    const { attempt, times, trace, gone } = course;
    const parsed = deps.parseName(attempt.user);
    if (parsed.kind === 'malformed') return { kind: 'malformed', field: 'user' };
    if (isMalformedPassword(attempt.password)) return { kind: 'malformed', field: 'password' };
    trace.user = parsed.name;
    times.enter('store');
    await deps.storeAnswers();

    times.enter('directory');
    const found = await course.within('directory', (signal) => seek(deps.directory, parsed.name, signal));
    if (found.kind === 'nobody') trace.why = found.why;
    else trace.user = found.user;
    if ('backend' in found) trace.backend = found.backend;

    times.enter('penalty');
    const { password, client } = attempt;
    const admission = await deps.penalty.admit({ user: trace.user, address: client.address, password }, gone);
    if (admission.kind === 'busy') return admission;
    times.enter('imap');
    try {
      return await judged(course, found, admission);
    } finally {
      // What became of it was said before, unless somebody could not be asked.
      await admission.settle(gone.aborted ? 'abandoned' : 'undecided');
    }
  };

  async function judged(
    course: Course,
    found: Sought,
    admission: Admitted,
  ): Promise<Authenticated | AuthenticationRefusal> {
    const { trace } = course;
    if (found.kind === 'nobody') {
      await admission.settle('wrong');
      return { kind: 'rejected' };
    }
    const trial = createPasswordTrial(deps.passdb, course, admission);
    if (found.kind === 'barred') {
      const { user, backend, because } = found;
      const home = configured(backend, deps.homeOf(backend, user));
      const check = await judgedAt(course, { user, home, trial, admission });
      if (check.kind !== 'right') return refusal(course, check);
      if (because instanceof UserIsToWait) throw because;
      return { kind: 'refused', reason: because.reason };
    }
    const lived = await trial.whereIs(found);
    if (lived.kind !== 'found') return refusal(course, lived);
    trace.backend = lived.backend;
    const stays = found.kind === 'found' && found.stays === true;
    const home = configured(lived.backend, deps.homeOf(lived.backend, lived.user, stays));
    const check = await judgedAt(course, { user: found.user, home, trial, admission });
    if (check.kind !== 'right') return refusal(course, check);
    if ('closure' in home) return { kind: 'closed', closure: home.closure };
    if (found.kind === 'referred') found.server.learn(lived.backend);
    return { kind: 'authenticated', user: found.user, home };
  }
}

/** Asks the directory whom a name means. Rejects when it cannot say, or says "later" of a user without a home. */
export async function seek(
  directory: Pick<DirectorySource, 'lookup'>,
  name: LoginName,
  signal: AbortSignal,
): Promise<Sought> {
  try {
    const found = await directory.lookup(name, signal);
    if (found.kind === 'found' || found.kind === 'referred') return found;
    if (found.kind === 'unknown-user' || found.at === undefined) return { kind: 'nobody', why: found.kind };
    return { kind: 'barred', because: found, ...found.at };
  } catch (error) {
    if (error instanceof UserIsToWait && error.at !== undefined) return { kind: 'barred', because: error, ...error.at };
    throw error;
  }
}

interface Judging {
  readonly user: CanonicalUser;
  readonly home: Home | ClosedHome;
  readonly trial: PasswordTrial;
  readonly admission: Admitted;
}

/** What the user's home says of the password. Rejects where nobody there can be asked: the attempt counts all the same. */
async function judgedAt({ trace }: Course, { user, home, trial, admission }: Judging): Promise<PasswordCheck> {
  const judge = judgeOf(home);
  if ('closure' in judge) {
    await admission.settle('wrong');
    throw cannotBeChecked(judge.closure);
  }
  trace.host = judge.host.name;
  return trial.check(user, judge);
}

/** The home that may judge passwords, or why nobody can be asked. */
export function judgeOf(home: Home | ClosedHome): Home | { readonly closure: Closure } {
  return 'closure' in home ? (home.home ?? home) : home;
}

/** Of whose password nobody can say anything now. Whoever is unknown gets the same answer as long as that is so. */
export function cannotBeChecked({ backend, kind }: Closure): PosternError {
  const message = `no mail server of the backend ${backend} can be asked about passwords: it is closed (${kind})`;
  return new PosternError('ERR_IMAP_UNAVAILABLE', message, { source: 'imap', retryable: true });
}

function refusal({ trace }: Course, check: Exclude<PasswordCheck, { kind: 'right' }>): AuthenticationRefusal {
  if (check.kind !== 'wrong') return check;
  trace.why = 'wrong-password';
  return { kind: 'rejected' };
}

/** Throws ERR_DIRECTORY_ANSWER for a backend that nobody configured. */
export function configured<T>(backend: BackendName, home: T | undefined): T {
  if (home === undefined) throw notConfigured(backend);
  return home;
}

/** The directory names a backend that nobody configured: a fault between the two, and no answer. */
function notConfigured(backend: BackendName): PosternError {
  const message = `the directory names the backend ${JSON.stringify(backend)}, which is not configured`;
  return new PosternError('ERR_DIRECTORY_ANSWER', message, { source: 'directory', retryable: false });
}
