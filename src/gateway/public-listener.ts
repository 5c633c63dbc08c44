import { randomBytes } from 'node:crypto';
import type { Config } from '../config/config.ts';
import { systemClock } from '../core/clock.ts';
import { type Answer, type Readiness, readinessAnswer } from '../core/http.ts';
import type { Log } from '../core/log.ts';
import { type BackendName, newReference, shortSessionId } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import type { AskedFor, HostEvidence } from '../core/placement.ts';
import type { SessionFinder } from '../core/session.ts';
import { BasicRequests } from '../proxy/basic-requests.ts';
import { challengeAnswer } from '../proxy/basic-upstream-request.ts';
import { createNoSessionAnswer } from '../proxy/failure.ts';
import { HttpListener } from '../proxy/listener.ts';
import { type FinishedRequest, WebmailRequests } from '../proxy/session-requests.ts';
import { Upgrades } from '../proxy/upgrades.ts';
import { clearedSessionCookie, ownCookieNames } from '../sessions/cookie.ts';
import type { MailboxExpiry } from '../support/mailbox-expiry.ts';
import { listen, portOf } from './operator-listeners.ts';
import type { ConfigHolder, ConfigSnapshot, GatewayNode, UserListeners } from './parts.ts';

interface ListenerOptions {
  readonly node: GatewayNode;
  readonly holder: ConfigHolder;
  /** The public listener, or the console's own. */
  readonly serves: 'public' | 'console';
  readonly readiness: () => Readiness;
  readonly log: Log;
}

interface PublicListener {
  readonly listener: HttpListener;
  readonly upgrades: Upgrades;
}

/** How often a waiting Basic client is checked for a moved user. */
const recheckMs = 60_000;

/** Creates a listener with the data plane behind it. It reads the configuration in force for each request. */
function createPublicListener(options: ListenerOptions): PublicListener {
  const { node, holder, log } = options;
  const { config } = holder;
  const { connections, metrics, traffic, cluster, sessions, silentLogin } = node;
  const realm = (): string => holder.config.login.branding.name;
  const logRequest = (finished: FinishedRequest): void => {
    if (Math.random() < holder.config.log.requests) log.info('request', accessFacts(finished));
  };
  const shared = {
    connections,
    routes: (name: BackendName) => holder.current.routes.get(name),
    failureAnswer: (...[head, failure]: Parameters<ConfigSnapshot['answers']['failure']>) =>
      holder.current.answers.failure(head, failure),
    isOwnCookie: (name: string) => ownCookieNames.has(name),
    newReference: () => newReference(randomBytes),
    noSession: createNoSessionAnswer({
      drivers: () => holder.current.drivers,
      framePage: (head) => holder.current.answers.noSessionFrame(head),
      challenge: (target) =>
        holder.current.basicPaths?.covers(target) === true ? challengeAnswer(realm()) : undefined,
    }),
    requestFinished(finished: FinishedRequest): void {
      metrics.requestFinished(finished);
      traffic.requestFinished(finished.backend, finished.status, finished.durationMs);
      logRequest(finished);
    },
    upgradeFinished: logRequest,
    hostEvidence: (host: string, evidence: HostEvidence, asked?: AskedFor): void =>
      cluster.health.note(host, evidence, asked),
    clock: systemClock,
    stallMs: config.requests.stallMs,
    uploadBytesPerSecond: config.requests.uploadBytesPerSecond,
    log,
  };
  const webmailRequests = new WebmailRequests({
    ...shared,
    silentLogin,
    tooOftenAnswer: (head, reference) => holder.current.answers.tooOften(head, reference),
    clearedCookies: (secure) => [clearedSessionCookie(secure)],
    bannerOf: (session, head, ingress) => holder.current.bannerOf(session, head, ingress),
    pollsCountAsUse: () => holder.config.sessions.idleCountsPolls,
    relocate: cluster.relocate,
    reconsider: (record) => cluster.reconsider(record),
    closedAnswer: (...closed) => holder.current.answers.closed(...closed),
  });
  const basicRequests = new BasicRequests({
    ...shared,
    authentication: () => holder.current.basicAuthentication,
    takenOver: () => cluster.takenOver(),
    recheckMs,
    realm,
  });
  const { locks } = cluster;
  locks.onChange(() =>
    basicRequests.endLocked((user, address) => (locks.ofUser(user) ?? locks.ofAddress(address)) !== undefined),
  );
  const upgrades = new Upgrades(shared);
  const listener = new HttpListener({
    ...shared,
    probes: { live: () => probeReply(200, 'live\n'), ready: () => ready(options.readiness()) },
    proxyProtocol: node.proxyProtocol,
    ...defined({ certificates: node.certificates }),
    rules: () => holder.current.requestRules[options.serves],
    pages: (request, response, ingress) => holder.current.pages(request, response, ingress),
    sessions: node.support === undefined ? sessions : guardedSessions(sessions, node.support.mailboxExpiry),
    webmailRequests,
    basicRequests,
    upgrades,
    refusedAnswer: (head, why) => holder.current.answers.refused(head, why),
    limits: {
      headBytes: config.requests.headerBytes,
      headMs: config.requests.headerDeadlineMs,
      keepAliveMs: config.keepAliveMs,
    },
  });
  return { listener, upgrades };
}

