import type { Backend, BackendHost } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { CookieJar } from '../core/cookie-jar.ts';
import type { DirectorySource } from '../core/directory.ts';
import { type FailureSource, PosternError } from '../core/error.ts';
import type { Client } from '../core/identity.ts';
import type { LoginNameParser } from '../core/login-name.ts';
import type { BackendName, CanonicalUser } from '../core/names.ts';
import type { Passdb, PasswordCheck } from '../core/passdb.ts';
import type { Closure } from '../core/placement.ts';
import type { Secret } from '../core/secret.ts';
import type { WebmailDriver } from '../core/webmail.ts';
import { withDeadline } from './deadline.ts';
import type { LoginEvent } from './login-event.ts';
import { createLoginTimes, type LoginTimes } from './login-times.ts';
import { isMalformedPassword } from './malformed-password.ts';
import type { Admission, Penalty } from './penalty.ts';
import type { Wait } from './wait.ts';

/** Where a backend's users are signed in now: `host` is the one that takes new sessions. */
export interface Home {
  readonly backend: Backend;
  readonly host: BackendHost;
  readonly driver: WebmailDriver;
}

export interface LoginAttempt {
  /** As it was typed. */
  readonly user: string;
  /** As it was typed, never trimmed. */
  readonly password: Secret;
  readonly client: Client;
  readonly publicOrigin: string;
  readonly timeZone: string | undefined;
  /** Shown to the user and written to the log, so that the two can be joined. */
  readonly reference: string;
  /** When the request arrived: refusals are held from then on. */
  readonly arrivedAtMs: number;
}

/**
 * What came of a login. `rejected` is an unknown user or a wrong password, and nobody outside can tell which;
 * `refused` is a known user who may not sign in, with a reason for that user; `expired`, `contact-admin` and `insecure`
 * are the mail server's own refusals; `busy`: too many logins are waiting; `closed`: the user's
 * backend takes nobody now, or the user is being moved; `unavailable`: somebody could not be asked.
 */
export type LoginOutcome =
  | {
      readonly kind: 'signed-in';
      readonly user: CanonicalUser;
      readonly backend: BackendName;
      /** The host of the backend, by name. */
      readonly host: string;
      readonly jar: CookieJar;
      readonly landing: string;
      readonly browserCookies: readonly string[];
      /** Where somebody goes on who asked for this target of an older webmail session. */
      readonly resumeTarget: (target: string) => string;
    }
  | { readonly kind: 'rejected' }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'expired' }
  | { readonly kind: 'contact-admin' }
  | { readonly kind: 'insecure' }
  | { readonly kind: 'malformed'; readonly field: 'user' | 'password' }
  | { readonly kind: 'busy' }
  | { readonly kind: 'closed'; readonly closure: Closure }
  | { readonly kind: 'unavailable'; readonly source: FailureSource; readonly retryable: boolean };

export interface LoginDeps {
  readonly parseName: LoginNameParser;
  /** Rejects when no session could be kept now: better before a password is tried than after. */
  readonly storeAnswers: () => Promise<void>;
  readonly directory: Pick<DirectorySource, 'lookup'>;
  readonly penalty: Penalty;
  readonly passdb: Passdb;
  /** Where this user is signed in now, or why nowhere; nothing for a backend that is not configured. */
  readonly homeOf: (backend: BackendName, user: CanonicalUser) => Home | { readonly closure: Closure } | undefined;
  /**
   * Carries out what waits for this user's sign-in, once the password was right; answers the backend on which the user
   * lives then, where that is another. Without it nothing ever waits.
   */
  readonly arrived?: (user: CanonicalUser) => Promise<BackendName | undefined>;
  readonly clock: Clock;
  readonly wait: Wait;
  readonly observe: (event: LoginEvent) => void;
  /** Over all but the penalty. */
  readonly deadlineMs: number;
  /** No refusal leaves earlier after the request's arrival, the penalty not counted. */
  readonly refusalAfterMs: number;
}

/** Signs one user in. Rejects with the signal's reason when the client is gone. */
export type Login = (attempt: LoginAttempt, gone: AbortSignal) => Promise<LoginOutcome>;

/** What the event of a login will say, filled in on the way. */
type Trace = Partial<Record<'user' | 'backend' | 'host', string>> & Pick<LoginEvent, 'why'>;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface Course {
  readonly attempt: LoginAttempt;
  readonly times: LoginTimes;
  readonly trace: Mutable<Trace>;
  readonly gone: AbortSignal;
}

/**
 * The use case of signing in: refuse what is malformed, find the home, wait out the penalty, check the password, enter
 * the webmail.
 */
