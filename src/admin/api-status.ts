import { type BackendView, type ClusterViewDeps, viewBackends } from '../backends/cluster-view.ts';
import type { HealthReport } from '../backends/host-health.ts';
import { type Clock, isoTime } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import {
  type BackendReport,
  driftOf,
  type NodeReport,
  type ReadReports,
  sumOfBackends,
  sumOfLogins,
} from '../core/node-report.ts';
import { defined } from '../core/objects.ts';
import { type ApiRoute, ok } from './api-exchange.ts';

/** How the store of the sessions answers. */
export interface StoreStanding {
  readonly kind: 'redis' | 'embedded';
  readonly answers: boolean;
  /** Undefined if Redis does not say. */
  readonly role?: 'master' | 'replica';
  /** Why it does not answer. */
  readonly why?: string;
}

/** Dependencies of the API's view of the whole cluster. */
export interface ApiStatusDeps extends ClusterViewDeps {
  readonly reports: { readonly own: () => NodeReport; readonly read: ReadReports };
  readonly storeStanding: () => Promise<StoreStanding>;
  readonly clock: Clock;
}

/** Routes for the nodes, and for all that there is in one view. */
export function statusRoutes(deps: ApiStatusDeps): readonly ApiRoute[] {
  return [
    { name: 'listNodes', method: 'GET', path: '/nodes', handle: async () => ok(describeNodes(await readAll(deps))) },
    { name: 'showStatus', method: 'GET', path: '/status', handle: async () => ok(await describeCluster(deps)) },
  ];
}

/** The reports that could be read. */
interface Reports {
  readonly own: NodeReport;
  readonly all: readonly NodeReport[];
  /** Why only this node's own report is there; undefined if all are. */
  readonly why?: string;
}

async function readAll({ reports }: ApiStatusDeps): Promise<Reports> {
  const own = reports.own();
  try {
    return { own, all: await reports.read() };
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    return { own, all: [own], why: error.message };
  }
}

async function describeCluster(deps: ApiStatusDeps) {
  const [reports, store] = await Promise.all([readAll(deps), deps.storeStanding()]);
  const { all } = reports;
  const backends = viewBackends(deps, all);
  const total = [...sumOfBackends(all).values()];
  const sum = (of: (one: BackendReport) => number) => total.reduce((so, one) => so + of(one), 0);
  const alarms: Record<string, number> = {};
  for (const node of all) {
    for (const [code, count] of Object.entries(node.alarms)) alarms[code] = (alarms[code] ?? 0) + count;
  }
  return {
    at: isoTime(deps.clock.nowMs()),
    sessions: all.reduce((so, one) => so + one.sessions, 0),
    logins_last_minute: all.map(({ logins }) => logins).reduce(sumOfLogins, { ok: 0, refused: 0, failed: 0 }),
    requests_last_minute: sum(({ requests }) => requests),
    errors_last_minute: sum(({ errors }) => errors),
    in_flight: sum(({ inFlight }) => inFlight),
    alarms_last_hour: alarms,
    store,
    backends: backends.map(describeBackend),
    ...describeNodes(reports),
  };
}

function describeNodes({ own, all, why }: Reports) {
  const drift = driftOf(all);
  return {
    nodes: all.map((report) => ({
      name: report.name,
      this_node: report.name === own.name,
      version: report.version,
      commit: report.commit,
      config: report.configHash,
      drift: drift.get(report.name) ?? [],
      config_loaded: isoTime(report.configLoadedAtMs),
      started: isoTime(report.startedAtMs),
      reported: isoTime(report.atMs),
      workers: report.workers,
      state: report.draining ? 'DRAIN' : 'READY',
      degraded: report.degraded,
      ...defined({ clock_skew_ms: report.clockSkewMs }),
      sessions: report.sessions,
      logins_last_minute: report.logins,
      alarms_last_hour: report.alarms,
    })),
    ...(why === undefined ? {} : { others_unknown: why }),
  };
}

function describeBackend({ name, state, impaired, arrangement, active, hosts, traffic, ...cause }: BackendView) {
  return {
    name,
    state,
    impaired,
    ...describeCause(cause),
    ...defined({ arrangement, active }),
    sessions: traffic.sessions,
    in_flight: traffic.inFlight,
    logins_last_minute: traffic.logins,
    requests_last_minute: traffic.requests,
    errors_last_minute: traffic.errors,
    ...defined({ p95_ms: traffic.p95Ms }),
    hosts: hosts.map(({ name: host, state: hostState, set: _set, health, ...why }) => ({
      name: host,
      state: hostState,
      ...describeCause(why),
      ...(health === undefined ? {} : { webmail: describeHealth(health.webmail), imap: describeHealth(health.imap) }),
    })),
  };
}

function describeCause({ sinceMs, untilMs, by, reason }: Pick<BackendView, 'sinceMs' | 'untilMs' | 'by' | 'reason'>) {
  return defined({
    since: sinceMs === undefined ? undefined : isoTime(sinceMs),
    until: untilMs === undefined ? undefined : isoTime(untilMs),
    by,
    reason,
  });
}

function describeHealth({ up, sinceMs, why }: HealthReport) {
  return { up, since: isoTime(sinceMs), ...defined({ why }) };
}
