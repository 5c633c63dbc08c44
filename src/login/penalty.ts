import { createHmac, type KeyObject } from 'node:crypto';
import { isIP, isIPv4 } from 'node:net';
import { plainAddress } from '../core/ip-networks.ts';
import type { Log } from '../core/log.ts';
import type { Secret } from '../core/secrets.ts';
import { createTrialLimit, createWaitingRoom, type Wait } from './limits.ts';
import { type Counter, createCounters, type PenaltyCounters } from './penalty-counters.ts';

/** One attempt to sign in, before its password is tried. */
export interface PenaltyAttempt {
  /** The canonical user, or the normalised name of an unknown one: both are penalised alike. */
  readonly user: string;
  readonly address: string;
  readonly password: Secret;
}

/**
 * `admitted`: it waited `waitedMs`, and the password may be tried now. `settle` must be called with the result:
 * `undecided` if no server could say, `abandoned` if the client left meanwhile. Only the first call counts. `busy`: too
 * many are waiting; the attempt was not counted.
 */
export type Admission =
  | {
      readonly kind: 'admitted';
      readonly waitedMs: number;
      settle(verdict: 'right' | 'wrong' | 'undecided' | 'abandoned'): Promise<void>;
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

/** The penalty of one user, which support can see and lift, for the networks of these addresses. */
export interface PenaltyRelief {
  /** Wrong passwords of the last ten minutes, from everywhere, and the longest delay from any of the networks. */
  stateOf(user: string, addresses: readonly string[]): Promise<{ readonly refusals: number; readonly delayMs: number }>;
  /**
   * Clears the user's counts, from everywhere and from these networks, but not the counts of the networks themselves.
   */
  lift(user: string, addresses: readonly string[]): Promise<void>;
}

/** Dependencies of the penalty. */
export interface PenaltyDeps {
  /** A connected client of the `redis` package that all nodes share; without it each process counts for itself. */
  readonly redis?: object;
  /** Hashes names, networks and guesses, so that the store holds none of them. Shared by all nodes. */
  readonly key: KeyObject;
  /** Networks that carry many users: the count per network does not apply to them. */
  readonly isExempt: (address: string) => boolean;
  readonly wait: Wait;
  readonly log: Log;
}

const stepsMs = [0, 2_000, 4_000, 8_000, 15_000] as const;
/** Refusals of one network, over all names, before its logins wait. */
const networkAllowance = 30;
/** Refusals of one user, over all networks, for each step; strangers can cause no more than the last one. */
const refusalsPerUserStep = 10;
const userStepsMs = [0, 2_000, 4_000] as const;
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
  return new CountedPenalty(deps);
}

class CountedPenalty implements Penalty, PenaltyRelief {
  readonly #deps: PenaltyDeps;
  readonly #counters: PenaltyCounters;
  readonly #room = createWaitingRoom(waitingLimits);
  readonly #beginTrial: (network: string, signal: AbortSignal) => Promise<() => void>;

