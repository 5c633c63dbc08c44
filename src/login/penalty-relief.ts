import { clientNetwork, createNetworkMatch } from '../core/ip-networks.ts';
import {
  type Counter,
  type createPenaltyHashes,
  delayOfNetwork,
  delayOfPair,
  delayOfUser,
  type PenaltyCounters,
} from './penalty-counters.ts';

/**
 * What refusals are counted of: `user-network`, a user from one network; `user`, a user from everywhere; `network`, one
 * network over all names.
 */
export type PenaltyKind = 'user-network' | 'user' | 'network';

/** A count with the user and the network that it is of. `hash` is its name in the store. */
export interface NotedPenalty {
  readonly kind: PenaltyKind;
  readonly hash: string;
  /** Absent for a network; of a stored count also if its name was sealed under a server key that has gone. */
  readonly user?: string;
  readonly network?: string;
}

/** A noted count, with the time of its last refusal in milliseconds. */
export interface StoredPenaltyName extends NotedPenalty {
  readonly atMs: number;
}

/** The names of the counts: whom each is of. At most `penaltyNamesKept`, the latest ones. */
export interface PenaltyNames {
  /** Rejects if the store cannot take them. */
  note(noted: readonly NotedPenalty[]): Promise<void>;
  /** Those with the latest refusals, at most this many, in any order. Rejects if the store cannot be asked. */
  latest(most: number): Promise<readonly StoredPenaltyName[]>;
}

/** A penalty as operators see it. */
interface ListedPenalty extends StoredPenaltyName {
  /** Wrong passwords that count now. */
  readonly refusals: number;
  /** The delay of the next login, in milliseconds; 0 while the count is below its allowance. */
  readonly delayMs: number;
  /** The count is forgotten after this time, in milliseconds. */
  readonly leftMs: number;
}

/** A penalty that was lifted; without `atMs` if its name was no longer kept. */
interface LiftedPenalty extends Omit<ListedPenalty, 'atMs'> {
  readonly atMs?: number;
}

/** Selects penalties: one must match every field that is given. */
interface PenaltyFilter {
  /** The canonical user, or the normalised name of an unknown one. */
  readonly user?: string;
  /** Only users of these domains, in lower case: what a role covers. Leaves out networks. */
  readonly domains?: readonly string[];
  /** A network in CIDR form that contains the client network, or an address in the client network. */
  readonly network?: string;
  /** Also counts that delay nobody yet. */
  readonly withoutDelay?: boolean;
  /** Only counts among this many with the latest refusals; all that are kept when left out. */
  readonly amongLatest?: number;
}

/** A page of penalties. `next` is the place to go on from; undefined at the end. */
interface PenaltyPage {
  readonly penalties: readonly ListedPenalty[];
  readonly next: string | undefined;
}

/** The penalties, which operators and support can see and lift. Every call but `stateOf` rejects if the store fails. */
export interface PenaltyRelief {
  /** Wrong passwords of the last ten minutes, from everywhere, and the longest delay from any of the networks. */
  stateOf(user: string, addresses: readonly string[]): Promise<{ readonly refusals: number; readonly delayMs: number }>;
  /**
   * Clears the user's counts, from everywhere and from these and all noted networks, but not the counts of the networks
   * themselves.
   */
  lift(user: string, addresses: readonly string[]): Promise<void>;
  /** Lists penalties over all nodes, the latest refusal first. `after` is the `next` of the page before. */
  list(filter: PenaltyFilter, limit: number, after?: string): Promise<PenaltyPage>;
  /**
   * Lifts the penalties of a user, or of a network with those of all users from there; of both, only those of the user
   * from there. Resolves with what it lifted. Of counts whose names are no longer kept, it lifts that of the user from
   * everywhere, of the client network, or of both together.
   */
  liftMatching(filter: Pick<PenaltyFilter, 'user' | 'network'>): Promise<readonly LiftedPenalty[]>;
}

/** The most counts whose names are kept. Counts themselves are not limited; older ones are in no list. */
export const penaltyNamesKept = 20_000;
/** The longest time that a count lasts. */
export const penaltyNamesKeptMs = 900_000;
/** Counts that are read at once. */
const countsAtOnce = 100;

interface PenaltyReliefDeps {
  readonly counters: PenaltyCounters;
  readonly hashes: ReturnType<typeof createPenaltyHashes>;
  readonly names?: PenaltyNames;
}

/** Creates the view of the penalties for operators and support. */
export function createPenaltyRelief(deps: PenaltyReliefDeps): PenaltyRelief {
  const relief = new Relief(deps);
  return {
    stateOf: (user, addresses) => relief.stateOf(user, addresses),
    lift: (user, addresses) => relief.lift(user, addresses),
    list: (filter, limit, after) => relief.list(filter, limit, after),
    liftMatching: (filter) => relief.liftMatching(filter),
  };
}

class Relief implements PenaltyRelief {
  readonly #deps: PenaltyReliefDeps;

  constructor(deps: PenaltyReliefDeps) {
    this.#deps = deps;
  }

