import { setTimeout as after } from 'node:timers/promises';
import { type FailureSource, PosternError } from '../core/error.ts';

/** For work that serves everybody who waits for it, not only the one that began it. */
export const neverGone = new AbortController().signal;

/** Resolves after `ms`, or rejects at once when `signal` is aborted. Tests hand in one that does not wait. */
export type Wait = (ms: number, signal: AbortSignal) => Promise<void>;

/** Waits by the clock on the wall. */
export const systemWait: Wait = async (ms, signal) => {
  await after(ms, undefined, { signal });
};

/** Lets few do something at a time. */
interface Turns {
  /**
   * Does `work` when it is its turn; `from` are the networks that it is for, the widest first. Rejects with ERR_BUSY when
   * too many wait, and with the signal's reason.
   */
  take<T>(signal: AbortSignal, work: () => Promise<T>, from?: readonly string[]): Promise<T>;
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

/** Who waits for a turn, in the smallest crowd that it is one of. */
interface Waiter {
  readonly crowd: Crowd;
  enter(): void;
  turnAway(): void;
}

/** All of one network, or all there are. */
interface Crowd {
  readonly name: string;
  /** The wider one. */
  readonly within: Crowd | undefined;
  readonly smaller: Map<string, Crowd>;
  /** Those of no smaller crowd. */
  readonly line: Set<Waiter>;
  running: number;
  waiting: number;
}

/**
 * The next turn is for the network that has the fewest, network by network and down to the address; there they go in the
 * order of their asking. So a crowd waits for itself, and when too many wait, one of the largest crowd is turned away.
 */
function createTurns(limits: TurnLimits): Turns {
  const everybody = newCrowd('', undefined);

  function wait(signal: AbortSignal, crowd: Crowd): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = (): void => {
      leaveLine(waiter);
      reject(signal.reason);
    };
    const stay = (): void => signal.removeEventListener('abort', leave);
    const waiter: Waiter = {
      crowd,
      enter() {
        stay();
        resolve();
      },
      turnAway() {
        stay();
        const message = 'too many sign-ins of one backend are waiting';
        reject(new PosternError('ERR_BUSY', message, { source: limits.source, retryable: true }));
      },
    };
    signal.addEventListener('abort', leave, { once: true });
    crowd.line.add(waiter);
    count(crowd, 'waiting', 1);
    if (everybody.waiting > limits.waiting) {
      const newest = newestOfLargest(everybody);
      if (newest !== undefined) leaveLine(newest);
      newest?.turnAway();
    }
    return promise;
  }

  /** Hands the place to the next, so that nobody who comes later slips in between. */
  function leavePlace(crowd: Crowd): void {
    count(crowd, 'running', -1);
    const next = oldestOfFewest(everybody);
    if (next === undefined) return;
    count(next.crowd, 'running', 1);
    leaveLine(next);
    next.enter();
  }

  return {
    async take(signal, work, from = []) {
      signal.throwIfAborted();
      const crowd = from.reduce(smallerCrowd, everybody);
      if (everybody.running < limits.atOnce) count(crowd, 'running', 1);
      else await wait(signal, crowd);
      try {
        return await work();
      } finally {
        leavePlace(crowd);
      }
    },
  };
}

function newCrowd(name: string, within: Crowd | undefined): Crowd {
  return { name, within, smaller: new Map(), line: new Set(), running: 0, waiting: 0 };
}

function smallerCrowd(within: Crowd, name: string): Crowd {
  const crowd = within.smaller.get(name) ?? newCrowd(name, within);
  within.smaller.set(name, crowd);
  return crowd;
}

/** Counts in this crowd and the wider ones; of those in which nobody is, nothing stays. */
function count(of: Crowd, what: 'running' | 'waiting', by: 1 | -1): void {
  for (let crowd: Crowd | undefined = of; crowd !== undefined; crowd = crowd.within) {
    crowd[what] += by;
    if (crowd.running === 0 && crowd.waiting === 0) crowd.within?.smaller.delete(crowd.name);
  }
}

function leaveLine(waiter: Waiter): void {
  waiter.crowd.line.delete(waiter);
  count(waiter.crowd, 'waiting', -1);
}

/** Who waits longest of the network that has the fewest turns. */
function oldestOfFewest({ line, smaller }: Crowd): Waiter | undefined {
  let fewest: Crowd | undefined;
  for (const crowd of smaller.values()) {
    if (crowd.waiting > 0 && (fewest === undefined || crowd.running < fewest.running)) fewest = crowd;
  }
  const [oldest] = line;
  return oldest ?? (fewest === undefined ? undefined : oldestOfFewest(fewest));
}

/** Who came last of the network of which most wait. */
function newestOfLargest({ line, smaller }: Crowd): Waiter | undefined {
  let largest: Crowd | undefined;
  for (const crowd of smaller.values()) if (crowd.waiting >= (largest?.waiting ?? 1)) largest = crowd;
  return largest === undefined ? [...line].at(-1) : newestOfLargest(largest);
}
