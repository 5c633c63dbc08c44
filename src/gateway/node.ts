import { randomBytes } from 'node:crypto';
import type { Health } from '../backends/health.ts';
import type { Config } from '../config/config.ts';
import { systemClock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { SilentSignIn } from '../core/webmail.ts';
import type { AskLeader } from '../directory/source.ts';
import type { LoginEvent } from '../login/attempt.ts';
import { systemWait } from '../login/limits.ts';
import { createLogout, createLogoutOfEnded, leaveWebmail } from '../login/logout.ts';
import { createMailServers } from '../login/mail-servers.ts';
import { createPenalty } from '../login/penalty.ts';
import { createSilentSignIn } from '../login/silent-login.ts';
import { createClientChecks } from '../login/verified-passwords.ts';
import { withAlarms } from '../observe/log.ts';
import { createMetrics, type GaugeReadings, type Metrics } from '../observe/metrics.ts';
import { createImapMailboxes } from '../passdb/imap-mailboxes.ts';
import { createImapPassdb } from '../passdb/imap.ts';
import { createConnections } from '../proxy/connections.ts';
import { createExchange } from '../proxy/exchange.ts';
import { createProxyProtocol } from '../proxy/proxy-protocol-listener.ts';
import { openTlsCertificates } from '../proxy/tls-certificates.ts';
import type { NodeSessions } from '../sessions/node-sessions.ts';
import { openServerKeys } from '../sessions/server-keys.ts';
import { openOperations } from './cluster-state.ts';
import { openConsole } from './console.ts';
import type { SharedParts, Site, Standing } from './parts.ts';
import { gateOf, openStore, probeOwnState, probeSessions, probeState, sessionsOf } from './stores.ts';
import { openSupport } from './support.ts';

interface StandingOptions {
  readonly config: Config;
  readonly log: Log;
  /** The site of the moment: a reload puts another one in its place. */
  readonly site: () => Site;
  readonly upgrades: GaugeReadings['upgrades'];
  /** Of a process that another one leads. */
  readonly worker?: { readonly health: Health; readonly askLeader: AskLeader };
  /** How many sessions this node holds on each host, where other processes hold them. */
  readonly heldPerHost?: () => ReadonlyMap<string, number>;
}

/**
 * Opens all of it. Rejects when the keys cannot be used or the store cannot be asked for them; nothing is left open
 * then.
 */
export async function openStanding(options: StandingOptions): Promise<Standing> {
  const { config, log: given, site, upgrades, worker } = options;
  await using opened = new AsyncDisposableStack();
  const health = { up: true };
  const metrics = createMetrics({
    directoryLookups: () => site().directory.counts(),
    sessions: () => sessions.counts().cached,
    pendingEnds: () => sessions.counts().endingsWaiting,
    storeUp: () => health.up,
    connections: () => connections.stats(),
    upgrades,
  });
  const log = withAlarms(given, (code) => metrics.alarm(code));
  const { store, redis } = await openStore(config.sessions, log, ({ ms, failed }) => {
    health.up = !failed;
    metrics.storeCall(ms, failed ? 'failed' : 'ok');
  });
  opened.use(store);
  // A node that may not do what it must would say that it is ready, and sign nobody in.
  if (redis !== undefined && worker === undefined) {
    await probeSessions(redis);
    if (config.state.redis === undefined) await probeState(redis);
  }
  if (config.state.redis?.kind === 'redis' && worker === undefined) await probeOwnState(config.state.redis);
  const keys = await openServerKeys({ file: config.sessions.keysFile, store, clock: systemClock, log, randomBytes });

  const ownSessions = sessionsOf({
    store,
    keys,
    log,
    site,
    ended: (session, reason) => logoutOfEnded(session, reason),
  });
  opened.defer(() => ownSessions.close());
  const { heldPerHost } = options;
  const sessions: NodeSessions = heldPerHost === undefined ? ownSessions : { ...ownSessions, heldPerHost };
  const connections = createConnections();
  opened.defer(() => connections.close());

  const certificates =
    config.tls.length === 0 ? undefined : await openTlsCertificates({ files: config.tls, log, clock: systemClock });
  opened.defer(() => certificates?.close());
  const proxyProtocol = createProxyProtocol({
    mode: config.proxyProtocol,
    isTrusted: (address) => site().isTrustedProxy(address),
    deadlineMs: config.requests.headerDeadlineMs,
    log,
    clock: systemClock,
  });
  const homeOf: Site['homeOf'] = (name) => site().homeOf(name);
  const logout = createLogout({ homeOf, log });
  const logoutOfEnded = createLogoutOfEnded(logout);
  const operations = opened.use(
    await openOperations({
      config,
      log,
      site,
      sessions,
      keys,
      leave: (left) => leaveWebmail(logout, left),
      ...(worker === undefined ? {} : { health: worker.health }),
      ...(redis === undefined ? {} : { redis }),
    }),
  );
  const { audit } = operations;
  const gate = gateOf({ store, keys, log, site }, sessions);
  const penalty = createPenalty({
    ...(redis === undefined ? {} : { redis: redis.client }),
    key: keys.current().promoted.subkey('penalty'),
    isExempt: (address) => site().isExempt(address),
    wait: systemWait,
    log,
  });
  const consoleStanding = opened.use(
    openConsole({ config, store, redis, sessions, keys, operations, penalty, site, log }),
  );
  const support =
    config.support === undefined
      ? undefined
      : opened.use(
          openSupport({
            tables: operations.support,
            refresh: () => operations.state.refresh(),
            store,
            keys,
            audit,
            end: (key, reason) => sessions.end(key, reason),
            staff: consoleStanding.parts,
            site,
            log,
          }),
        );
  const parts: SharedParts = {
    consoleStanding,
    placement: operations.placement,
    arrived: async (user) => {
      await operations.moves.arrived(user);
      return site().backendNamed(operations.state.overrides.get(user)?.backend ?? '')?.name;
    },
    overrides: operations.state.overrides,
    ringStates: operations.ringStates,
    ...(worker === undefined ? {} : { askLeader: worker.askLeader }),
    ...(support === undefined ? {} : { support }),
    audit,
    gate,
    live: sessions,
    ownSessions: sessions,
    formKeys: () => keys.current().all.map((key) => key.subkey('form')),
    logout,
    exchange: createExchange({
      connections,
      limits: (host) => site().limitsOf(host),
      refused: ({ name }) => operations.health.note(name, 'refused'),
    }),
    penalty,
    proxiedClient: (connection) => proxyProtocol.clientOf(connection),
    mailServers: createMailServers({
      passdb: createImapPassdb(),
      mailboxes: createImapMailboxes(),
      backendOf: (host) => site().backendOfHost(host),
      clock: systemClock,
    }),
    storeAnswers: () => store.ping(),
    loginFinished(event) {
      countLogin(metrics, event);
      consoleStanding.noteSignIn(event);
    },
    clientChecks: createClientChecks({ clock: systemClock, randomBytes }),
    clientChecked: ({ result, backend }) => metrics.clientChecked(result, backend),
    clock: systemClock,
    randomBytes,
    log,
  };
  const owned = opened.move();
  return {
    keys,
    sessions,
    operations,
    audit,
    support,
    connections,
    metrics,
    proxyProtocol,
    certificates,
    silentSignIn: countedSilentSignIn(createSilentSignIn({ homeOf, clock: systemClock }), metrics),
    storeUp: () => health.up,
    parts,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function countLogin(metrics: Metrics, { result, backend, ms }: LoginEvent): void {
  metrics.loginFinished(result, backend);
  for (const [phase, phaseMs] of Object.entries(ms)) metrics.loginPhase(phase, backend, phaseMs);
}

function countedSilentSignIn(silentSignIn: SilentSignIn, metrics: Metrics): SilentSignIn {
  return async (session, client, publicOrigin, lost) => {
    const { backend } = session.record;
    try {
      const outcome = await silentSignIn(session, client, publicOrigin, lost);
      metrics.silentSignIn(backend, outcome.kind);
      return outcome;
    } catch (error) {
      metrics.silentSignIn(backend, 'unavailable');
      throw error;
    }
  };
}
