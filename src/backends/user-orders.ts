import type { Clock } from '../core/clock.ts';
import {
  type DirectorySource,
  type HomeLookup,
  type LockRefusal,
  type UserHome,
  TryAgainLater,
} from '../core/directory.ts';
import { PosternError } from '../core/error.ts';
import { createNetworkMatch, namedNetwork } from '../core/ip-networks.ts';
import type { Log } from '../core/log.ts';
import { type BackendName, canonicalUser, type LoginName } from '../core/names.ts';
import type { UnreachedNode } from '../core/node-report.ts';
import { defined } from '../core/objects.ts';
import type { SessionRecord } from '../core/session.ts';
import type { MailEnd } from './mail-connections.ts';
import type { StateReplica } from './state-replica.ts';
import type { Lock, Override } from './state-values.ts';

/** Dependencies of the directory of overrides. */
export interface OverrideDirectoryDeps {
  readonly overrides: { get(user: string): Override | undefined };
  /** A configured backend by its name. */
  readonly backendNamed: (name: string) => BackendName | undefined;
}

/**
 * Makes a directory in which moved users live where they were moved to.
 *
 * An override says where a user lives, not whether the user may sign in: it lifts no refusal and no "try again later".
 * It also answers for a user whom no source knows yet, and while no source can be asked. An override to a backend that
 * is not configured is ignored.
 */
export function withOverrides(
  directory: Pick<DirectorySource, 'lookup'>,
  { overrides, backendNamed }: OverrideDirectoryDeps,
): Pick<DirectorySource, 'lookup'> {
  function homeOf(user: string): BackendName | undefined {
    const backend = overrides.get(user)?.backend;
    return backend === undefined ? undefined : backendNamed(backend);
  }

  function ownAnswer(name: LoginName): HomeLookup | undefined {
    const backend = homeOf(name);
    return backend === undefined ? undefined : { kind: 'found', backend, user: canonicalUser(name) };
  }

  /** The home where the password of a user who may not sign in can be checked. */
  function homeOfBarred(name: LoginName, at: UserHome | undefined): UserHome | undefined {
    const user = at?.user ?? canonicalUser(name);
    const backend = homeOf(user) ?? at?.backend;
    return backend === undefined ? undefined : { user, backend };
  }

  return {
    async lookup(name, signal) {
      let found: HomeLookup;
      try {
        found = await directory.lookup(name, signal);
      } catch (error) {
        if (error instanceof TryAgainLater) throw new TryAgainLater(error.by, homeOfBarred(name, error.at));
        const own = ownAnswer(name);
        if (own === undefined || !(error instanceof PosternError) || signal.aborted) throw error;
        return own;
      }
      if (found.kind === 'unknown-user') return ownAnswer(name) ?? found;
      if (found.kind === 'refused') {
        const at = homeOfBarred(name, found.at);
        return at === undefined ? found : { ...found, at };
      }
      const backend = homeOf(found.user);
      if (backend === undefined || (found.kind === 'found' && found.backend === backend)) return found;
      const role = found.kind === 'found' && found.role !== undefined ? { role: found.role } : {};
      return { kind: 'found', user: found.user, backend, ...role };
    },
  };
}

/** Dependencies of the directory of locks. */
export interface LockDirectoryDeps {
  readonly locks: Pick<Locks, 'count' | 'ofUser'>;
  /** Whether the locks were ever read. */
  readonly isKnown: () => boolean;
}

/**
 * Makes a directory that refuses users who are locked: under the name that was typed, or under the one that it stands
 * for. The password can still be checked, so that only its owner hears of the lock. Rejects with ERR_STORE_UNAVAILABLE
 * while the locks are not known.
 */
export function withLocks(
  directory: Pick<DirectorySource, 'lookup'>,
  { locks, isKnown }: LockDirectoryDeps,
): Pick<DirectorySource, 'lookup'> {
  return {
    async lookup(name, signal) {
      if (!isKnown()) throw locksUnknown();
      const found = await directory.lookup(name, signal);
      if (locks.count === 0 || found.kind === 'unknown-user' || found.kind === 'refused') return found;
      const standing = locks.ofUser(found.user) ?? locks.ofUser(name);
      if (standing === undefined) return found;
      const refusal = refusalBy(standing);
      if (found.kind === 'referred') return { ...found, refusal };
      const { user, backend } = found;
      return { ...refusal, at: { user, backend } };
    },
  };
}

