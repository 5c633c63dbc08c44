import type { Wait } from './limits.ts';

/** An attempt that waits out its penalty. */
interface WaitingAttempt {
  /** The networks that it comes from, the widest first. */
  readonly from: readonly string[];
  /** The network whose own share of the room it takes; undefined for one that carries many users. */
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
  /** Undefined where the room is full, and nobody in it should rather give way than this attempt. */
  enter(attempt: WaitingAttempt): WaitingPlace | undefined;
  /** How many attempts of a network wait. */
  waitingFrom(network: string): number;
}

interface Guest extends WaitingAttempt {
  readonly giveUp: AbortController;
}

/**
 * A room that costs those who fill it: when it is full, in all or for one network, an attempt of the network that waits
 * most gives way, and there one of the most crowded smaller network, down to the address.
 */
export function createWaitingRoom(limits: { readonly inAll: number; readonly perNetwork: number }): WaitingRoom {
  const guests = new Set<Guest>();
  const byNetwork = new Map<string, number>();

  /** Undefined while there is a free place. */
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

/** One of the largest crowd, network by network; among equals the one with the longest delay, and of those the newest. */
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
 * How many passwords of one network are tried at once: the others wait for the verdicts of those before them, so that a
 * burst does not run ahead of the count. Nobody waits for longer than `patienceMs`, whatever hangs.
 */
export function createTrials({ atOnce, patienceMs, wait }: { atOnce: number; patienceMs: number; wait: Wait }) {
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

  /** Resolves with what must be called when the verdict is there. Rejects with the signal's reason. */
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
    // A turn that came too late is the next one's.
    if (!isLate) end(network);
    throw signal.reason;
  };
}
