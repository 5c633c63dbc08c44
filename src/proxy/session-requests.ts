import type { Backend, BackendHost } from '../core/backend.ts';
import { pathOf } from '../core/cookie-jar.ts';
import { isOwnShortage } from '../core/error.ts';
import type { Answer, FailureKind } from '../core/http.ts';
import type { BackendName, RecordKey } from '../core/names.ts';
import type { AskedFor, HostEvidence, Placement } from '../core/placement.ts';
import type { EndReason } from '../core/session.ts';
import type { Verdict, WebmailDriver } from '../core/webmail.ts';
import type { Connections } from './connections.ts';
import { isRefused, loggedReason, retiringWorker } from './failure.ts';
import { Relay, type RelayDeps, type RelayEvents } from './relay.ts';
import { redirectAnswer, sendAnswer, textAnswer } from './reply.ts';
import {
  type HeaderFields,
  type IncomingHead,
  isPageRequest,
  isServiceWorkerScript,
  loggedPath,
} from './request-head.ts';
import type { UpstreamHead } from './response-headers.ts';
import { endSession, SessionRecovery, type SessionRecoveryDeps, type SessionRelay } from './session-recovery.ts';
import {
  createSessionRelocation,
  type RelocatedRequest,
  type SessionRelocation,
  type SessionRelocationDeps,
} from './session-relocation.ts';
import {
  type SessionRequest,
  SessionUpstreamRequest,
  type SessionUpstreamRequestDeps,
  type UpstreamRequest,
} from './upstream-request.ts';

/** A configured backend with its driver and placement. */
export interface BackendRoute {
  readonly backend: Backend;
  readonly driver: WebmailDriver;
  /** Says which host serves a session of this backend now. */
  readonly placement: Pick<Placement, 'ofSession'>;
}

/** Finds a configured backend by name; undefined if there is none. A reload may change the result. */
export type Routes = (name: BackendName) => BackendRoute | undefined;

/** One finished proxied request, or upgraded connection, for metrics and the access log. `path` has no query. */
export interface FinishedRequest {
  readonly requestId: string;
  readonly user: string;
  readonly client: string;
  /** Undefined for a Basic client. */
  readonly session: RecordKey | undefined;
  readonly backend: string;
  readonly host: string;
  readonly method: string;
  readonly path: string;
  /** 0 if the client left before there was a status. */
  readonly status: number;
  readonly durationMs: number;
  /** Milliseconds until the head of the answer; undefined if there was none. */
  readonly firstByteMs?: number;
  readonly bytes: number;
  readonly bytesIn: number;
}

interface WebmailRequestsDeps
  extends SessionUpstreamRequestDeps,
    SessionRecoveryDeps,
    SessionRelocationDeps,
    RelayDeps {
  readonly connections: Connections;
  readonly routes: Routes;
  /** Whether polls that a page makes without its user keep a session from becoming idle. */
  readonly pollsCountAsUse: () => boolean;
  readonly requestFinished: (request: FinishedRequest) => void;
  /** Reports to the health checks that a host answered, or failed to. */
  readonly hostEvidence: (host: string, evidence: HostEvidence, asked?: AskedFor) => void;
}

/** Passes the requests of sessions to their backends, and reports to health checks how the hosts answer. */
export class WebmailRequests implements RelayEvents<SessionUpstreamRequest> {
  readonly #deps: WebmailRequestsDeps;
  readonly #recovery: SessionRecovery;
  readonly #relocation: SessionRelocation;

  constructor(deps: WebmailRequestsDeps) {
    this.#deps = deps;
    this.#recovery = new SessionRecovery(deps);
    this.#relocation = createSessionRelocation(deps);
  }

