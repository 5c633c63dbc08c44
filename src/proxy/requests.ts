import type { Backend, BackendHost } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { Answer } from '../core/http.ts';
import type { BackendName } from '../core/names.ts';
import type { LiveSession } from '../core/session.ts';
import type { WebmailDriver } from '../core/webmail.ts';
import type { Connections } from './connections.ts';
import type { Passage } from './passage.ts';
import { Relay, type RelayEvents } from './relay.ts';
import { redirectAnswer, reply, textAnswer } from './reply.ts';
import { type IncomingHead, isPageRequest } from './request-head.ts';
import { createSessionAnswers, endSession, type SessionAnswersDeps } from './session-answers.ts';
import { SessionPassage, type SessionPassageDeps, type SessionRequest } from './session-passage.ts';

/** A configured backend as the data plane needs it. */
export interface Route {
  readonly backend: Backend;
  readonly driver: WebmailDriver;
  /** The host of the backend that holds this session; nothing when none of them can. */
  host(session: LiveSession): BackendHost | undefined;
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

export interface RequestsDeps extends SessionPassageDeps, SessionAnswersDeps {
  readonly connections: Connections;
  readonly routes: Routes;
  /** Whether what a page asks by itself counts as use. */
  readonly pollsCountAsUse: () => boolean;
  readonly requestFinished: (request: FinishedRequest) => void;
  readonly clock: Clock;
}

export interface Requests {
  pass(task: SessionRequest): void;
}

/** Passes the requests of sessions to their backends, and heals or ends sessions as the answers say. */
export function createRequests(deps: RequestsDeps): Requests {
  const answers = createSessionAnswers(deps);
  const events: RelayEvents<SessionPassage> = {
    judged: (relay, verdict, status) => answers.follow(relay, verdict, status),
    failed: (relay, kind, error) => answers.fail(relay, kind, error),
    sessionEnded: (relay, reason) => answers.ended(relay, reason),
    closed: (relay) => deps.requestFinished(finishedRequest(relay, deps.clock.nowMs())),
  };

  return {
    pass(task) {
      const { request, response, head, ingress, session } = task;
      const route = deps.routes(session.record.backend);
      if (route === undefined) {
        endSession(session, 'backend-removed', deps.log);
        return reply(request, response, deps.noSession(head, ingress.publicUrl.origin, 'backend-removed'));
      }
      const { backend, driver } = route;
      const host = route.host(session);
      if (host === undefined) {
        const reference = deps.newReference();
        deps.log.warn({ reference, backend: backend.name }, 'no host of the backend can serve this session');
        return reply(request, response, deps.failureAnswer(head, { kind: 'unavailable', reference }));
      }
      const early = earlyAnswer(task, driver, host);
      if (early !== undefined) return reply(request, response, early);
      if (deps.pollsCountAsUse() || driver.isPoll?.(head) !== true) session.touch();
      const passage = new SessionPassage(task, { backend, host, driver }, deps);
      new Relay(passage, deps.connections.to(host, backend.limits), deps.clock, events).start();
    },
  };
}

/** What the gateway answers in the webmail's place. */
function earlyAnswer(task: SessionRequest, driver: WebmailDriver, host: BackendHost): Answer | undefined {
  const { head, ingress } = task;
  if (head.header('service-worker') !== undefined && driver.allowsServiceWorker?.(head) !== true) {
    // A script from a mail must not become a worker over the sign-in page.
    return textAnswer(403, 'No service worker may be registered here.');
  }
  if (driver.checksNoTokens === true && !isReadOrOurs(head, ingress.publicUrl.origin)) {
    return textAnswer(403, 'This request does not come from a page of this server.');
  }
  if ((head.method !== 'GET' && head.method !== 'HEAD') || head.target === host.webmail.landing) return undefined;
  // A sign-in page of the webmail's own is of no use to a user with a session; where the webmail lost its own, the
  // landing page shows it, and is healed.
  const wantsLanding = head.target === '/' || (isPageRequest(head) && driver.isSignInPage?.(head) === true);
  return wantsLanding ? redirectAnswer(303, ingress.publicUrl.origin + host.webmail.landing) : undefined;
}

/** Whether a request changes nothing, or a page of our own origin has made it. */
function isReadOrOurs(head: IncomingHead, publicOrigin: string): boolean {
  if (head.method === 'GET' || head.method === 'HEAD' || head.method === 'OPTIONS') return true;
  const origins = head.all('origin');
  if (origins.length > 0) return origins.join() === publicOrigin;
  return head.all('sec-fetch-site').join() === 'same-origin';
}

/** What is told of a request once its response is closed. */
export function finishedRequest(relay: Relay<Passage>, nowMs: number): FinishedRequest {
  const { backend, host, head, response } = relay.passage;
  const end = head.target.indexOf('?');
  return {
    backend: backend.name,
    host: host.name,
    method: head.method,
    path: end === -1 ? head.target : head.target.slice(0, end),
    status: response.headersSent ? response.statusCode : 0,
    durationMs: nowMs - relay.startedAtMs,
    bytes: relay.answering.bytes,
  };
}