  async stateOf(user: string, addresses: readonly string[]) {
    const { users, pairs } = this.#deps.counters;
    const [refusals, ...ofPairs] = await Promise.all([
      users.count(this.#deps.hashes.user(user)),
      ...this.#pairsOf(user, addresses).map((pair) => pairs.count(pair)),
    ]);
    return { refusals, delayMs: Math.max(delayOfUser(refusals), ...ofPairs.map(delayOfPair)) };
  }

  async lift(user: string, addresses: readonly string[]): Promise<void> {
    const { users, pairs } = this.#deps.counters;
    await Promise.all([
      users.lift(this.#deps.hashes.user(user)),
      ...this.#pairsOf(user, addresses).map((pair) => pairs.lift(pair)),
    ]);
    await this.liftMatching({ user });
  }

  async list(filter: PenaltyFilter, limit: number, after?: string): Promise<PenaltyPage> {
    const penalties: ListedPenalty[] = [];
    for await (const penalty of this.#matching(filter, after)) {
      if (penalties.length === limit) return { penalties, next: placeOf(penalties.at(-1)) };
      penalties.push(penalty);
    }
    return { penalties, next: undefined };
  }

  async liftMatching({ user, network }: Pick<PenaltyFilter, 'user' | 'network'>): Promise<readonly LiftedPenalty[]> {
    const lifted: LiftedPenalty[] = [];
    const filter = {
      ...(user === undefined ? {} : { user }),
      ...(network === undefined ? {} : { network }),
      withoutDelay: true,
    };
    for await (const penalty of this.#matching(filter)) {
      await this.#counterOf(penalty.kind).lift(penalty.hash);
      lifted.push(penalty);
    }
    const unnamed = this.#countOf(user, network);
    if (unnamed === undefined) return lifted;
    const { count: refusals, leftMs } = await this.#counterOf(unnamed.kind).look(unnamed.hash);
    if (refusals === 0) return lifted;
    await this.#counterOf(unnamed.kind).lift(unnamed.hash);
    const delayMs = delayOf(unnamed.kind, refusals);
    return [...lifted, { ...unnamed, refusals, delayMs, leftMs: Math.round(leftMs) }];
  }

  /** The one count of a user, of a client network, or of both; undefined of a network that is not counted as one. */
  #countOf(user: string | undefined, network: string | undefined): NotedPenalty | undefined {
    const { hashes } = this.#deps;
    if (network === undefined) return user === undefined ? undefined : { kind: 'user', hash: hashes.user(user), user };
    const counted = countedNetwork(network);
    if (counted === undefined) return undefined;
    if (user === undefined) return { kind: 'network', hash: hashes.network(counted), network: counted };
    return { kind: 'user-network', hash: hashes.pair(user, counted), user, network: counted };
  }

  /** Yields the counts that stand now. A name whose count was cleared by a right password is skipped. */
  async *#matching(filter: PenaltyFilter, after?: string): AsyncIterable<ListedPenalty> {
    const matches = matcherOf(filter);
    const names = (await this.#deps.names?.latest(filter.amongLatest ?? penaltyNamesKept)) ?? [];
    // The place is made once for each: to make it in each comparison blocks the process for 0.1 s.
    const wanted = names
      .filter(matches)
      .map((noted) => ({ noted, place: placeOf(noted) }))
      .filter(({ place }) => after === undefined || compare(place, after) < 0)
      .sort((a, b) => compare(b.place, a.place))
      .map(({ noted }) => noted);
    for (let from = 0; from < wanted.length; from += countsAtOnce) {
      const some = wanted.slice(from, from + countsAtOnce);
      const counts = await Promise.all(some.map(({ kind, hash }) => this.#counterOf(kind).look(hash)));
      for (const [index, noted] of some.entries()) {
        const { count = 0, leftMs = 0 } = counts[index] ?? {};
        const delayMs = delayOf(noted.kind, count);
        if (count > 0 && (delayMs > 0 || filter.withoutDelay === true))
          yield { ...noted, refusals: count, delayMs, leftMs: Math.round(leftMs) };
      }
    }
  }

  #counterOf(kind: PenaltyKind): Counter {
    const { users, networks, pairs } = this.#deps.counters;
    return kind === 'user' ? users : kind === 'network' ? networks : pairs;
  }

  #pairsOf(user: string, addresses: readonly string[]): readonly string[] {
    return [...new Set(addresses.map(clientNetwork))].map((network) => this.#deps.hashes.pair(user, network));
  }
}

function delayOf(kind: PenaltyKind, refusals: number): number {
  if (kind === 'user') return delayOfUser(refusals);
  return kind === 'network' ? delayOfNetwork(refusals, 0) : delayOfPair(refusals);
}

/** The place of a penalty in the list, as a text that sorts by the time of the last refusal. */
function placeOf(noted: StoredPenaltyName | undefined): string {
  return noted === undefined ? '' : `${String(noted.atMs).padStart(15, '0')}.${noted.kind}.${noted.hash}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a === b ? 0 : 1;
}

/** Throws a RangeError for a malformed network. */
function matcherOf({ user, domains, network }: PenaltyFilter): (noted: StoredPenaltyName) => boolean {
  const isIn = network === undefined ? undefined : createNetworkMatch([network]);
  const ofAddress = network === undefined || network.includes('/') ? undefined : clientNetwork(network);
  return (noted) => {
    if (user !== undefined && noted.user !== user) return false;
    if (domains !== undefined && !domains.includes(domainOf(noted.user))) return false;
    if (isIn === undefined) return true;
    if (noted.network === undefined) return false;
    return ofAddress === undefined ? isIn(baseOf(noted.network)) : noted.network === ofAddress;
  };
}

/** The domain of a user; empty for a name without one, which no role that is limited to domains covers. */
function domainOf(user: string | undefined): string {
  return user?.includes('@') === true ? user.slice(user.lastIndexOf('@') + 1) : '';
}

/** The client network of an address, or that a network in CIDR form is; undefined for a wider or a narrower one. */
function countedNetwork(network: string): string | undefined {
  const counted = clientNetwork(baseOf(network));
  const [, prefix] = network.split('/');
  return prefix === undefined || counted.endsWith(`/${prefix}`) ? counted : undefined;
}

function baseOf(network: string): string {
  return network.replace(/\/\d+$/, '');
}
