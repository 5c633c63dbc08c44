import { randomBytes } from 'node:crypto';
import { openApiSocket } from './admin/listeners.ts';
import type { Health } from './backends/health.ts';
import { createProbeLogins } from './backends/probe-logins.ts';
import type { Config } from './config/config.ts';
import { loadConfig } from './config/load.ts';
import { type ConfigFiles, type FilesRead, recordFiles, replayFiles } from './config/referenced-files.ts';
import { systemClock } from './core/clock.ts';
import type { Readiness } from './core/http.ts';
import type { Log } from './core/log.ts';
import type { HostEvidence } from './core/placement.ts';
import type { SessionStore } from './core/session.ts';
import type { AskLeader } from './directory/source.ts';
import { createGatewayApi } from './gateway/api.ts';
import { driverChecks } from './gateway/drivers.ts';
import { openStanding } from './gateway/node.ts';
import { openDirectoryService, openOperators } from './gateway/operator-listeners.ts';
import type { Site } from './gateway/parts.ts';
import { createDoors, type Reception } from './gateway/public-listener.ts';
import { createReload } from './gateway/reload.ts';
import { buildSite } from './gateway/snapshot.ts';
import { openDirectory, openStore as openSessionStore } from './gateway/stores.ts';
import { createTeam } from './gateway/workers.ts';
import { newReference } from './http/request-context.ts';
import { createProbeLogin, type TestedHost } from './login/probe-login.ts';
import { createLog } from './observe/log.ts';
import { createImapPassdb } from './passdb/imap.ts';

/** Options of startGateway. */
export interface GatewayOptions {
  readonly configFile: string;
  /** Where events go; standard output, as JSON, when left out. */
  readonly log?: Log;
  /**
   * A worker only serves: the process that leads it checks the hosts, keeps the streams of the directory, has the
   * listeners for operators, and reads the configuration.
   */
  readonly worker?: { readonly health: Health; readonly askLeader: AskLeader; readonly filesRead: () => FilesRead };
}

/** One running gateway node. */
export interface Gateway {
  /** The ports that are bound, for configurations that say 0. */
  readonly ports: Reception['ports'] & { readonly operators: number };
  readiness(): Readiness;
  /** How many sessions it holds on each host. */
  heldPerHost(): ReadonlyMap<string, number>;
  /** Whether load balancers are to send nothing new; it serves on in both cases. */
  takeOut(isOut: boolean): void;
  /** Reads the configuration again: all of it or nothing. Says in the log what changed, or why the old one stays. */
  reload(): Promise<void>;
  /** Drains as configured under `shutdown`, then closes everything. Safe to call twice. */
  close(): Promise<void>;
}

