import { randomBytes } from 'node:crypto';
import type { Api } from './admin/api.ts';
import { openApiSocket, type OperatorsDeps } from './admin/listeners.ts';
import type { Health } from './backends/health.ts';
import { createProbeLogins } from './backends/probe-logins.ts';
import type { Config } from './config/config.ts';
import { loadConfig } from './config/load.ts';
import { type ConfigFiles, type FilesRead, recordFiles, replayFiles } from './config/referenced-files.ts';
import { unsignedAccepted } from './config/sessions-section.ts';
import { systemClock } from './core/clock.ts';
import type { Readiness } from './core/http.ts';
import type { Log } from './core/log.ts';
import type { NodeReport } from './core/node-report.ts';
import { newReference } from './core/names.ts';
import { defined } from './core/objects.ts';
import type { HostEvidence } from './core/placement.ts';
import type { SessionStore } from './core/session.ts';
import type { AskLeader } from './directory/source.ts';
import { openNode } from './gateway/node.ts';
import { tellOfState } from './gateway/node-reports.ts';
import { Availability, openDirectoryService, openOperators } from './gateway/operator-listeners.ts';
import { ConfigHolder, type ConfigSnapshot, type GatewayNode, type UserListeners } from './gateway/parts.ts';
import { openPublicListeners } from './gateway/public-listener.ts';
import { createReload, createReloadOrders, type ReloadOrders } from './gateway/reload.ts';
import { buildSnapshot } from './gateway/snapshot.ts';
import { openDirectory, openSessionStore } from './gateway/stores.ts';
import type { Team } from './gateway/workers.ts';
import { createProbeLogin, type TestedHost } from './login/probe-login.ts';
import { openLog } from './observe/log.ts';
import type { Counts } from './observe/exposition.ts';
import type { Metrics } from './observe/metrics.ts';
import type { TrafficSlice } from './observe/traffic.ts';
import { createImapPassdb } from './passdb/imap.ts';

/** Options of startGateway. */
export interface GatewayOptions {
  readonly configFile: string;
  /** The log; JSON on standard output if undefined. */
  readonly log?: Log;
  /**
   * A worker only serves: the node's first process checks the hosts, keeps the streams of the directory, has the
   * listeners for operators, and reads the configuration.
   */
  readonly worker?: { readonly health: Health; readonly askLeader: AskLeader; readonly filesRead: () => FilesRead };
}

/** One running gateway node. */
export interface Gateway {
  /** The ports that are bound, for configurations that say 0. */
  readonly ports: UserListeners['ports'] & { readonly operators: number };
  readiness(): Readiness;
  /** Sessions of this node by host. */
  heldPerHost(): ReadonlyMap<string, number>;
  /** Requests that hosts have not answered yet. */
  inFlightPerHost(): ReadonlyMap<string, number>;
  /** Takes out what was counted since the last call, for the first process of the node. */
  takeTraffic(): TrafficSlice;
  /** What its metrics have counted, for the first process of the node. */
  counts(): Promise<Counts>;
  /** The last change of the shared state that it knows; undefined if it has not read it. */
  stateVersion(): number | undefined;
  /** Takes over what the first process says of the node. */
  followNode(report: NodeReport): void;
  /** Takes the node out of load balancing, or back in. It serves in both cases. */
  takeOut(isOut: boolean): void;
  /**
   * Reads the configuration again, and takes it over as a whole or not at all. The log says what changed, or why the
   * old one stays. Resolves with whether the new one is active.
   */
  reload(): Promise<boolean>;
  /** Drains as configured under `shutdown`, then closes everything. Safe to call twice. */
  close(): Promise<void>;
}

/** Reads and checks a configuration. Rejects with ConfigInvalid, which holds every problem at once. */
export function readConfig(file: string, files?: ConfigFiles): Promise<Config> {
  return loadConfig(file, { env: process.env, checksDrivers: true, ...defined({ files }) });
}

/** The directory of a configuration alone, for commands that ask it: all sources, or the one at a position from 0. */
export function buildDirectory(config: Config, log: Log, onlySource?: number) {
  return openDirectory(config, log, defined({ onlySource }));
}

/** The session store of a configuration alone, for commands that ask it or change what it registers. */
export async function openStore({ sessions }: Config, log: Log): Promise<SessionStore> {
  const { store } = await openSessionStore(sessions, log);
  return store;
}

/**
 * Starts a gateway: one process, or the first of several, which serves no users and does the work that a node does
 * once. Rejects when it cannot serve; nothing is left open then.
 */
