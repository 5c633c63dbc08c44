import { PosternError } from '../core/error.ts';

/**
 * Asks with a deadline: rejects with ERR_DEADLINE after `ms` and when `signal` is one of time, with the caller's reason
 * when it is aborted otherwise, and always at once, whether or not what was asked listens to the signal that it got.
 */
export async function withDeadline<T>(
  ms: number,
  signal: AbortSignal,
  what: string,
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(late(`${what} did not answer within ${ms} ms`)), ms);
  const passOn = (): void => {
    const isLate = signal.reason instanceof DOMException && signal.reason.name === 'TimeoutError';
    controller.abort(isLate ? late(`${what} did not answer in time`) : signal.reason);
  };
  signal.addEventListener('abort', passOn, { once: true });
  try {
    if (signal.aborted) passOn();
    controller.signal.throwIfAborted();
    return await untilAborted(ask(controller.signal), controller.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', passOn);
    // What is still under way must not go on.
    controller.abort(over);
  }
}

/** Made once: a reason of its own for each question would cost more than what a local source does. */
const over = new Error('nobody waits for the answer any more');

function late(message: string): PosternError {
  return new PosternError('ERR_DEADLINE', message, { source: 'directory', retryable: true });
}

/** The promise's outcome, or a rejection with the signal's reason as soon as it is aborted. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  // When nobody waits for it any more, its failure is nobody's.
  promise.catch(() => {});
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
