import type { Clock } from '../core/clock.ts';
import type { CookieJar } from '../core/cookie-jar.ts';
import { withDeadline } from '../core/deadline.ts';
import { type ErrorCode, type FailureSource, PosternError } from '../core/error.ts';
import type { Client } from '../core/identity.ts';
import type { Log } from '../core/log.ts';
import type { BackendName, CanonicalUser } from '../core/names.ts';
import type { ServerWords } from '../core/passdb.ts';
import type { Closure } from '../core/placement.ts';
import type { Secret } from '../core/secret.ts';
import type { Wait } from './limits.ts';

/**
 * Why somebody is not who was claimed, or may not come in. `rejected` is an unknown user or a wrong password, and
 * nobody outside can tell which; `refused` is a known user who may not sign in, with a reason for that user; `expired`,
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

/** The part that every login has: name, password and client. */
export interface PasswordAttempt {
  /** As it was typed. */
  readonly user: string;
  /** As it was typed, never trimmed. */
  readonly password: Secret;
  readonly client: Client;
  /** Shown to the user and written to the log, so that the two can be joined. */
  readonly reference: string;
  /** When the request arrived: refusals are held from then on. */
  readonly arrivedAtMs: number;
}

/** Facts for the login's event, filled in on the way. */
type LoginTrace = Partial<Record<'user' | 'backend' | 'host', string>> & Pick<LoginEvent, 'why' | 'said'>;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** One login on its way. */
export interface LoginAttempt {
  readonly attempt: PasswordAttempt;
  readonly times: LoginTimes;
  readonly trace: Mutable<LoginTrace>;
  readonly gone: AbortSignal;
  /** Does a part of it within what is left of its time. Rejects with ERR_DEADLINE, or when the client is gone. */
  within<T>(source: FailureSource, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

/** Dependencies of createLoginAttempts. */
export interface LoginAttemptsDeps {
  readonly clock: Clock;
  readonly wait: Wait;
  readonly observe: (event: LoginEvent) => void;
  /** Over all but the penalty. */
  readonly deadlineMs: number;
  /** No refusal leaves earlier after the request's arrival, the penalty not counted. */
  readonly refusalAfterMs: number;
  /** Whether the users of some backend cannot be told now whether their password is right. */
  readonly isSomeHomeSilent: () => boolean;
}

/** A server could not be asked. */
type Unavailable = {
  readonly kind: 'unavailable';
  readonly code: ErrorCode;
  readonly source: FailureSource;
  readonly retryable: boolean;
};

/** Too many wait for the same server. */
type Busy = { readonly kind: 'busy' };

/** As of a user whose mail server cannot be asked. */
const unchecked = { kind: 'unavailable', code: 'ERR_IMAP_UNAVAILABLE', source: 'imap', retryable: true } as const;

/**
 * Runs logins: each has one event, whatever its result; refusals leave at one moment; what could not be asked is
 * an outcome. As long as the mail server of some users is silent, "no" is told to nobody: it would say who is not one
 * of them. Rejects with the signal's reason when the client is gone, and with what is a fault of the gateway.
 */
export function createLoginAttempts(deps: LoginAttemptsDeps) {
  const { clock } = deps;

  function report({ attempt, times, trace }: LoginAttempt, end: Pick<LoginEvent, 'result' | 'error'>): void {
    const { reference, client } = attempt;
    deps.observe({ ...end, ...trace, phase: times.phase, reference, client: client.address, ms: times.phasesMs() });
  }

  async function outcomeOf<T extends { readonly kind: LoginEvent['result'] }>(
    login: LoginAttempt,
    work: (login: LoginAttempt) => Promise<T>,
  ): Promise<T | Unavailable | Busy> {
    try {
      const outcome = await work(login);
      report(login, { result: outcome.kind });
      return outcome;
    } catch (error) {
      if (login.gone.aborted) report(login, { result: 'abandoned' });
      else report(login, { result: resultOf(error), error });
      if (login.gone.aborted || !(error instanceof PosternError)) throw error;
      if (error.code === 'ERR_BUSY') return { kind: 'busy' };
      return { kind: 'unavailable', code: error.code, source: error.source, retryable: error.retryable };
    }
  }

  return async function run<T extends { readonly kind: LoginEvent['result'] }>(
    attempt: PasswordAttempt,
    gone: AbortSignal,
    work: (login: LoginAttempt) => Promise<T>,
  ): Promise<T | Unavailable | Busy> {
    const times = createLoginTimes(clock, attempt.arrivedAtMs);
    const login: LoginAttempt = {
      attempt,
      times,
      trace: {},
      gone,
      within: (source, part) => withDeadline({ source, ms: deps.deadlineMs - times.workedMs() }, gone, part),
    };
    const said = await outcomeOf(login, work);
    const outcome = said.kind === 'rejected' && deps.isSomeHomeSilent() ? unchecked : said;
    if (isHeld(outcome)) await deps.wait(Math.max(deps.refusalAfterMs - times.workedMs(), 0), gone);
    return outcome;
  };
}

/** Answers to these are held until one moment, so that nobody can read from the clock who said no. */
function isHeld(outcome: { readonly kind: LoginEvent['result'] } | Unavailable): boolean {
  const { kind } = outcome;
  if (kind === 'unavailable') return 'source' in outcome && outcome.source === 'imap';
  return ['rejected', 'refused', 'expired', 'contact-admin', 'insecure'].includes(kind);
}

function resultOf(error: unknown): LoginEvent['result'] {
  if (!(error instanceof PosternError)) return 'failed';
  return error.code === 'ERR_BUSY' ? 'busy' : 'unavailable';
}

/** The result of a login. */
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
  | AuthenticationRefusal;

/** The parts of a login, in their order. */
type LoginPhase = 'form' | 'store' | 'directory' | 'penalty' | 'imap' | 'webmail';

/** Measures one login. It is in the phase `form` from the request's arrival until `enter` names another. */
interface LoginTimes {
  readonly phase: LoginPhase;
  enter(phase: LoginPhase): void;
  /** Milliseconds since the request arrived, without those of the penalty. */
  workedMs(): number;
  /** Milliseconds of each phase that was entered, the present one until now. */
  phasesMs(): Partial<Record<LoginPhase, number>>;
}

function createLoginTimes(clock: Clock, arrivedAtMs: number): LoginTimes {
  const done: Partial<Record<LoginPhase, number>> = {};
  let phase: LoginPhase = 'form';
  let enteredAtMs = arrivedAtMs;
  const phasesMs = () => ({ ...done, [phase]: (done[phase] ?? 0) + clock.nowMs() - enteredAtMs });
  return {
    get phase() {
      return phase;
    },
    enter(next) {
      Object.assign(done, phasesMs());
      phase = next;
      enteredAtMs = clock.nowMs();
    },
    phasesMs,
    workedMs: () => clock.nowMs() - arrivedAtMs - (phasesMs().penalty ?? 0),
  };
}

/** The event of a login, for the log and the metrics. It holds no password. */
export interface LoginEvent {
  /**
   * `authenticated`: a password of staff was right; `abandoned`: the client went away before there was an outcome;
   * `failed`: a fault of the gateway itself.
   */
  readonly result: LoginOutcome['kind'] | 'authenticated' | 'abandoned' | 'failed';
  /** The true reason, which users are never told. */
  readonly why?: 'unknown-user' | 'wrong-password' | 'refused';
  /** What the mail server said to the password, unless that was a bare yes. For operators. */
  readonly said?: ServerWords;
  /** The phase that it ended in. */
  readonly phase: LoginPhase;
  readonly reference: string;
  readonly client: string;
  readonly user?: string;
  readonly backend?: string;
  readonly host?: string;
  /** Milliseconds of each phase that was entered. */
  readonly ms: Readonly<Partial<Record<LoginPhase, number>>>;
  /** Why nobody could say, for operators. */
  readonly error?: unknown;
}

const warningEveryMs = 60_000;

/**
 * Logs each login as one event, and once a minute at most that a mail server holds refusals back for longer than the
 * page does.
 */
export function createLoginLog(log: Log, clock: Clock, refusalAfterMs: number): (event: LoginEvent) => void {
  let warnedAtMs = Number.NEGATIVE_INFINITY;
  return (event) => {
    const { error, ...facts } = event;
    if (error === undefined) log.info('login', facts);
    else if (error instanceof PosternError) {
      log.warn('login', { ...facts, code: error.code, source: error.source, detail: error.message });
    } else log.error('login', { ...facts, err: error });

    // A server that trusts the gateway delays by the client's own record only, which stays below the page's time.
    const slow = event.why === 'wrong-password' && (event.ms.imap ?? 0) > refusalAfterMs;
    if (!slow || clock.nowMs() - warnedAtMs < warningEveryMs) return;
    warnedAtMs = clock.nowMs();
    log.warn('refusals-slow', { backend: event.backend, imapMs: event.ms.imap, refusalAfterMs });
  };
}