export async function startGateway({ configFile, log: givenLog, worker }: GatewayOptions): Promise<Gateway> {
  const reading = createReading(configFile, worker?.filesRead);
  const config = await reading.read();
  const holder = new ConfigHolder(config);
  await using logging = new AsyncDisposableStack();
  await using opened = new AsyncDisposableStack();
  const plainLog = givenLog ?? logging.use(await openLog(config.log)).log;
  const team =
    config.workers > 1 && worker === undefined
      ? opened.use(new (await import('./gateway/workers.ts')).Team(configFile, plainLog))
      : undefined;
  const node = opened.use(
    await openNode({
      holder,
      log: plainLog,
      ...defined({ worker }),
      ...(team === undefined
        ? {}
        : { heldPerHost: () => team.heldPerHost(), inFlightPerHost: () => team.inFlightPerHost() }),
    }),
  );
  const { log } = node.parts;
  holder.replace(await buildSnapshot(config, node.parts));
  opened.defer(() => holder.current[Symbol.asyncDispose]());
  const replaced = (): void => team?.reload(reading.filesRead());
  const reload = opened.use(createReload({ readConfig: () => reading.read(), node, holder, replaced, log }));
  const availability = new Availability(node, team);
  let operators: Awaited<ReturnType<typeof openForOperators>> | undefined;
  if (worker === undefined) {
    opened.use(startProbeLogins(holder, node));
    const reloads = opened.use(createReloadOrders({ node, reload, clock: systemClock, log }));
    operators = await openForOperators({ holder, node, availability, reloads, team, reload }, opened);
  }
  if (config.directoryService !== undefined && team === undefined) {
    const { metrics, parts } = node;
    await openDirectoryService(config.directoryService, { holder, metrics, ...parts }, opened);
  }
  const listeners =
    team === undefined
      ? await openPublicListeners({ node, holder, readiness: () => availability.readiness(), log }, opened)
      : await openTeam(team, { node, holder, filesRead: reading.filesRead() });
  availability.opened();
  if (worker === undefined) beginReports(node, config, availability, team);
  const ports = { ...listeners.ports, operators: operators?.port ?? 0 };
  tellReady(node, config, { ports, isWorker: worker !== undefined, isTeam: team !== undefined });
  loadInTime(operators?.load ?? (() => node.metrics.load()), log);

  const [parts, lastPart] = [opened.move(), logging.move()];
  let closing: Promise<void> | undefined;
  async function close(): Promise<void> {
    const { delayMs, deadlineMs } = holder.config.shutdown;
    availability.drain();
    listeners.lastCall();
    log.info('draining', { delayMs, deadlineMs });
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    await listeners.drain(AbortSignal.timeout(deadlineMs));
    await parts.disposeAsync();
    log.info('closed');
    // The line above goes to the syslog server, too.
    await lastPart.disposeAsync();
  }

  return {
    ports,
    readiness: () => availability.readiness(),
    heldPerHost: node.heldPerHost,
    inFlightPerHost: node.inFlightPerHost,
    takeTraffic: () => node.traffic.take(),
    counts: () => node.metrics.counts(),
    stateVersion: () => node.cluster.state.version(),
    followNode: (report) => node.reports.follow(report),
    takeOut: (isOut) => availability.takeOut(isOut),
    reload: async () => (await reload.run()).active,
    close: () => (closing ??= close()),
  };
}

/** Writes to the log that this process serves, and what its operator should mend. */
function tellReady(
  { build, parts: { log } }: GatewayNode,
  config: Config,
  {
    ports,
    isWorker,
    isTeam,
  }: { readonly ports: Gateway['ports']; readonly isWorker: boolean; readonly isTeam: boolean },
): void {
  const workers = isTeam ? { workers: config.workers } : {};
  const facts = { pid: process.pid, backends: config.backends.size, store: config.sessions.store.kind, ...workers };
  if (isWorker) return log.info('worker-ready', { ...ports, ...facts });
  const unsigned = unsignedAccepted(config.sessions, systemClock.nowMs());
  if (unsigned !== undefined) log.warn('unsigned-accepted', unsigned);
  for (const why of config.exposedSecrets) log.warn('secret-exposed', { why });
  const { version, commit } = build;
  log.info('ready', { version, commit, ...ports, ...facts });
}

/**
 * Loads what operators ask for as soon as users are served, and does not wait for the first question: by then an upgrade
 * may have replaced the files, and a process must not load files of another version.
 */
function loadInTime(load: () => Promise<void>, log: Log): void {
  setImmediate(() => void load().catch((err: unknown) => log.error('api-failed', { err })));
}

