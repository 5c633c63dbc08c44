import type { Backend } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { type BackendName, type CanonicalUser, canonicalUser, type LoginName } from '../core/names.ts';
import type { HostState, Placement } from '../core/placement.ts';
import type { SessionRecord } from '../core/session.ts';
import type { ReplicatedTable } from '../core/state-store.ts';
import { type HomeDecisions, homeOfSession, type ServedBackends } from './placement.ts';
import type { NodeLoad } from './state-values.ts';

interface SessionLoadsOptions {
  /** The latest counts of each node. */
  readonly table: ReplicatedTable<NodeLoad>;
  readonly backends: Pick<ServedBackends, 'backend'>;
  /** Sessions that this node holds, by host. */
  readonly heldPerHost: () => ReadonlyMap<string, number>;
  /** Whether a directory needs the counts; otherwise they are not shared with other nodes. */
  readonly isWanted: () => boolean;
  readonly node: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** The load of backends over all nodes. */
interface SessionLoads extends AsyncDisposable {
  /** Sessions of a backend that the nodes hold. One that several nodes hold counts for each: only ratios matter. */
  sessions(backend: BackendName): number;
  /** Shares this node's counts with the others. A timer calls it every ten seconds. Never rejects. */
  share(): Promise<void>;
}

/** How long a count is kept: counting visits all sessions of the node. */
const countMs = 1_000;
const shareMs = 10_000;
/** Age at which the counts of a node are ignored: the node is gone, and other nodes hold its sessions. */
const loadStaleMs = 60_000;

/**
 * Adds the sessions of this node to the counts of the others. A node that has just started thus knows the load, too.
 */
export function createSessionLoads({
  table,
  backends,
  node,
  clock,
  log,
  ...options
}: SessionLoadsOptions): SessionLoads {
  let counted: ReadonlyMap<string, number> = new Map();
  let countedAtMs = Number.NEGATIVE_INFINITY;
  let sharing: Promise<void> | undefined;
  const timer = setInterval(() => void share(), shareMs).unref();

  function held(): ReadonlyMap<string, number> {
    const nowMs = clock.nowMs();
    if (Math.abs(nowMs - countedAtMs) >= countMs) {
      counted = options.heldPerHost();
      countedAtMs = nowMs;
    }
    return counted;
  }

  function isSilent({ atMs }: NodeLoad): boolean {
    return Math.abs(clock.nowMs() - atMs) > loadStaleMs;
  }

  async function write(): Promise<void> {
    try {
      await table.set(node, { atMs: clock.nowMs(), perHost: Object.fromEntries(options.heldPerHost()) });
      const gone = [...table.all()].filter(([, load]) => isSilent(load));
      for (const [other] of gone) await table.remove(other);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      log.debug('session-counts-not-shared', { code: error.code });
    }
  }

  function share(): Promise<void> {
    if (!options.isWanted()) return Promise.resolve();
    sharing ??= write().finally(() => {
      sharing = undefined;
    });
    return sharing;
  }

  return {
    share,
    sessions(name) {
      const hosts = backends.backend(name)?.hosts ?? [];
      const others = [...table.all()].filter(([other, load]) => other !== node && !isSilent(load));
      return hosts.reduce((sum, { name: host }) => {
        const elsewhere = others.reduce((count, [, { perHost }]) => count + (perHost[host] ?? 0), 0);
        return sum + (held().get(host) ?? 0) + elsewhere;
      }, 0);
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await sharing;
    },
  };
}

interface SharedStorageDeps {
  readonly backends: ServedBackends;
  readonly placement: Pick<Placement, 'hostState' | 'takesNew' | 'activeHost'>;
  readonly state: HomeDecisions;
  readonly sessionsOfUser: (user: CanonicalUser) => Promise<readonly { readonly record: SessionRecord }[]>;
  /** When an operator last made the nodes forget a user's home. */
  readonly forgotten: Pick<ReplicatedTable<number>, 'get'>;
  readonly loads: Pick<SessionLoads, 'sessions'>;
}

/** Makes the view of states and session counts that a computed directory with shared storage needs. */
export function createSharedStorageStates({ backends, placement, state, forgotten, ...deps }: SharedStorageDeps) {
  /** States of the hosts that serve. */
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
    isServing: (name: BackendName) => servingStates(name).some((one) => one === 'READY' || one === 'DRAIN'),
    takesNew(name: BackendName, user: LoginName): boolean {
      const backend = backends.backend(name);
      return backend !== undefined && servingHosts(backend).some((host) => placement.takesNew(backend, host, user));
    },
    sessions: (name: BackendName) => deps.loads.sessions(name),
    /**
     * Returns the home of the user's latest living session; undefined if there is none, or if an operator made the
     * nodes forget the home since.
     */
    async currentHome(user: LoginName): Promise<BackendName | undefined> {
      const record = (await deps.sessionsOfUser(canonicalUser(user))).at(-1)?.record;
      if (record === undefined) return undefined;
      const sinceMs = Math.max(record.createdAtMs, record.homeSinceMs ?? 0, state.homes.get(record.user)?.sinceMs ?? 0);
      const forgottenAtMs = forgotten.get(record.user);
      if (forgottenAtMs !== undefined && sinceMs <= forgottenAtMs) return undefined;
      return backends.backend(homeOfSession(state, record))?.name;
    },
  };
}
