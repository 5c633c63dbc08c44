import { randomBytes } from 'node:crypto';
import type { StoreStanding } from '../admin/api-status.ts';
import type { LockControl } from '../backends/user-orders.ts';
import { systemClock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import { type BackendName, canonicalUser } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import type { SessionStore } from '../core/session.ts';
import type { GrantOf } from '../http/console/authorisation.ts';
import { createLiveStreams } from '../http/console/live.ts';
import type { ConsoleLocks } from '../http/console/lock-form.ts';
import type { ConsoleUsers } from '../http/console/users.ts';
import type { PenaltyRelief } from '../login/penalty-relief.ts';
import type { TlsCertificates } from '../proxy/tls-certificates.ts';
import type { RedisConnection } from '../redis/connection.ts';
import type { NodeSessions } from '../sessions/node-sessions.ts';
import type { ServerKeys } from '../sessions/server-keys.ts';
import {
  createRecentLoginNotes,
  createRedisRecentLogins,
  createSqliteRecentLogins,
  type RecentLogins,
} from '../support/recent-logins.ts';
import { createConsoleLinks } from '../support/one-time-links.ts';
import { createRoleOf, type RoleOf } from '../support/roles.ts';
import { createStaffSessions } from '../support/staff-sessions.ts';
import {
  consoleMovesOf,
  consoleNodesOf,
  consolePenaltiesOf,
  consoleSessionsOf,
  createConsoleBackendOperations,
} from './console-operations.ts';
import { explainHere, lookUpFresh } from './explain.ts';
import type { ClusterState, ConfigHolder, NodeConsole, NodeReports, NodeStatistics, SupportTables } from './parts.ts';
import { scriptsOn } from './stores.ts';

/** Options of openConsole. */
export interface ConsoleOptions {
  readonly store: SessionStore;
  /** The Redis of the sessions; undefined with the embedded store. */
  readonly redis: RedisConnection | undefined;
  readonly sessions: NodeSessions;
  readonly keys: ServerKeys;
  readonly heldPerHost: () => ReadonlyMap<string, number>;
  readonly cluster: ClusterState;
  readonly penalty: PenaltyRelief;
  readonly lockControl: LockControl;
  readonly reports: Pick<NodeReports, 'read' | 'own'>;
  readonly certificates: TlsCertificates | undefined;
  readonly storeStanding: () => Promise<StoreStanding>;
  readonly statistics: Pick<NodeStatistics, 'figures'>;
  /** The table of links that work once. */
  readonly links: SupportTables['links'];
  readonly holder: ConfigHolder;
  readonly log: Log;
}

/** Opens what a node keeps for the console over every reload. */
export function openConsole(options: ConsoleOptions): NodeConsole {
  const { store, sessions, keys, cluster, holder, log } = options;
  const { audit } = cluster;
  const opened = new AsyncDisposableStack();
  const clock = systemClock;
  const signIns = opened.use(openSignIns(options));
  const backends = opened.use(createConsoleBackendOperations(options));
  const notes = opened.use(createRecentLoginNotes(signIns, log));
  const roleOf = createRoleOf({
    settings: () => holder.config.support,
    nameRules: () => holder.config.directory.nameRules,
    lookupFresh: (user, signal) => lookUpFresh(holder.current, user, signal),
  });
  const staffSessions = createStaffSessions({
    store,
    end: (key, reason, requestId) => sessions.end(key, reason, undefined, requestId),
    keys: () => keys.current(),
    times: () => holder.config.support,
    clock,
    randomBytes,
    log,
  });
  const grantOf: GrantOf = async ({ user, linkBy }, signal) =>
    linkBy === undefined ? roleOf(user, signal) : { roles: ['operator'] };
  const links = createConsoleLinks({
    table: options.links,
    keys: () => keys.current().all.map((key) => key.subkey('console link')),
    clock,
    randomBytes,
  });
  return {
    parts: {
      roleOf,
      grantOf,
      links,
      firstBackend: () => firstBackendOf(holder),
      streams: createLiveStreams({ sessions: staffSessions, grantOf, clock }),
      async staffNamed(typed, signal) {
        const parsed = holder.current.parseName(typed);
        if (parsed.kind !== 'ok') return undefined;
        const user = canonicalUser(parsed.name);
        return (await roleOf(user, signal)) === undefined ? undefined : user;
      },
      sessions: staffSessions,
      factors: cluster.factors(),
      users: createUsers(options, signIns),
      backends,
      sessionControl: consoleSessionsOf(options),
      locks: consoleLocksOf(options, roleOf),
      penalties: consolePenaltiesOf(options, options.penalty),
      moves: consoleMovesOf(options),
      nodes: consoleNodesOf(options),
      statistics: () => options.statistics.figures(),
      audit,
      refresh: () => cluster.state.refresh(),
      formKeys: () => keys.current().all.map((key) => key.subkey('console form')),
      clock,
      randomBytes,
      log,
    },
    noteSignIn({ user, backend, result, why, client: address, reference }) {
      // Unknown names are unlimited in number: they are not noted.
      if (user === undefined || (backend === undefined && why !== 'refused')) return;
      const noted = { atMs: clock.nowMs(), result, address, reference, ...defined({ why }) };
      notes.note(user, noted);
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** A session belongs to a backend, also one that has no mailbox there. */
function firstBackendOf({ config }: ConfigHolder): BackendName {
  for (const name of config.backends.values()) return name.name;
  throw new TypeError('a configuration has a backend');
}

function openSignIns({ holder, redis, keys }: ConsoleOptions): RecentLogins {
  if (redis !== undefined) {
    return createRedisRecentLogins(scriptsOn(redis), () => keys.current());
  }
  const { store } = holder.config.sessions;
  if (store.kind !== 'embedded') throw new TypeError('the sessions live in a Redis that was not handed in');
  return createSqliteRecentLogins(store.file, systemClock);
}

function createUsers({ holder, cluster, sessions, penalty }: ConsoleOptions, signIns: RecentLogins): ConsoleUsers {
  const addressesOf = async (user: string) => (await signIns.of(user)).map(({ address }) => address);
  return {
    named(typed) {
      const parsed = holder.current.parseName(typed);
      return parsed.kind === 'ok' ? parsed.name : undefined;
    },
    explain: (typed) => explainHere(holder.current, cluster, typed),
    sessions: (user) => sessions.sessionsOfUser(canonicalUser(user)),
    signIns: (user) => signIns.of(user),
    penalty: async (user) => penalty.stateOf(user, await addressesOf(user)),
    liftPenalty: async (user) => penalty.lift(user, await addressesOf(user)),
  };
}

/** Locks of single users, for the console. The audit line comes first. */
function consoleLocksOf({ cluster, lockControl }: ConsoleOptions, roleOf: RoleOf): ConsoleLocks {
  const { audit, locks } = cluster;
  return {
    async lock(user, { reason, text }, by) {
      const signal = AbortSignal.timeout(rolePatienceMs);
      if ((await roleOf(canonicalUser(user), signal)) !== undefined) return 'staff';
      await audit.record({ event: 'user-lock', ...by, subject: user, facts: { kind: 'user', reason } });
      const order = { reason, by: `${by.actor} (console)`, texts: defined({ en: text || undefined }) };
      return (await lockControl.lock([{ kind: 'user', name: user }], order)).unreached;
    },
    async unlock(user, reason, by) {
      const target = { kind: 'user', name: user } as const;
      if (locks.named(target) === undefined) return undefined;
      await audit.record({ event: 'user-unlock', ...by, subject: user, facts: { kind: 'user', reason } });
      return (await lockControl.unlock([target], `${by.actor} (console)`)).unreached;
    },
  };
}

const rolePatienceMs = 5_000;
