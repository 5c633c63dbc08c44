import { type Audit, recordIfPossible } from '../core/audit.ts';
import type { Build } from '../core/build.ts';
import type { Readiness } from '../core/http.ts';
import type { CanonicalUser } from '../core/names.ts';
import type { ReloadOutcome } from '../core/node-report.ts';
import { ApiRefusal, type ApiRoute, askerOf, flagIn, ok, reasonIn } from './api-exchange.ts';

/** Dependencies of the API's operations on this node. */
export interface ApiNodeDeps {
  readonly node: {
    /** The name under which it records what it decides. */
    readonly name: string;
    readonly build: Build;
    readiness(): Readiness;
    isOut(): boolean;
    takeOut(isOut: boolean): void;
  };
  /** What a reload did, by the name of the node; undefined for a node that has not answered. */
  readonly reloads: {
    here(): Promise<ReadonlyMap<string, ReloadOutcome | undefined>>;
    everywhere(by: string, reason: string): Promise<ReadonlyMap<string, ReloadOutcome | undefined>>;
  };
  /** The configuration in force: its file, what the files say, and the same with all defaults. */
  readonly settings: () => Promise<Readonly<Record<'written' | 'in_force', object>> & { readonly file: string }>;
  readonly audit: Pick<Audit, 'record'>;
}

/**
 * Routes for this node itself: whether it takes new requests from load balancers, its configuration, and reloads, of all
 * nodes as well.
 */
export function nodeRoutes({ node, reloads, settings, audit }: ApiNodeDeps): readonly ApiRoute[] {
  const describe = () => {
    const { name, build } = node;
    return { name, state: node.isOut() ? 'DRAIN' : 'READY', ...node.readiness(), build };
  };
  return [
    { name: 'showNode', method: 'GET', path: '/node', handle: async () => ok(describe()) },
    {
      name: 'setNodeState',
      method: 'PUT',
      path: '/node/state',
      async handle(request) {
        const { state } = request.body;
        if (state !== 'READY' && state !== 'DRAIN') throw new ApiRefusal(400, 'state is neither READY nor DRAIN');
        const reason = reasonIn(request);
        node.takeOut(state === 'DRAIN');
        const facts = { state, reason };
        await recordIfPossible(audit, { event: 'node-state', ...askerOf(request), subject: node.name, facts });
        return ok(describe());
      },
    },
    { name: 'showConfig', method: 'GET', path: '/config', handle: async () => ok(await settings()) },
    {
      name: 'reload',
      method: 'POST',
      path: '/reload',
      async handle(request) {
        const reason = reasonIn(request);
        const all = flagIn(request.body, 'all');
        const outcomes = await (all ? reloads.everywhere(request.by, reason) : reloads.here());
        const nodes = [...outcomes].map(([name, outcome]) => {
          if (outcome === undefined) return { name, answered: false };
          const { active, changed, removed, problems } = outcome;
          return { name, answered: true, active, changed, removed, problems };
        });
        const active = [...outcomes.values()].filter((outcome) => outcome?.active === true).length;
        const facts = { reason, nodes: nodes.length, active };
        const subject = all ? 'all nodes' : node.name;
        await recordIfPossible(audit, { event: 'reload', ...askerOf(request), subject, facts });
        return ok({ nodes });
      },
    },
  ];
}

/** Dependencies of the API's operations on the directory. */
export interface ApiDirectoryDeps {
  /** Explains step by step where a user lives, as this node finds it with its caches. */
  readonly explain: (typed: string) => Promise<object>;
  /** Makes all nodes ask the sources again. */
  readonly forgetHome: (user: CanonicalUser) => Promise<void>;
  /** Returns the canonical user for a typed name. Throws ApiRefusal if it cannot be a user. */
  readonly userNamed: (typed: string | undefined) => CanonicalUser;
  readonly audit: Pick<Audit, 'record'>;
}

/** Routes of the directory: explain a user's home, and make all nodes ask again. */
export function directoryRoutes({ explain, forgetHome, userNamed, audit }: ApiDirectoryDeps): readonly ApiRoute[] {
  return [
    {
      name: 'explainUser',
      method: 'GET',
      path: '/users/{user}/explanation',
      handle: async ({ path }) => ok(await explain(path['user'] ?? '')),
    },
    {
      name: 'forgetHome',
      method: 'DELETE',
      path: '/users/{user}/remembered-home',
      async handle(request) {
        const user = userNamed(request.path['user']);
        const reason = reasonIn(request);
        await forgetHome(user);
        await recordIfPossible(audit, {
          event: 'home-forgotten',
          ...askerOf(request),
          subject: user,
          facts: { reason },
        });
        return ok({ user });
      },
    },
  ];
}
