import type { Backend, BackendHost, Serving } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { BackendName, CanonicalUser } from '../core/names.ts';
import type { Closure, ClosureKind, HostState, Place, Placement } from '../core/placement.ts';
import { createRendezvous, isInShare } from '../core/rendezvous.ts';
import type { SessionRecord } from '../core/session.ts';
import type { Health } from './health.ts';
import { isHolding } from './moves.ts';
import type { StateReplica } from './state-replica.ts';
import type { SetState } from './state-values.ts';

/** The current backends; a reload replaces them. */
export interface ServedBackends {
  backend(name: string): Backend | undefined;
  serving(name: BackendName): Serving | undefined;
}

/** Returns the backends of the current configuration; none before the first one is read. */
export function backendsIn(holder: {
  readonly config: {
    readonly backends: ReadonlyMap<string, Backend>;
    readonly serving: ReadonlyMap<BackendName, Serving>;
  };
}): ServedBackends {
  return {
    backend: (name) => holder.config.backends.get(name),
    serving: (name) => holder.config.serving.get(name),
  };
}

interface PlacementOptions {
  readonly backends: ServedBackends;
  readonly state: Pick<StateReplica, 'states' | 'active' | 'overrides' | 'homes' | 'moves'>;
  readonly health: Pick<Health, 'isUp' | 'isWebmailUp' | 'takeTrial' | 'report'>;
  /** Sessions that this node holds, by host. */
  readonly heldPerHost: () => ReadonlyMap<string, number>;
  readonly clock: Clock;
}

/** Homes of users by overrides and by changes in the directory. */
export type HomeDecisions = { readonly [Table in 'homes' | 'overrides']: Pick<StateReplica[Table], 'get'> };

/** The key of a backend in the table of operator states. The prefix tells it from its first host of the same name. */
export const backendKey = (backend: string): string => `backend:${backend}`;

/** The key of a host in the table of operator states. */
export const hostKey = (host: string): string => `host:${host}`;

/** Makes the placement of one node from states, health and session counts. */
export function createPlacement(deps: PlacementOptions): Placement {
  return new BackendPlacement(deps);
}

class BackendPlacement implements Placement {
  readonly #deps: PlacementOptions;

  constructor(deps: PlacementOptions) {
    this.#deps = deps;
  }

  hostState(backend: Backend, host: BackendHost): HostState {
    const set = this.#setState(backend, host)?.state;
    if (set === 'MAINT') return 'MAINT';
    return this.#deps.health.isUp(host.name) ? (set ?? 'READY') : 'DOWN';
  }

  takesNew(backend: Backend, host: BackendHost, user: string): boolean {
    const states = [this.#setFor(backendKey(backend.name)), this.#setFor(hostKey(host.name))];
    return this.#deps.health.isUp(host.name) && states.every((set) => !refuses(set, user));
  }

  activeHost({ name, hosts }: Backend): BackendHost {
    const active = this.#deps.state.active.get(name)?.host;
    return (active === undefined ? undefined : hosts.find((host) => host.name === active)) ?? hosts[0];
  }

  forSignIn(backend: Backend, user: CanonicalUser, stays = false): Exclude<Place, { kind: 'elsewhere' }> {
    const held = this.#moving(backend, user);
    if (held !== undefined) return held;
    const keepsOut = (one: SetState) => refuses(one, user) && !(stays && one.state === 'DRAIN');
    const serving = this.#deps.backends.serving(backend.name);
    const set = this.#setFor(backendKey(backend.name));
    if (set !== undefined && keepsOut(set))
      return this.#closed(backend.name, set.state === 'DRAIN' ? 'drain' : 'maintenance', set);
    const isPool = serving?.arrangement === 'pool';
    const host = isPool ? this.#choose(backend, serving, user, stays) : this.activeHost(backend);
    const first = host ?? backend.hosts[0];
    const hostSet = this.#setState(backend, first);
    if (hostSet !== undefined && keepsOut(hostSet))
      return this.#closed(backend.name, hostSet.state === 'DRAIN' ? 'drain' : 'maintenance', hostSet);
    // A trial is for the webmail only: a password is not sent out if no mail server can check it.
    const isTrial = () => this.#answersPasswords(first) && this.#deps.health.takeTrial(first.name);
    if (this.#deps.health.isUp(first.name) || isTrial()) return { kind: 'here', host: first };
    return this.#down(backend, first);
  }

  passwordHosts(backend: Backend): readonly BackendHost[] {
    const isPool = this.#deps.backends.serving(backend.name)?.arrangement === 'pool';
    return (isPool ? backend.hosts : [this.activeHost(backend)]).filter((host) => this.#answersPasswords(host));
  }

  ofSession(record: SessionRecord): Place {
    const backend = this.#deps.backends.backend(record.backend);
    // A reload removed the backend during the request.
    if (backend === undefined) return this.#closed(record.backend, 'down');
    const held = this.#moving(backend, record.user) ?? this.#moved(record);
    if (held !== undefined) return held;
    const serving = this.#deps.backends.serving(backend.name);
    return serving?.arrangement === 'pool'
      ? this.#inPool(backend, serving, record)
      : this.#withStandby(backend, record);
  }

  #setFor(key: string): SetState | undefined {
    const set = this.#deps.state.states.get(key);
    return set?.state === 'READY' ? undefined : set;
  }

  #setState(backend: Backend, host: BackendHost): SetState | undefined {
    if (this.#deps.state.states.all().size === 0) return undefined;
    const ofBackend = this.#setFor(backendKey(backend.name));
    const ofHost = this.#setFor(hostKey(host.name));
    if (ofBackend?.state !== 'MAINT' && ofHost?.state === 'MAINT') return ofHost;
    return ofBackend ?? ofHost;
  }

  #closed(backend: BackendName, kind: ClosureKind, set?: SetState, sinceMs?: number): Place & { kind: 'closed' } {
    const closure: Closure = {
      kind,
      backend,
      sinceMs: set?.sinceMs ?? sinceMs ?? this.#deps.clock.nowMs(),
      ...(set?.untilMs === undefined ? {} : { untilMs: set.untilMs }),
      texts: set?.texts ?? {},
    };
    return { kind: 'closed', closure };
  }

  #down(backend: Backend, host: BackendHost): Place & { kind: 'closed' } {
    const report = this.#deps.health.report(host.name);
    const since = [report?.webmail, report?.imap].filter((one) => one?.up === false).map((one) => one?.sinceMs ?? 0);
    return this.#closed(backend.name, 'down', undefined, since.length === 0 ? undefined : Math.min(...since));
  }