/** Tells the other nodes how this one stands, from now on. */
function beginReports(node: GatewayNode, { workers }: Config, availability: Availability, team?: Team): void {
  const draining = (): boolean => availability.state() === 'drain';
  const degraded = () => availability.readiness().degraded;
  const stateVersion = tellOfState(node, team);
  node.reports.begin({ workers, draining, degraded, stateVersion }, (report) => team?.tellNode(report));
}

/** The metrics of the first process and of its workers, as those of one. */
function metricsOfAll(metrics: Metrics, team: Team): OperatorsDeps['metrics'] {
  return { contentType: metrics.contentType, text: async () => metrics.textWith(await team.counts()) };
}

/** Starts the workers, which have the listeners. */
async function openTeam(
  team: Team,
  { node, holder, filesRead }: Pick<OperatorsParts, 'node' | 'holder'> & { readonly filesRead: FilesRead },
): Promise<UserListeners> {
  const askSource: AskLeader = (source, name, signal) => holder.current.directory.askSource(source, name, signal);
  await team.open(holder.config.workers, { health: node.cluster.health, traffic: node.traffic, askSource, filesRead });
  return team;
}

interface OperatorsParts {
  readonly holder: ConfigHolder;
  readonly node: GatewayNode;
  readonly availability: Availability;
  readonly reloads: ReloadOrders;
  readonly team: Team | undefined;
  readonly reload: { readonly isLastGood: boolean };
}

/**
 * Opens the API and the listeners for operators. `port` is that of the first listener; `load` loads what a scrape and the
 * API need before the first of them comes.
 */
async function openForOperators(
  { holder, node, availability, reloads, team, reload }: OperatorsParts,
  opened: AsyncDisposableStack,
): Promise<{ readonly port: number; readonly load: () => Promise<void> }> {
  const settings = holder.config.operators;
  const [state, serving] = [() => availability.state(), () => team?.size ?? 1];
  const isReloadGood = () => reload.isLastGood;
  node.metrics.watch(async () =>
    (await import('./gateway/readings.ts')).nodeReadings({
      holder,
      node,
      redis: node.redis,
      state,
      serving,
      isReloadGood,
    }),
  );
  let loading: Promise<Api> | undefined;
  const { log } = node.parts;
  const loadApi = (): Promise<Api> =>
    (loading ??= import('./gateway/api.ts').then(({ createGatewayApi }) =>
      createGatewayApi({ node, holder, availability, reloads, log }),
    ));
  const api: Api = async (request, response, way) => (await loadApi())(request, response, way);
  if (settings.socket !== undefined) {
    const access = { mode: settings.socketMode, ...defined({ group: settings.socketGroup }) };
    opened.use(await openApiSocket(settings.socket, access, api));
  }
  const port = await openOperators(
    settings,
    {
      readiness: () => availability.readiness(),
      metrics: team === undefined ? node.metrics : metricsOfAll(node.metrics, team),
      state,
      weight: () => holder.config.operators.agentWeight,
      api,
      hostNames: () => holder.config.operators.hostNames,
    },
    opened,
  );
  const load = async (): Promise<void> => {
    await Promise.all([node.metrics.load(), loadApi()]);
  };
  return { port, load };
}

/** Signs in on each host with the test account of its backend, as often as that says. */
function startProbeLogins(holder: ConfigHolder, { cluster, parts: { log } }: GatewayNode): AsyncDisposable {
  const signIn = createProbeLogin({
    passdb: createImapPassdb(),
    publicOrigin: () => holder.config.publicUrls[0].origin,
    newReference: () => newReference(randomBytes),
  });
  const note = (host: string, evidence: HostEvidence) => cluster.health.note(host, evidence);
  return createProbeLogins({ tested: () => testedHosts(holder.current), signIn, note, clock: systemClock, log });
}

/** Each host of the backends that have a test account. */
function* testedHosts({ config, homeOf }: ConfigSnapshot): Iterable<readonly [TestedHost, number]> {
  for (const [name, { testAccount: account }] of config.serving) {
    const home = homeOf(name);
    if (account === undefined || home === undefined) continue;
    for (const host of home.backend.hosts) yield [{ home, host, account }, account.intervalMs];
  }
}

/** Reads the configuration from disk, or takes it as the node's first process has read it. */
function createReading(file: string, given: (() => FilesRead) | undefined) {
  let filesRead: FilesRead = { contents: {}, included: {} };
  return {
    /** The configuration that was read last. */
    filesRead: () => filesRead,
    read(): Promise<Config> {
      if (given !== undefined) return readConfig(file, replayFiles(given()));
      const { files, record } = recordFiles();
      filesRead = record;
      return readConfig(file, files);
    },
  };
}