/** Sessions of opened mailboxes are found only while their permission is confirmed. */
function guardedSessions(sessions: SessionFinder, mailboxExpiry: Pick<MailboxExpiry, 'guard'>): SessionFinder {
  return {
    find(cookieField, secure) {
      const found = sessions.find(cookieField, secure);
      return found instanceof Promise ? found.then((later) => mailboxExpiry.guard(later)) : mailboxExpiry.guard(found);
    },
  };
}

function ready(readiness: Readiness): Answer {
  const { status, text } = readinessAnswer(readiness);
  return probeReply(status, text);
}

function probeReply(status: number, body: string): Answer {
  return {
    status,
    headers: [
      ['Content-Type', 'text/plain; charset=utf-8'],
      ['Cache-Control', 'no-store'],
    ],
    body,
  };
}

function accessFacts({ durationMs: ms, session, ...facts }: FinishedRequest) {
  const short = session === undefined ? undefined : shortSessionId(session);
  return defined({ ...facts, session: short, ms, firstByteMs: undefined });
}

/** Open upgraded connections by backend. */
function* upgradeSeries({ backends }: Config, upgrades: Pick<Upgrades, 'stats'>) {
  const counts = new Map(upgrades.stats().map(({ backend, count }) => [backend, count]));
  for (const backend of backends.keys()) yield [{ backend }, counts.get(backend) ?? 0] as const;
}

/**
 * Opens the listeners of this process: the public one, and the console's if it has an address of its own. Rejects with
 * a message for the operator if one cannot be bound.
 */
export async function openPublicListeners(
  options: Omit<ListenerOptions, 'serves'>,
  opened: AsyncDisposableStack,
): Promise<UserListeners> {
  const { holder, node } = options;
  const { listen: address, support } = holder.config;
  const users = createPublicListener({ ...options, serves: 'public' });
  const staff = support?.listen === undefined ? undefined : createPublicListener({ ...options, serves: 'console' });
  node.metrics.watch(() => ({ postern_upgrades_open: () => upgradeSeries(holder.config, users.upgrades) }));
  opened.defer(node.cluster.state.watch(() => users.upgrades.endMisplaced()));
  await listen(users.listener.server, address);
  if (staff !== undefined && support?.listen !== undefined) await listen(staff.listener.server, support.listen);
  return {
    ports: {
      public: portOf(users.listener.server),
      ...(staff === undefined ? {} : { console: portOf(staff.listener.server) }),
    },
    lastCall() {
      users.listener.lastCall();
      staff?.listener.lastCall();
    },
    async drain(signal) {
      node.support?.console.parts.streams.close();
      await Promise.all([users.listener.drain(signal), staff?.listener.drain(signal)]);
    },
  };
}
