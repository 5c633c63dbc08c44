import { type BackendView, type ClusterViewDeps, viewBackends } from '../backends/cluster-view.ts';
import { backendKey, hostKey } from '../backends/placement.ts';
import type { SetState } from '../backends/state-values.ts';
import { isoTime, systemClock } from '../core/clock.ts';
import type { Backend } from '../core/backend.ts';
import { PosternError } from '../core/error.ts';
import { type BackendReport, type NodeReport, type ReadReports, sumOfBackends } from '../core/node-report.ts';
import { defined } from '../core/objects.ts';
import type { ListedSession } from '../core/session.ts';
import type { ShownBackend, ShownHost } from '../http/console/backend-table.ts';
import type { ConsoleActor, ConsoleBackends, WantedState } from '../http/console/backends.ts';
import type { NodeSessions } from '../sessions/node-sessions.ts';
import type { ClusterState, ConfigHolder, NodeReports } from './parts.ts';

/** What operators do at the console of a node works on these. */
export interface ConsoleOperationsOptions {
  readonly sessions: Pick<NodeSessions, 'allSessions'>;
  readonly heldPerHost: () => ReadonlyMap<string, number>;
  readonly cluster: ClusterState;
  readonly reports: Pick<NodeReports, 'read'>;
  readonly holder: ConfigHolder;
}

const sampleMs = 30_000;
const keptSamples = 60;

/** Creates the backends as the console sees and changes them. It samples the sessions of each until it is disposed. */
export function createConsoleBackendOperations(options: ConsoleOperationsOptions): ConsoleBackends & Disposable {
  const history = new Map<string, number[]>();
  const sample = async (): Promise<void> => {
    const reports = await reportsFrom(options.reports.read);
    if (reports === undefined) return;
    const traffic = sumOfBackends(reports);
    const { backends } = options.holder.config;
    const names = new Set<string>(backends.keys());
    for (const name of history.keys()) if (!names.has(name)) history.delete(name);
    for (const name of backends.keys()) {
      const kept = history.get(name) ?? [];
      history.set(name, kept);
      kept.push(traffic.get(name)?.sessions ?? 0);
      if (kept.length > keptSamples) kept.shift();
    }
  };
  const timer = setInterval(() => void sample(), sampleMs).unref();
  const changes = changesOf(options);
  return {
    async all() {
      const reports = await reportsFrom(options.reports.read);
      const held = options.heldPerHost();
      return viewBackends(viewDeps(options), reports ?? []).map((view) => ({
        ...describeBackend(options, view, held),
        ...(reports === undefined ? {} : { traffic: shownTraffic(view.traffic) }),
        history: history.get(view.name) ?? [],
      }));
    },
    peopleOn: (backend, host) => peopleIn(options.sessions.allSessions(), backend, host),
    ...changes,
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

/** Undefined if they cannot be asked: the page shows the states all the same. */
async function reportsFrom(read: ReadReports): Promise<readonly NodeReport[] | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof PosternError) return undefined;
    throw error;
  }
}

function shownTraffic({ sessions, logins, errors, p95Ms }: BackendReport): NonNullable<ShownBackend['traffic']> {
  return { sessions, logins: logins.ok + logins.refused + logins.failed, errors, ...defined({ p95Ms }) };
}

function viewDeps({ holder, cluster }: ConsoleOperationsOptions): ClusterViewDeps {
  return {
    ...cluster,
    backends: () => holder.config.backends,
    serving: ({ name }) => holder.config.serving.get(name),
  };
}

function describeBackend(
  { holder: { config, current }, cluster: { state } }: ConsoleOperationsOptions,
  view: BackendView,
  held: ReadonlyMap<string, number>,
): Omit<ShownBackend, 'traffic' | 'history'> {
  const { name, active, arrangement = 'standby', sinceMs, by, reason } = view;
  const backend = current.backendNamed(name);
  if (backend === undefined) throw new TypeError(`there is no backend ${name}`);
  return {
    name: backend.name,
    state: view.state,
    driver: backend.driver,
    arrangement,
    failover: config.serving.get(backend.name)?.failover ?? 'automatic',
    ...defined({ set: state.states.get(backendKey(name)) }),
    ...(view.state === 'READY' ? {} : { cause: defined({ sinceMs, by, reason }) }),
    drainsPartly: config.directory.sources.some(
      ({ type, ...settings }) => type === 'hash' && Reflect.get(settings, 'shared_storage') === true,
    ),
    hosts: view.hosts.map((host) => ({
      name: host.name,
      state: host.state,
      serves: active === undefined || active === host.name,
      sessions: held.get(host.name) ?? 0,
      ...defined({ set: host.set }),
      ...shownServices(backend, host),
    })),
  };
}

function shownServices(
  { hosts }: Backend,
  { name, health }: BackendView['hosts'][number],
): Pick<ShownHost, 'webmail' | 'imap'> {
  const host = hosts.find((one) => one.name === name);
  const shown = (service: 'webmail' | 'imap', address: string) => {
    const { up = true, why } = health?.[service] ?? {};
    const check = health?.checks?.[service];
    return { address, up, ...defined({ why, checkedAtMs: check?.atMs, tookMs: check?.tookMs }) };
  };
  return {
    webmail: shown('webmail', host?.webmail.origin ?? ''),
    imap: shown('imap', `${host?.imap.hostname ?? ''}:${host?.imap.port ?? ''}`),
  };
}

const countedSessions = 50_000;

async function peopleIn(
  pages: AsyncIterable<readonly ListedSession[]>,
  backend: string,
  host: string | undefined,
): ReturnType<ConsoleBackends['peopleOn']> {
  const people = new Set<string>();
  let [seen, sessions] = [0, 0];
  for await (const page of pages) {
    seen += page.length;
    for (const { record } of page) {
      if (record.staff !== undefined || record.backend !== backend || (host ?? record.host) !== record.host) continue;
      people.add(record.user);
      sessions += 1;
    }
    if (seen >= countedSessions) return { people: people.size, sessions, isWhole: false };
  }
  return { people: people.size, sessions, isWhole: true };
}

function changesOf({ cluster, holder }: ConsoleOperationsOptions): Pick<ConsoleBackends, 'set' | 'activate'> {
  const { state, audit, placement } = cluster;
  return {
    async set(backend, host, wanted, by) {
      await audit.record({
        event: host === undefined ? 'backend-state' : 'host-state',
        ...by,
        subject: host ?? backend,
        facts: factsOf(wanted),
      });
      const key = host === undefined ? backendKey(backend) : hostKey(host);
      await state.states.set(key, setStateOf(wanted, by));
    },
    async activate(name, host, reason, by) {
      const backend = holder.current.backendNamed(name);
      if (backend === undefined) return;
      const from = placement.activeHost(backend).name;
      await audit.record({ event: 'active-host', ...by, subject: name, facts: { from, to: host, reason } });
      await state.active.set(name, { host, from, reason, by: atConsole(by), sinceMs: systemClock.nowMs() });
    },
  };
}

function atConsole({ actor }: ConsoleActor): string {
  return `${actor} (console)`;
}

function setStateOf(wanted: WantedState, by: ConsoleActor): SetState {
  return { ...wanted, by: atConsole(by), sinceMs: systemClock.nowMs() };
}

function factsOf({ state, reason, percent, untilMs }: WantedState) {
  const until = untilMs === undefined ? undefined : isoTime(untilMs);
  return { state, reason, ...defined({ percent: percent?.toString(), until }) };
}
