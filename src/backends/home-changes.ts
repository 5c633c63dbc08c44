import type { Clock } from '../core/clock.ts';
import { withDeadline } from '../core/deadline.ts';
import type { HomeLookup } from '../core/directory.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { BackendName, CanonicalUser } from '../core/names.ts';
import type { SessionRecord } from '../core/session.ts';
import { homeOfSession } from './placement.ts';
import type { StateReplica } from './state-replica.ts';
import type { FoundHome } from './state-values.ts';

/** The fields of a session that decide about its home. */
type HeldRecord = Pick<SessionRecord, 'user' | 'backend' | 'createdAtMs' | 'homeSinceMs'>;

interface HomeChangesOptions {
  readonly state: Pick<StateReplica, 'homes' | 'overrides'>;
  /** The sessions that this node holds. */
  readonly sessions: () => Iterable<HeldRecord>;
  /** Asks the directory, overrides included. Rejects if it could not ask. */
  readonly lookUp: (user: CanonicalUser, signal: AbortSignal) => Promise<HomeLookup>;
  /** Milliseconds that a session lives at most. Older changes concern nobody. */
  readonly sessionMs: () => number;
  readonly clock: Clock;
  readonly log: Log;
}

/** Finds users whose home changed in the directory while they have sessions. The sessions go on at the new home. */
export interface HomeChanges extends AsyncDisposable {
  /** Checks one user now, on an operator's request, if this node holds a session of that user. Never rejects. */
  look(user: CanonicalUser): Promise<void>;
  /** Checks the user of a session whose backend is closed, before the user is told so. Never rejects. */
  lookForPlace(record: HeldRecord): Promise<void>;
  /** Checks the next users in turn. A timer calls it every second. Never rejects. */
  lookOn(): Promise<void>;
}

const roundMs = 1_000;
/** Users checked in one round. The cache of the directory answers for most; this bounds the load when it cannot. */
const usersAtOnce = 20;
/** Time before the next change, so that directory servers that lag behind each other cause no ping-pong. */
const settledMs = 10 * 60_000;
/**
 * Time before a user may return to a backend that a node saw closed, so that nodes that see different backends down
 * cause no ping-pong.
 */
const noReturnMs = 5 * 60_000;
/** Time that a user of a closed backend may wait for this check. */
const placeMs = 2_000;

/** Whether a user whose last change was `known`, `agoMs` ago, may change to `to`. */
type MayFollow = (known: FoundHome, to: BackendName, agoMs: number) => boolean;
const inTurn: MayFollow = (_known, _to, agoMs) => agoMs >= settledMs;
const unserved: MayFollow = ({ from, fled }, to, agoMs) => fled !== true || to !== from || agoMs >= noReturnMs;
const asTold: MayFollow = () => true;

/**
 * Asks the directory in turn for the users who have sessions here.
 *
 * If a user lives elsewhere than the session, that is noted for all nodes (`homes` of the state): older sessions follow
 * with their next request, and every node forgets the remembered home. An operator's override has precedence. Users who
 * are refused, unknown or cannot be looked up stay where their sessions are. Users of a computed directory with shared
 * storage leave a backend that is down or in maintenance in the same way, at their next request.
 */
export function createHomeChanges(deps: HomeChangesOptions): HomeChanges {
  return new FollowedHomes(deps);
}

class FollowedHomes implements HomeChanges {
  readonly #deps: HomeChangesOptions;
  readonly #ended = new AbortController();
  #queue: HeldRecord[] = [];
  #looking: Promise<void> | undefined;
  readonly #unservedUsers = new Map<CanonicalUser, Promise<void>>();
  readonly #timer: NodeJS.Timeout;

  constructor(deps: HomeChangesOptions) {
    this.#deps = deps;
    this.#timer = setInterval(() => void this.lookOn(), roundMs).unref();
  }

  lookOn(): Promise<void> {
    this.#looking ??= this.#lookAtNext().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async look(user: CanonicalUser): Promise<void> {
    for (const record of this.#nextRound())
      if (record.user === user) await this.#attempt(() => this.#compare(record, asTold, this.#ended.signal));
  }

  async lookForPlace(record: HeldRecord): Promise<void> {
    const { user } = record;
    const flight =
      this.#unservedUsers.get(user) ??
      this.#attempt(() => this.#compareUnserved(record)).finally(() => this.#unservedUsers.delete(user));
    this.#unservedUsers.set(user, flight);
    await flight;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#ended.abort();
    await Promise.all([this.#looking, ...this.#unservedUsers.values()]);
  }

  /** Returns true if another node decided something meanwhile that this node did not know yet. */
  async #compare(record: HeldRecord, mayFollow: MayFollow, signal: AbortSignal): Promise<boolean> {
    const { user } = record;
    const nowMs = this.#deps.clock.nowMs();
    const known = this.#deps.state.homes.get(user);
    const may = (to: BackendName) => known === undefined || mayFollow(known, to, nowMs - known.sinceMs);
    if (this.#deps.state.overrides.get(user) !== undefined || (mayFollow === inTurn && !may(record.backend)))
      return false;
    const found = await this.#deps.lookUp(user, signal);
    const from = homeOfSession(this.#deps.state, record);
    if (found.kind !== 'found' || found.user !== user || found.backend === from || !may(found.backend)) return false;
    const fled = mayFollow === unserved ? { fled: true as const } : {};
    // Later than the change that it replaces, even if the clocks of two nodes differ.
    const sinceMs = Math.max(nowMs, (known?.sinceMs ?? 0) + 1, (record.homeSinceMs ?? 0) + 1);
    const home: FoundHome = { backend: found.backend, from, sinceMs, ...fled };
    // If two nodes see the change at the same time, one of them writes it.
    const outcome = await this.#deps.state.homes.change(user, (before) => (before === known ? home : undefined));
    if (outcome === 'written') this.#deps.log.info('home-changed', { user, from, to: home.backend });
    return outcome !== 'written';
  }

  async #compareUnserved(record: HeldRecord): Promise<void> {
    await withDeadline({ source: 'directory', ms: placeMs }, this.#ended.signal, async (signal) => {
      if (await this.#compare(record, unserved, signal)) await this.#compare(record, unserved, signal);
    });
  }

  async #attempt(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      // A user who cannot be looked up stays; the next round asks again.
      if (!(error instanceof PosternError) && !this.#ended.signal.aborted) throw error;
    }
  }

  #nextRound(): HeldRecord[] {
    const round = new Map<string, HeldRecord>();
    for (const record of this.#deps.sessions()) round.set(JSON.stringify([record.user, record.backend]), record);
    return [...round.values()];
  }

  async #forgetOld(): Promise<void> {
    const oldMs = this.#deps.clock.nowMs() - this.#deps.sessionMs();
    const old = [...this.#deps.state.homes.all()].filter(([, { sinceMs }]) => sinceMs < oldMs).slice(0, usersAtOnce);
    for (const [user] of old) await this.#deps.state.homes.remove(user);
  }

  async #lookAtNext(): Promise<void> {
    if (this.#queue.length === 0) {
      this.#queue = this.#nextRound();
      await this.#attempt(() => this.#forgetOld());
    }
    const next = this.#queue.splice(0, usersAtOnce);
    await Promise.all(next.map((record) => this.#attempt(() => this.#compare(record, inTurn, this.#ended.signal))));
  }
}