  /** Relays a request, or answers it in the webmail's place. `more`: further fields of the answer. */
  pass(task: SessionRequest, more: HeaderFields = []): void {
    const { request, response, head, ingress, session } = task;
    const route = this.#deps.routes(session.record.backend);
    if (route === undefined) {
      endSession(session, 'backend-removed', this.#deps.log, task.ingress.requestId);
      const answer = this.#deps.noSession(head, ingress.publicUrl.origin, 'backend-removed');
      return sendAnswer(request, response, answer);
    }
    const place = route.placement.ofSession(session.record);
    if (place.kind === 'elsewhere') return void this.#relocation.relocate(this.#relocated(task));
    if (place.kind === 'closed') return void this.#relocation.refuse(this.#relocated(task), place.closure);
    const { backend, driver } = route;
    const { host } = place;
    const early = earlyAnswer(task, driver, host) ?? (driver.interlude && interludeOf(task, driver.interlude));
    if (early !== undefined) return sendAnswer(request, response, early, more);
    if (driver.isPoll?.(head) !== true || this.#deps.pollsCountAsUse()) session.touch();
    const upstreamRequest = new SessionUpstreamRequest(task, { backend, host, driver }, this.#deps);
    const pool = this.#deps.connections.to(host, backend.limits);
    const relay = new Relay(upstreamRequest, pool, this.#deps, this);
    if (more.length > 0) this.#recovery.alsoSend(relay, more);
    relay.start();
  }

  judged(relay: SessionRelay, verdict: Verdict, upstream: UpstreamHead): void {
    const evidence = evidenceOf(upstream.status);
    // An answer that is passed on counts as good only once all of it has come.
    const isLater = evidence === 'good' && verdict === 'alive';
    if (evidence !== undefined && !isLater) this.#report(relay, evidence);
    if (relay.upstreamRequest.lacksBanner(upstream)) {
      const error = new Error('a page of an opened mailbox came compressed, unasked');
      this.#recovery.fail(relay, 'bad-answer', error);
    } else this.#recovery.follow(relay, verdict, upstream);
  }

  failed(relay: SessionRelay, kind: FailureKind, error: Error | undefined): void {
    const isOwnFault = kind === 'busy' || isOwnShortage(error);
    if (!isOwnFault) this.#report(relay, isRefused(error) ? 'refused' : 'failed');
    const isLost = kind === 'unavailable' || kind === 'bad-answer';
    if (isLost && relay.waits && relay.upstreamRequest.head.isRepeatable) {
      void this.#tryOtherHost(relay, () => this.#recovery.fail(relay, kind, error));
    } else this.#recovery.fail(relay, kind, error);
  }

  completed(relay: SessionRelay): void {
    if (relay.upstreamRequest.response.statusCode < 500) this.#report(relay, 'good');
  }

  brokenOff(relay: SessionRelay, error: Error): void {
    this.#report(relay, 'failed');
    this.#deps.log.warn('webmail-answer-broken', brokenAnswer(relay, error));
  }

  readAgain(relay: SessionRelay, error: Error): void {
    this.#deps.log.warn('webmail-head-faulty', brokenAnswer(relay, error));
  }

  sessionEnded(relay: SessionRelay, reason: EndReason): void {
    this.#recovery.sessionEnded(relay, reason);
  }

  closed(relay: SessionRelay): void {
    const { session } = relay.upstreamRequest;
    session.count(relay.upload?.bytes ?? 0, relay.answer.bytes);
    this.#deps.requestFinished(finishedRequest(relay, session.key, this.#deps.clock.nowMs()));
  }

  #report({ upstreamRequest }: SessionRelay, evidence: HostEvidence): void {
    const { host, session, head } = upstreamRequest;
    this.#deps.hostEvidence(host.name, evidence, { user: session.record.user, target: head.target });
  }

  /** Sends a request that has no answer yet, and may be sent twice, to the host that takes over. */
  async #tryOtherHost(relay: SessionRelay, fail: () => void): Promise<void> {
    const { session, host, task } = relay.upstreamRequest;
    const place = await this.#deps.reconsider(session.record);
    if (!relay.waits) return;
    // `here`: another request has already relocated the session.
    if (place.kind === 'closed' || (place.kind === 'here' && place.host.name === host.name)) return fail();
    relay.abandon();
    await this.#relocation.relocate(this.#relocated(task));
  }

  #relocated(task: SessionRequest): RelocatedRequest {
    return {
      task,
      driverNow: () => this.#deps.routes(task.session.record.backend)?.driver,
      proceed: (more) => this.pass(task, more),
    };
  }
}

/**
 * The evidence of a status about the host. 502 and 504 come from a web server whose PHP is dead; undefined for any
 * other 5xx, which may be the webmail's own answer to one request.
 */
function evidenceOf(status: number): HostEvidence | undefined {
  if (status < 500) return 'good';
  return status === 502 || status === 504 ? 'failed' : undefined;
}

/** The driver's interlude: an answer that the webmail needs before any other; undefined if there is none. */
function interludeOf(
  { head, session }: Pick<SessionRequest, 'head' | 'session'>,
  interlude: NonNullable<WebmailDriver['interlude']>,
): Answer | undefined {
  const before = session.jar.changes;
  const answer = interlude.answer(head, session.jar);
  if (session.jar.changes !== before) session.saveJar();
  return answer;
}

/** The answer that the gateway gives in the webmail's place; undefined if the request goes on. */
function earlyAnswer(task: SessionRequest, driver: WebmailDriver, host: BackendHost): Answer | undefined {
  const { head, ingress } = task;
  if (isServiceWorkerScript(head) && driver.allowsServiceWorker?.(head) !== true) return retiringWorker;
  if (driver.checksNoTokens === true && !isReadOrSameOrigin(head, ingress.publicUrl.origin)) {
    return textAnswer(403, 'This request does not come from a page of this server.');
  }
  if ((head.method !== 'GET' && head.method !== 'HEAD') || head.target === host.webmail.landing) return undefined;
  // The webmail's own sign-in page is of no use to a user with a session. If the webmail lost its session, the landing
  // page shows that, and the session is recovered.
  const { landing } = host.webmail;
  const wantsLanding = head.target === '/' || (isPageRequest(head) && driver.isSignInPage?.(head, landing) === true);
  return wantsLanding ? redirectAnswer(303, ingress.publicUrl.origin + landing) : undefined;
}

/** Whether a request changes nothing, or comes from a page of our own origin. */
function isReadOrSameOrigin(head: IncomingHead, publicOrigin: string): boolean {
  if (head.method === 'GET' || head.method === 'HEAD' || head.method === 'OPTIONS') return true;
  const origin = head.all('origin').join();
  // A page that sends no referrer hides its origin as well; Sec-Fetch-Site still holds.
  if (origin !== '' && origin !== 'null') return origin === publicOrigin;
  return head.all('sec-fetch-site').join() === 'same-origin';
}

/** The facts about a faulty answer for the log, without its bytes. */
export function brokenAnswer(relay: Relay<UpstreamRequest>, error: Error): object {
  const { backend, host, head, ingress, response } = relay.upstreamRequest;
  return {
    requestId: ingress.requestId,
    backend: backend.name,
    host: host.name,
    method: head.method,
    path: loggedPath(head),
    ...(response.headersSent ? { status: response.statusCode, bytes: relay.answer.bytes } : {}),
    ...loggedReason(error),
  };
}

/** The facts about a request, for the log and the metrics, once its response is closed. */
export function finishedRequest(
  relay: Relay<UpstreamRequest>,
  session: RecordKey | undefined,
  nowMs: number,
): FinishedRequest {
  const { backend, host, head, ingress, response } = relay.upstreamRequest;
  return {
    requestId: ingress.requestId,
    user: relay.user,
    client: ingress.client.address,
    session,
    backend: backend.name,
    host: host.name,
    method: head.method,
    path: pathOf(head.target),
    status: response.headersSent ? response.statusCode : 0,
    durationMs: nowMs - relay.startedAtMs,
    ...(relay.headAtMs === undefined ? {} : { firstByteMs: relay.headAtMs - relay.startedAtMs }),
    bytes: relay.answer.bytes,
    bytesIn: relay.upload?.bytes ?? 0,
  };
}