function locksUnknown(): PosternError {
  const message = 'the state store has not answered since the start, so this node does not know who is locked';
  return new PosternError('ERR_STORE_UNAVAILABLE', message, { source: 'store', retryable: true });
}

/** The refusal of those whom a lock covers. */
export function refusalBy({ texts, untilMs }: Lock): LockRefusal {
  const reason = texts['en'] ?? Object.values(texts)[0] ?? 'This account is locked. Ask your administrator.';
  return { kind: 'refused', reason, lock: { texts, ...defined({ untilMs }) } };
}

/** What a lock can name. */
export const lockKinds = ['user', 'domain', 'network'] as const;

/** A user, a domain or a network. */
export type LockKind = (typeof lockKinds)[number];

/** The user, domain or network that a lock names, in its one spelling. */
export interface LockTarget {
  readonly kind: LockKind;
  readonly name: string;
}

/** A lock that is in force. */
export interface StandingLock extends LockTarget, Lock {}

/** The key of a lock in the state. */
export function lockKey({ kind, name }: LockTarget): string {
  return `${kind}:${name}`;
}

/** Reads a key of the state; undefined for a key of another version. */
function targetOf(key: string): LockTarget | undefined {
  const colon = key.indexOf(':');
  const kind = lockKinds.find((one) => one === key.slice(0, colon));
  return kind === undefined ? undefined : { kind, name: key.slice(colon + 1) };
}

/** A lock as somebody orders it. */
export type LockOrder = Omit<Lock, 'sinceMs'>;

/** What a change of the locks has reached. */
export interface LockChange {
  /** The nodes that are known, this one and those not reached included. */
  readonly nodes: number;
  readonly unreached: readonly UnreachedNode[];
  /** The targets that were locked before. */
  readonly before: readonly LockTarget[];
}

/** What locking ended besides. */
export interface LockingEnd extends LockChange {
  /** Sessions of all nodes. Of domains and networks, other nodes may have ended some more. */
  readonly ended: number;
  /** Why the sessions that no node has in memory could not be listed; undefined if they could. */
  readonly unlisted?: string;
  /** Connections to mail servers; undefined if no mail proxy is configured. */
  readonly mail?: MailEnd;
}

/** Changes the locks of all nodes. Both reject with ERR_STORE_UNAVAILABLE if the store does not take the change. */
export interface LockControl {
  /** Locks, ends what is open, and waits up to two seconds until all nodes know. */
  lock(targets: readonly LockTarget[], order: LockOrder): Promise<LockingEnd>;
  unlock(targets: readonly LockTarget[], by: string): Promise<LockChange>;
}

interface LocksOptions {
  readonly state: Pick<StateReplica, 'locks' | 'watch'>;
  readonly log: Log;
}

type RecordParts = Pick<SessionRecord, 'user' | 'clientAddress' | 'impersonation'>;

/** The longest pause of the timer that removes locks whose time is over. */
const longestPauseMs = 60_000;
const toldEveryMs = 100;
/** The pause before a removal is tried again that the store did not take. */
const retryMs = 5_000;

/**
 * The locks that are in force, as this process knows them: from memory, so that a question costs nothing. It is made
 * before the state that it follows, because sessions need it.
 */
