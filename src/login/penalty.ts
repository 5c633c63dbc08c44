import { createHmac, type KeyObject } from 'node:crypto';
import type { Log } from '../core/log.ts';
import type { Secret } from '../core/secret.ts';
import { clientNetwork } from './client-network.ts';
import { type Counter, createCounters } from './penalty-counters.ts';
import type { Wait } from './wait.ts';

/** One attempt to sign in, before its password is tried. */
export interface PenaltyAttempt {
  /** The canonical user, or the normalised name of an unknown one: both are penalised alike. */
  readonly user: string;
  readonly address: string;
  readonly password: Secret;
}

/**
 * `admitted`: it waited `waitedMs`; the password may be tried now, and `settle` must be called once with what came of
 * it: `undecided` when nobody could say. `busy`: too many are waiting already; nothing was counted.
 */
export type Admission =
  | {
      readonly kind: 'admitted';
      readonly waitedMs: number;
      settle(verdict: 'right' | 'wrong' | 'undecided'): Promise<void>;
    }
  | { readonly kind: 'busy' };

/** Growing delay after failed logins, as Dovecot's anvil: it slows guessing and locks nobody out. */
export interface Penalty {
  /** Rejects when `signal` is aborted while it waits; the attempt is then not counted. */
  admit(attempt: PenaltyAttempt, signal: AbortSignal): Promise<Admission>;
}

/** What support sees of the penalty of one user, and may take away. The networks are those of these addresses. */
export interface PenaltyRelief {
  /** Wrong passwords of the last ten minutes, from everywhere, and the longest delay from any of the networks. */
  stateOf(user: string, addresses: readonly string[]): Promise<{ readonly refusals: number; readonly delayMs: number }>;
  /** Clears the counts of the user, from everywhere and from these networks; never those of the networks themselves. */
  lift(user: string, addresses: readonly string[]): Promise<void>;
}

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
/** So many refusals of one network, over all names, before its logins wait. */
const networkAllowance = 30;
/** So many refusals of one user, over all networks, for each step; strangers can cause no more than the last one. */
const refusalsPerUserStep = 10;
const userStepsMs = [0, 2_000, 4_000] as const;
const maxWaiting = 1_000;
const maxWaitingPerNetwork = 50;

/**
 * Three counts slow a login down, and the longest delay holds: refusals of this user from this network (2, 4, 8, 15 s),
 * of this network over all names (the same, from the 30th in 10 min), and of this user from everywhere (2, then 4 s).
 *
 * The first is raised before the password is tried and taken back after, so that parallel guesses count each other.
 * A wrong password that was tried before raises nothing. A right one clears the user's counts, never the network's:
 * an attacker may own a mailbox.
 */
export function createPenalty(deps: PenaltyDeps): Penalty & PenaltyRelief {
  const counters = createCounters(deps.redis, deps.log);
  const waiting = createWaitingRoom();
  const hash = (...parts: readonly string[]) =>
    createHmac('sha256', deps.key).update(JSON.stringify(parts)).digest().subarray(0, 16).toString('base64url');

  const pairsOf = (user: string, addresses: readonly string[]) =>
    [...new Set(addresses.map(clientNetwork))].map((network) => hash('pair', user, network));

  return {
    async stateOf(user, addresses) {
      const [refusals, ...ofPairs] = await Promise.all([
        counters.users.count(hash('user', user)),
        ...pairsOf(user, addresses).map((pair) => counters.pairs.count(pair)),
      ]);
      const delays = [delayOfUser(refusals), ...ofPairs.map((count) => stepOf(stepsMs, count))];
      return { refusals, delayMs: Math.max(...delays) };
    },

    async lift(user, addresses) {
      const pairs = pairsOf(user, addresses).map((pair) => counters.pairs.clear(pair));
      await Promise.all([counters.users.clear(hash('user', user)), ...pairs]);
    },

    async admit({ user, address, password }, signal) {
      const network = clientNetwork(address);
      const exempt = deps.isExempt(address);
      const pair = hash('pair', user, network);
      const guess = `${pair}:${hash('guess', user, network, password.reveal()).slice(0, 6)}`;
      const userKey = hash('user', user);
      const networkKey = hash('network', network);

      const repeated = (await counters.guesses.count(guess)) > 0;
      const [ofPair, ofUser, ofNetwork] = await Promise.all([
        repeated ? counters.pairs.count(pair) : counters.pairs.raise(pair).then((count) => count - 1),
        counters.users.count(userKey),
        exempt ? 0 : counters.networks.count(networkKey),
      ]);
      const takeBack = async () => {
        if (!repeated) await counters.pairs.lower(pair);
      };

      const delayMs = Math.max(
        stepOf(stepsMs, ofPair),
        stepOf(stepsMs, ofNetwork - networkAllowance + 1),
        delayOfUser(ofUser),
      );
      if (delayMs > 0) {
        const leave = waiting.enter(network, exempt);
        if (leave === undefined) {
          await takeBack();
          return { kind: 'busy' };
        }
        try {
          await deps.wait(delayMs, signal);
        } catch (error) {
          await takeBack();
          throw error;
        } finally {
          leave();
        }
      }

      return {
        kind: 'admitted',
        waitedMs: delayMs,
        async settle(verdict) {
          if (verdict === 'right') await Promise.all([counters.pairs.clear(pair), counters.users.clear(userKey)]);
          else if (verdict === 'undecided') await takeBack();
          else if (!repeated) await refuse({ pair, guess, userKey, networkKey: exempt ? undefined : networkKey });
        },
      };
    },
  };

  async function refuse(keys: { pair: string; guess: string; userKey: string; networkKey: string | undefined }) {
    // A second click sends the same guess twice at once: only the first to come back counts.
    if ((await counters.guesses.raise(keys.guess)) > 1) {
      await counters.pairs.lower(keys.pair);
      return;
    }
    const raised: [Counter, string][] = [[counters.users, keys.userKey]];
    if (keys.networkKey !== undefined) raised.push([counters.networks, keys.networkKey]);
    await Promise.all(raised.map(async ([counter, key]) => counter.raise(key)));
  }
}

function delayOfUser(refusals: number): number {
  return stepOf(userStepsMs, Math.floor(refusals / refusalsPerUserStep));
}

function stepOf(steps: readonly number[], refusals: number): number {
  return steps[Math.min(Math.max(refusals, 0), steps.length - 1)] ?? 0;
}

/** Bounds how many logins wait, in all and for one network, so that waiting cannot be used to exhaust a node. */
function createWaitingRoom(): { enter(network: string, exempt: boolean): (() => void) | undefined } {
  let all = 0;
  const byNetwork = new Map<string, number>();
  return {
    enter(network, exempt) {
      const here = byNetwork.get(network) ?? 0;
      if (all >= maxWaiting || (!exempt && here >= maxWaitingPerNetwork)) return undefined;
      all += 1;
      byNetwork.set(network, here + 1);
      return () => {
        all -= 1;
        const left = (byNetwork.get(network) ?? 1) - 1;
        if (left === 0) byNetwork.delete(network);
        else byNetwork.set(network, left);
      };
    },
  };
}
