import type { BackendName, LoginName } from '../core/names.ts';
import type { FindHome } from './homes.ts';
import { createRing, type Weights } from './ring.ts';
import type { Settings } from './settings.ts';
import { couldNotAsk, type SourceDeps, type SourceDriver } from './source.ts';
import { fillTemplate, readTemplate } from './template.ts';

/** What the gateway knows of its backends at this moment. */
export interface RingStates {
  /** Whether a backend serves: neither DOWN nor MAINT. When it comes back is decided there. */
  isInRing(backend: BackendName): boolean;
  /** Whether it takes new sessions of this user, too: it is READY, or drains only others. */
  takesNew(backend: BackendName, user: LoginName): boolean;
  /** How many sessions a backend has; only the shares count. */
  sessions(backend: BackendName): number;
  /** The backend where a user has sessions now. */
  currentHome(user: LoginName, signal: AbortSignal): Promise<BackendName | undefined>;
}

/**
 * Computes the home of a user: weighted rendezvous hashing over the backends (ring.ts), the same on every node.
 *
 * With `shared_storage: true` every backend can serve every user, as behind a Dovecot director: a user with sessions
 * stays where they are; a backend that is DOWN or in MAINT leaves the ring; one in DRAIN gets nobody new; and
 * `max_load: 1.25` lets none have more than 1.25 times the sessions that its weight gives it. The users concerned go to
 * the next in their own order. Without it homes never depend on states. Who is in `pinned` lives there. Everybody else
 * is answered by default: the hash knows nobody.
 */
export const driver: SourceDriver = {
  configure(settings) {
    const weights = readWeights(settings);
    const pinned = settings.table('pinned');
    const key = readTemplate(settings, 'key', '%u');
    const isShared = settings.flag('shared_storage', false);
    const maxLoad = settings.number('max_load', { min: 1, max: 100 });
    if (maxLoad !== undefined && !isShared) {
      settings.problem('max_load', 'needs shared_storage: true: without it every user has one home');
    }

    return (deps) => {
      const shares = weights ?? new Map([...deps.backends.keys()].map((name) => [String(name), 1]));
      for (const name of shares.keys()) requireBackend(name, deps.findHome);
      const ring = createRing(shares);
      const homes = readPinned(pinned, deps);
      const choose =
        isShared && deps.states !== undefined ? sharedChoice(shares, maxLoad, deps, deps.states) : undefined;
      return {
        isLocal: true,
        async ask(name, signal) {
          const home = homes.get(name);
          if (home !== undefined) return { kind: 'found', home };
          const order = ring.order(fillTemplate(key, name, (value) => value));
          const chosen = choose === undefined ? { home: order[0] } : await choose(name, order, signal);
          if (chosen.home === undefined) throw couldNotAsk('no backend of the ring is available');
          return { kind: 'found', byDefault: true, ...chosen, home: chosen.home };
        },
        async [Symbol.asyncDispose]() {},
      };
    };
  },
};

interface Chosen {
  readonly home: string | undefined;
  readonly stays?: true;
}

type Choice = (user: LoginName, order: readonly string[], signal: AbortSignal) => Promise<Chosen>;

function sharedChoice(
  weights: Weights,
  maxLoad: number | undefined,
  { findHome }: Pick<SourceDeps, 'findHome'>,
  states: RingStates,
): Choice {
  const isIn = (name: string): boolean => {
    const backend = findHome(name);
    return backend !== undefined && states.isInRing(backend);
  };
  const takesNew = (name: string, user: LoginName): boolean => {
    const backend = findHome(name);
    return backend !== undefined && states.takesNew(backend, user);
  };
  const sessionsOf = (name: string): number => {
    const backend = findHome(name);
    return backend === undefined ? 0 : states.sessions(backend);
  };
  return async (user, order, signal) => {
    const current = await states.currentHome(user, signal);
    if (current !== undefined && isIn(current)) return { home: current, stays: true };
    const ready = order.filter((name) => takesNew(name, user));
    const available = ready.length === 0 ? order.filter(isIn) : ready;
    if (maxLoad === undefined) return { home: available[0] };
    const sessions = available.reduce((sum, name) => sum + sessionsOf(name), 0);
    const weight = available.reduce((sum, name) => sum + (weights.get(name) ?? 0), 0);
    // Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads" (2018).
    const room = (name: string): number => Math.ceil((maxLoad * (sessions + 1) * (weights.get(name) ?? 0)) / weight);
    return { home: available.find((name) => sessionsOf(name) < room(name)) ?? available[0] };
  };
}

function readWeights(settings: Settings): Weights | undefined {
  if (!settings.has('weights')) return undefined;
  const weights = new Map<string, number>();
  for (const [name, weight] of Object.entries(settings.record('weights'))) {
    if (typeof weight === 'number' && weight >= 0 && weight <= 1_000_000) weights.set(name, weight);
    else settings.problem('weights', `${name}: write a number from 0 to 1000000`);
  }
  if (![...weights.values()].some((weight) => weight > 0))
    settings.problem('weights', 'give at least one backend a weight above 0');
  return weights;
}

function readPinned(pinned: ReadonlyMap<string, string>, deps: SourceDeps): ReadonlyMap<LoginName, string> {
  const homes = new Map<LoginName, string>();
  for (const [user, home] of pinned) {
    const parsed = deps.parseLoginName(user);
    if (parsed.kind !== 'ok') throw new Error(`pinned: ${user} is no user: ${parsed.why}`);
    requireBackend(home, deps.findHome);
    homes.set(parsed.name, home);
  }
  return homes;
}

function requireBackend(name: string, findHome: FindHome): void {
  if (findHome(name) === undefined) throw new Error(`there is no backend ${name}`);
}
