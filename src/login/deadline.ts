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
