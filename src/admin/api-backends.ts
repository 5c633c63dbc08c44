import type { Health } from '../backends/health.ts';
import { backendKey, hostKey } from '../backends/placement.ts';
import type { StateReplica } from '../backends/state-replica.ts';
import { operatorStates, type SetState } from '../backends/state-values.ts';
import { type Audit, type AuditEvent, recordIfPossible } from '../core/audit.ts';
import type { Backend, BackendHost, Serving } from '../core/backend.ts';
import { type Clock, isoTime } from '../core/clock.ts';
import { defined } from '../core/objects.ts';
import type { Placement } from '../core/placement.ts';
import {
  type ApiAnswer,
  ApiRefusal,
  type ApiRequest,
  type ApiRoute,
  askerOf,
  endTimeIn,
  noSuch,
  ok,
  reasonIn,
  textIn,
  textsIn,
} from './api-exchange.ts';

/** Dependencies of the API's operations on backends. */
export interface ApiBackendsDeps {
  readonly backends: () => ReadonlyMap<string, Backend>;
  readonly serving: (backend: Backend) => Serving | undefined;
  /** Whether a computed directory may assign users of a backend to another one. */
  readonly isShared: () => boolean;
  readonly state: Pick<StateReplica, 'states' | 'active'>;
  readonly placement: Placement;
  readonly health: Pick<Health, 'report'>;
  readonly heldPerHost: () => ReadonlyMap<string, number>;
  /** Tags of the languages of the pages. */
  readonly languages: () => readonly string[];
  readonly clock: Clock;
  readonly audit: Pick<Audit, 'record'>;
}

const percentIsFor =
  'percent works only for DRAIN of a host among equals, or of a backend if `hash` with shared_storage can place users elsewhere';

/** Routes for the states of backends and hosts, and for the active host. */
export function backendRoutes(deps: ApiBackendsDeps): readonly ApiRoute[] {
  const api = new BackendRequests(deps);
  return [
    { name: 'listBackends', method: 'GET', path: '/backends', handle: () => api.listBackends() },
    {
      name: 'setBackendState',
      method: 'PUT',
      path: '/backends/{backend}/state',
      handle: (request) => api.setBackendState(request),
    },
    {
      name: 'setHostState',
      method: 'PUT',
      path: '/hosts/{host}/state',
      handle: (request) => api.setHostState(request),
    },
    {
      name: 'setActiveHost',
      method: 'PUT',
      path: '/backends/{backend}/active',
      handle: (request) => api.setActiveHost(request),
    },
  ];
}

class BackendRequests {
  readonly #deps: ApiBackendsDeps;

  constructor(deps: ApiBackendsDeps) {
    this.#deps = deps;
  }

