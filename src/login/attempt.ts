import type { Clock } from '../core/clock.ts';
import type { CookieJar } from '../core/cookie-jar.ts';
import { withDeadline } from '../core/deadline.ts';
import type { LockNotice } from '../core/directory.ts';
import { type ErrorCode, type FailureSource, PosternError } from '../core/error.ts';
import type { Client } from '../core/identity.ts';
import type { Log } from '../core/log.ts';
import type { BackendName, CanonicalUser, RequestIds } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import type { PasswordCheck, ServerWords } from '../core/passdb.ts';
import type { Closure } from '../core/placement.ts';
import type { Secret } from '../core/secrets.ts';
import type { Wait } from './limits.ts';

/**
 * Why a login is refused. `rejected`: unknown user, wrong password, or refused by the policy server, which no client can
 * tell apart. `refused`: a known user who may not sign in, with a reason for that user; with `lock`, a lock refuses the
 * user or, whoever it is, the client's network. `expired`, `contact-admin`, `insecure`: the refusals of
 * the mail server itself. `busy`: too many logins are waiting. `closed`: the user's backend accepts no logins now, or
 * the user is being moved. `unavailable`: a server could not be asked. `refused` and `closed` tell of a known user, so
 * they are answered only after the right password.
 */
export type AuthenticationRefusal =
  | { readonly kind: 'rejected'; readonly by?: 'policy' }
  | { readonly kind: 'refused'; readonly reason: string; readonly lock?: LockNotice }
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

