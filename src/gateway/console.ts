import { randomBytes } from 'node:crypto';
import { backendKey } from '../backends/placement.ts';
import { operatorStates } from '../backends/state-values.ts';
import { systemClock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import { canonicalUser } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import type { SessionStore } from '../core/session.ts';
import type { ConsoleBackends } from '../http/console/backends.ts';
import type { ConsoleUsers } from '../http/console/users.ts';
import type { PenaltyRelief } from '../login/penalty-relief.ts';
import type { RedisConnection } from '../redis/connection.ts';
import type { NodeSessions } from '../sessions/node-sessions.ts';
import type { ServerKeys } from '../sessions/server-keys.ts';
import {
  createRecentLoginNotes,
  createRedisRecentLogins,
  createSqliteRecentLogins,
  type RecentLogins,
} from '../support/recent-logins.ts';
import { createRoleOf } from '../support/roles.ts';
import { createStaffSessions } from '../support/staff-sessions.ts';
import { explainHere, lookUpFresh, whyDown } from './explain.ts';
import type { ClusterState, ConfigHolder, NodeConsole } from './parts.ts';
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
  const notes = opened.use(createRecentLoginNotes(signIns, log));
  const roleOf = createRoleOf({
    settings: () => holder.config.support,
    nameRules: () => holder.config.directory.nameRules,
    lookupFresh: (user, signal) => lookUpFresh(holder.current, user, signal),
  });
  return {
    parts: {
      roleOf,
      async staffNamed(typed, signal) {
        const parsed = holder.current.parseName(typed);
        if (parsed.kind !== 'ok') return undefined;
        const user = canonicalUser(parsed.name);
        return (await roleOf(user, signal)) === undefined ? undefined : user;
      },
      sessions: createStaffSessions({
        store,
        end: (key, reason) => sessions.end(key, reason),
        keys: () => keys.current(),
        times: () => holder.config.support,
        clock,
        randomBytes,
        log,
      }),
      factors: cluster.factors,
      users: createUsers(options, signIns),
      backends: createBackends(options),
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

function createBackends({ holder, cluster, heldPerHost }: ConsoleOptions): ConsoleBackends {
  const { state, placement, health, audit } = cluster;
  return {
    all() {
      const held = heldPerHost();
      const { config } = holder;
      return [...config.backends.values()].map((backend) => {
        const set = state.states.get(backendKey(backend.name));
        const isPool = config.serving.get(backend.name)?.arrangement === 'pool';
        const active = placement.activeHost(backend);
        return {
          name: backend.name,
          ...defined({ set }),
          hosts: backend.hosts.map((host) => {
            const why = whyDown(health, host.name);
            return {
              name: host.name,
              state: placement.hostState(backend, host),
              serves: isPool || host === active,
              sessions: held.get(host.name) ?? 0,
              ...defined({ why }),
            };
          }),
        };
      });
    },
    async set(name, wanted, reason, { actor, address }) {
      const backend = holder.current.backendNamed(name);
      const known = operatorStates.find((one) => one === wanted);
      if (backend === undefined || known === undefined) return 'unknown';
      const facts = { state: known, reason };
      await audit.record({ event: 'backend-state', actor, address, subject: backend.name, facts });
      const set = { state: known, reason, by: `${actor} (console)`, sinceMs: systemClock.nowMs(), texts: {} };
      await state.states.set(backendKey(backend.name), set);
      return 'set';
    },
  };
}