  async listBackends(): Promise<ApiAnswer> {
    return ok({ backends: [...this.#deps.backends().values()].map((backend) => this.#describe(backend)) });
  }

  async setBackendState(request: ApiRequest): Promise<ApiAnswer> {
    const backend = this.#backendNamed(request.path['backend']);
    await this.#setState('backend-state', backendKey(backend.name), backend.name, request, this.#deps.isShared());
    return ok(this.#describe(backend));
  }

  async setHostState(request: ApiRequest): Promise<ApiAnswer> {
    const host = this.#hostNamed(request.path['host']);
    await this.#setState('host-state', hostKey(host.name), host.name, request, this.#isInPool(host));
    return ok({ name: host.name, set: describeSetState(this.#deps.state.states.get(hostKey(host.name))) });
  }

  async setActiveHost(request: ApiRequest): Promise<ApiAnswer> {
    const backend = this.#backendNamed(request.path['backend']);
    const name = textIn(request.body, 'host');
    const host = backend.hosts.find((one) => one.name === name);
    if (host === undefined) throw noSuch(`${backend.name} has no host`, name, hostNames([backend]));
    if (this.#deps.serving(backend)?.arrangement !== 'standby') {
      throw new ApiRefusal(409, `all hosts of ${backend.name} are active: set the state of a host instead`);
    }
    const reason = reasonIn(request);
    const from = this.#deps.placement.activeHost(backend).name;
    await this.#deps.state.active.set(backend.name, {
      host: host.name,
      from,
      reason,
      by: request.by,
      sinceMs: this.#deps.clock.nowMs(),
    });
    const facts = { from, to: host.name, reason };
    await recordIfPossible(this.#deps.audit, {
      event: 'active-host',
      ...askerOf(request),
      subject: backend.name,
      facts,
    });
    return ok(this.#describe(backend));
  }

  #backendNamed(name: string | undefined): Backend {
    const backend = this.#deps.backends().get(name ?? '');
    if (backend === undefined) throw noSuch('there is no backend', name, this.#deps.backends().keys());
    return backend;
  }

  #hostNamed(name: string | undefined): BackendHost {
    for (const { hosts } of this.#deps.backends().values()) {
      const host = hosts.find((one) => one.name === name);
      if (host !== undefined) return host;
    }
    throw noSuch('there is no host', name, hostNames(this.#deps.backends().values()));
  }

  #isInPool(host: BackendHost): boolean {
    const backend = [...this.#deps.backends().values()].find(({ hosts }) => hosts.includes(host));
    return backend !== undefined && this.#deps.serving(backend)?.arrangement === 'pool';
  }

  #describeHost(backend: Backend, host: BackendHost, held: ReadonlyMap<string, number>) {
    const report = this.#deps.health.report(host.name);
    return {
      name: host.name,
      state: this.#deps.placement.hostState(backend, host),
      set: describeSetState(this.#deps.state.states.get(hostKey(host.name))),
      sessions_here: held.get(host.name) ?? 0,
      webmail: { address: host.webmail.origin, ...report?.webmail },
      imap: { address: `${host.imap.hostname}:${host.imap.port}`, ...report?.imap },
    };
  }

  #describe(backend: Backend) {
    const held = this.#deps.heldPerHost();
    const serving = this.#deps.serving(backend);
    return {
      name: backend.name,
      arrangement: serving?.arrangement,
      failover: serving?.failover,
      set: describeSetState(this.#deps.state.states.get(backendKey(backend.name))),
      ...(serving?.arrangement === 'standby' ? { active: this.#deps.placement.activeHost(backend).name } : {}),
      hosts: backend.hosts.map((host) => this.#describeHost(backend, host, held)),
    };
  }

  async #setState(event: AuditEvent['event'], key: string, name: string, request: ApiRequest, mayDrainPartly: boolean) {
    const { body, by } = request;
    const wanted = operatorStates.find((one) => one === body['state']);
    if (wanted === undefined) throw new ApiRefusal(400, `state is not one of ${operatorStates.join(', ')}`);
    const untilMs = endTimeIn(body, 'until', this.#deps.clock.nowMs());
    const percent = percentIn(body);
    if (percent !== undefined && (wanted !== 'DRAIN' || !mayDrainPartly)) throw new ApiRefusal(409, percentIsFor);
    const set: SetState = {
      state: wanted,
      ...defined({ percent, untilMs }),
      reason: reasonIn(request),
      by,
      sinceMs: this.#deps.clock.nowMs(),
      texts: textsIn(body, 'texts', this.#deps.languages()),
    };
    await this.#deps.state.states.set(key, set);
    const facts = {
      state: wanted,
      reason: set.reason,
      ...defined({ percent: percent?.toString(), until: untilMs === undefined ? undefined : isoTime(untilMs) }),
    };
    await recordIfPossible(this.#deps.audit, { event, ...askerOf(request), subject: name, facts });
  }
}

function hostNames(backends: Iterable<Backend>): readonly string[] {
  return [...backends].flatMap(({ hosts }) => hosts.map((host) => host.name));
}

function describeSetState(set: SetState | undefined) {
  if (set === undefined) return undefined;
  const { sinceMs, untilMs, ...rest } = set;
  return { ...rest, since: isoTime(sinceMs), ...(untilMs === undefined ? {} : { until: isoTime(untilMs) }) };
}

/** Percentage of users that a DRAIN turns away; undefined if the request names none. */
function percentIn(body: ApiRequest['body']): number | undefined {
  const value = body['percent'];
  if (value === undefined) return undefined;
  if (typeof value === 'number' && value > 0 && value <= 100) return value;
  throw new ApiRefusal(400, 'percent is not a number above 0, up to 100');
}
