import { ApiRefusal } from '../admin/api-exchange.ts';
import type { ApiNodeDeps } from '../admin/api-node.ts';
import { type Api, createApi } from '../admin/api.ts';
import { systemClock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { CanonicalUser, LoginName } from '../core/names.ts';
import { explainHere, lookUpHome } from './explain.ts';
import type { Site, Standing } from './parts.ts';

/** The operators' API over the parts of a running gateway. */
export function createGatewayApi(options: {
  readonly standing: Standing;
  readonly site: () => Site;
  readonly node: Omit<ApiNodeDeps['node'], 'name'>;
  readonly log: Log;
}): Api {
  const { standing, site, node, log } = options;
  const { operations, sessions } = standing;
  const staffParts = standing.parts.consoleStanding.parts;
  return createApi({
    token: () => site().config.operators.token,
    backends: () => site().config.backends,
    serving: (backend) => site().config.serving.get(backend.name),
    isShared: () =>
      site().config.directory.sources.some(
        ({ type, ...settings }) => type === 'hash' && Reflect.get(settings, 'shared_storage') === true,
      ),
    backendNamed: (name) => site().backendNamed(name)?.name,
    state: operations.state,
    refresh: () => operations.state.refresh(),
    placement: operations.placement,
    health: operations.health,
    moves: operations.moves,
    hooks: () => {
      const { before, after } = site().config.moves;
      return { ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) };
    },
    heldPerHost: () => sessions.heldPerHost(),
    sessions,
    explain: (typed) => explainHere(site(), operations, typed),
    forgetHome: (user) => operations.forgetHome(user),
    userNamed: (typed) => userNamed(site(), typed ?? ''),
    lookUp: (user) => lookUpHome(site(), user),
    staff: {
      configured: () => site().config.support?.staff ?? new Map(),
      async isStaff(user) {
        const { lookupMs } = site().config.directory.timeouts;
        return (await staffParts.roleOf(user, AbortSignal.timeout(lookupMs))) !== undefined;
      },
      console: () => site().config.support?.console.origin,
      factors: staffParts.factors,
    },
    node: { ...node, name: operations.node },
    audit: standing.audit,
    clock: systemClock,
    log,
  });
}

/** Operators name users as they sign in; sessions and moves are kept under that name unless it is an alias. */
function userNamed({ parseName }: Site, typed: string): CanonicalUser {
  const parsed = parseName(typed);
  if (parsed.kind === 'malformed')
    throw new ApiRefusal(400, `${JSON.stringify(typed)} cannot be a user: ${parsed.why}`);
  return asUser(parsed.name);
}

function asUser(name: LoginName): CanonicalUser;
function asUser(name: string): string {
  return name;
}
