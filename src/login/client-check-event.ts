import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { PasswordCheck, ServerWords } from '../core/passdb.ts';

/** What is told of each password of a client that was really tried, once; those that are remembered tell nothing. */
export interface ClientCheckEvent {
  /** `failed`: a fault of the gateway itself. */
  readonly result: PasswordCheck['kind'] | 'unavailable' | 'failed';
  /** What clients are never told. */
  readonly why?: 'unknown-user' | 'refused';
  /** What the mail server said to the password, unless that was a bare yes. */
  readonly said?: ServerWords;
  readonly user?: string;
  readonly backend?: string;
  readonly host?: string;
  readonly client: string;
  readonly reference: string;
  /** From the request's arrival, the penalty included. */
  readonly ms: number;
  readonly error?: unknown;
}

/** Logs each check. A right one is no event: each client has one a minute. */
export function createClientCheckLog(log: Log): (event: ClientCheckEvent) => void {
  return ({ error, ...facts }) => {
    if (error === undefined) log[facts.result === 'right' ? 'debug' : 'info'](facts, 'client login');
    else if (error instanceof PosternError) {
      log.warn({ ...facts, code: error.code, source: error.source, detail: error.message }, 'client login');
    } else log.error({ ...facts, err: error }, 'client login');
  };
}