export function createLogin(deps: LoginDeps): Login {
  return async (attempt, gone) => {
    const course: Course = { attempt, gone, times: createLoginTimes(deps.clock, attempt.arrivedAtMs), trace: {} };
    const outcome = await signInOrSayWhy(course);
    if (isRefusal(outcome)) await deps.wait(Math.max(deps.refusalAfterMs - course.times.workedMs(), 0), gone);
    return outcome;
  };

  async function signInOrSayWhy(course: Course): Promise<LoginOutcome> {
    try {
      const outcome = await signIn(course);
      report(course, { result: outcome.kind });
      return outcome;
    } catch (error) {
      if (course.gone.aborted) report(course, { result: 'abandoned' });
      else report(course, { result: error instanceof PosternError ? 'unavailable' : 'failed', error });
      if (course.gone.aborted || !(error instanceof PosternError)) throw error;
      return { kind: 'unavailable', source: error.source, retryable: error.retryable };
    }
  }

  async function signIn(course: Course): Promise<LoginOutcome> {
    const { attempt, times, trace, gone } = course;
    const parsed = deps.parseName(attempt.user);
    if (parsed.kind === 'malformed') return { kind: 'malformed', field: 'user' };
    if (isMalformedPassword(attempt.password)) return { kind: 'malformed', field: 'password' };
    trace.user = parsed.name;
    times.enter('store');
    await deps.storeAnswers();

    times.enter('directory');
    const found = await within(course, 'directory', async (signal) => deps.directory.lookup(parsed.name, signal));
    if (found.kind === 'refused') return found;
    if (found.kind === 'found') Object.assign(trace, { user: found.user, backend: found.backend });

    times.enter('penalty');
    const { password, client } = attempt;
    const admission = await deps.penalty.admit({ user: trace.user, address: client.address, password }, gone);
    if (admission.kind === 'busy') return admission;
    times.enter('imap');
    if (found.kind === 'unknown-user') {
      trace.why = 'unknown-user';
      await admission.settle('wrong');
      return { kind: 'rejected' };
    }

    const home = homeOf(found.backend, found.user);
    if ('closure' in home) {
      await admission.settle('undecided');
      return { kind: 'closed', closure: home.closure };
    }
    trace.host = home.host.name;
    const check = await checkPassword(course, found.user, home, admission);
    if (check.kind === 'wrong') {
      trace.why = 'wrong-password';
      return { kind: 'rejected' };
    }
    if (check.kind !== 'right') return check;

    const settled = await settledHome(course, found.user, home);
    if ('closure' in settled) return { kind: 'closed', closure: settled.closure };
    times.enter('webmail');
    trace.backend = settled.backend.name;
    trace.host = settled.host.name;
    return enterWebmail(course, found.user, settled);
  }

  /** A move that waited for this sign-in comes first; who must wait too long for it gets the page that says so. */
  async function settledHome(course: Course, user: CanonicalUser, home: Home) {
    const moved = await within(course, 'webmail', async () => deps.arrived?.(user)).catch((error: unknown) => {
      if (course.gone.aborted || !(error instanceof PosternError) || error.code !== 'ERR_DEADLINE') throw error;
      return home.backend.name;
    });
    if (moved === undefined) return home;
    return homeOf(moved, user);
  }

  async function checkPassword(
    course: Course,
    user: CanonicalUser,
    home: Home,
    admission: Extract<Admission, { kind: 'admitted' }>,
  ): Promise<PasswordCheck> {
    const { client, password, reference } = course.attempt;
    const context = { client, reference, limits: home.backend.limits };
    try {
      const check = await within(course, 'imap', async (signal) =>
        deps.passdb.verify({ user, password }, home.host, context, signal),
      );
      await admission.settle(check.kind === 'right' || check.kind === 'wrong' ? check.kind : 'undecided');
      return check;
    } catch (error) {
      // Who hangs up while the password is being tried has still tried it.
      if (!course.gone.aborted) await admission.settle('undecided');
      throw error;
    }
  }

  async function enterWebmail(course: Course, user: CanonicalUser, home: Home): Promise<LoginOutcome> {
    const { client, password, publicOrigin, timeZone } = course.attempt;
    const entered = await within(course, 'webmail', async (signal) =>
      home.driver.signIn(home.host, { user, password, client, timeZone, publicOrigin }, signal),
    );
    if (entered.kind === 'rejected') throw webmailDisagrees(home.host);
    const resumeTarget = (target: string) => home.driver.resumeTarget?.(target) ?? target;
    return { ...entered, user, backend: home.backend.name, host: home.host.name, resumeTarget };
  }

  function homeOf(backend: BackendName, user: CanonicalUser): Home | { readonly closure: Closure } {
    const home = deps.homeOf(backend, user);
    if (home === undefined) throw notConfigured(backend);
    return home;
  }

  async function within<T>(course: Course, source: FailureSource, work: (signal: AbortSignal) => Promise<T>) {
    return withDeadline(source, deps.deadlineMs - course.times.workedMs(), course.gone, work);
  }

  function report({ attempt, times, trace }: Course, end: Pick<LoginEvent, 'result' | 'error'>): void {
    const { reference, client } = attempt;
    deps.observe({ ...end, ...trace, phase: times.phase, reference, client: client.address, ms: times.phasesMs() });
  }
}

/** Answers to these are held until one moment, so that nobody can read from the clock who said no. */
function isRefusal(outcome: LoginOutcome): boolean {
  return ['rejected', 'refused', 'expired', 'contact-admin', 'insecure'].includes(outcome.kind);
}

/** The directory names a backend that nobody configured: a fault between the two, and no answer. */
export function notConfigured(backend: BackendName): PosternError {
  const message = `the directory names the backend ${JSON.stringify(backend)}, which is not configured`;
  return new PosternError('ERR_DIRECTORY_ANSWER', message, { source: 'directory', retryable: false });
}

/** The mail server has just taken this password: that the webmail does not is a fault between the two. */
function webmailDisagrees(host: BackendHost): PosternError {
  const message = `the webmail of ${host.name} refused a password that the mail server took`;
  return new PosternError('ERR_WEBMAIL_ANSWER', message, { source: 'webmail', retryable: false });
}
