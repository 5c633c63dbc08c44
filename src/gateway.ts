import type { Config } from './config/config.ts';
import { loadConfig } from './config/load.ts';
import type { Log } from './core/log.ts';
import type { Readiness } from './core/readiness.ts';
import type { SessionStore } from './core/session.ts';
import { openApiSocket } from './admin/api-socket.ts';
import { createGatewayApi } from './gateway/api.ts';
import { createDoor } from './gateway/door.ts';
import { driverChecks } from './gateway/driver-checks.ts';
import { listen, openDirectoryService, openOperators, portOf } from './gateway/listening.ts';
import { createLog } from './observe/log.ts';
import { openDirectory } from './gateway/open-directory.ts';
import { createReload } from './gateway/reload.ts';
import { buildSite, type Site } from './gateway/site.ts';
import { openStanding, openStore as openSessionStore } from './gateway/standing.ts';
import { leadWorkers } from './gateway/workers.ts';

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
  readonly ports: { readonly public: number; readonly operators: number; readonly console?: number };
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
  const plainLog = givenLog ?? createLog({ level: config.log.level });
  if (config.workers > 1 && role !== 'worker') {
    return leadWorkers({ configFile, config, readConfig: () => readConfig(configFile), log: plainLog });
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

  const standing = await openStanding({ config, log: plainLog, site: current, upgrades: () => door.upgrades.stats() });
  opened.use(standing);
  const { log } = standing.parts;
  site = await buildSite(config, standing.parts);
  opened.defer(() => current()[Symbol.asyncDispose]());
  standing.operations.siteChanged();
  const reload = opened.use(
    createReload({
      readConfig: () => readConfig(configFile),
      standing,
      site: current,
      replace: (fresh) => {
        site = fresh;
      },
      log,
    }),
  );

  const doorOptions = { config, standing, site: current, readiness, log };
  const door = createDoor({ ...doorOptions, serves: 'public' });
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
  if (config.directoryService !== undefined) {
    await openDirectoryService(config.directoryService, { site: current, metrics: standing.metrics, log }, opened);
  }
  await listen(door.server, config.listen);
  const consoleListen = config.support?.listen;
  const consoleDoor = consoleListen === undefined ? undefined : createDoor({ ...doorOptions, serves: 'console' });
  if (consoleDoor !== undefined && consoleListen !== undefined) await listen(consoleDoor.server, consoleListen);
  const ports = {
    public: portOf(door.server),
    operators,
    ...(consoleDoor === undefined ? {} : { console: portOf(consoleDoor.server) }),
  };
  const facts = { pid: process.pid, backends: config.backends.size, store: config.sessions.store.kind };
  log.info({ ...ports, ...facts }, role === 'worker' ? 'worker ready' : 'ready');

  const parts = opened.move();
  let closing: Promise<void> | undefined;
  async function close(): Promise<void> {
    const { delayMs, deadlineMs } = current().config.shutdown;
    draining = true;
    door.lastCall();
    consoleDoor?.lastCall();
    log.info({ delayMs, deadlineMs }, 'draining');
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    const signal = AbortSignal.timeout(deadlineMs);
    await Promise.all([door.drain(signal), consoleDoor?.drain(signal)]);
    await parts.disposeAsync();
    log.info({}, 'closed');
  }

  return {
    ports,
    readiness,
    reload: () => reload.run(),
    close: () => (closing ??= close()),
  };
}
