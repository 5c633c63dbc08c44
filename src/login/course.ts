import type { Clock } from '../core/clock.ts';
import { type ErrorCode, type FailureSource, PosternError } from '../core/error.ts';
import type { Client } from '../core/identity.ts';
import type { Secret } from '../core/secret.ts';
import { withDeadline } from './deadline.ts';
import type { LoginEvent } from './login-event.ts';
import { createLoginTimes, type LoginTimes } from './login-times.ts';
import type { Wait } from './wait.ts';

/** What every sign-in brings, whatever it leads to. */
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

/** What the event of a sign-in will say, filled in on the way. */
type Trace = Partial<Record<'user' | 'backend' | 'host', string>> & Pick<LoginEvent, 'why' | 'said'>;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** One sign-in on its way. */
export interface Course {
  readonly attempt: PasswordAttempt;
  readonly times: LoginTimes;
  readonly trace: Mutable<Trace>;
  readonly gone: AbortSignal;
  /** Does a part of it within what is left of its time. Rejects with ERR_DEADLINE, or when the client is gone. */
  within<T>(source: FailureSource, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

export interface CoursesDeps {
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

/** Somebody could not be asked. */
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
 * Runs sign-ins: each is told of once, whatever becomes of it; refusals leave at one moment; what could not be asked is
 * an outcome. As long as the mail server of some users is silent, "no" is told to nobody: it would say who is not one of
 * them. Rejects with the signal's reason when the client is gone, and with what is a fault of the gateway.
 */
export function createCourses(deps: CoursesDeps) {
  const { clock } = deps;

  function report({ attempt, times, trace }: Course, end: Pick<LoginEvent, 'result' | 'error'>): void {
    const { reference, client } = attempt;
    deps.observe({ ...end, ...trace, phase: times.phase, reference, client: client.address, ms: times.phasesMs() });
  }

  async function outcomeOf<T extends { readonly kind: LoginEvent['result'] }>(
    course: Course,
    work: (course: Course) => Promise<T>,
  ): Promise<T | Unavailable | Busy> {
    try {
      const outcome = await work(course);
      report(course, { result: outcome.kind });
      return outcome;
    } catch (error) {
      if (course.gone.aborted) report(course, { result: 'abandoned' });
      else report(course, { result: resultOf(error), error });
      if (course.gone.aborted || !(error instanceof PosternError)) throw error;
      if (error.code === 'ERR_BUSY') return { kind: 'busy' };
      return { kind: 'unavailable', code: error.code, source: error.source, retryable: error.retryable };
    }
  }

  return async function run<T extends { readonly kind: LoginEvent['result'] }>(
    attempt: PasswordAttempt,
    gone: AbortSignal,
    work: (course: Course) => Promise<T>,
  ): Promise<T | Unavailable | Busy> {
    const times = createLoginTimes(clock, attempt.arrivedAtMs);
    const course: Course = {
      attempt,
      times,
      trace: {},
      gone,
      within: (source, part) => withDeadline(source, deps.deadlineMs - times.workedMs(), gone, part),
    };
    const judged = await outcomeOf(course, work);
    const outcome = judged.kind === 'rejected' && deps.isSomeHomeSilent() ? unchecked : judged;
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
