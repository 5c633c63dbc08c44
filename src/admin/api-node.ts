import { type Audit, recordIfPossible } from '../core/audit.ts';
import type { Readiness } from '../core/http.ts';
import { ApiRefusal, type ApiRoute, askerOf, ok, reasonIn } from './api-exchange.ts';

export interface ApiNodeDeps {
  readonly node: {
    /** Its name in what it decides. */
    readonly name: string;
    readiness(): Readiness;
    isOut(): boolean;
    takeOut(isOut: boolean): void;
  };
  readonly audit: Pick<Audit, 'record'>;
}

/** This node itself: whether it wants anything new from load balancers. */
export function nodeRoutes({ node, audit }: ApiNodeDeps): readonly ApiRoute[] {
  const describe = () => ({ name: node.name, state: node.isOut() ? 'DRAIN' : 'READY', ...node.readiness() });
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
  ];
}
