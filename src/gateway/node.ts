import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Health } from '../backends/health.ts';
import { type LockControl, Locks } from '../backends/user-orders.ts';
import type { StoreStanding } from '../admin/api-status.ts';
import type { Config } from '../config/config.ts';
import { readBuild } from '../core/build.ts';
import { systemClock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { defined } from '../core/objects.ts';
import type { SilentLogin } from '../core/webmail.ts';
import type { AskLeader } from '../directory/source.ts';
import type { PageSessions } from '../http/request-context.ts';
import { systemWait } from '../login/limits.ts';
import { createLogout, createLogoutOfEnded, leaveWebmail } from '../login/logout.ts';
import { createMailServers } from '../login/mail-servers.ts';
import { createMemoryPenaltyNames, createRedisPenaltyNames } from '../login/penalty-names.ts';
import { createPenalty, type Penalty } from '../login/penalty.ts';
import { createSilentLogin } from '../login/silent-login.ts';
import { createVerifiedPasswords, type VerifiedPasswords } from '../login/verified-passwords.ts';
import { withAlarms } from '../observe/log.ts';
import { type BackendLabels, Metrics } from '../observe/metrics.ts';
import { Traffic } from '../observe/traffic.ts';
import { createImapMailboxes } from '../passdb/imap-mailboxes.ts';
import { createImapPassdb } from '../passdb/imap.ts';
import { createConnections } from '../proxy/connections.ts';
import { createExchange } from '../proxy/exchange.ts';
import { createProxyProtocol } from '../proxy/proxy-protocol-listener.ts';
import { openTlsCertificates } from '../proxy/tls-certificates.ts';
import { BrowserSessions } from '../sessions/browser-session.ts';
import type { NodeSessions, NodeSessionsOptions } from '../sessions/node-sessions.ts';
import { openServerKeys } from '../sessions/server-keys.ts';
import { openClusterState } from './cluster-state.ts';
import type { LockControlOptions } from './lock-control.ts';
import { createNodeReports } from './node-reports.ts';
import type { ClusterState, ConfigHolder, GatewayNode, NodeSupport, SharedParts } from './parts.ts';
import { openStatistics } from './statistics.ts';
import { openSessionStore, probeStores, scriptsOn, type SessionParts, sessionsOf } from './stores.ts';

interface NodeOptions {
  readonly holder: ConfigHolder;
  readonly log: Log;
  /** Set only in a worker process. */
  readonly worker?: { readonly health: Health; readonly askLeader: AskLeader };
  /** Sessions of this node by host, if other processes hold them. */
  readonly heldPerHost?: () => ReadonlyMap<string, number>;
  /** Requests that hosts have not answered yet, if other processes have them. */
  readonly inFlightPerHost?: () => ReadonlyMap<string, number>;
}

/**
 * Opens everything that outlives a reload. Rejects if the keys cannot be used or the store cannot be asked for them;
 * then nothing stays open.
 */
export async function openNode(options: NodeOptions): Promise<GatewayNode> {
  const { holder, worker } = options;
  await using opened = new AsyncDisposableStack();
  const basis = await openBasis(options, opened);
  const { log, metrics, redis, keys, sessions, heldPerHost, connections, logout } = basis;
  const cluster = opened.use(
    await openClusterState({
      ...basis,
      leave: (left) => leaveWebmail(logout, left),
      ...defined({ health: worker?.health }),
    }),
  );
  const reports = opened.use(
    createNodeReports({
      ...basis,
      name: cluster.nodeName,
      runScript: redis === undefined ? undefined : scriptsOn(redis),
      clock: systemClock,
    }),
  );
  const lockControl = loadedLockControl({ ...basis, ...cluster, reports, clock: systemClock });
  const penalty = createPenalty({
    ...defined({ redis: redis?.client }),
    key: keys.current().promoted.subkey('penalty'),
    names:
      redis === undefined
        ? createMemoryPenaltyNames(systemClock)
        : createRedisPenaltyNames(scriptsOn(redis), () => keys.current(), systemClock),
    isExempt: (address) => holder.current.isExempt(address),
    wait: metrics.countedWait(systemWait),
    log,
  });
  const support =
    cluster.support === undefined
      ? undefined
      : opened.use(
          (await import('./support.ts')).openSupport(cluster.support, {
            ...basis,
            cluster,
            penalty,
            reports,
            lockControl,
            storeStanding: () => askStore(basis),
          }),
        );
  metrics.watch(async () => (await import('./readings.ts')).processReadings({ ...basis, cluster }));
  opened.defer(holder.onReplace(({ config }) => metrics.follow(labelsOf(config))));
  const silentLogin = createSilentLogin({ homeOf: (name) => holder.current.homeOf(name), clock: systemClock });
  const owned = opened.move();
  return {
    keys,
    sessions,
    heldPerHost,
    inFlightPerHost: basis.inFlightPerHost,
    cluster,
    lockControl,
    reports,
    traffic: basis.traffic,
    audit: cluster.audit,
    support,
    connections,
    build: basis.build,
    metrics,
    proxyProtocol: basis.proxyProtocol,
    certificates: basis.certificates,
    redis,
    silentLogin: countedSilentLogin(silentLogin, metrics),
    penalties: penalty,
    storeUp: basis.storeUp,
    storeStanding: () => askStore(basis),
    parts: {
      ...sharedParts(basis, { cluster, support, penalty }),
      ...defined({ askLeader: worker?.askLeader }),
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The control of the locks, which is loaded when somebody locks or unlocks. */
function loadedLockControl(options: LockControlOptions): LockControl {
  const control = async () => (await import('./lock-control.ts')).createLockControl(options);
  return {
    lock: async (...order) => (await control()).lock(...order),
    unlock: async (...order) => (await control()).unlock(...order),
  };
}

/** Ended sign-ins that wait to be counted by a timer; with more they are counted at once. */
const mostNotedLogins = 1_000;

/** The basis of a node: store, server keys, sessions, connections. */
type Basis = Awaited<ReturnType<typeof openBasis>>;

async function openBasis({ holder, log: given, worker, ...options }: NodeOptions, opened: AsyncDisposableStack) {
  const { config } = holder;
  const build = readBuild();
  const metrics = new Metrics(build);
  const traffic = new Traffic();
  const tracing = await openSpans(config.log.otlp, build.version, opened);
  const log = withAlarms(given, (code) => {
    metrics.alarm(code);
    traffic.alarm(code);
  });
  let isStoreUp = true;
  const { store, redis } = await openSessionStore(config.sessions, log, ({ ms, failed }) => {
    isStoreUp = !failed;
    metrics.storeCall(ms, failed ? 'failed' : 'ok');
  });
  opened.use(store);
  // Without these permissions the node would report ready but could sign nobody in.
  if (worker === undefined) await probeStores(config, redis);
  const keys = await openServerKeys({ file: config.sessions.keysFile, store, clock: systemClock, log, randomBytes });
  const logout = createLogout({ homeOf: (name) => holder.current.homeOf(name), log });
  const locks = opened.use(new Locks(systemClock));
  const lockedBy: NodeSessionsOptions['lockedBy'] = (record) =>
    locks.count === 0 ? undefined : locks.ofSession(record)?.by;
  const sessions = sessionsOf({ store, keys, log, holder, lockedBy, ended: createLogoutOfEnded(logout) });
  opened.defer(() => sessions.close());
  const connections = createConnections((host) => metrics.requestRefused(host));
  opened.defer(() => connections.close());
  const statistics = opened.use(openStatistics({ holder, log, keys, redis }));
  const certificates =
    config.tls.length === 0 ? undefined : await openTlsCertificates({ files: config.tls, log, clock: systemClock });
  opened.defer(() => certificates?.close());
  const proxyProtocol = createProxyProtocol({
    mode: config.proxyProtocol,
    isTrusted: (address) => holder.current.isTrustedProxy(address),
    deadlineMs: config.requests.headerDeadlineMs,
    log,
    clock: systemClock,
  });
  return {
    holder,
    build,
    log,
    metrics,
    traffic,
    tracing,
    store,
    storeUp: () => isStoreUp,
    redis,
    keys,
    logout,
    locks,
    sessions,
    heldPerHost: options.heldPerHost ?? (() => sessions.heldPerHost()),
    inFlightPerHost: options.inFlightPerHost ?? (() => connections.busyPerHost()),
    connections,
    statistics,
    certificates,
    proxyProtocol,
  };
}

async function askStore({ store, redis }: Pick<Basis, 'store' | 'redis'>): Promise<StoreStanding> {
  const kind = redis === undefined ? 'embedded' : 'redis';
  try {
    await store.ping();
    const role = await redis?.role();
    return { kind, answers: true, ...(role === undefined || role === 'unknown' ? {} : { role }) };
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    return { kind, answers: false, why: error.message };
  }
}

/** The backends of a configuration, as the metrics name them. */
function* labelsOf({ backends }: Config): Iterable<BackendLabels> {
  for (const { name, driver, hosts } of backends.values())
    yield { name, webmail: driver, hosts: hosts.map((host) => host.name) };
}

/** Loads OpenTelemetry only if a collector is configured. */
async function openSpans(url: string | undefined, version: string, opened: AsyncDisposableStack) {
  if (url === undefined) return undefined;
  const { openTracing } = await import('../observe/tracing.ts');
  return opened.use(openTracing({ url, node: hostname(), version }));
}

interface Built {
  readonly cluster: ClusterState;
  readonly support: NodeSupport | undefined;
  readonly penalty: Penalty;
}

function sharedParts(basis: Basis, { cluster, support, penalty }: Built): SharedParts {
  const { holder, log, metrics, traffic, tracing, store, keys, sessions, connections, logout, proxyProtocol } = basis;
  return {
    ...defined({ support }),
    placement: cluster.placement,
    arrived: async (user) => {
      await cluster.moves.arrived(user);
      return holder.current.backendNamed(cluster.state.overrides.get(user)?.backend ?? '')?.name;
    },
    overrides: cluster.state.overrides,
    locks: basis.locks,
    lockDirectory: { locks: basis.locks, isKnown: () => cluster.state.version() !== undefined },
    sharedStorage: cluster.sharedStorage,
    audit: cluster.audit,
    gate: gateOf(basis, sessions),
    live: sessions,
    ownSessions: sessions,
    formKeys: () => keys.current().all.map((key) => key.subkey('form')),
    logout,
    exchange: createExchange({
      connections,
      limits: (host) => holder.current.limitsOf(host),
      refused: ({ name }) => cluster.health.note(name, 'refused'),
    }),
    penalty: countedPenalty(penalty, metrics),
    ...(holder.config.proxyProtocol === 'off' ? {} : { proxiedClient: proxyProtocol.clientOf }),
    mailServers: createMailServers({
      passdb: createImapPassdb(),
      mailboxes: createImapMailboxes(),
      backendOf: (host) => holder.current.backendOfHost(host),
      isExempt: (address) => holder.current.isExempt(address),
      clock: systemClock,
    }),
    storeAnswers: () => store.ping(),
    countedLogin: (login) => metrics.counted(login),
    loginFinished(event) {
      metrics.loginFinished(event);
      traffic.loginFinished(event.result, event.backend);
      tracing?.signedIn(event, systemClock.nowMs());
      support?.console.noteSignIn(event);
    },
    clientChecks: verifiedPasswordsOf(basis),
    clientChecked: (event) => metrics.clientChecked(event),
    policyDelayed: (ms) => metrics.penaltyGiven(ms),
    statistics: basis.statistics,
    noteLogin(way, event) {
      const count = basis.statistics.noted.push({ way, event, atMs: systemClock.nowMs() });
      if (count >= mostNotedLogins) basis.statistics.count();
    },
    clock: systemClock,
    randomBytes,
    log,
  };
}

/** The remembered passwords of Basic clients. Those of a locked user are tried anew once the lock is lifted. */
function verifiedPasswordsOf({ locks }: Pick<Basis, 'locks'>): VerifiedPasswords {
  const checks = createVerifiedPasswords({ clock: systemClock, randomBytes });
  locks.onChange(() => checks.forgetUsers((user) => locks.ofUser(user) !== undefined));
  return checks;
}

/** Counts the delays that the penalty gives. */
function countedPenalty(penalty: Penalty, metrics: Metrics): Penalty {
  return {
    async admit(attempt, signal) {
      const admission = await penalty.admit(attempt, signal);
      metrics.penaltyGiven(admission.kind === 'busy' ? 'turned-away' : admission.waitedMs);
      return admission;
    },
  };
}

function countedSilentLogin(silentLogin: SilentLogin, metrics: Metrics): SilentLogin {
  return async (session, client, publicOrigin, lost) => {
    const { backend } = session.record;
    try {
      const outcome = await silentLogin(session, client, publicOrigin, lost);
      metrics.silentLogin(backend, outcome.kind);
      return outcome;
    } catch (error) {
      metrics.silentLogin(backend, 'unavailable');
      throw error;
    }
  };
}

/** The sessions for the gateway's own pages. The getters read the configuration in force. */
function gateOf({ holder, ...parts }: SessionParts, sessions: NodeSessions): PageSessions {
  return new BrowserSessions({
    ...parts,
    sessions,
    clock: systemClock,
    randomBytes,
    get absoluteTimeoutMs() {
      return holder.config.sessions.absoluteTimeoutMs;
    },
    get forgetPassword() {
      return holder.config.sessions.forgetPassword;
    },
    get maxPerUser() {
      return holder.config.sessions.maxPerUser;
    },
  });
}
