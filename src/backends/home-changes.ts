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

/** The fields of a session that matter here. */
type HeldRecord = Pick<SessionRecord, 'user' | 'backend' | 'createdAtMs' | 'homeSinceMs'>;

interface HomeChangesOptions {
  readonly state: Pick<StateReplica, 'homes' | 'overrides'>;
  /** The sessions that this node holds. */
  readonly sessions: () => Iterable<HeldRecord>;
  /** Asks the directory, overrides counted. Rejects: could not ask. */
  readonly lookUp: (user: CanonicalUser, signal: AbortSignal) => Promise<HomeLookup>;
  /** Longer than a session lives: until then a change concerns somebody. */
  readonly sessionMs: () => number;
  readonly clock: Clock;
  readonly log: Log;
}

/** Finds users whose home has changed in the directory while they have sessions, which go on at the new home then. */
export interface HomeChanges extends AsyncDisposable {
  /** Looks at one user now, because an operator says so, if this node holds a session of that user. Never rejects. */
  look(user: CanonicalUser): Promise<void>;
  /** Looks at the user of a session whose backend serves nobody now, before that user is told so. Never rejects. */
  lookForPlace(record: HeldRecord): Promise<void>;
  /** Looks at the next users in turn. A timer calls it each second. Never rejects. */
  lookOn(): Promise<void>;
}

const roundMs = 1_000;
/** Most answers are remembered by the cache of the directory; this bounds what it is asked when none is. */
const usersAtOnce = 20;
/** Servers of a directory that lag behind each other must not send a user to and fro. */
const settledMs = 10 * 60_000;
/** Nor must nodes that see different backends down: where one saw nobody served, no other leads back for so long. */
const noReturnMs = 5 * 60_000;
/** A user who could be served nowhere waits no longer to hear so. */
const placeMs = 2_000;

/** Whether a user may live on `to` from now on, who was led to `known` so long ago. */
type MayFollow = (known: FoundHome, to: BackendName, agoMs: number) => boolean;
const inTurn: MayFollow = (_known, _to, agoMs) => agoMs >= settledMs;
const unserved: MayFollow = ({ from, fled }, to, agoMs) => fled !== true || to !== from || agoMs >= noReturnMs;
const asTold: MayFollow = () => true;

/**
 * Asks the directory in turn for the users who have sessions here. Whoever is found to live elsewhere than the session
 * is noted for all nodes, see `homes` of the state: sessions that began before follow with their next request, and
 * every node forgets what it remembered of that user's home. An override of an operator counts for more, and a user
 * who was refused, is unknown or cannot be asked for stays where the sessions are. So do the users of a computed
 * directory with shared storage leave a backend that is down or in maintenance: by turns, and each at the next request.
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

  /** Answers whether another node has decided something meanwhile, which this one had not heard of. */
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
    // Later than what it replaces, whatever the clocks of two nodes say.
    const sinceMs = Math.max(nowMs, (known?.sinceMs ?? 0) + 1, (record.homeSinceMs ?? 0) + 1);
    const home: FoundHome = { backend: found.backend, from, sinceMs, ...fled };
    // Of two nodes that see it at the same time one writes.
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
      // Whom nobody can ask for stays; the next round asks again.
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
