import type { Config } from './config/config.ts';
import { diffConfig } from './config/diff.ts';
import { loadConfig } from './config/load.ts';
import { ConfigInvalid, formatProblem } from './config/problem.ts';
import { PosternError } from './core/error.ts';
import type { Log } from './core/log.ts';
import type { Readiness } from './core/readiness.ts';
import type { SessionStore } from './core/session.ts';
import { openApiSocket } from './admin/api-socket.ts';
import { createGatewayApi } from './gateway-api.ts';
import { createDoor } from './door.ts';
import { driverChecks } from './driver-checks.ts';
import { listen, openOperators, portOf } from './listening.ts';
import { createLog } from './observe/log.ts';
import { openDirectory } from './open-directory.ts';
import { buildSite, type Site } from './site.ts';
import { openStanding, openStore as openSessionStore } from './standing.ts';
import { leadWorkers } from './workers.ts';

export interface GatewayOptions {
  readonly configFile: string;
  /** Where events go; standard output, as JSON, when left out. */
  readonly log?: Log;
  /** A worker serves and has no listeners for operators: the process that leads it has them. */
  readonly role?: 'worker';
}

/** One running gateway node. */
export interface Gateway {
  /** The ports that are bound, for configurations that say 0. */
  readonly ports: { readonly public: number; readonly operators: number };
  readiness(): Readiness;
  /** Reads the configuration again: all of it or nothing. Says in the log what changed, or why the old one stays. */
  reload(): Promise<void>;
  /** Drains as configured under `shutdown`, then closes everything. Safe to call twice. */
  close(): Promise<void>;
}

/** Reads and checks a configuration. Rejects with ConfigInvalid, which holds every problem at once. */
export function readConfig(file: string): Promise<Config> {
  return loadConfig(file, { env: process.env, checks: driverChecks });
}

/** The directory of a configuration alone, for commands that ask it. */
export function buildDirectory(config: Config, log: Log) {
  return openDirectory(config, log);
}

/** The session store of a configuration alone, for commands that ask it or change what it registers. */
export async function openStore({ sessions }: Config, log: Log): Promise<SessionStore> {
  const { store } = await openSessionStore(sessions, log);
  return store;
}

/** Starts a gateway. Rejects when it cannot serve; nothing is left open then. */
export async function startGateway({ configFile, log: givenLog, role }: GatewayOptions): Promise<Gateway> {
  const config = await readConfig(configFile);
  const log = givenLog ?? createLog({ level: config.log.level });
  if (config.workers > 1 && role !== 'worker') {
    return leadWorkers({ configFile, config, readConfig: () => readConfig(configFile), log });
  }
  await using opened = new AsyncDisposableStack();

  let site: Site | undefined;
  let draining = false;
  const current = (): Site => {
    if (site === undefined) throw new TypeError('the gateway serves before it is built');
    return site;
  };
  const readiness = (): Readiness => ({
    ready: site !== undefined && !draining,
    degraded: standing.storeUp() ? [] : ['store'],
  });

  const standing = await openStanding({ config, log, site: current, upgrades: () => door.upgrades.stats() });
  opened.use(standing);
  site = await buildSite(config, standing.parts);
  opened.defer(() => current()[Symbol.asyncDispose]());
  standing.operations.siteChanged();
  const retirement = opened.use(createRetirement());

  const door = createDoor({ config, standing, site: current, readiness, log });
  opened.defer(standing.operations.state.watch(() => door.upgrades.endAstray()));
  const api = createGatewayApi({ standing, site: current, log });
  const { socket } = config.operators;
  // Of several workers the first one serves it.
  if (socket !== undefined) opened.use(await openApiSocket(socket, api, role === 'worker'));
  let operators = 0;
  if (role === 'worker') standing.metrics.share();
  else {
    const state = () => (draining ? 'drain' : door.server.listening ? 'up' : 'down');
    const weight = () => current().config.operators.agentWeight;
    operators = await openOperators(
      config.operators,
      { readiness, metrics: standing.metrics, state, weight, api },
      opened,
    );
  }
  await listen(door.server, config.listen);
  const ports = { public: portOf(door.server), operators };
  const facts = { backends: config.backends.size, store: config.sessions.store.kind };
  log.info({ ...ports, ...facts }, role === 'worker' ? 'worker ready' : 'ready');

  const parts = opened.move();
  let closing: Promise<void> | undefined;
  async function close(): Promise<void> {
    const { delayMs, deadlineMs } = current().config.shutdown;
    draining = true;
    door.lastCall();
    log.info({ delayMs, deadlineMs }, 'draining');
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    await door.drain(AbortSignal.timeout(deadlineMs));
    await parts.disposeAsync();
    log.info({}, 'closed');
  }

  /** One at a time: a reload that is asked for during a reload begins when that one is done. */
  let reloads: Promise<void> = Promise.resolve();
  async function reload(): Promise<void> {
    const before = current();
    try {
      const next = await readConfig(configFile);
      const { changed, refused, removed } = diffConfig(before.config, next);
      if (refused.length > 0) {
        log.error({ code: 'ERR_CONFIG_INVALID', problems: refused }, 'reload refused; the old configuration stays');
        return;
      }
      const fresh = await buildSite(next, standing.parts);
      await standing.keys.reload().catch(async (error: unknown) => {
        await fresh[Symbol.asyncDispose]();
        throw error;
      });
      site = fresh;
      standing.operations.siteChanged();
      retirement.retire(before);
      await standing.certificates?.reload(next.tls);
      await standing.sessions.endHeldOn(new Set(removed), 'backend-removed');
      log.info({ changed, removed }, 'reloaded');
    } catch (error) {
      const problems = error instanceof ConfigInvalid ? error.problems.map(formatProblem) : undefined;
      const code = error instanceof PosternError ? error.code : 'ERR_CONFIG_INVALID';
      log.error(
        { code, ...(problems === undefined ? { err: error } : { problems }) },
        'reload failed; the old configuration stays',
      );
    }
  }

  return {
    ports,
    readiness,
    reload: () => (reloads = reloads.then(reload)),
    close: () => (closing ??= close()),
  };
}

/** What a login may take with the longest penalty: until then it may still ask the directory of the old site. */
const retirementMs = 60_000;

/** Closes sites that a reload replaced, once nobody can be using them any more. */
function createRetirement(): AsyncDisposable & { retire(site: Site): void } {
  const retired = new Map<Site, NodeJS.Timeout>();
  const end = async (site: Site): Promise<void> => {
    clearTimeout(retired.get(site));
    retired.delete(site);
    await site[Symbol.asyncDispose]();
  };
  return {
    retire: (site) => void retired.set(site, setTimeout(() => void end(site), retirementMs).unref()),
    async [Symbol.asyncDispose]() {
      await Promise.all([...retired.keys()].map(end));
    },
  };
}
