import type { KeyObject } from 'node:crypto';
import { clientNetwork, clientNetworks } from '../core/ip-networks.ts';
import type { Log } from '../core/log.ts';
import { defined } from '../core/objects.ts';
import type { Secret } from '../core/secrets.ts';
import { createTrialLimit, createWaitingRoom, type Wait } from './limits.ts';
import {
  type Counter,
  createCounters,
  createPenaltyHashes,
  delayOfNetwork,
  delayOfPair,
  delayOfUser,
  type PenaltyCounters,
} from './penalty-counters.ts';
import { createPenaltyRelief, type NotedPenalty, type PenaltyNames, type PenaltyRelief } from './penalty-relief.ts';

/** One attempt to sign in, before its password is tried. */
export interface PenaltyAttempt {
  /** The canonical user, or the normalised name of an unknown one: both are penalised alike. */
  readonly user: string;
  readonly address: string;
  readonly password: Secret;
  /** The reference of the attempt, for a policy server. */
  readonly reference?: string;
  /** The User-Agent of the client, for a policy server. */
  readonly userAgent?: string | undefined;
}

/**
 * `admitted`: it waited `waitedMs`, and the password may be tried now. `settle` must be called with the result:
 * `undecided` if no server could say, `abandoned` if the client left meanwhile. Only the first call counts. `busy`: too
 * many are waiting; the attempt was not counted. `refused`: a policy server refuses it; it was counted as a wrong
 * password.
 */
export type Admission =
  | {
      readonly kind: 'admitted';
      readonly waitedMs: number;
      settle(verdict: 'right' | 'wrong' | 'undecided' | 'abandoned'): Promise<void>;
    }
  | {
      readonly kind: 'refused';
      readonly waitedMs: number;
      /** The policy server's words, if it sent any; for operators. */
      readonly said?: { readonly text: string };
    }
  | { readonly kind: 'busy' };

/**
 * Growing delay after failed logins, as in Dovecot's anvil: it slows guessing down and locks no user out. Apart from it,
 * `createLoginAttempts` holds every refusal until `login.refusal_after`.
 */
export interface Penalty {
  /** Rejects when `signal` is aborted while it waits; the attempt is then not counted. */
  admit(attempt: PenaltyAttempt, signal: AbortSignal): Promise<Admission>;
}

/** Dependencies of the penalty. */
export interface PenaltyDeps {
  /** A connected client of the `redis` package that all nodes share; without it each process counts for itself. */
  readonly redis?: object;
  /** Hashes names, networks and guesses, so that the store holds none of them. Shared by all nodes. */
  readonly key: KeyObject;
  /** Notes whom the counts are of, sealed, for the list that operators see; without it that list is empty. */
  readonly names?: PenaltyNames;
  /** Networks that carry many users: the count per network does not apply to them. */
  readonly isExempt: (address: string) => boolean;
  readonly wait: Wait;
  readonly log: Log;
}

const waitingLimits = { inAll: 1_000, perNetwork: 50 };
/** How long an attempt waits for earlier verdicts: longer than mail servers delay a refusal. */
const trialPatienceMs = 3_000;
/** Passwords of one network that are tried at once; mail servers need milliseconds for those that are right. */
const trialsPerNetwork = 10;

/**
 * Creates the penalty. Three counts slow a login down, and the longest delay holds: refusals of this user from this
 * network (2, 4, 8, 15 s), of this network over all names (the same, from the 30th in 10 min), and of this user from
 * everywhere (2, then 4 s).
 *
 * The first is raised before the password is tried and taken back after, so that parallel guesses count each other. Few
 * passwords of one network are tried at once, so that the second count keeps up with a burst. A wrong password that was
 * tried before raises no count. A right one clears the user's counts, never the network's: an attacker may own a
 * mailbox.
 *
 * Logins that wait for refusals of their own or of their network need a place in the waiting room. Those that wait only
 * because strangers guess at the user need none.
 */
export function createPenalty(deps: PenaltyDeps): Penalty & PenaltyRelief {
  const { key, names } = deps;
  const counters = createCounters(deps.redis, deps.log);
  const penalty = new CountedPenalty(deps, counters);
  return {
    admit: (attempt, signal) => penalty.admit(attempt, signal),
    ...createPenaltyRelief({ counters, hashes: createPenaltyHashes(key), ...defined({ names }) }),
  };
}

class CountedPenalty implements Penalty {
  readonly #deps: PenaltyDeps;
  readonly #counters: PenaltyCounters;
  readonly #hashes: ReturnType<typeof createPenaltyHashes>;
  readonly #room = createWaitingRoom(waitingLimits);
  readonly #beginTrial: (network: string, signal: AbortSignal) => Promise<() => void>;

