import type { Backend, BackendHost, Serving } from '../core/backend.ts';
import { type BackendReport, type NodeReport, sumOfBackends } from '../core/node-report.ts';
import type { HostState, Placement } from '../core/placement.ts';
import type { Health, HostReport } from './health.ts';
import { backendKey, hostKey } from './placement.ts';
import type { StateReplica } from './state-replica.ts';
import type { SetState } from './state-values.ts';

/** Dependencies of the view. */
export interface ClusterViewDeps {
  readonly backends: () => ReadonlyMap<string, Backend>;
  readonly serving: (backend: Backend) => Serving | undefined;
  readonly state: Pick<StateReplica, 'states' | 'active'>;
  readonly placement: Pick<Placement, 'hostState' | 'activeHost'>;
  readonly health: Pick<Health, 'report'>;
}

/** Why something is as it is. Times are milliseconds since the epoch. */
interface Cause {
  /** Undefined if it has always been so, as far as this node knows. */
  readonly sinceMs?: number;
  /** The operator who set it, or `checks`; undefined if nobody did. */
  readonly by?: string;
  readonly reason?: string;
  readonly untilMs?: number;
}

/** A host of a backend: its state, and its health by service. */
interface HostView extends Cause {
  readonly name: string;
  readonly state: HostState;
  /** What an operator set for this host alone. */
  readonly set?: SetState;
  /** Undefined if this node does not check the host. */
  readonly health?: HostReport;
}

/** A backend over all nodes. */
export interface BackendView extends Cause {
  readonly name: string;
  /** The state of the active host, or the best state of equal hosts: what users meet. */
  readonly state: HostState;
  /** Some hosts are not READY, though the backend is. */
  readonly impaired: boolean;
  readonly arrangement?: Serving['arrangement'];
  /** The host that serves, if a primary has standbys. */
  readonly active?: string;
  readonly hosts: readonly HostView[];
  /** What all nodes saw of it. */
  readonly traffic: BackendReport;
}

const untouched: BackendReport = {
  sessions: 0,
  inFlight: 0,
  logins: { ok: 0, refused: 0, failed: 0 },
  requests: 0,
  errors: 0,
  durations: [],
};

/** From the best state to the worst. */
const statesByHarm: readonly HostState[] = ['READY', 'DRAIN', 'MAINT', 'DOWN'];

/** All backends, the worst first: down, impaired, closed by an operator, with errors; then by name. */
export function viewBackends(deps: ClusterViewDeps, reports: Iterable<NodeReport>): readonly BackendView[] {
  const traffic = sumOfBackends(reports);
  return [...deps.backends().values()]
    .map((backend) => viewBackend(deps, backend, traffic.get(backend.name) ?? untouched))
    .sort((a, b) => harmOf(b) - harmOf(a) || b.traffic.errors - a.traffic.errors || compareNames(a.name, b.name));
}

function viewBackend(deps: ClusterViewDeps, backend: Backend, traffic: BackendReport): BackendView {
  const arrangement = deps.serving(backend)?.arrangement;
  const hosts = backend.hosts.map((host) => viewHost(deps, backend, host));
  const active = arrangement === 'standby' ? deps.placement.activeHost(backend).name : undefined;
  const serving = active === undefined ? hosts : hosts.filter(({ name }) => name === active);
  const shown = [...serving].sort((a, b) => statesByHarm.indexOf(a.state) - statesByHarm.indexOf(b.state))[0];
  const state = shown?.state ?? 'READY';
  const { sinceMs, by, reason, untilMs } = shown ?? {};
  return {
    name: backend.name,
    state,
    impaired: hosts.some((host) => host.state !== state),
    ...(arrangement === undefined ? {} : { arrangement }),
    ...(active === undefined ? {} : { active }),
    ...causeOf({ sinceMs, by, reason, untilMs }),
    hosts,
    traffic,
  };
}

function viewHost(deps: ClusterViewDeps, backend: Backend, host: BackendHost): HostView {
  const state = deps.placement.hostState(backend, host);
  const own = deps.state.states.get(hostKey(host.name));
  const set = [own, deps.state.states.get(backendKey(backend.name))].find((one) => one?.state === state) ?? own;
  const health = deps.health.report(host.name);
  const fallen = [health?.webmail, health?.imap].find((service) => service?.up === false);
  return {
    name: host.name,
    state,
    ...(state === 'DOWN'
      ? causeOf({ sinceMs: fallen?.sinceMs, by: 'checks', reason: fallen?.why })
      : causeOf({ sinceMs: set?.sinceMs, by: set?.by, reason: set?.reason, untilMs: set?.untilMs })),
    ...(own === undefined ? {} : { set: own }),
    ...(health === undefined ? {} : { health }),
  };
}

function causeOf({ sinceMs, by, reason, untilMs }: { [Key in keyof Cause]: Cause[Key] | undefined }): Cause {
  return {
    ...(sinceMs === undefined ? {} : { sinceMs }),
    ...(by === undefined ? {} : { by }),
    ...(reason === undefined ? {} : { reason }),
    ...(untilMs === undefined ? {} : { untilMs }),
  };
}

function harmOf({ state, impaired }: BackendView): number {
  return 2 * statesByHarm.indexOf(state) + (impaired ? 1 : 0);
}

/** Numbers in names count as numbers: b2 comes before b10. */
const { compare: compareNames } = new Intl.Collator('en', { numeric: true });
