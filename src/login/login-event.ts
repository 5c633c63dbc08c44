import type { Clock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { ServerWords } from '../core/passdb.ts';
import type { LoginOutcome } from './login.ts';
import type { LoginPhase } from './login-times.ts';

/** What is told of each login, once: facts for the log and the metrics, and no password. */
export interface LoginEvent {
  /**
   * `authenticated`: a password of staff was right; `abandoned`: the client went away before there was an outcome;
   * `failed`: a fault of the gateway itself.
   */
  readonly result: LoginOutcome['kind'] | 'authenticated' | 'abandoned' | 'failed';
  /** What users are never told. */
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
    if (error === undefined) log.info(facts, 'login');
    else if (error instanceof PosternError) {
      log.warn({ ...facts, code: error.code, source: error.source, detail: error.message }, 'login');
    } else log.error({ ...facts, err: error }, 'login');

    // A server that trusts the gateway delays by the client's own record only, which stays below the page's time.
    const slow = event.why === 'wrong-password' && (event.ms.imap ?? 0) > refusalAfterMs;
    if (!slow || clock.nowMs() - warnedAtMs < warningEveryMs) return;
    warnedAtMs = clock.nowMs();
    log.warn(
      { backend: event.backend, imapMs: event.ms.imap, refusalAfterMs },
      'the mail server delays refusals for longer than login.refusal_after: add the gateway to its login_trusted_networks',
    );
  };
}
