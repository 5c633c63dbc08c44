import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Backend, BackendHost } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { Answer, RequestHead } from '../core/http.ts';
import type { Ingress } from '../core/ingress.ts';
import type { Log } from '../core/log.ts';
import type { BackendName } from '../core/names.ts';
import type { LiveSession } from '../core/session.ts';
import type { SilentSignIn, Verdict, WebmailDriver } from '../core/webmail.ts';
import { expireBrowserCookies } from './browser-cookies.ts';
import type { Connections } from './connections.ts';
import { codeOf, type FailureAnswer, type FailureKind } from './failure.ts';
import type { NoSession } from './no-session.ts';
import { redirectAnswer, reply, textAnswer } from './reply.ts';
import { type IncomingHead, isPageRequest } from './request-head.ts';
import type { RequestHeaders } from './request-headers.ts';
import { type Passage, Relay, type RelayEvents } from './relay.ts';
import { heal, stepAfter } from './verdicts.ts';

/** A configured backend as the data plane needs it. */
export interface Route {
  readonly backend: Backend;
  readonly driver: WebmailDriver;
  /** The host of the backend that holds this session; nothing when none of them can. */
  host(session: LiveSession): BackendHost | undefined;
}

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

export interface RequestsDeps {
  readonly connections: Connections;
  readonly requestHeaders: RequestHeaders;
  /** May answer differently after a reload. */
  readonly routes: (name: BackendName) => Route | undefined;
  readonly silentSignIn: SilentSignIn;
  readonly noSession: NoSession;
  readonly failureAnswer: FailureAnswer;
  /** For a tab whose webmail loses its session again and again; says what is wrong. */
  readonly tooOftenAnswer: (head: RequestHead, reference: string) => Answer;
  readonly isOwnCookie: (name: string) => boolean;
  /** Set-Cookie lines that clear the gateway's own cookies. */
  readonly clearedCookies: (secure: boolean) => readonly string[];
  /** Whether what a page asks by itself counts as use. */
  readonly pollsCountAsUse: () => boolean;
  readonly newReference: () => string;
  readonly requestFinished: (request: FinishedRequest) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** A request whose session was found. */
export interface SessionRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: IncomingHead;
  readonly ingress: Ingress;
  readonly session: LiveSession;
  readonly cookieRest: string;
}

export interface Requests {
  pass(task: SessionRequest): void;
}

