import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { createFailover } from '../backends/failover.ts';
import { createHealth, type Health, type WatchedHost } from '../backends/health.ts';
import { createHomeChanges } from '../backends/home-changes.ts';
import { createMoves, runHook } from '../backends/moves.ts';
import { createPlacement, type ServedBackends } from '../backends/placement.ts';
import { createProbes, smallTarget } from '../backends/probes.ts';
import { createRingLoads, createRingStates } from '../backends/shared-storage.ts';
import { createStateReplica } from '../backends/state-replica.ts';
import { parseForgotten, parseRingLoad } from '../backends/state-values.ts';
import { keepRenewed } from '../backends/vouched-state-store.ts';
import type { Config } from '../config/config.ts';
import { systemClock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import { type CanonicalUser, nameForServer } from '../core/names.ts';
import type { Place } from '../core/placement.ts';
import type { SessionRecord } from '../core/session.ts';
import type { LeftSession } from '../login/logout.ts';
import { createRelocation } from '../login/silent-login.ts';
import type { RedisConnection } from '../redis/connection.ts';
import type { NodeSessions } from '../sessions/node-sessions.ts';
import type { ServerKeys } from '../sessions/server-keys.ts';
import { parseEnrolment } from '../support/enrolment.ts';
import { lookUpHome } from './explain.ts';
import type { Operations, Site } from './parts.ts';
import { openAudit, openStateStore } from './stores.ts';
import { supportTables } from './support.ts';

interface OperationsOptions {
  readonly config: Config;
  readonly log: Log;
  readonly site: () => Site;
  readonly sessions: NodeSessions;
  readonly keys: Pick<ServerKeys, 'current' | 'meet'>;
  /** The Redis of the sessions, where they live in one. */
  readonly redis?: RedisConnection;
  /** Of a process that does not check the hosts itself. */
  readonly health?: Health;
  /** Signs out of the webmail that a moved session has left. */
  readonly leave: (left: LeftSession) => void;
}

/** Opens the state and begins to follow it; hosts are watched from `siteChanged` on. Resolves also while the store is away. */
export async function openOperations(options: OperationsOptions): Promise<Operations> {
  const { config, log, site, sessions, keys, redis, leave } = options;
  await using opened = new AsyncDisposableStack();
  const store = await openStateStore(config, log, redis, opened, keys);
  /** Before there is a site, changes are only taken note of. */
  let isReady = false;
  const state = opened.use(createStateReplica({ store, log }));
  const forgotten = state.table('forgotten', parseForgotten);
  const loadsTable = state.table('loads', parseRingLoad);
  const support = supportTables(state);
  const enrolments = state.table('staff', parseEnrolment);
  await state.open();
  opened.use(keepRenewed(store));
  const audit = opened.use(await openAudit({ config, store, keys, log }));
  const probes = createProbes(() => site().config.publicUrls[0].authority);
  const health = opened.use(options.health ?? createHealth({ probes, clock: systemClock, random: Math.random, log }));
  const backends: ServedBackends = {
    backend: (name) => site().backendNamed(name),
    serving: (name) => site().config.serving.get(name),
  };
  const placement = createPlacement({
    backends,
    state,
    health,
    heldPerHost: () => sessions.heldPerHost(),
    clock: systemClock,
  });
  const node = `${hostname()} ${process.pid} ${randomUUID().slice(0, 4)}`;
  const loads = opened.use(
    createRingLoads({
      table: loadsTable,
      backends,
      heldPerHost: () => sessions.heldPerHost(),
      isWanted: () => isReady && site().config.directory.sources.some((source) => 'max_load' in source),
      node,
      clock: systemClock,
      log,
    }),
  );
  const failover = opened.use(
    createFailover({
      backends: () => (isReady ? servedBackends(site()) : []),
      state,
      health,
      placement,
      audit,
      node,
      clock: systemClock,
      log,
    }),
  );
  const relocate = createRelocation({
    placeOf: (record) => placement.ofSession(record),
    reconsider,
    driverOf: (backend) => site().homeOf(backend)?.driver,
    reroute: (key, to, fresh) => sessions.reroute(key, to, fresh),
    leave,
  });
  const moves = opened.use(
    createMoves({
      state,
      backendNamed: (name) => site().backendNamed(name)?.name,
      hooks: () => {
        const { hookTimeoutMs: timeoutMs, ...programs } = site().config.moves;
        return { ...programs, timeoutMs };
      },
      runHook(program, facts, signal) {
        const loginAt = (backend: string) =>
          nameForServer(asUser(facts.user), site().backendNamed(backend)?.hosts[0].imap.loginName);
        return runHook(program, { ...facts, fromLogin: loginAt(facts.from), toLogin: loginAt(facts.to) }, signal);
      },
      audit,
      node,
      clock: systemClock,
      log,
    }),
  );
  const adoption = opened.use(
    createHomeChanges({
      state,
      sessions: () => sessions.heldRecords(),
      lookUp: (user, signal) => lookUpHome(site(), user, signal),
      // A start may take longer than its first round.
      sessionMs: () => (isReady ? site().config.sessions.absoluteTimeoutMs : Number.POSITIVE_INFINITY),
      clock: systemClock,
      log,
    }),
  );
  // What a hook changed in the directory must not be hidden by what was remembered of it.
  opened.defer(
    state.watch((changed) => {
      for (const { table, key } of changed) {
        if (!isReady || !['overrides', 'homes', 'forgotten'].includes(table)) continue;
        site().forgetHome(asUser(key));
        if (table === 'forgotten') void adoption.look(asUser(key));
      }
    }),
  );
  async function reconsider(record: SessionRecord): Promise<Place> {
    await failover.look();
    const place = placement.ofSession(record);
    // A host that is down may be tried by one request a second: that is no place yet.
    if (place.kind !== 'closed' && health.isWebmailUp(place.host.name)) return place;
    if (place.kind === 'closed' && !['down', 'maintenance'].includes(place.closure.kind)) return place;
    await adoption.lookForPlace(record);
    return placement.ofSession(record);
  }
  const owned = opened.move();
  return {
    audit,
    state,
    support,
    enrolments,
    health,
    placement,
    relocate,
    moves,
    adoption,
    node,
    ringStates: createRingStates({
      backends,
      placement,
      state,
      sessionsOfUser: (user) => sessions.sessionsOfUser(user),
      forgotten,
      loads,
    }),
    async forgetHome(user) {
      await store.put('forgotten', user, new Date(systemClock.nowMs()).toISOString());
      await state.refresh();
    },
    reconsider,
    takenOver: () => failover.look(),
    siteChanged() {
      isReady = true;
      health.watch(watchedHosts(site()));
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function* servedBackends({ config }: Site) {
  for (const backend of config.backends.values()) {
    const serving = config.serving.get(backend.name);
    if (serving !== undefined) yield { backend, serving };
  }
}

function watchedHosts(site: Site): WatchedHost[] {
  return [...servedBackends(site)].flatMap(({ backend, serving: { health: settings } }) =>
    backend.hosts.map((host) => ({
      host,
      settings,
      target: settings.path ?? smallTarget(host, site.homeOf(backend.name)?.driver.healthTarget),
    })),
  );
}

/** Overrides are kept under canonical users. */
function asUser(key: string): CanonicalUser;
function asUser(key: string): string {
  return key;
}
