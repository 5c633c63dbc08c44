import type { Backend, BackendHost } from '../core/backend.ts';
import { pathOf } from '../core/cookie-jar.ts';
import { isOwnShortage } from '../core/error.ts';
import type { Answer } from '../core/http.ts';
import type { BackendName } from '../core/names.ts';
import type { AskedFor, HostEvidence, Placement } from '../core/placement.ts';
import type { WebmailDriver } from '../core/webmail.ts';
import type { Connections } from './connections.ts';
import { isRefused, reasonOf, retiringWorker } from './failure.ts';
import { Relay, type RelayDeps, type RelayEvents } from './relay.ts';
import { redirectAnswer, reply, textAnswer } from './reply.ts';
import { type Fields, type IncomingHead, isPageRequest, isServiceWorkerScript, loggedPath } from './request-head.ts';
import { createSessionAnswers, endSession, type SessionAnswersDeps } from './session-recovery.ts';
import { createRelocations, type RelocationsDeps } from './session-relocation.ts';
import { type Passage, SessionPassage, type SessionPassageDeps, type SessionRequest } from './upstream-request.ts';

/** A configured backend as the data plane needs it. */
export interface Route {
  readonly backend: Backend;
  readonly driver: WebmailDriver;
  /** Where the requests of a session of this backend go now. */
  readonly placement: Pick<Placement, 'ofSession'>;
}

/** Finds a configured backend; may answer differently after a reload. */
export type Routes = (name: BackendName) => Route | undefined;

/** One finished proxied request, for metrics and the access log. `path` has no query. */
export interface FinishedRequest {
  readonly backend: string;
  readonly host: string;
  readonly method: string;
  readonly path: string;
  /** 0 where the client left before there was a status. */
  readonly status: number;
  readonly durationMs: number;
  readonly bytes: number;
}

interface RequestsDeps extends SessionPassageDeps, SessionAnswersDeps, RelocationsDeps, RelayDeps {
  readonly connections: Connections;
  readonly routes: Routes;
  /** Whether what a page asks by itself counts as use. */
  readonly pollsCountAsUse: () => boolean;
  readonly requestFinished: (request: FinishedRequest) => void;
  /** Reports what an answer, or its lack, says about the host. */
  readonly hostEvidence: (host: string, evidence: HostEvidence, asked?: AskedFor) => void;
}

/** Sends a session's requests to its host. */
export interface Requests {
  pass(task: SessionRequest): void;
}

/** Passes the requests of sessions to their backends, and heals or ends sessions as the answers say. */
export function createRequests(deps: RequestsDeps): Requests {
  const answers = createSessionAnswers(deps);
  const relocations = createRelocations(deps);
  const events: RelayEvents<SessionPassage> = {
    judged(relay, verdict, upstream) {
      const evidence = evidenceOf(upstream.status);
      // An answer that is passed on is good when all of it has come.
      const isLater = evidence === 'good' && verdict === 'alive';
      if (evidence !== undefined && !isLater) tell(relay, evidence);
      if (relay.passage.lacksBanner(upstream)) {
        answers.fail(relay, 'bad-answer', new Error('a page of an opened mailbox came compressed, unasked'));
      } else answers.follow(relay, verdict, upstream);
    },
    failed(relay, kind, error) {
      const { passage } = relay;
      const isOurs = kind === 'busy' || isOwnShortage(error);
      if (!isOurs) tell(relay, isRefused(error) ? 'refused' : 'failed');
      if ((kind === 'unavailable' || kind === 'bad-answer') && relay.waits && passage.head.isRepeatable) {
        void tryElsewhere(relay, () => answers.fail(relay, kind, error));
      } else answers.fail(relay, kind, error);
    },
    completed(relay) {
      if (relay.passage.response.statusCode < 500) tell(relay, 'good');
    },
    brokenOff(relay, error) {
      tell(relay, 'failed');
      deps.log.warn('webmail-answer-broken', brokenAnswer(relay, error));
    },
    readAgain: (relay, error) => deps.log.warn('webmail-head-faulty', brokenAnswer(relay, error)),
    sessionEnded: (relay, reason) => answers.ended(relay, reason),
    closed: (relay) => deps.requestFinished(finishedRequest(relay, deps.clock.nowMs())),
  };

  function tell({ passage }: Relay<SessionPassage>, evidence: HostEvidence): void {
    const { host, session, head } = passage;
    deps.hostEvidence(host.name, evidence, { user: session.record.user, target: head.target });
  }

  /** A request that nobody has answered, and that may be sent twice, goes to the host that takes over. */
  async function tryElsewhere(relay: Relay<SessionPassage>, fail: () => void): Promise<void> {
    const { session, host, task } = relay.passage;
    const place = await deps.reconsider(session.record);
    if (!relay.waits) return;
    // `here`: another request of the session has led it away meanwhile.
    if (place.kind === 'closed' || (place.kind === 'here' && place.host.name === host.name)) return fail();
    relay.abandon();
    await relocations.lead(leading(task));
  }

  function leading(task: SessionRequest) {
    const route = (): Route | undefined => deps.routes(task.session.record.backend);
    return { task, driverNow: () => route()?.driver, goOn: (more: Fields) => pass(task, more) };
  }

  function pass(task: SessionRequest, more: Fields = []): void {
    const { request, response, head, ingress, session } = task;
    const route = deps.routes(session.record.backend);
    if (route === undefined) {
      endSession(session, 'backend-removed', deps.log);
      return reply(request, response, deps.noSession(head, ingress.publicUrl.origin, 'backend-removed'));
    }
    const place = route.placement.ofSession(session.record);
    if (place.kind === 'elsewhere') return void relocations.lead(leading(task));
    if (place.kind === 'closed') return void relocations.refuse(leading(task), place.closure);
    const { backend, driver } = route;
    const { host } = place;
    const early = earlyAnswer(task, driver, host) ?? interludeOf(task, driver);
    if (early !== undefined) return reply(request, response, early, more);
    if (deps.pollsCountAsUse() || driver.isPoll?.(head) !== true) session.touch();
    const passage = new SessionPassage(task, { backend, host, driver }, deps);
    const relay = new Relay(passage, deps.connections.to(host, backend.limits), deps, events);
    if (more.length > 0) answers.alsoSend(relay, more);
    relay.start();
  }

  return { pass };
}

