import type { Backend } from '../core/backend.ts';
import type { BackendName, CanonicalUser, LoginName } from '../core/names.ts';
import type { HostState, Placement } from '../core/placement.ts';
import type { SessionRecord } from '../core/session.ts';
import type { MirroredTable } from '../core/state-store.ts';
import { type HomeDecisions, homeOfSession } from './adoption.ts';
import type { ServedBackends } from './placement.ts';
import type { RingLoads } from './ring-loads.ts';

export interface RingStatesDeps {
  readonly backends: ServedBackends;
  readonly placement: Pick<Placement, 'hostState' | 'takesNew' | 'activeHost'>;
  readonly state: HomeDecisions;
  readonly sessionsOfUser: (user: CanonicalUser) => Promise<readonly { readonly record: SessionRecord }[]>;
  /** When an operator last had what is remembered of a user forgotten. */
  readonly forgotten: Pick<MirroredTable<number>, 'get'>;
  readonly loads: Pick<RingLoads, 'sessions'>;
}

/** What a computed directory with shared storage must know of the backends, of their states and their sessions. */
export function createRingStates({ backends, placement, state, forgotten, ...deps }: RingStatesDeps) {
  /** The states of the hosts that serve. */
  function servingStates(name: BackendName): readonly HostState[] {
    const backend = backends.backend(name);
    if (backend === undefined) return [];
    return servingHosts(backend).map((host) => placement.hostState(backend, host));
  }

  function servingHosts(backend: Backend): Backend['hosts'][number][] {
    const isPool = backends.serving(backend.name)?.arrangement === 'pool';
    return isPool ? [...backend.hosts] : [placement.activeHost(backend)];
  }

  return {
    isInRing: (name: BackendName) => servingStates(name).some((one) => one === 'READY' || one === 'DRAIN'),
    takesNew(name: BackendName, user: LoginName): boolean {
      const backend = backends.backend(name);
      return backend !== undefined && servingHosts(backend).some((host) => placement.takesNew(backend, host, user));
    },
    sessions: (name: BackendName) => deps.loads.sessions(name),
    /**
     * Where the user signed in last, of the sessions that live, or was led since. What was so before an operator had
     * it forgotten holds nobody any more.
     */
    async currentHome(user: LoginName): Promise<BackendName | undefined> {
      const record = (await deps.sessionsOfUser(asUser(user))).at(-1)?.record;
      if (record === undefined) return undefined;
      const sinceMs = Math.max(record.createdAtMs, record.homeSinceMs ?? 0, state.homes.get(record.user)?.sinceMs ?? 0);
      const forgottenAtMs = forgotten.get(record.user);
      if (forgottenAtMs !== undefined && sinceMs <= forgottenAtMs) return undefined;
      return backends.backend(homeOfSession(state, record))?.name;
    },
  };
}

/** A name that names no user has no sessions. */
function asUser(name: LoginName): CanonicalUser;
function asUser(name: string): string {
  return name;
}
