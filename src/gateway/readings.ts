import { backendKey, hostKey } from '../backends/placement.ts';
import { movePhases } from '../backends/state-values.ts';
import { lockKinds } from '../backends/user-orders.ts';
import type { Config } from '../config/config.ts';
import type { Backend } from '../core/backend.ts';
import type { HostState } from '../core/placement.ts';
import { sumOfBackends } from '../core/node-report.ts';
import { alarmCodes, services, states } from '../observe/metric-labels.ts';
import type { Labels, Readings } from '../observe/exposition.ts';
import type { Connections } from '../proxy/connections.ts';
import type { RedisConnection } from '../redis/connection.ts';
import type { NodeSessions } from '../sessions/node-sessions.ts';
import type { ClusterState, ConfigHolder, GatewayNode } from './parts.ts';

/** Penalties are counted one by one in Redis: under an attack there are thousands. */
const penaltiesEveryMs = 30_000;
const penaltiesMost = 1_000;
/** To open and sort all names that are kept takes too long for a number. A refusal has up to three names. */
const penaltyNamesMost = 3 * penaltiesMost;

type Series = readonly [Labels, number];

interface ProcessParts {
  readonly holder: ConfigHolder;
  readonly sessions: Pick<NodeSessions, 'counts'>;
  readonly connections: Pick<Connections, 'stats'>;
  readonly cluster: Pick<ClusterState, 'state' | 'audit'>;
  readonly storeUp: () => boolean;
  readonly redis: RedisFacts | undefined;
}

/** The connection of the sessions; undefined with the embedded store. */
type RedisFacts = Pick<RedisConnection, 'isReady' | 'lagMs' | 'role'>;

/** What each process of a node reads of itself. Values of several workers are merged. */
export function processReadings({ holder, sessions, connections, cluster, storeUp, redis }: ProcessParts): Readings {
  return {
    postern_sessions_cached: () => sessions.counts().cached,
    postern_sessions_ends_pending: () => sessions.counts().endingsWaiting,
    postern_store_up: () => Number(storeUp()),
    postern_state_store_up: () => Number(cluster.state.isFollowed()),
    postern_audit_writable: async () => Number(await cluster.audit.isWritable()),
    ...(redis === undefined
      ? {}
      : {
          postern_redis_connected: () => Number(redis.isReady()),
          postern_invalidations_followed: () => Number(sessions.counts().isTold),
          postern_invalidation_lag_seconds: async () => inSeconds(await redis.lagMs()),
        }),
    postern_backend_connections: () => connectionSeries(holder.config, connections),
    *postern_directory_lookups_total() {
      for (const [source, { hits, misses, stale }] of holder.current.directory.counts()) {
        yield [{ source, result: 'hit' }, hits];
        yield [{ source, result: 'miss' }, misses];
        yield [{ source, result: 'stale' }, stale];
      }
    },
  };
}

function* connectionSeries({ backends }: Config, connections: Pick<Connections, 'stats'>): Iterable<Series> {
  const counts = new Map(connections.stats().map(({ host, state, count }) => [`${host} ${state}`, count]));
  for (const { name: backend, hosts } of backends.values()) {
    for (const { name: host } of hosts) {
      for (const state of ['busy', 'waiting']) yield [{ backend, host, state }, counts.get(`${host} ${state}`) ?? 0];
    }
  }
}

interface NodeParts {
  readonly holder: ConfigHolder;
  readonly node: Pick<GatewayNode, 'cluster' | 'certificates' | 'reports' | 'penalties'>;
  readonly redis: RedisFacts | undefined;
  /** What load balancers are told. */
  readonly state: () => 'up' | 'drain' | 'down';
  /** How many processes serve users. */
  readonly serving: () => number;
  /** Whether the last reload, or the start, took its configuration over. */
  readonly isReloadGood: () => boolean;
}

