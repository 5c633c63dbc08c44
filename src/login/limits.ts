import { setTimeout as after } from 'node:timers/promises';
import { type FailureSource, PosternError } from '../core/error.ts';

/** The signal of work that several callers share: it outlives the caller that began it. */
export const neverGone = new AbortController().signal;

/** Resolves after `ms`, or rejects at once when `signal` is aborted. Tests pass one that does not wait. */
export type Wait = (ms: number, signal: AbortSignal) => Promise<void>;

/** Waits by the system's clock. */
export const systemWait: Wait = async (ms, signal) => {
  await after(ms, undefined, { signal });
};

/** Bounds how many pieces of work run at once. */
interface ConcurrencyLimit {
  /**
   * Runs `work` when there is a free place. `from` names the networks of its client, the widest first. Rejects with
   * ERR_BUSY when too many wait, and with the signal's reason.
   */
  take<T>(signal: AbortSignal, work: () => Promise<T>, from?: readonly string[]): Promise<T>;
}

interface ConcurrencySettings {
  readonly atOnce: number;
  readonly waiting: number;
  /** The source in the error when too many wait. */
  readonly source: FailureSource;
}

/** A concurrency limit for each backend, so that a hung backend delays no other. */
export function createBackendLimits(limits: ConcurrencySettings): (backend: string) => ConcurrencyLimit {
  const all = new Map<string, ConcurrencyLimit>();
  return (backend) => {
    const turns = all.get(backend) ?? createConcurrencyLimit(limits);
    all.set(backend, turns);
    return turns;
  };
}

/** A caller that waits for a place, in its smallest crowd. */
interface Waiter {
  readonly crowd: Crowd;
  enter(): void;
  turnAway(): void;
}

/** The callers of one network; the outermost crowd has all of them. */
interface Crowd {
  readonly name: string;
  /** The wider crowd. */
  readonly within: Crowd | undefined;
  readonly smaller: Map<string, Crowd>;
  /** The waiters that belong to no smaller crowd. */
  readonly line: Set<Waiter>;
  running: number;
  waiting: number;
}

/**
 * The next place goes to the network that has the fewest, network by network down to the address, and there to the
 * longest waiting. So a crowd waits for itself. When too many wait, one of the largest crowd is turned away.
 */