export class Locks implements Disposable {
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  /** How many there are. Without any, no question has to be asked. */
  count = 0;
  #options: LocksOptions | undefined;
  #networks: readonly { readonly key: string; readonly contains: (address: string) => boolean }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #telling: NodeJS.Timeout | undefined;
  #isTold = true;
  #stopWatching: () => void = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Follows the state from now on. */
  follow(options: LocksOptions): void {
    this.#options = options;
    this.#index();
    this.#stopWatching = options.state.watch((changed) => {
      // Without entries, the store has lost them.
      if (changed.length > 0 && !changed.some(({ table }) => table === 'locks')) return;
      this.#index();
      this.#tell();
    });
  }

  /** Calls `listener` after changes of the locks: after the first of many, and then once for all that came meanwhile. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** The lock of a user or of the user's domain; undefined if there is none. */
  ofUser(user: string): StandingLock | undefined {
    const domain = user.slice(user.lastIndexOf('@') + 1);
    return this.#get(`user:${user}`) ?? (user.includes('@') ? this.#get(`domain:${domain}`) : undefined);
  }

  /** The lock of a network that this address lies in; undefined if there is none. */
  ofAddress(address: string): StandingLock | undefined {
    for (const { key, contains } of this.#networks) {
      const lock = contains(address) ? this.#get(key) : undefined;
      if (lock !== undefined) return lock;
    }
    return undefined;
  }

  /** The lock that ends a session: of the person who has it, who is staff for an opened mailbox, or of the network. */
  ofSession({ user, clientAddress, impersonation }: RecordParts): StandingLock | undefined {
    return this.ofUser(impersonation?.actor ?? user) ?? this.ofAddress(clientAddress);
  }

  /** The lock of exactly this; undefined if there is none. */
  named(target: LockTarget): StandingLock | undefined {
    return this.#get(lockKey(target));
  }

  /** All that are in force. */
  *all(): Iterable<StandingLock> {
    for (const key of this.#options?.state.locks.all().keys() ?? []) {
      const lock = this.#get(key);
      if (lock !== undefined) yield lock;
    }
  }

  [Symbol.dispose](): void {
    this.#stopWatching();
    this.#listeners.clear();
    clearTimeout(this.#timer);
    clearTimeout(this.#telling);
    this.#timer = undefined;
  }

  /** Listeners look at all that is open here, so that a file of names must not call them for each. */
  #tell(): void {
    this.#isTold = false;
    if (this.#telling !== undefined) return;
    this.#isTold = true;
    for (const listener of this.#listeners) listener();
    this.#telling = setTimeout(() => {
      this.#telling = undefined;
      if (!this.#isTold) this.#tell();
    }, toldEveryMs).unref();
  }

  #get(key: string): StandingLock | undefined {
    const lock = this.#options?.state.locks.get(key);
    const target = lock === undefined ? undefined : targetOf(key);
    return lock === undefined || target === undefined || this.#isOver(lock) ? undefined : { ...target, ...lock };
  }

  #isOver({ untilMs }: Lock): boolean {
    return untilMs !== undefined && untilMs <= this.#clock.nowMs();
  }

  #index(): void {
    const keys = [...(this.#options?.state.locks.all().keys() ?? [])];
    this.count = keys.length;
    this.#networks = keys.flatMap((key) => {
      const target = key.startsWith('network:') ? targetOf(key) : undefined;
      const isNetwork = target !== undefined && namedNetwork(target.name) !== undefined;
      return isNetwork ? [{ key, contains: createNetworkMatch([target.name]) }] : [];
    });
    this.#removeLater();
  }

  /** Plans the removal of the lock that ends next. */
  #removeLater(atLeastMs = 0): void {
    clearTimeout(this.#timer);
    const ends = [...(this.#options?.state.locks.all().values() ?? [])].flatMap(({ untilMs }) => untilMs ?? []);
    if (ends.length === 0) return;
    const leftMs =
      ends.reduce((soonest, end) => Math.min(soonest, end), Number.POSITIVE_INFINITY) - this.#clock.nowMs();
    const pauseMs = Math.max(atLeastMs, Math.min(leftMs, longestPauseMs), 0);
    this.#timer = setTimeout(() => void this.#removeOver(), pauseMs).unref();
  }

  /** Removes what is over. Of several nodes, one removes it and says so. */
  async #removeOver(): Promise<void> {
    if (this.#options === undefined) return;
    const { state, log } = this.#options;
    const over = [...state.locks.all()].filter(([, lock]) => this.#isOver(lock));
    for (const [key] of over) {
      try {
        const taken = await state.locks.take(key, (now) => this.#isOver(now));
        if (taken !== undefined) log.info('lock-over', { key, by: taken.by });
      } catch (error) {
        // It has no force any more, whether the store has it or not.
        if (!(error instanceof PosternError)) throw error;
      }
    }
    if (this.#timer !== undefined) this.#removeLater(retryMs);
  }
}
