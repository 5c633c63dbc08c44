import type { Clock } from '../core/clock.ts';
import type { HomeLookup } from '../core/directory.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { CanonicalUser } from '../core/names.ts';
import type { SessionRecord } from '../core/session.ts';
import type { StateMirror } from './state-mirror.ts';

/** What of a session counts here. */
type HeldRecord = Pick<SessionRecord, 'user' | 'backend' | 'createdAtMs'>;

export interface AdoptionOptions {
  readonly state: Pick<StateMirror, 'homes' | 'overrides'>;
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
export interface Adoption extends AsyncDisposable {
  /** Looks at one user now, if this node holds a session of that user. Never rejects. */
  look(user: CanonicalUser): Promise<void>;
  /** Looks at the next users in turn. A timer calls it each second. Never rejects. */
  lookOn(): Promise<void>;
}

const everyMs = 1_000;
/** Most answers are remembered by the cache of the directory; this bounds what it is asked when none is. */
const usersAtOnce = 20;
/** Servers of a directory that lag behind each other must not send a user to and fro. */
const settledMs = 10 * 60_000;

/**
 * Asks the directory in turn for the users who have sessions here. Whoever is found to live elsewhere than the session
 * is noted for all nodes, see `homes` of the state: sessions that began before follow with their next request, and
 * every node forgets what it remembered of that user's home. An override of an operator counts for more, and a user
 * who was refused, is unknown or cannot be asked for stays where the sessions are.
 */
export function createAdoption(options: AdoptionOptions): Adoption {
  const { state, clock, log } = options;
  const ended = new AbortController();
  let queue: HeldRecord[] = [];
  let looking: Promise<void> | undefined;
  const timer = setInterval(() => void lookOn(), everyMs).unref();

  async function compare(record: HeldRecord): Promise<void> {
    const { user } = record;
    const nowMs = clock.nowMs();
    const known = state.homes.get(user);
    if (state.overrides.get(user) !== undefined || (known !== undefined && nowMs - known.sinceMs < settledMs)) return;
    const found = await options.lookUp(user, ended.signal);
    const from = homeOfSession(state, record);
    if (found.kind !== 'found' || found.user !== user || found.backend === from) return;
    const home = { backend: found.backend, from, sinceMs: nowMs };
    // Of two nodes that see it at the same time one writes.
    const outcome = await state.homes.change(user, (before) => (before === known ? home : undefined));
    if (outcome === 'written')
      log.info({ user, from, to: home.backend }, 'the home of a user changed in the directory');
  }

  async function attempt(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      // Whom nobody can ask for stays; the next round asks again.
      if (!(error instanceof PosternError) && !ended.signal.aborted) throw error;
    }
  }

  function nextRound(): HeldRecord[] {
    const round = new Map<string, HeldRecord>();
    for (const record of options.sessions()) round.set(JSON.stringify([record.user, record.backend]), record);
    return [...round.values()];
  }

  async function forgetOld(): Promise<void> {
    const oldMs = clock.nowMs() - options.sessionMs();
    const old = [...state.homes.all()].filter(([, { sinceMs }]) => sinceMs < oldMs).slice(0, usersAtOnce);
    for (const [user] of old) await state.homes.remove(user);
  }

  async function lookAtNext(): Promise<void> {
    if (queue.length === 0) {
      queue = nextRound();
      await attempt(forgetOld);
    }
    await Promise.all(queue.splice(0, usersAtOnce).map((record) => attempt(() => compare(record))));
  }

  function lookOn(): Promise<void> {
    looking ??= lookAtNext().finally(() => {
      looking = undefined;
    });
    return looking;
  }

  return {
    lookOn,
    async look(user) {
      for (const record of nextRound()) if (record.user === user) await attempt(() => compare(record));
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      ended.abort();
      await looking;
    },
  };
}

/** Where a session's user lives, as far as it is known without asking: a later decision counts for more than the record. */
export function homeOfSession(
  { overrides, homes }: Pick<StateMirror, 'homes' | 'overrides'>,
  { user, backend, createdAtMs }: HeldRecord,
): string {
  const home = homes.get(user);
  return overrides.get(user)?.backend ?? (home !== undefined && home.sinceMs > createdAtMs ? home.backend : backend);
}
