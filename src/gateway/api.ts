import { ApiRefusal } from '../admin/api-exchange.ts';
import type { ApiNodeDeps } from '../admin/api-node.ts';
import { type Api, createApi } from '../admin/api.ts';
import { systemClock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import { type CanonicalUser, canonicalUser } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import { localesFolder, readLocales } from '../http/locales.ts';
import { explainHere, lookUpHome } from './explain.ts';
import type { ConfigHolder, ConfigSnapshot, GatewayNode } from './parts.ts';

interface GatewayApiOptions {
  readonly node: GatewayNode;
  readonly holder: ConfigHolder;
  readonly availability: Omit<ApiNodeDeps['node'], 'name' | 'build'>;
  readonly reloads: ApiNodeDeps['reloads'];
  readonly log: Log;
}

/** The operators' API over the parts of a running gateway. */
export function createGatewayApi({ node, holder, availability, reloads, log }: GatewayApiOptions): Api {
  const { cluster, sessions } = node;
  return createApi({
    tokens: () => holder.config.operators,
    backends: () => holder.config.backends,
    serving: (backend) => holder.config.serving.get(backend.name),
    isShared: () =>
      holder.config.directory.sources.some(
        ({ type, ...settings }) => type === 'hash' && Reflect.get(settings, 'shared_storage') === true,
      ),
    languages: () => readLocales(localesFolder, 'en').all.map(({ tag }) => tag),
    backendNamed: (name) => holder.current.backendNamed(name)?.name,
    state: cluster.state,
    refresh: () => cluster.state.refresh(),
    placement: cluster.placement,
    health: cluster.health,
    moves: cluster.moves,
    mail: cluster.mail,
    hooks: () => {
      const { before, after } = holder.config.moves;
      return defined({ before, after });
    },
    heldPerHost: node.heldPerHost,
    sessions,
    locks: cluster.locks,
    lockControl: node.lockControl,
    nameRules: () => holder.config.directory.nameRules,
    penalties: node.penalties,
    explain: (typed) => explainHere(holder.current, cluster, typed),
    forgetHome: (user) => cluster.forgetHome(user),
    userNamed: (typed) => userNamed(holder.current, typed ?? ''),
    lookUp: (user) => lookUpHome(holder.current, user),
    staff: {
      async consoleLink(by) {
        const consoleOrigin = holder.config.support?.console.origin;
        if (consoleOrigin === undefined || node.support === undefined) return undefined;
        const { token, untilMs } = await node.support.console.parts.links.issue({ by, consoleOrigin });
        return { link: `${consoleOrigin}/-/link?link=${token}`, untilMs };
      },
      configured: () => holder.config.support?.staff ?? new Map(),
      async isStaff(user) {
        const { lookupMs } = holder.config.directory.timeouts;
        return (await node.support?.console.parts.roleOf(user, AbortSignal.timeout(lookupMs))) !== undefined;
      },
      console: () => holder.config.support?.console.origin,
      factors: cluster.factors(),
    },
    node: {
      name: cluster.nodeName,
      build: node.build,
      readiness: () => availability.readiness(),
      isOut: () => availability.isOut(),
      takeOut: (isOut) => availability.takeOut(isOut),
    },
    reloads,
    async settings() {
      const { file, settings: written } = holder.config;
      const { settingsInForce } = await import('../config/settings-view.ts');
      return { file, written, in_force: settingsInForce(written) };
    },
    reports: node.reports,
    storeStanding: () => node.storeStanding(),
    statistics: node.parts.statistics,
    audit: node.audit,
    clock: systemClock,
    log,
  });
}

/** Operators name users as they sign in; sessions and moves are kept under that name unless it is an alias. */
function userNamed({ parseName }: ConfigSnapshot, typed: string): CanonicalUser {
  const parsed = parseName(typed);
  if (parsed.kind === 'malformed')
    throw new ApiRefusal(400, `${JSON.stringify(typed)} cannot be a user: ${parsed.why}`);
  return canonicalUser(parsed.name);
}
