import { randomBytes } from 'node:crypto';
import type { Config } from '../config/config.ts';
import { systemClock } from '../core/clock.ts';
import { type Answer, type Readiness, readinessAnswer } from '../core/http.ts';
import type { Log } from '../core/log.ts';
import type { AskedFor, HostEvidence } from '../core/placement.ts';
import type { LiveSessions } from '../core/session.ts';
import { newReference } from '../http/request-context.ts';
import { createClientRequests } from '../proxy/basic-requests.ts';
import { challengeAnswer } from '../proxy/basic-upstream-request.ts';
import { createNoSession } from '../proxy/failure.ts';
import { createFrontDoor, type FrontDoor } from '../proxy/listener.ts';
import { createRequests, type FinishedRequest } from '../proxy/session-requests.ts';
import { createUpgrades, type Upgrades } from '../proxy/upgrades.ts';
import { clearedSessionCookie, ownCookieNames } from '../sessions/cookie.ts';
import type { MailboxExpiry } from '../support/mailbox-expiry.ts';
import { listen, portOf } from './operator-listeners.ts';
import type { Site, Standing } from './parts.ts';

interface DoorOptions {
  readonly config: Config;
  readonly standing: Standing;
  readonly site: () => Site;
  /** The public listener, or the console's own. */
  readonly serves: 'public' | 'console';
  readonly readiness: () => Readiness;
  readonly log: Log;
}

/** A client that waits for news on a server that its user has left is told within this time. */
const recheckMs = 60_000;

/** A listener with the data plane behind it. What a reload may change is asked of the site at each request. */
function createDoor(options: DoorOptions): FrontDoor & { readonly upgrades: Upgrades } {
  const { config, standing, site, log } = options;
  const { connections, metrics, operations, sessions, silentSignIn } = standing;
  const realm = (): string => site().config.login.branding.name;
  const shared = {
    connections,
    requestHeaders: (...[head, context]: Parameters<Site['requestHeaders']>) => site().requestHeaders(head, context),
    routes: (...[name]: Parameters<Site['routeOf']>) => site().routeOf(name),
    failureAnswer: (...[head, failure]: Parameters<Site['answers']['failure']>) =>
      site().answers.failure(head, failure),
    isOwnCookie: (name: string) => ownCookieNames.has(name),
    newReference: () => newReference(randomBytes),
    noSession: createNoSession({
      drivers: () => site().drivers,
      framePage: (head) => site().answers.noSessionFrame(head),
      challenge: (target) => (site().clientPaths.covers(target) ? challengeAnswer(realm()) : undefined),
    }),
    requestFinished(finished: FinishedRequest): void {
      metrics.requestFinished(finished.backend, finished.status, finished.durationMs);
      if (Math.random() < site().config.log.requests) logRequest(log, finished);
    },
    hostEvidence: (host: string, evidence: HostEvidence, asked?: AskedFor): void =>
      operations.health.note(host, evidence, asked),
    clock: systemClock,
    stallMs: config.requests.stallMs,
    uploadBytesPerSecond: config.requests.uploadBytesPerSecond,
    log,
  };
  const requests = createRequests({
    ...shared,
    silentSignIn,
    tooOftenAnswer: (head, reference) => site().answers.tooOften(head, reference),
    clearedCookies: (secure) => [clearedSessionCookie(secure)],
    bannerOf: (session, head, ingress) => site().bannerOf(session, head, ingress),
    pollsCountAsUse: () => site().config.sessions.idleCountsPolls,
    relocate: operations.relocate,
    reconsider: (record) => operations.reconsider(record),
    closedAnswer: (...closed) => site().answers.closed(...closed),
  });
  const clients = createClientRequests({
    ...shared,
    authentication: () => site().clientAuthentication,
    paths: () => site().clientPaths,
    takenOver: () => operations.takenOver(),
    recheckMs,
    realm,
  });
  const upgrades = createUpgrades(shared);
  const door = createFrontDoor({
    ...shared,
    probes: { live: () => probe(200, 'live\n'), ready: () => ready(options.readiness()) },
    proxyProtocol: standing.proxyProtocol,
    ...(standing.certificates === undefined ? {} : { certificates: standing.certificates }),
    ingress: (request, head) =>
      options.serves === 'public' ? site().ingress(request, head) : site().consoleIngress(request, head),
    pages: (request, response, ingress) => site().pages(request, response, ingress),
    sessions: standing.support === undefined ? sessions : guarded(sessions, standing.support.mailboxExpiry),
    requests,
    clients,
    upgrades,
    maxFields: () => site().config.requests.headerFields,
    refusedAnswer: (head, why) => site().answers.refused(head, why),
    limits: {
      headBytes: config.requests.headerBytes,
      headMs: config.requests.headerDeadlineMs,
      keepAliveMs: config.keepAliveMs,
    },
  });
  return { ...door, upgrades };
}