/** Passes the requests of sessions to their backends, and heals or ends sessions as the answers say. */
export function createRequests(deps: RequestsDeps): Requests {
  const startedAtMs = new WeakMap<Relay, number>();
  const answers = createAnswers(deps);

  const events: RelayEvents = {
    judged: (relay, verdict, status) => follow(relay, verdict, status),
    failed: (relay, kind, error) => answers.fail(relay, kind, error),
    sessionEnded: (relay, reason) => {
      const { head, ingress } = relay.passage;
      answers.send(relay, deps.noSession(head, ingress.publicUrl.origin, reason));
    },
    closed(relay) {
      const { backend, host, head, response } = relay.passage;
      const end = head.target.indexOf('?');
      deps.requestFinished({
        backend: backend.name,
        host: host.name,
        method: head.method,
        path: end === -1 ? head.target : head.target.slice(0, end),
        status: response.headersSent ? response.statusCode : 0,
        durationMs: deps.clock.nowMs() - (startedAtMs.get(relay) ?? 0),
        bytes: relay.bytes,
      });
    },
  };

  function follow(relay: Relay, verdict: Verdict, status: number): void {
    switch (stepAfter(verdict, relay.passage.head, { hasBody: relay.hasBody, replayed: relay.replays > 0 })) {
      case 'hand-on':
        relay.handOn(true, answers.laterFields(relay));
        break;
      case 'hand-on-lost':
        relay.handOn(false, []);
        break;
      case 'signed-out':
        answers.signOut(relay, status);
        break;
      case 'redirect':
      case 'replay':
        relay.drop();
        void answers.heal(relay);
    }
  }

  return {
    pass(task) {
      const route = deps.routes(task.session.record.backend);
      if (route === undefined) {
        void endSession(deps, task.session, 'backend-removed');
        reply(task.request, task.response, deps.noSession(task.head, task.ingress.publicUrl.origin, 'backend-removed'));
        return;
      }
      const host = route.host(task.session);
      if (host === undefined) {
        const reference = deps.newReference();
        deps.log.warn({ reference, backend: route.backend.name }, 'no host of the backend can serve this session');
        reply(task.request, task.response, deps.failureAnswer(task.head, { kind: 'unavailable', reference }));
        return;
      }
      const early = earlyAnswer(task, route.driver, host);
      if (early !== undefined) {
        reply(task.request, task.response, early);
        return;
      }
      if (deps.pollsCountAsUse() || route.driver.isPoll?.(task.head) !== true) task.session.touch();
      const passage: Passage = { ...task, backend: route.backend, host, driver: route.driver };
      const relay = new Relay(passage, deps.connections.to(host, route.backend.limits), deps, events);
      startedAtMs.set(relay, deps.clock.nowMs());
      relay.start();
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
  if ((head.method !== 'GET' && head.method !== 'HEAD') || head.target === host.webmail.landing) return undefined;
  const wantsLanding = head.target === '/' || (isPageRequest(head) && driver.isSignInPage?.(head) === true);
  return wantsLanding ? redirectAnswer(303, ingress.publicUrl.origin + host.webmail.landing) : undefined;
}

function endSession(
  deps: RequestsDeps,
  session: LiveSession,
  reason: Parameters<LiveSession['end']>[0],
): Promise<void> {
  return session.end(reason).catch((error: unknown) => {
    deps.log.error({ err: error, user: session.record.user }, 'a session ended here, and the store does not know yet');
  });
}

function createAnswers(deps: RequestsDeps) {
  /** Cookies of a silent sign-in that the browser must hold; they go out with the answer that follows it. */
  const later = new WeakMap<Relay, Fields>();

  function send(relay: Relay, answer: Answer, more: Fields = []): void {
    relay.detach();
    reply(relay.passage.request, relay.passage.response, answer, more);
  }

  function fail(relay: Relay, kind: FailureKind, error: unknown): void {
    if (!relay.waits) return;
    const { head, host, backend } = relay.passage;
    const reference = deps.newReference();
    const code = error instanceof Error ? codeOf(error) : undefined;
    deps.log.warn(
      { reference, backend: backend.name, host: host.name, kind, code, err: error },
      'webmail request failed',
    );
    send(relay, deps.failureAnswer(head, { kind, reference }));
  }

  async function healAndGoOn(relay: Relay): Promise<void> {
    const { head, host, driver, session, ingress } = relay.passage;
    const origin = ingress.publicUrl.origin;
    try {
      const lost = { session, generation: relay.generation, ingress, landing: host.webmail.landing };
      const healed = await heal(lost, deps.silentSignIn);
      if (!relay.waits) return;
      switch (healed.kind) {
        case 'healed': {
          const cookies = healed.browserCookies.map((line) => ['Set-Cookie', line] as const);
          if (!isPageRequest(head)) {
            later.set(relay, cookies);
            relay.replay();
            return;
          }
          const target = driver.isSignInPage?.(head) === true ? healed.landing : head.target;
          send(relay, redirectAnswer(303, origin + target), cookies);
          return;
        }
        case 'rejected':
          relay.detach();
          void endSession(deps, session, 'password-changed');
          send(relay, deps.noSession(head, origin, 'password-changed'));
          return;
        case 'too-often': {
          const reference = deps.newReference();
          deps.log.warn({ reference, user: session.record.user, host: host.name }, 'webmail session lost too often');
          const forScript = isPageRequest(head) ? undefined : driver.lostAnswer?.(head, '/-/login');
          send(relay, forScript ?? deps.tooOftenAnswer(head, reference));
        }
      }
    } catch (error) {
      fail(relay, 'unavailable', error);
    }
  }

  return {
    send,
    fail,
    heal: healAndGoOn,
    laterFields: (relay: Relay): Fields => later.get(relay) ?? [],

    /** The user signed out of the webmail: the session ends, and nothing of it stays in the browser. */
    signOut(relay: Relay, status: number): void {
      const { head, session, ingress } = relay.passage;
      const expired = [...deps.clearedCookies(ingress.publicUrl.secure), ...expireBrowserCookies(session.jar)];
      const more: Fields = [['Clear-Site-Data', '"cache"'], ...expired.map((line) => ['Set-Cookie', line] as const)];
      relay.detach();
      void endSession(deps, session, 'signed-out');
      if (isPageRequest(head) && status < 300) {
        // What the webmail shows now is its own sign-in form, which would not work here.
        relay.drop();
        send(relay, redirectAnswer(303, `${ingress.publicUrl.origin}/-/login?ended=signed-out`), more);
      } else {
        relay.handOn(true, more);
      }
    },
  };
}

type Fields = readonly (readonly [name: string, value: string])[];
