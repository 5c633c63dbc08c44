import { randomBytes, randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { createFailover } from '../backends/failover.ts';
import { createHealth, type Health, type WatchedHost } from '../backends/health.ts';
import { type HomeChanges, createHomeChanges } from '../backends/home-changes.ts';
import type { MailConnections } from '../backends/mail-connections.ts';
import { createMoves, type Moves, runHook } from '../backends/moves.ts';
import { backendsIn, createPlacement } from '../backends/placement.ts';
import { createProbes, smallTarget } from '../backends/probes.ts';
import { createSessionLoads, createSharedStorageStates } from '../backends/shared-storage.ts';
import { createStateReplica } from '../backends/state-replica.ts';
import { parseForgotten, parseNodeLoad, parseReloadOrder } from '../backends/state-values.ts';
import type { Locks } from '../backends/user-orders.ts';
import { keepRenewed } from '../backends/vouched-state-store.ts';
import type { Config } from '../config/config.ts';
import { type Clock, systemClock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import { canonicalUser, isCanonicalUser, nameForServer } from '../core/names.ts';
import type { ReplicatedTable, StateEntry } from '../core/state-store.ts';
import type { LeftSession } from '../login/logout.ts';
import { createRelocation } from '../login/silent-login.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { RedisConnection } from '../redis/connection.ts';
import type { NodeSessions } from '../sessions/node-sessions.ts';
import type { ServerKeys } from '../sessions/server-keys.ts';
import { createVault, type Enrolment, parseEnrolment } from '../support/enrolment.ts';
import { createSecondFactors, type SecondFactors } from '../support/second-factor.ts';
import { lookUpHome } from './explain.ts';
import type { ConfigHolder, ClusterState, ConfigSnapshot } from './parts.ts';
import { openAudit, openStateStore } from './stores.ts';

interface ClusterStateOptions {
  readonly holder: ConfigHolder;
  readonly log: Log;
  readonly sessions: NodeSessions;
  /** Follows the state from the start on. */
  readonly locks: Locks;
  readonly heldPerHost: () => ReadonlyMap<string, number>;
  readonly keys: Pick<ServerKeys, 'current' | 'meet'>;
  /** The Redis of the sessions; undefined with the embedded store. */
  readonly redis: RedisConnection | undefined;
  readonly metrics: Pick<Metrics, 'hostChecked' | 'failedOver' | 'auditWritten'>;
  /** Set where another process checks the hosts. */
  readonly health?: Health;
  /** Signs out of the webmail that a moved session has left. */
  readonly leave: (left: LeftSession) => void;
}

/**
 * Opens the state and follows it. Hosts are checked from the first snapshot on. Resolves even while the store does not
 * answer.
 */
export async function openClusterState(options: ClusterStateOptions): Promise<ClusterState> {
  const { holder, log, metrics, sessions, heldPerHost, keys } = options;
  await using opened = new AsyncDisposableStack();
  const store = await openStateStore(holder, log, options.redis, opened, keys);
  const state = opened.use(createStateReplica({ store, log }));
  const forgotten = state.table('forgotten', parseForgotten);
  const loadsTable = state.table('loads', parseNodeLoad);
  const reloads = state.table('reloads', parseReloadOrder);
  const support = holder.config.support === undefined ? undefined : (await import('./support.ts')).supportTables(state);
  const enrolments = state.table('staff', parseEnrolment);
  await state.open();
  options.locks.follow({ state, log });
  options.locks.onChange(() => void sessions.endLocked());
  opened.use(keepRenewed(store));
  const audit = opened.use(
    await openAudit({ config: holder.config, store, keys, log, written: () => metrics.auditWritten() }),
  );
  const probes = createProbes(() => holder.config.publicUrls[0].authority);
  const checked = metrics.hostChecked.bind(metrics);
  const health = opened.use(
    options.health ?? createHealth({ probes, clock: systemClock, random: Math.random, checked, log }),
  );
  const backends = backendsIn(holder);
  const placement = createPlacement({ backends, state, health, heldPerHost, clock: systemClock });
  const nodeName = `${hostname()} ${process.pid} ${randomUUID().slice(0, 4)}`;
  const parts = { holder, state, audit, health, placement, node: nodeName, clock: systemClock, log };
  const isWanted = (): boolean => hasLoadBound(holder);
  const loads = opened.use(createSessionLoads({ ...parts, table: loadsTable, backends, heldPerHost, isWanted }));
  const failover = opened.use(
    createFailover({
      ...parts,
      failedOver: (backend) => metrics.failedOver(backend),
      backends: () => (holder.isBuilt ? servedBackends(holder.config) : []),
    }),
  );
  const mail = mailConnectionsOf(parts);
  const moves = opened.use(openMoves({ ...parts, mail }));
  const homeChanges = opened.use(openHomeChanges(parts, sessions));
  opened.defer(state.watch((changed) => forgetHomes(holder, homeChanges, changed)));
  opened.defer(holder.onReplace((snapshot) => health.watch(watchedHosts(snapshot))));
  const reconsider = createReconsider({ ...parts, failover, homeChanges });
  const relocate = createRelocation({
    placeOf: (record) => placement.ofSession(record),
    reconsider,
    driverOf: (backend) => holder.current.homeOf(backend)?.driver,
    reroute: (key, to, fresh) => sessions.reroute(key, to, fresh),
    leave: options.leave,
  });
  const sessionsOfUser: NodeSessions['sessionsOfUser'] = (user) => sessions.sessionsOfUser(user);
  let madeFactors: SecondFactors | undefined;
  const factors = (): SecondFactors => (madeFactors ??= factorsOf(options, enrolments));
  const owned = opened.move();
  return {
    audit,
    state,
    locks: options.locks,
    reloads,
    support,
    factors,
    health,
    placement,
    relocate,
    moves,
    mail,
    homeChanges,
    nodeName,
    sharedStorage: createSharedStorageStates({ backends, placement, state, sessionsOfUser, forgotten, loads }),
    async forgetHome(user) {
      await store.put('forgotten', user, new Date(systemClock.nowMs()).toISOString());
      await state.refresh();
    },
    reconsider,
    takenOver: () => failover.look(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Dependencies that the parts of the cluster state share. */
function factorsOf({ keys, log }: ClusterStateOptions, enrolments: ReplicatedTable<Enrolment>): SecondFactors {
  const vault = createVault(() => keys.current(), randomBytes);
  return createSecondFactors({ enrolments, vault, clock: systemClock, randomBytes, log });
}

interface ClusterParts extends Pick<ClusterState, 'state' | 'audit' | 'health' | 'placement'> {
  readonly holder: ConfigHolder;
  readonly node: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** Whether a computed directory limits the load of its backends: then nodes tell one another theirs. */
function hasLoadBound(holder: ConfigHolder): boolean {
  return holder.isBuilt && holder.config.directory.sources.some((source) => 'max_load' in source);
}

/** The mail connections of the configuration in force. Their code is loaded when there are any, and at the first use. */
function mailConnectionsOf({ holder, audit, log }: ClusterParts): MailConnections {
  const made = async (): Promise<MailConnections | undefined> => {
    const proxies = holder.config.mailProxies;
    if (proxies.length === 0) return undefined;
    return (await import('../backends/mail-connections.ts')).createMailConnections({ proxies, audit, log });
  };
  return {
    list: async (user) => (await made())?.list(user),
    end: async (whose, order) => (await made())?.end(whose, order),
  };
}

function openMoves({ holder, ...parts }: ClusterParts & { readonly mail: MailConnections }): Moves {
  return createMoves({
    ...parts,
    backendNamed: (name) => holder.current.backendNamed(name)?.name,
    hooks: () => {
      const { hookTimeoutMs: timeoutMs, ...programs } = holder.config.moves;
      return { ...programs, timeoutMs };
    },
    runHook(program, facts, signal) {
      const loginAt = (backend: string) =>
        nameForServer(canonicalUser(facts.user), holder.current.backendNamed(backend)?.hosts[0].imap.loginName);
      return runHook(program, { ...facts, fromLogin: loginAt(facts.from), toLogin: loginAt(facts.to) }, signal);
    },
  });
}

function openHomeChanges({ holder, ...parts }: ClusterParts, sessions: NodeSessions): HomeChanges {
  return createHomeChanges({
    ...parts,
    sessions: () => sessions.heldRecords(),
    lookUp: (user, signal) => lookUpHome(holder.current, user, signal),
    // A start may take longer than its first round.
    sessionMs: () => (holder.isBuilt ? holder.config.sessions.absoluteTimeoutMs : Number.POSITIVE_INFINITY),
  });
}

/** Forgets remembered homes that a hook may have changed in the directory. */
function forgetHomes(holder: ConfigHolder, homeChanges: HomeChanges, changed: readonly StateEntry[]): void {
  for (const { table, key } of changed) {
    if (!holder.isBuilt || !['overrides', 'homes', 'forgotten'].includes(table)) continue;
    // Entries that are forged or gone are heard of, too, and their keys are vouched for by nobody.
    if (!isCanonicalUser(key)) continue;
    holder.current.forgetHome(key);
    if (table === 'forgotten') void homeChanges.look(key);
  }
}

interface ReconsiderDeps extends Pick<ClusterState, 'placement' | 'health' | 'homeChanges'> {
  readonly failover: Pick<ReturnType<typeof createFailover>, 'look'>;
}

function createReconsider({ failover, placement, health, homeChanges }: ReconsiderDeps): ClusterState['reconsider'] {
  return async (record) => {
    await failover.look();
    const place = placement.ofSession(record);
    // A host that is down is tried by one request a second; it is not a place yet.
    if (place.kind !== 'closed' && health.isWebmailUp(place.host.name)) return place;
    if (place.kind === 'closed' && !['down', 'maintenance'].includes(place.closure.kind)) return place;
    await homeChanges.lookForPlace(record);
    return placement.ofSession(record);
  };
}

function* servedBackends(config: Config) {
  for (const backend of config.backends.values()) {
    const serving = config.serving.get(backend.name);
    if (serving !== undefined) yield { backend, serving };
  }
}

function watchedHosts({ config, homeOf }: ConfigSnapshot): WatchedHost[] {
  return [...servedBackends(config)].flatMap(({ backend, serving: { health: settings } }) =>
    backend.hosts.map((host) => ({
      host,
      settings,
      target: settings.path ?? smallTarget(host, homeOf(backend.name)?.driver.healthTarget),
    })),
  );
}