/** Sessions of opened mailboxes count only while somebody vouches for them. */
function guarded(sessions: LiveSessions, mailboxExpiry: Pick<MailboxExpiry, 'guard'>): LiveSessions {
  return {
    find(cookieField, secure) {
      const found = sessions.find(cookieField, secure);
      return found instanceof Promise ? found.then((later) => mailboxExpiry.guard(later)) : mailboxExpiry.guard(found);
    },
  };
}

function ready(readiness: Readiness): Answer {
  const { status, text } = readinessAnswer(readiness);
  return probe(status, text);
}

function probe(status: number, body: string): Answer {
  return {
    status,
    headers: [
      ['Content-Type', 'text/plain; charset=utf-8'],
      ['Cache-Control', 'no-store'],
    ],
    body,
  };
}

function logRequest(log: Log, { durationMs, ...facts }: FinishedRequest): void {
  log.info({ ...facts, ms: durationMs }, 'request');
}

/** The doors of this process: the public one, and the console's where that has an address of its own. */
interface Doors extends Reception {
  /** Binds them. Rejects with what the operator must change. */
  open(): Promise<void>;
  /** Open WebSockets and the like, for the metrics. */
  upgrades(): Iterable<{ readonly backend: string; readonly count: number }>;
  /** Ends those whose users have left the host that they lead to. */
  endAstray(): void;
}

/** Makes the listeners of this process: the public one, and the console's where it has its own. */
export function createDoors(options: Omit<DoorOptions, 'serves'>): Doors {
  const { config } = options;
  const door = createDoor({ ...options, serves: 'public' });
  const consoleListen = config.support?.listen;
  const consoleDoor = consoleListen === undefined ? undefined : createDoor({ ...options, serves: 'console' });
  return {
    get ports() {
      const console = consoleDoor === undefined ? {} : { console: portOf(consoleDoor.server) };
      return { public: portOf(door.server), ...console };
    },
    async open() {
      await listen(door.server, config.listen);
      if (consoleDoor !== undefined && consoleListen !== undefined) await listen(consoleDoor.server, consoleListen);
    },
    isOpen: () => door.server.listening,
    upgrades: () => door.upgrades.stats(),
    endAstray: () => door.upgrades.endAstray(),
    lastCall() {
      door.lastCall();
      consoleDoor?.lastCall();
    },
    async drain(signal) {
      await Promise.all([door.drain(signal), consoleDoor?.drain(signal)]);
    },
  };
}

/** What takes the connections of users: the listeners of this process, or workers that have them. */
export interface Reception {
  /** Bound ports, for configurations that say 0. */
  readonly ports: { readonly public: number; readonly console?: number };
  isOpen(): boolean;
  /** From now on each answer is the last one on its connection; nothing is refused yet. */
  lastCall(): void;
  /** Takes nothing new, and resolves when all that is in flight has ended or the signal says so. */
  drain(signal: AbortSignal): Promise<void>;
}