  constructor(deps: PenaltyDeps, counters: PenaltyCounters) {
    this.#deps = deps;
    this.#counters = counters;
    this.#hashes = createPenaltyHashes(deps.key);
    this.#beginTrial = createTrialLimit({
      atOnce: trialsPerNetwork,
      patienceMs: trialPatienceMs,
      wait: this.#deps.wait,
    });
  }

  async admit(attempt: PenaltyAttempt, signal: AbortSignal): Promise<Admission> {
    const keys = this.#keysOf(attempt);
    const network = clientNetwork(attempt.address);
    const begin = async () => (keys.network === undefined ? () => {} : this.#beginTrial(network, signal));
    let endTrial = await begin();
    const repeated = (await this.#counters.guesses.count(keys.guess)) > 0;
    const [ofPair, ofUser, ofNetwork] = await Promise.all([
      repeated
        ? this.#counters.pairs.count(keys.pair)
        : this.#counters.pairs.raise(keys.pair).then((count) => count - 1),
      this.#counters.users.count(keys.user),
      keys.network === undefined ? 0 : this.#counters.networks.count(keys.network),
    ]);
    const takeBack = async () => {
      if (!repeated) await this.#counters.pairs.lower(keys.pair);
    };
    const delays: Delays = {
      own: delayOfPair(ofPair),
      network: delayOfNetwork(ofNetwork, this.#room.waitingFrom(network)),
      user: delayOfUser(ofUser),
    };
    const waitedMs = longest(delays);
    if (waitedMs > 0) {
      endTrial();
      try {
        if (!(await this.#waitOut(attempt, delays, signal))) {
          await takeBack();
          return { kind: 'busy' };
        }
        endTrial = await begin();
      } catch (error) {
        await takeBack();
        throw error;
      }
    }
    return { kind: 'admitted', waitedMs, settle: this.#settling(attempt, keys, repeated, takeBack, endTrial) };
  }

  #keysOf({ user, address, password }: PenaltyAttempt): Keys {
    const network = clientNetwork(address);
    const pair = this.#hashes.pair(user, network);
    return {
      pair,
      guess: `${pair}:${this.#hashes.guess(user, network, password.reveal())}`,
      user: this.#hashes.user(user),
      network: this.#deps.isExempt(address) ? undefined : this.#hashes.network(network),
    };
  }

  /** Waits for the delay. False if there is no place to wait. */
  async #waitOut({ user, address }: PenaltyAttempt, delays: Delays, signal: AbortSignal): Promise<boolean> {
    const delayMs = longest(delays);
    if (delays.own === 0 && delays.network === 0) {
      await this.#deps.wait(delayMs, signal);
      return true;
    }
    const { isExempt } = this.#deps;
    const network = isExempt(address) ? undefined : clientNetwork(address);
    const place = this.#room.enter({ from: crowdsOf(user, address, isExempt), network, delayMs });
    if (place === undefined) return false;
    try {
      await this.#deps.wait(delayMs, AbortSignal.any([signal, place.givenUp]));
      return true;
    } catch (error) {
      if (place.givenUp.aborted && !signal.aborted) return false;
      throw error;
    } finally {
      place.leave();
    }
  }

  #settling(
    attempt: PenaltyAttempt,
    keys: Keys,
    repeated: boolean,
    takeBack: () => Promise<void>,
    endTrial: () => void,
  ) {
    let settled = false;
    return async (verdict: 'right' | 'wrong' | 'undecided' | 'abandoned'): Promise<void> => {
      if (settled) return;
      settled = true;
      try {
        if (verdict === 'right')
          await Promise.all([this.#counters.pairs.clear(keys.pair), this.#counters.users.clear(keys.user)]);
        else if (verdict === 'undecided') await takeBack();
        else if (verdict === 'wrong' && !repeated) await this.#refuse(attempt, keys);
      } finally {
        endTrial();
      }
    };
  }

  async #refuse({ user, address }: PenaltyAttempt, keys: Keys): Promise<void> {
    // A second click sends the same guess twice at once: only the first to come back counts.
    if ((await this.#counters.guesses.raise(keys.guess)) > 1) {
      await this.#counters.pairs.lower(keys.pair);
      return;
    }
    const network = clientNetwork(address);
    const raised: [Counter, string][] = [[this.#counters.users, keys.user]];
    const noted: NotedPenalty[] = [
      { kind: 'user-network', hash: keys.pair, user, network },
      { kind: 'user', hash: keys.user, user },
    ];
    if (keys.network !== undefined) {
      raised.push([this.#counters.networks, keys.network]);
      noted.push({ kind: 'network', hash: keys.network, network });
    }
    await Promise.all([
      ...raised.map(async ([counter, key]) => counter.raise(key)),
      // The counts slow guessing down without their names, too.
      this.#deps.names
        ?.note(noted)
        .catch((error: unknown) => this.#deps.log.debug('penalty-not-named', { err: error })),
    ]);
  }
}

/** The hashed keys under which an attempt is counted. `network` is undefined where the network carries many users. */
interface Keys {
  readonly pair: string;
  readonly guess: string;
  readonly user: string;
  readonly network: string | undefined;
}

/** The delay for each count, in milliseconds. */
interface Delays {
  readonly own: number;
  readonly network: number;
  readonly user: number;
}

function longest({ own, network, user }: Delays): number {
  return Math.max(own, network, user);
}

/**
 * The crowds of an attempt, the widest first. In a network that carries many users (`isExempt`), each user is a crowd.
 */
export function crowdsOf(user: string, address: string, isExempt: (address: string) => boolean): readonly string[] {
  return isExempt(address) ? [`${clientNetwork(address)} ${user}`] : clientNetworks(address);
}
