import { z } from 'zod';
import type { LoginName } from '../../core/names.ts';
import { createRendezvous, type MemberWeights } from '../../core/rendezvous.ts';
import { fraction, textOrNumber, yesOrNo } from '../../schema/scalars.ts';
import { defineSource, fillTemplate, nameTemplate, sourceSettings } from '../settings.ts';
import { couldNotAsk, type FindHome, type SharedStorageStates, type SourceDeps } from '../source.ts';

/**
 * Computes the home of a user: weighted rendezvous hashing over the backends, the same on every node.
 *
 * With `shared_storage: true` every backend can serve every user, as behind a Dovecot director: a user with sessions
 * stays where they are; a backend that is DOWN or in MAINT leaves the ring; a backend in DRAIN gets no new users; and
 * `max_load: 1.25` lets no backend have more than 1.25 times the sessions that its weight gives it. The users concerned
 * go to the next backend in their own order. Without `shared_storage` homes never depend on states. Users in `pinned`
 * live where that says. All other answers are defaults: the hash knows no users.
 */
export const driver = defineSource({
  about: 'Spreads users over backends by a weighted hash of their names.',
  settings: sourceSettings({
    weights: z
      .record(z.string(), fraction({ atLeast: 0, atMost: 1_000_000 }), {
        error: 'is not a map of weights: write { a: 1, b: 2 }',
      })
      .refine((weights) => Object.values(weights).some((weight) => weight > 0), {
        error: 'give at least one backend a weight above 0',
      })
      .optional()
      .describe(
        'Weight of each backend: twice the weight, twice the users; 0: only pinned users. Left out: every backend has 1.',
      ),
    pinned: z
      .record(z.string(), textOrNumber('the name of a backend', 'write the name of a backend'), {
        error: 'is not a map of users: write { alice@example.org: a }',
      })
      .prefault({})
      .describe('Users whose backend is fixed, and that backend.'),
    key: nameTemplate('a key')
      .prefault('%u')
      .describe('The text that is hashed; `%d` keeps the users of a domain together.'),
    shared_storage: yesOrNo().prefault(false).describe('Every backend can serve every user.'),
    max_load: fraction({ atLeast: 1, atMost: 100 })
      .optional()
      .describe(
        'With shared storage: no backend has more than this many times its share of the sessions, such as `1.25`.',
      ),
  }).superRefine(({ max_load, shared_storage }, context) => {
    if (max_load === undefined || shared_storage) return;
    const message = 'needs shared_storage: true: without it every user has one home';
    context.addIssue({ code: 'custom', path: ['max_load'], message });
  }),
  create(settings, deps) {
    const { key, shared_storage: isShared, max_load: maxLoad, pinned } = settings;
    const weights = settings.weights === undefined ? undefined : new Map(Object.entries(settings.weights));

    const shares = weights ?? new Map([...deps.backends.keys()].map((name) => [String(name), 1]));
    for (const name of shares.keys()) requireBackend(name, deps.findHome);
    const rendezvous = createRendezvous('backend', shares);
    const homes = readPinned(pinned, deps);
    const choose = isShared && deps.states !== undefined ? sharedChoice(shares, maxLoad, deps, deps.states) : undefined;
    return {
      isLocal: true,
      async ask(name, signal) {
        const home = homes.get(name);
        if (home !== undefined) return { kind: 'found', home };
        const order = rendezvous.order(fillTemplate(key, name, (value) => value));
        const chosen = choose === undefined ? { home: order[0] } : await choose(name, order, signal);
        if (chosen.home === undefined) throw couldNotAsk('no backend is available');
        return { kind: 'found', byDefault: true, ...chosen, home: chosen.home };
      },
      async [Symbol.asyncDispose]() {},
    };
  },
});

interface ChosenHome {
  readonly home: string | undefined;
  readonly stays?: true;
}

/** Chooses the home of a user whose order of backends is given. */
type ChooseHome = (user: LoginName, order: readonly string[], signal: AbortSignal) => Promise<ChosenHome>;

function sharedChoice(
  weights: MemberWeights,
  maxLoad: number | undefined,
  { findHome }: Pick<SourceDeps, 'findHome'>,
  states: SharedStorageStates,
): ChooseHome {
  const isIn = (name: string): boolean => {
    const backend = findHome(name);
    return backend !== undefined && states.isServing(backend);
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

function readPinned(pinned: Readonly<Record<string, string>>, deps: SourceDeps): ReadonlyMap<LoginName, string> {
  const homes = new Map<LoginName, string>();
  for (const [user, home] of Object.entries(pinned)) {
    const parsed = deps.parseLoginName(user);
    if (parsed.kind !== 'ok') throw new Error(`pinned: ${user} is not a valid user: ${parsed.why}`);
    requireBackend(home, deps.findHome);
    homes.set(parsed.name, home);
  }
  return homes;
}

function requireBackend(name: string, findHome: FindHome): void {
  if (findHome(name) === undefined) throw new Error(`there is no backend ${name}`);
}