  #answersPasswords(host: BackendHost): boolean {
    return this.#deps.health.report(host.name)?.imap.up !== false;
  }

  /** Whether a webmail is up, or this request may try it: one a second may while it counts as down. */
  #mayServe(host: BackendHost): boolean {
    return this.#deps.health.isWebmailUp(host.name) || this.#deps.health.takeTrial(host.name);
  }

  /** Chooses the host of a pool for a user: a host that is READY, else one in DRAIN if `drained`. */
  #choose(backend: Backend, serving: Serving | undefined, user: string, drained: boolean) {
    const ready = backend.hosts.filter((host) => this.takesNew(backend, host, user));
    const draining = () => backend.hosts.filter((host) => this.hostState(backend, host) === 'DRAIN');
    const candidates = ready.length === 0 && drained ? draining() : ready;
    const weightOf = (host: BackendHost) => serving?.weights[host.name] ?? 1;
    if (serving?.choice !== 'least-sessions') {
      const weights = new Map(candidates.map((host) => [host.name, weightOf(host)]));
      const [chosen] = createRendezvous('host', weights).order(user);
      return candidates.find((host) => host.name === chosen);
    }
    const held = this.#deps.heldPerHost();
    const load = (host: BackendHost) => (held.get(host.name) ?? 0) / weightOf(host);
    return candidates.toSorted((a, b) => load(a) - load(b))[0];
  }

  #inPool(backend: Backend, serving: Serving | undefined, record: SessionRecord): Place {
    const own = backend.hosts.find((host) => host.name === record.host);
    const ownState = own === undefined ? undefined : this.hostState(backend, own);
    if (own !== undefined && (ownState === 'READY' || ownState === 'DRAIN')) return { kind: 'here', host: own };
    const other = this.#choose(backend, serving, record.user, true);
    if (other !== undefined) return { kind: 'elsewhere', backend: backend.name, host: other };
    const set = own === undefined ? undefined : this.#setState(backend, own);
    if (ownState === 'MAINT') return this.#closed(backend.name, 'maintenance', set);
    if (own !== undefined && this.#mayServe(own)) return { kind: 'here', host: own };
    return this.#down(backend, own ?? backend.hosts[0]);
  }

  #withStandby(backend: Backend, record: SessionRecord): Place {
    const active = this.activeHost(backend);
    const set = this.#setState(backend, active);
    if (set?.state === 'MAINT') return this.#closed(backend.name, 'maintenance', set);
    if (!this.#mayServe(active)) return this.#down(backend, active);
    if (record.host === active.name) return { kind: 'here', host: active };
    return { kind: 'elsewhere', backend: backend.name, host: active };
  }

  #moving(backend: Backend, user: string): (Place & { kind: 'closed' }) | undefined {
    const move = this.#deps.state.moves.get(user);
    if (move === undefined || !isHolding(move, this.#deps.clock.nowMs())) return undefined;
    return this.#closed(backend.name, 'moving', undefined, move.startedAtMs);
  }

  /** The place of a user who was moved, or whose home changed in the directory: the same as at a login. */
  #moved(record: SessionRecord): Place | undefined {
    const name = homeOfSession(this.#deps.state, record);
    const home = name === record.backend ? undefined : this.#deps.backends.backend(name);
    if (home === undefined) return undefined;
    const place = this.forSignIn(home, record.user);
    if (place.kind === 'closed') return place;
    const homeSinceMs = this.#deps.state.homes.get(record.user)?.sinceMs;
    const since = homeSinceMs === undefined ? {} : { homeSinceMs };
    return { kind: 'elsewhere', backend: home.name, host: place.host, ...since };
  }
}

/** Whether a state refuses new sessions of this user. A DRAIN share is the same on every node and only grows. */
function refuses(set: SetState | undefined, user: string): boolean {
  if (set === undefined) return false;
  return set.state !== 'DRAIN' || set.percent === undefined || isInShare(user, set.percent);
}

/**
 * Returns the home of a session's user as this node knows it: by an override, else by a change of home that is later
 * than the session and its last relocation, else by the session's record.
 */
export function homeOfSession(
  { overrides, homes }: HomeDecisions,
  {
    user,
    backend,
    createdAtMs,
    homeSinceMs = 0,
  }: Pick<SessionRecord, 'user' | 'backend' | 'createdAtMs' | 'homeSinceMs'>,
): string {
  const home = homes.get(user);
  const isLater = home !== undefined && home.sinceMs > Math.max(createdAtMs, homeSinceMs);
  return overrides.get(user)?.backend ?? (isLater ? home.backend : backend);
}
