import { type FailureSource, PosternError } from './error.ts';

/** How long work may take, and the part to blame if it takes longer. */
interface Deadline {
  readonly ms: number;
  readonly source: FailureSource;
  /** The subject of the error's message; if undefined, it follows from `source`. */
  readonly what?: string;
}

/**
 * Does work within a deadline.
 *
 * Rejects with ERR_DEADLINE when the time is over, also when `signal` is aborted by a timeout; with the signal's reason
 * when it is aborted otherwise; else with what the work rejects with. Never waits longer, whether or not the work
 * listens to the signal that it gets. When the work fails, that signal is aborted, too, so that no part of it goes on.
 */
export async function withDeadline<T>(
  deadline: Deadline,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const giveUp = (): void => controller.abort(deadlinePassed(deadline, `within ${Math.round(deadline.ms)} ms`));
  const timer = setTimeout(giveUp, Math.max(deadline.ms, 0));
  const passOn = (): void => {
    const isTimeout = signal.reason instanceof DOMException && signal.reason.name === 'TimeoutError';
    controller.abort(isTimeout ? deadlinePassed(deadline, 'in time') : signal.reason);
  };
  signal.addEventListener('abort', passOn, { once: true });
  try {
    if (signal.aborted) passOn();
    controller.signal.throwIfAborted();
    return await untilAborted(work(controller.signal), controller.signal);
  } catch (error) {
    // A client library that was aborted rejects with its own error.
    controller.signal.throwIfAborted();
    controller.abort(error);
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', passOn);
  }
}

function deadlinePassed({ source, what }: Deadline, when: string): PosternError {
  const subject = what ?? (source === 'imap' ? 'the IMAP server' : `the ${source}`);
  return new PosternError('ERR_DEADLINE', `${subject} did not answer ${when}`, { source, retryable: true });
}

/** The promise's outcome, or a rejection with the signal's reason as soon as it is aborted. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  // Once the caller has given up, a later failure must not count as unhandled.
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
