import { setTimeout as after } from 'node:timers/promises';
import { type FailureSource, PosternError } from '../core/error.ts';

/**
 * Does `work` for at most `ms`.
 *
 * Its signal is aborted at the deadline and when the client is gone, and it is not waited for after that, whether it
 * honours the signal or not. Rejects with ERR_DEADLINE of `source` at the deadline, and with `gone`'s reason.
 */
export async function withDeadline<T>(
  source: FailureSource,
  ms: number,
  gone: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  gone.throwIfAborted();
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(deadlinePassed(source)), Math.max(ms, 0));
  const signal = AbortSignal.any([gone, late.signal]);
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work(signal), aborted.promise]);
  } catch (error) {
    // A client library that was aborted rejects with words of its own.
    signal.throwIfAborted();
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}

/** For work that serves everybody who waits for it, not only the one that began it. */
export const neverGone = new AbortController().signal;

function deadlinePassed(source: FailureSource): PosternError {
  return new PosternError('ERR_DEADLINE', 'the deadline of the login passed', { source, retryable: true });
}

/** Resolves after `ms`, or rejects at once when `signal` is aborted. Tests hand in one that does not wait. */
export type Wait = (ms: number, signal: AbortSignal) => Promise<void>;

/** Waits by the clock on the wall. */
export const systemWait: Wait = async (ms, signal) => {
  await after(ms, undefined, { signal });
};

/** Lets few do something at a time, in the order of their asking. */
interface Turns {
  /** Does `work` when it is its turn. Rejects with ERR_BUSY when too many wait, and with the signal's reason. */
  take<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>;
}

interface TurnLimits {
  readonly atOnce: number;
  readonly waiting: number;
  /** The source that has too many questions waiting. */
  readonly source: FailureSource;
}

/** Turns for each backend by itself, so that one that hangs makes nobody wait for another. */
export function createBackendLimits(limits: TurnLimits): (backend: string) => Turns {
  const all = new Map<string, Turns>();
  return (backend) => {
    const turns = all.get(backend) ?? createTurns(limits);
    all.set(backend, turns);
    return turns;
  };
}

function createTurns(limits: TurnLimits): Turns {
  let running = 0;
  const waiting = new Set<() => void>();

  function wait(signal: AbortSignal): Promise<void> {
    if (waiting.size >= limits.waiting) {
      const message = 'too many sign-ins of one backend are waiting';
      throw new PosternError('ERR_BUSY', message, { source: limits.source, retryable: true });
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = (): void => {
      waiting.delete(enter);
      reject(signal.reason);
    };
    const enter = (): void => {
      signal.removeEventListener('abort', leave);
      resolve();
    };
    signal.addEventListener('abort', leave, { once: true });
    waiting.add(enter);
    return promise;
  }

  /** Hands its place to the next in line, so that nobody who comes later slips in between. */
  function leavePlace(): void {
    const [next] = waiting;
    if (next === undefined) {
      running -= 1;
      return;
    }
    waiting.delete(next);
    next();
  }

  return {
    async take(signal, work) {
      signal.throwIfAborted();
      if (running < limits.atOnce) running += 1;
      else await wait(signal);
      try {
        return await work();
      } finally {
        leavePlace();
      }
    },
  };
}
