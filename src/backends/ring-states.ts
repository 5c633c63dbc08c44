import type { Backend } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { BackendName, CanonicalUser, LoginName } from '../core/names.ts';
import type { SessionRecord } from '../core/session.ts';
import type { HostState, Placement, ServedBackends } from './placement.ts';

export interface RingStatesDeps {
  readonly backends: ServedBackends;
  readonly placement: Pick<Placement, 'hostState' | 'activeHost'>;
  readonly sessions: {
    heldPerHost(): ReadonlyMap<string, number>;
    sessionsOfUser(user: CanonicalUser): Promise<readonly { readonly record: SessionRecord }[]>;
  };
  readonly clock: Clock;
}

/** Counting goes through all sessions of the node: once a second is often enough for a share. */
const countMs = 1000;

/** What a computed directory with shared storage must know of the backends, of their states and their sessions. */
export function createRingStates({ backends, placement, sessions, clock }: RingStatesDeps) {
  let counted: ReadonlyMap<string, number> = new Map();
  let countedAtMs = Number.NEGATIVE_INFINITY;

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

  function held(): ReadonlyMap<string, number> {
    const nowMs = clock.nowMs();
    if (Math.abs(nowMs - countedAtMs) >= countMs) {
      counted = sessions.heldPerHost();
      countedAtMs = nowMs;
    }
    return counted;
  }

  return {
    isInRing: (name: BackendName) => servingStates(name).some((state) => state === 'READY' || state === 'DRAIN'),
    takesNew: (name: BackendName) => servingStates(name).includes('READY'),
    /** Those of this node stand for those of all: load balancers spread them without affinity, and only shares count. */
    sessions(name: BackendName): number {
      const hosts = backends.backend(name)?.hosts ?? [];
      return hosts.reduce((sum, host) => sum + (held().get(host.name) ?? 0), 0);
    },
    /** Where the user signed in last, of the sessions that live. */
    async currentHome(user: LoginName): Promise<BackendName | undefined> {
      return (await sessions.sessionsOfUser(asUser(user))).at(-1)?.record.backend;
    },
  };
}

/** A name that names no user has no sessions. */
function asUser(name: LoginName): CanonicalUser;
function asUser(name: string): string {
  return name;
}