  constructor(deps: PenaltyDeps) {
    this.#deps = deps;
    this.#counters = createCounters(this.#deps.redis, this.#deps.log);
    this.#beginTrial = createTrialLimit({
      atOnce: trialsPerNetwork,
      patienceMs: trialPatienceMs,
      wait: this.#deps.wait,
    });
  }

  async stateOf(
    user: string,
    addresses: readonly string[],
  ): Promise<{ readonly refusals: number; readonly delayMs: number }> {
    const [refusals, ...ofPairs] = await Promise.all([
      this.#counters.users.count(this.#hash('user', user)),
      ...this.#pairsOf(user, addresses).map((pair) => this.#counters.pairs.count(pair)),
    ]);
    const delays = [delayOfUser(refusals), ...ofPairs.map((count) => stepOf(stepsMs, count))];
    return { refusals, delayMs: Math.max(...delays) };
  }

  async lift(user: string, addresses: readonly string[]): Promise<void> {
    const pairs = this.#pairsOf(user, addresses).map((pair) => this.#counters.pairs.clear(pair));
    await Promise.all([this.#counters.users.clear(this.#hash('user', user)), ...pairs]);
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
      own: stepOf(stepsMs, ofPair),
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
    return { kind: 'admitted', waitedMs, settle: this.#settling(keys, repeated, takeBack, endTrial) };
  }

  #hash(...parts: readonly string[]) {
    return createHmac('sha256', this.#deps.key)
      .update(JSON.stringify(parts))
      .digest()
      .subarray(0, 16)
      .toString('base64url');
  }

  #pairsOf(user: string, addresses: readonly string[]) {
    return [...new Set(addresses.map(clientNetwork))].map((network) => this.#hash('pair', user, network));
  }

  #keysOf({ user, address, password }: PenaltyAttempt): Keys {
    const network = clientNetwork(address);
    const pair = this.#hash('pair', user, network);
    const guess = `${pair}:${this.#hash('guess', user, network, password.reveal()).slice(0, 6)}`;
    return {
      pair,
      guess,
      user: this.#hash('user', user),
      network: this.#deps.isExempt(address) ? undefined : this.#hash('network', network),
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

  #settling(keys: Keys, repeated: boolean, takeBack: () => Promise<void>, endTrial: () => void) {
    let settled = false;
    return async (verdict: 'right' | 'wrong' | 'undecided' | 'abandoned'): Promise<void> => {
      if (settled) return;
      settled = true;
      try {
        if (verdict === 'right')
          await Promise.all([this.#counters.pairs.clear(keys.pair), this.#counters.users.clear(keys.user)]);
        else if (verdict === 'undecided') await takeBack();
        else if (verdict === 'wrong' && !repeated) await this.#refuse(keys);
      } finally {
        endTrial();
      }
    };
  }

  async #refuse({ guess, pair, user, network }: Keys): Promise<void> {
    // A second click sends the same guess twice at once: only the first to come back counts.
    if ((await this.#counters.guesses.raise(guess)) > 1) {
      await this.#counters.pairs.lower(pair);
      return;
    }
    const raised: [Counter, string][] = [[this.#counters.users, user]];
    if (network !== undefined) raised.push([this.#counters.networks, network]);
    await Promise.all(raised.map(async ([counter, key]) => counter.raise(key)));
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

/** Waiting attempts count like refusals once the network has used its allowance. */
function delayOfNetwork(refusals: number, waiting: number): number {
  return refusals < networkAllowance ? 0 : stepOf(stepsMs, refusals + waiting - networkAllowance + 1);
}

function delayOfUser(refusals: number): number {
  return stepOf(userStepsMs, Math.floor(refusals / refusalsPerUserStep));
}

function stepOf(steps: readonly number[], refusals: number): number {
  return steps[Math.min(Math.max(refusals, 0), steps.length - 1)] ?? 0;
}

/**
 * The network that a client is counted under: the /24 of an IPv4 address, the /64 of an IPv6 one, since one subscriber
 * has at least that many addresses. An IPv4 address in IPv6 form counts as IPv4. Any other text stands for itself.
 */
export function clientNetwork(address: string): string {
  const plain = plainAddress(address);
  if (isIPv4(plain)) return `${plain.slice(0, plain.lastIndexOf('.'))}.0/24`;
  if (isIP(plain) === 0) return plain;
  return `${firstGroups(plain).join(':')}::/64`;
}

/**
 * The networks of an address, the widest first and the address last. A /48 or a /56 is the most that one IPv6
 * subscriber or site has; a /24 stands for neighbours in IPv4.
 */
export function clientNetworks(address: string): readonly string[] {
  const plain = plainAddress(address);
  if (isIPv4(plain)) return [clientNetwork(plain), plain];
  if (isIP(plain) === 0) return [plain];
  const [first = '0', second = '0', third = '0', fourth = '0'] = firstGroups(plain);
  const site = `${first}:${second}:${third}`;
  const home = Number.parseInt(fourth, 16) & 0xff00;
  return [`${site}::/48`, `${site}:${home.toString(16)}::/56`, clientNetwork(plain), plain];
}

/**
 * The crowds of an attempt, the widest first. In a network that carries many users (`isExempt`), each user is a crowd.
 */
export function crowdsOf(user: string, address: string, isExempt: (address: string) => boolean): readonly string[] {
  return isExempt(address) ? [`${clientNetwork(address)} ${user}`] : clientNetworks(address);
}

/** The first four groups of an IPv6 address, without leading zeros. */
function firstGroups(address: string): string[] {
  const [head = '', tail] = address.toLowerCase().split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const rest = tail === '' ? [] : tail.split(':');
    // A dotted end stands for two groups.
    const missing = 8 - groups.length - rest.length - (tail.includes('.') ? 1 : 0);
    groups.push(...Array.from({ length: missing }, () => '0'), ...rest);
  }
  return groups.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, ''));
}