function createConcurrencyLimit(limits: ConcurrencySettings): ConcurrencyLimit {
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
    addTo(crowd, 'waiting', 1);
    if (everybody.waiting > limits.waiting) {
      const newest = newestOfLargest(everybody);
      if (newest !== undefined) leaveLine(newest);
      newest?.turnAway();
    }
    return promise;
  }

  /** Passes the place directly to the next waiter, so that no later caller takes it. */
  function leavePlace(crowd: Crowd): void {
    addTo(crowd, 'running', -1);
    const next = oldestOfFewest(everybody);
    if (next === undefined) return;
    addTo(next.crowd, 'running', 1);
    leaveLine(next);
    next.enter();
  }

  return {
    async take(signal, work, from = []) {
      signal.throwIfAborted();
      const crowd = from.reduce(smallerCrowd, everybody);
      if (everybody.running < limits.atOnce) addTo(crowd, 'running', 1);
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

/** Counts in this crowd and the wider ones. Removes crowds that are empty. */
function addTo(of: Crowd, what: 'running' | 'waiting', by: 1 | -1): void {
  for (let crowd: Crowd | undefined = of; crowd !== undefined; crowd = crowd.within) {
    crowd[what] += by;
    if (crowd.running === 0 && crowd.waiting === 0) crowd.within?.smaller.delete(crowd.name);
  }
}

function leaveLine(waiter: Waiter): void {
  waiter.crowd.line.delete(waiter);
  addTo(waiter.crowd, 'waiting', -1);
}

/** The longest waiting caller of the network that has the fewest places. */
function oldestOfFewest({ line, smaller }: Crowd): Waiter | undefined {
  let fewest: Crowd | undefined;
  for (const crowd of smaller.values()) {
    if (crowd.waiting > 0 && (fewest === undefined || crowd.running < fewest.running)) fewest = crowd;
  }
  const [oldest] = line;
  return oldest ?? (fewest === undefined ? undefined : oldestOfFewest(fewest));
}

/** The newest caller of the network with the most waiters. */
function newestOfLargest({ line, smaller }: Crowd): Waiter | undefined {
  let largest: Crowd | undefined;
  for (const crowd of smaller.values()) if (crowd.waiting >= (largest?.waiting ?? 1)) largest = crowd;
  return largest === undefined ? [...line].at(-1) : newestOfLargest(largest);
}

/** A login that waits out its penalty. */
interface WaitingAttempt {
  /** The networks that it comes from, the widest first. */
  readonly from: readonly string[];
  /** The network whose share of the room it takes; undefined for a network that carries many users. */
  readonly network: string | undefined;
  readonly delayMs: number;
}

/** A place in the room. `givenUp` is aborted when another attempt needs it more. */
interface WaitingPlace {
  readonly givenUp: AbortSignal;
  leave(): void;
}

/** Bounds how many attempts wait out a penalty, so that waiting cannot be used to exhaust a node. */
interface WaitingRoom {
  /** Undefined if the room is full and no other attempt gives way to this one. */
  enter(attempt: WaitingAttempt): WaitingPlace | undefined;
  /** How many attempts of a network wait. */
  waitingFrom(network: string): number;
}

interface Guest extends WaitingAttempt {
  readonly giveUp: AbortController;
}

/**
 * Creates the waiting room. When it is full, in all or for one network, an attempt of the network with the most waiters
 * gives way: of its most crowded smaller network, down to the address.
 */
export function createWaitingRoom(limits: { readonly inAll: number; readonly perNetwork: number }): WaitingRoom {
  const guests = new Set<Guest>();
  const byNetwork = new Map<string, number>();

  /** The attempt that gives way; undefined while there is a free place. */
  function whoGivesWay(newcomer: Guest): Guest | undefined {
    const { network } = newcomer;
    if (network !== undefined && (byNetwork.get(network) ?? 0) >= limits.perNetwork) {
      return mostCrowded([...[...guests].filter((guest) => guest.network === network), newcomer]);
    }
    return guests.size < limits.inAll ? undefined : mostCrowded([...guests, newcomer]);
  }

  function add(guest: Guest): void {
    guests.add(guest);
    if (guest.network !== undefined) byNetwork.set(guest.network, (byNetwork.get(guest.network) ?? 0) + 1);
  }

  function remove(guest: Guest): void {
    if (!guests.delete(guest) || guest.network === undefined) return;
    const left = (byNetwork.get(guest.network) ?? 1) - 1;
    if (left === 0) byNetwork.delete(guest.network);
    else byNetwork.set(guest.network, left);
  }

  return {
    enter(attempt) {
      const guest: Guest = { ...attempt, giveUp: new AbortController() };
      const yields = whoGivesWay(guest);
      if (yields === guest) return undefined;
      if (yields !== undefined) {
        remove(yields);
        yields.giveUp.abort();
      }
      add(guest);
      return { givenUp: guest.giveUp.signal, leave: () => remove(guest) };
    },
    waitingFrom: (network) => byNetwork.get(network) ?? 0,
  };
}

/**
 * The attempt of the largest crowd, network by network; among equals the one with the longest delay, then the newest.
 */
function mostCrowded(guests: readonly Guest[]): Guest | undefined {
  let crowd = guests;
  const depth = Math.max(...guests.map(({ from }) => from.length));
  for (let level = 0; level < depth; level += 1) {
    const crowds = [...Map.groupBy(crowd, ({ from }) => from[level] ?? from.at(-1)).values()];
    const largest = Math.max(...crowds.map(({ length }) => length));
    crowd = crowds.filter(({ length }) => length === largest).flat();
  }
  return crowd.toSorted((one, other) => other.delayMs - one.delayMs || guests.indexOf(other) - guests.indexOf(one))[0];
}

/**
 * Bounds how many passwords of one network are tried at once. The others wait for the verdicts of those, so that a
 * burst does not outrun the count. No attempt waits longer than `patienceMs`, even if a server hangs.
 */
export function createTrialLimit({ atOnce, patienceMs, wait }: { atOnce: number; patienceMs: number; wait: Wait }) {
  const networks = new Map<string, { running: number; readonly queue: Set<() => void> }>();

  function end(network: string): void {
    const trials = networks.get(network);
    if (trials === undefined) return;
    const [next] = trials.queue;
    if (next !== undefined && trials.running <= atOnce) {
      trials.queue.delete(next);
      next();
      return;
    }
    trials.running -= 1;
    if (trials.running === 0) networks.delete(network);
  }

  function ending(network: string): () => void {
    let ended = false;
    return () => {
      if (!ended) end(network);
      ended = true;
    };
  }

  /** Resolves with a function to call when the verdict is known. Rejects with the signal's reason. */
  return async function begin(network: string, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const trials = networks.get(network) ?? { running: 0, queue: new Set() };
    networks.set(network, trials);
    if (trials.running < atOnce) {
      trials.running += 1;
      return ending(network);
    }
    const turn = Promise.withResolvers<void>();
    const come = (): void => turn.resolve();
    trials.queue.add(come);
    const called = new AbortController();
    const patience = wait(patienceMs, AbortSignal.any([signal, called.signal])).catch(() => undefined);
    await Promise.race([turn.promise, patience]);
    called.abort();
    const isLate = trials.queue.delete(come);
    if (!signal.aborted) {
      if (isLate) trials.running += 1;
      return ending(network);
    }
    // The client has left: pass the place to the next.
    if (!isLate) end(network);
    throw signal.reason;
  };
}