/** Name, password and client: what every login has. */
export interface PasswordAttempt {
  /** As it was typed. */
  readonly user: string;
  /** As it was typed, never trimmed. */
  readonly password: Secret;
  readonly client: Client;
  /** Shown to the user and written to the log, so that the two can be joined. */
  readonly reference: string;
  readonly requestId: string;
  /** Of the request, for the trace. */
  readonly traceparent?: string;
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
  /** Runs one step within the time that the login has left. Rejects with ERR_DEADLINE, or with the reason of `gone`. */
  within<T>(source: FailureSource, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

/** Dependencies of createLoginAttempts. */
export interface LoginAttemptsDeps {
  readonly clock: Clock;
  readonly wait: Wait;
  readonly observe: (event: LoginEvent) => void;
  /** Deadline of the whole login, the penalty not counted; milliseconds. */
  readonly deadlineMs: number;
  /** Refusals are sent this long after the request's arrival, the penalty not counted; milliseconds. */
  readonly refusalAfterMs: number;
  /** Whether the passwords of some backend's users cannot be checked now. */
  readonly isSomeHomeSilent: () => boolean;
}

/** An outcome. `by`: what refused, where only the event may say it. */
interface Ended {
  readonly kind: LoginEvent['result'];
  readonly by?: 'policy';
}

/** A server could not be asked. */
type Unavailable = {
  readonly kind: 'unavailable';
  readonly code: ErrorCode;
  readonly source: FailureSource;
  readonly retryable: boolean;
};

/** Too many logins wait for the same server. */
type Busy = { readonly kind: 'busy' };

/** The outcome for a user whose mail server cannot be asked. */
const unchecked = { kind: 'unavailable', code: 'ERR_IMAP_UNAVAILABLE', source: 'imap', retryable: true } as const;

/**
 * Runs logins. Each has one event, whatever its result. Refusals are sent at one moment. A server that could not be
 * asked is an outcome. While the mail server of some users is silent, unknown users get the outcome of a silent server
 * too: a refusal would tell that a name does not belong to them. Rejects with the signal's reason when the client is
 * gone, and with any fault of the gateway.
 */
export function createLoginAttempts(deps: LoginAttemptsDeps) {
  const { clock } = deps;

  function report({ attempt, times, trace }: LoginAttempt, end: Pick<LoginEvent, 'result' | 'error'>): void {
    const { reference, requestId, traceparent, client } = attempt;
    const { address, userAgent } = client;
    const facts = {
      phase: times.phase,
      reference,
      requestId,
      client: address,
      userAgent,
      traceparent,
      ms: times.phasesMs(),
    };
    deps.observe({ ...end, ...trace, ...facts });
  }

  async function outcomeOf<T extends Ended>(
    login: LoginAttempt,
    work: (login: LoginAttempt) => Promise<T>,
  ): Promise<T | Unavailable | Busy> {
    try {
      const outcome = await work(login);
      report(login, { result: outcome.by ?? outcome.kind });
      return outcome;
    } catch (error) {
      if (login.gone.aborted) report(login, { result: 'abandoned' });
      else report(login, { result: resultOf(error), error });
      if (login.gone.aborted || !(error instanceof PosternError)) throw error;
      if (error.code === 'ERR_BUSY') return { kind: 'busy' };
      return { kind: 'unavailable', code: error.code, source: error.source, retryable: error.retryable };
    }
  }

  return async function run<T extends Ended>(
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

/** These answers are held until one moment, so that their timing does not tell which server refused. */
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
      /** The new target for a target of an older webmail session. */
      readonly resumeTarget: (target: string) => string;
    }
  | AuthenticationRefusal;

/** The phases of a login, in their order. */
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
   * `authenticated`: a staff password was right. `policy`: the policy server refused. `abandoned`: the client left before
   * there was an outcome. `failed`: a fault of the gateway itself.
   */
  readonly result: LoginOutcome['kind'] | 'policy' | 'authenticated' | 'abandoned' | 'failed';
  /** The true reason, which users are never told. */
  readonly why?: 'unknown-user' | 'wrong-password' | 'refused' | 'locked';
  /** The words of the mail server, unless it was a bare yes, or of the policy server. For operators. */
  readonly said?: ServerWords;
  /** The phase that it ended in. */
  readonly phase: LoginPhase;
  readonly reference: string;
  readonly requestId: string;
  readonly client: string;
  /** For the statistics; the log leaves it out. */
  readonly userAgent?: string | undefined;
  /** For the trace; the log leaves it out. */
  readonly traceparent?: string | undefined;
  readonly user?: string;
  readonly backend?: string;
  readonly host?: string;
  /** Milliseconds of each phase that was entered. */
  readonly ms: Readonly<Partial<Record<LoginPhase, number>>>;
  /** The error, if a server could not be asked; for operators. */
  readonly error?: unknown;
}

const warningEveryMs = 60_000;

/**
 * Logs each login as one event. Warns at most once a minute that a mail server delays refusals longer than the page
 * does.
 */
export function createLoginLog(log: Log, clock: Clock, refusalAfterMs: number): (event: LoginEvent) => void {
  let warnedAtMs = Number.NEGATIVE_INFINITY;
  return (event) => {
    const { error, ...rest } = event;
    const facts = defined({ ...rest, userAgent: undefined, traceparent: undefined });
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

/** The event of each Basic password that was tried; a remembered one has no event. */
export interface BasicLoginEvent extends RequestIds {
  /** `policy`: the policy server refused. `failed`: a fault of the gateway itself. */
  readonly result: PasswordCheck['kind'] | 'policy' | 'unavailable' | 'failed';
  /** The true reason, which clients are never told. */
  readonly why?: 'unknown-user' | 'refused';
  /** The words of the mail server, unless it was a bare yes, or of the policy server. */
  readonly said?: ServerWords;
  readonly user?: string;
  readonly backend?: string;
  readonly host?: string;
  /** Set if the password was right, as its own event says, and something else kept the request from being served. */
  readonly isChecked?: true;
  readonly client: string;
  /** For the statistics; the log leaves it out. */
  readonly userAgent?: string | undefined;
  /** From the request's arrival, the penalty included. */
  readonly ms: number;
  readonly error?: unknown;
}

/** Logs each check; a right one at debug only, since each client has one a minute. */
export function createBasicLoginLog(log: Log): (event: BasicLoginEvent) => void {
  return ({ error, ...event }) => {
    const facts = defined({ ...event, userAgent: undefined, isChecked: undefined });
    if (error === undefined && facts.result === 'right') log.debug('basic-login', facts);
    else if (error === undefined) log.info('basic-login', facts);
    else if (error instanceof PosternError) {
      log.warn('basic-login', { ...facts, code: error.code, source: error.source, detail: error.message });
    } else log.error('basic-login', { ...facts, err: error });
  };
}