/** Reads and checks a configuration. Rejects with ConfigInvalid, which holds every problem at once. */
export function readConfig(file: string, files?: ConfigFiles): Promise<Config> {
  return loadConfig(file, { env: process.env, checks: driverChecks, ...(files === undefined ? {} : { files }) });
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

/**
 * Starts a gateway: one process, or the first of several, which has no part in serving and does what is to be done once
 * per node. Rejects when it cannot serve; nothing is left open then.
 */
export async function startGateway({ configFile, log: givenLog, worker }: GatewayOptions): Promise<Gateway> {
  const reading = createReading(configFile, worker?.filesRead);
  const config = await reading.read();
  const plainLog = givenLog ?? createLog({ level: config.log.level });
  await using opened = new AsyncDisposableStack();
  const team = config.workers > 1 && worker === undefined ? opened.use(createTeam(configFile, plainLog)) : undefined;

  let site: Site | undefined;
  let draining = false;
  let isOut = false;
  const current = (): Site => {
    if (site === undefined) throw new TypeError('the gateway serves before it is built');
    return site;
  };
  const readiness = (): Readiness => ({
    ready: reception.isOpen() && !draining && !isOut,
    degraded: [...new Set([...(standing.storeUp() ? [] : ['store']), ...(team?.degraded() ?? [])])],
  });

  const takeOut: Gateway['takeOut'] = (is) => {
    isOut = is;
    team?.takeOut(is);
  };

  const standing = await openStanding({
    config,
    log: plainLog,
    site: current,
    upgrades: () => doors.upgrades(),
    ...(worker === undefined ? {} : { worker }),
    ...(team === undefined ? {} : { heldPerHost: () => team.heldPerHost() }),
  });
  opened.use(standing);
  const { sessions, operations } = standing;
  const { log } = standing.parts;
  site = await buildSite(config, standing.parts);
  opened.defer(() => current()[Symbol.asyncDispose]());
  operations.siteChanged();
  const reload = opened.use(
    createReload({
      readConfig: () => reading.read(),
      standing,
      site: current,
      replace: (fresh) => {
        site = fresh;
        team?.reload(reading.filesRead());
      },
      log,
    }),
  );

  if (worker === undefined) {
    const signIn = createProbeLogin({
      passdb: createImapPassdb(),
      publicOrigin: () => current().config.publicUrls[0].origin,
      newReference: () => newReference(randomBytes),
    });
    const note = (host: string, evidence: HostEvidence) => operations.health.note(host, evidence);
    opened.use(createProbeLogins({ tested: () => testedHosts(current()), signIn, note, clock: systemClock, log }));
  }

  const doors = createDoors({ config, standing, site: current, readiness, log });
  opened.defer(operations.state.watch(() => doors.endAstray()));
  const reception: Reception = team ?? doors;
  const sharedMetrics = team === undefined && worker === undefined ? standing.metrics : standing.metrics.share();
  let operators = 0;
  if (worker === undefined) {
    const node = { readiness, isOut: () => isOut, takeOut };
    const api = createGatewayApi({ standing, site: current, node, log });
    const { socket } = config.operators;
    if (socket !== undefined) opened.use(await openApiSocket(socket, api));
    const state = () => (draining || isOut ? 'drain' : reception.isOpen() ? 'up' : 'down');
    const weight = () => current().config.operators.agentWeight;
    const hostNames = () => current().config.operators.hostNames ?? [];
    operators = await openOperators(
      config.operators,
      { readiness, metrics: sharedMetrics, state, weight, api, hostNames },
      opened,
    );
  }
  if (config.directoryService !== undefined && team === undefined) {
    await openDirectoryService(config.directoryService, { site: current, metrics: standing.metrics, log }, opened);
  }
  if (team === undefined) await doors.open();
  else {
    const askSource: AskLeader = (source, name, signal) => current().directory.askSource(source, name, signal);
    await team.open(config.workers, { health: operations.health, askSource, filesRead: reading.filesRead() });
  }
  const ports = { ...reception.ports, operators };
  const workers = team === undefined ? {} : { workers: config.workers };
  const facts = { pid: process.pid, backends: config.backends.size, store: config.sessions.store.kind, ...workers };
  for (const why of worker === undefined ? config.exposedSecrets : []) log.warn({ why }, 'a secret is not kept');
  log.info({ ...ports, ...facts }, worker === undefined ? 'ready' : 'worker ready');

  const parts = opened.move();
  let closing: Promise<void> | undefined;
  async function close(): Promise<void> {
    const { delayMs, deadlineMs } = current().config.shutdown;
    draining = true;
    reception.lastCall();
    log.info({ delayMs, deadlineMs }, 'draining');
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    await reception.drain(AbortSignal.timeout(deadlineMs));
    await parts.disposeAsync();
    log.info({}, 'closed');
  }

  return {
    ports,
    readiness,
    heldPerHost: () => sessions.heldPerHost(),
    takeOut,
    reload: () => reload.run(),
    close: () => (closing ??= close()),
  };
}

/** Each host of the backends that have a test account. */
function* testedHosts({ config, homeOf }: Site): Iterable<readonly [TestedHost, number]> {
  for (const [name, { testAccount: account }] of config.serving) {
    const home = homeOf(name);
    if (account === undefined || home === undefined) continue;
    for (const host of home.backend.hosts) yield [{ home, host, account }, account.intervalMs];
  }
}

/** Reads the configuration from disk, or as the process that leads this one has read it. */
function createReading(file: string, given: (() => FilesRead) | undefined) {
  let filesRead: FilesRead = { contents: {}, included: {} };
  return {
    /** What was read last. */
    filesRead: () => filesRead,
    read(): Promise<Config> {
      if (given !== undefined) return readConfig(file, replayFiles(given()));
      const { files, record } = recordFiles();
      filesRead = record;
      return readConfig(file, files);
    },
  };
}
