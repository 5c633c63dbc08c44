import {
  type DirectorySource,
  type HomeLookup,
  type LockRefusal,
  type UserHome,
  TryAgainLater,
} from '../core/directory.ts';
import { PosternError } from '../core/error.ts';
import { type BackendName, canonicalUser, type LoginName } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import type { Locks } from './locks.ts';
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
