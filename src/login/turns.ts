import { type FailureSource, PosternError } from '../core/error.ts';

/** Lets few do something at a time, in the order of their asking. */
export interface Turns {
  /** Does `work` when it is its turn. Rejects with ERR_BUSY when too many wait, and with the signal's reason. */
  take<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>;
}

interface TurnLimits {
  readonly atOnce: number;
  readonly waiting: number;
  /** Of whom there is too much to ask. */
  readonly source: FailureSource;
}

/** Turns for each backend by itself, so that one that hangs makes nobody wait for another. */
export function createBackendTurns(limits: TurnLimits): (backend: string) => Turns {
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