/** A 500 may be the webmail's own answer to one request; 502 and 504 are those of a web server whose PHP is dead. */
function evidenceOf(status: number): HostEvidence | undefined {
  if (status < 500) return 'good';
  return status === 502 || status === 504 ? 'failed' : undefined;
}

/** What the webmail wants to be shown before anything else. */
function interludeOf(
  { head, session }: Pick<SessionRequest, 'head' | 'session'>,
  driver: WebmailDriver,
): Answer | undefined {
  if (driver.interlude === undefined) return undefined;
  const before = session.jar.changes;
  const answer = driver.interlude.answer(head, session.jar);
  if (session.jar.changes !== before) session.saveJar();
  return answer;
}

/** What the gateway answers in the webmail's place. */
function earlyAnswer(task: SessionRequest, driver: WebmailDriver, host: BackendHost): Answer | undefined {
  const { head, ingress } = task;
  if (isServiceWorkerScript(head) && driver.allowsServiceWorker?.(head) !== true) return retiringWorker;
  if (driver.checksNoTokens === true && !isReadOrOurs(head, ingress.publicUrl.origin)) {
    return textAnswer(403, 'This request does not come from a page of this server.');
  }
  if ((head.method !== 'GET' && head.method !== 'HEAD') || head.target === host.webmail.landing) return undefined;
  // A sign-in page of the webmail's own is of no use to a user with a session; where the webmail lost its own, the
  // landing page shows it, and is healed.
  const { landing } = host.webmail;
  const wantsLanding = head.target === '/' || (isPageRequest(head) && driver.isSignInPage?.(head, landing) === true);
  return wantsLanding ? redirectAnswer(303, ingress.publicUrl.origin + landing) : undefined;
}

/** Whether a request changes nothing, or a page of our own origin has made it. */
function isReadOrOurs(head: IncomingHead, publicOrigin: string): boolean {
  if (head.method === 'GET' || head.method === 'HEAD' || head.method === 'OPTIONS') return true;
  const origin = head.all('origin').join();
  // A page that sends no referrer hides its origin as well; what the browser says of the site still holds.
  if (origin !== '' && origin !== 'null') return origin === publicOrigin;
  return head.all('sec-fetch-site').join() === 'same-origin';
}

/** What the log says of an answer that is not as it should be: which one, and how; none of its bytes. */
export function brokenAnswer(relay: Relay<Passage>, error: Error): object {
  const { backend, host, head, response } = relay.passage;
  return {
    backend: backend.name,
    host: host.name,
    method: head.method,
    path: loggedPath(head),
    ...(response.headersSent ? { status: response.statusCode, bytes: relay.answering.bytes } : {}),
    ...reasonOf(error),
  };
}

/** The facts about a request, for the log and the metrics, once its response is closed. */
export function finishedRequest(relay: Relay<Passage>, nowMs: number): FinishedRequest {
  const { backend, host, head, response } = relay.passage;
  return {
    backend: backend.name,
    host: host.name,
    method: head.method,
    path: pathOf(head.target),
    status: response.headersSent ? response.statusCode : 0,
    durationMs: nowMs - relay.startedAtMs,
    bytes: relay.answering.bytes,
  };
}