/** What the first process of a node reads for all of them: the configuration, the state of the cluster, the checks. */
export function nodeReadings({ holder, node, redis, state, serving, isReloadGood }: NodeParts): Readings {
  const { cluster } = node;
  return {
    postern_config_info: () => [[{ hash: node.reports.own().configHash }, 1]],
    postern_config_last_reload_successful: () => Number(isReloadGood()),
    postern_config_last_reload_success_timestamp_seconds: () => node.reports.own().configLoadedAtMs / 1000,
    postern_clock_offset_seconds: () => inSeconds(node.reports.own().clockSkewMs),
    postern_node_state: () => onlyOne('state', ['up', 'drain', 'down'], state()),
    postern_workers: () => [
      [{ state: 'configured' }, holder.config.workers],
      [{ state: 'serving' }, serving()],
    ],
    *postern_backend_state() {
      for (const backend of holder.config.backends.values())
        yield* onlyOne('state', states, stateOfBackend(backend, holder.config, cluster), { backend: backend.name });
    },
    *postern_backend_until_timestamp_seconds() {
      for (const backend of holder.config.backends.values())
        yield [{ backend: backend.name }, untilMsOf(backend, cluster) / 1000];
    },
    *postern_host_state() {
      for (const [backend, host] of backendHosts(holder.config)) {
        const hostState = cluster.placement.hostState(backend, host);
        yield [{ backend: backend.name, host: host.name }, states.indexOf(hostState)];
      }
    },
    *postern_host_up() {
      const reports = cluster.health.reports();
      for (const [{ name: backend }, { name: host }] of backendHosts(holder.config)) {
        const report = reports.get(host);
        for (const service of services) yield [{ backend, host, service }, Number(report?.[service].up ?? true)];
      }
    },
    *postern_active_host() {
      for (const backend of holder.config.backends.values()) {
        if (holder.config.serving.get(backend.name)?.arrangement === 'pool') continue;
        yield [{ backend: backend.name, host: cluster.placement.activeHost(backend).name }, 1];
      }
    },
    async postern_sessions() {
      const sums = sumOfBackends(await node.reports.read());
      return [...holder.config.backends.keys()].map((backend) => [{ backend }, sums.get(backend)?.sessions ?? 0]);
    },
    postern_penalties: sampled(penaltiesEveryMs, async () => {
      const { penalties } = await node.penalties.list({ amongLatest: penaltyNamesMost }, penaltiesMost);
      return ['user-network', 'user', 'network'].map((kind) => [
        { kind },
        penalties.filter((one) => one.kind === kind).length,
      ]);
    }),
    ...(redis === undefined
      ? {}
      : {
          postern_redis_role: async () => onlyOne('role', ['master', 'replica', 'unknown'], await redis.role()),
        }),
    ...moveReadings(cluster),
    *postern_alarms_last_hour() {
      const alarms = new Map(alarmCodes.map((code) => [code, 0]));
      for (const [logged, count] of Object.entries(node.reports.own().alarms)) {
        const code = alarms.has(logged) ? logged : 'defect';
        alarms.set(code, (alarms.get(code) ?? 0) + count);
      }
      for (const [code, count] of alarms) yield [{ code }, count];
    },
    *postern_locks() {
      const counts = Map.groupBy(cluster.locks.all(), ({ kind }) => kind);
      for (const kind of lockKinds) yield [{ kind }, counts.get(kind)?.length ?? 0];
    },
    postern_opened_mailboxes: () => cluster.support?.opened.all().size ?? 0,
    *postern_certificate_expiry_timestamp_seconds() {
      for (const { file, name, validToMs } of node.certificates?.expiries() ?? [])
        yield [{ file, name }, validToMs / 1000];
    },
  };
}

/** How many moves there are in each phase, and how old the oldest is. */
function moveReadings({
  state: { moves },
}: Pick<ClusterState, 'state'>): Pick<Readings, 'postern_moves' | 'postern_moves_oldest_timestamp_seconds'> {
  const byPhase = () => Map.groupBy(moves.all().values(), ({ phase }) => phase);
  return {
    *postern_moves() {
      const all = byPhase();
      for (const phase of movePhases) yield [{ phase }, all.get(phase)?.length ?? 0];
    },
    *postern_moves_oldest_timestamp_seconds() {
      const all = byPhase();
      for (const phase of movePhases) {
        const oldestMs = (all.get(phase) ?? []).reduce((so, one) => Math.min(so, one.startedAtMs), Number.MAX_VALUE);
        yield [{ phase }, all.has(phase) ? oldestMs / 1000 : 0];
      }
    },
  };
}

/** One series for each of the values: 1 for the one that holds. */
function* onlyOne(label: string, values: readonly string[], holds: string, labels: Labels = {}): Iterable<Series> {
  for (const value of values) yield [{ ...labels, [label]: value }, Number(value === holds)];
}

/** Reads a value that is dear to read at most this often. */
function sampled(everyMs: number, read: () => Promise<readonly Series[]>): () => Promise<readonly Series[]> {
  let last: Promise<readonly Series[]> | undefined;
  let readAtMs = 0;
  return () => {
    const nowMs = performance.now();
    if (last === undefined || nowMs - readAtMs >= everyMs) {
      readAtMs = nowMs;
      last = read();
    }
    return last;
  };
}

function inSeconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}

function* backendHosts({ backends }: Config) {
  for (const backend of backends.values()) for (const host of backend.hosts) yield [backend, host] as const;
}

/** When the state that operators set for a backend, or for the host that serves it, should end; 0 if nobody said. */
function untilMsOf(backend: Backend, { state, placement }: Pick<ClusterState, 'state' | 'placement'>): number {
  const keys = [backendKey(backend.name), hostKey(placement.activeHost(backend).name)];
  const set = keys.map((key) => state.states.get(key)).find((one) => one !== undefined && one.state !== 'READY');
  return set?.untilMs ?? 0;
}

/** The state of the host that serves; of a pool, of the host that is off best. */
function stateOfBackend(backend: Backend, config: Config, { placement }: Pick<ClusterState, 'placement'>): HostState {
  const isPool = config.serving.get(backend.name)?.arrangement === 'pool';
  const hosts = isPool ? backend.hosts : [placement.activeHost(backend)];
  const ranks = hosts.map((host) => states.indexOf(placement.hostState(backend, host)));
  return states[Math.min(...ranks)] ?? 'DOWN';
}
