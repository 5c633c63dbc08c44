import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../core/clock.ts';
import type { Answer, FailureKind, Ingress } from '../core/http.ts';
import { createWarnings, type Log, type Warn } from '../core/log.ts';
import { requestIdsOf } from '../core/names.ts';
import type { LiveSession, SessionFinder, SessionLookup } from '../core/session.ts';
import type { BasicPaths, BasicRequests } from './basic-requests.ts';
import { signInChallenge } from './basic-upstream-request.ts';
import type { FailureAnswer, NoSessionAnswer } from './failure.ts';
import type { IngressReader, IngressRefusal } from './ingress.ts';
import { redirectAnswer, sendAnswer, sendRawAnswer, textAnswer } from './reply.ts';
import { IncomingHead } from './request-head.ts';
import type { RequestHeaders } from './request-headers.ts';
import { type RequestRefusal, validateRequest } from './request-validation.ts';
import type { WebmailRequests } from './session-requests.ts';
import type { AdmittedRequest } from './upstream-request.ts';
import type { Upgrades } from './upgrades.ts';

const reservedPrefix = '/-/';
/** Maximum size of a body that is sent to the gateway's own pages. */
const maxFormBytes = 8 * 1024;

/** The rules that a reload may change. Read once per request, so that one configuration applies to all of it. */
export interface RequestRules {
  readonly ingress: IngressReader;
  /** Maximum number of fields in a head. */
  readonly maxFields: number;
  /** Undefined if no backend has paths for Basic clients. */
  readonly basicPaths: BasicPaths | undefined;
  readonly requestHeaders: RequestHeaders;
}

/** Dependencies of Routing. */
export interface RoutingDeps {
  /** Answers of `/-/live` and `/-/ready`, to GET, HEAD or OPTIONS, for any Host or none. */
  readonly probes: { readonly live: () => Answer; readonly ready: () => Answer };
  readonly rules: () => RequestRules;
  /** The gateway's own pages. */
  readonly pages: (request: IncomingMessage, response: ServerResponse, ingress: Ingress) => void;
  readonly sessions: SessionFinder;
  readonly webmailRequests: Pick<WebmailRequests, 'pass'>;
  readonly basicRequests: Pick<BasicRequests, 'pass'>;
  readonly upgrades: Upgrades;
  readonly noSession: NoSessionAnswer;
  readonly failureAnswer: FailureAnswer;
  /** The answer for a Host that is not ours, and for plain HTTP where HTTPS is required. */
  readonly refusedAnswer: (head: IncomingHead, why: IngressRefusal) => Answer;
  readonly newReference: () => string;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: {
    /** The time for the body of one of the gateway's own forms to arrive. */
    readonly headMs: number;
  };
}

interface ReceivedRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: IncomingHead;
  /** Undefined until it was found. */
  readonly ingress?: Ingress;
}

/**
 * Validates each request and finds its ingress, then hands it to a probe, to the gateway's own pages or to the webmail
 * of its session.
 */
export class Routing {
  readonly #deps: RoutingDeps;
  readonly #warn: Warn;

  constructor(deps: RoutingDeps) {
    this.#deps = deps;
    this.#warn = createWarnings(deps.log, deps.clock);
  }

  /** Answers one request. Never throws: a bug, perhaps a driver's, fails one request, not the gateway. */
  request(request: IncomingMessage, response: ServerResponse): void {
    const head = new IncomingHead(request);
    // After a request for an upgrade, Node has discarded the bytes that followed: this connection ends with the answer.
    if (head.names.includes('upgrade')) response.shouldKeepAlive = false;
    const received = { request, response, head };
    try {
      this.#route(received);
    } catch (error) {
      this.#fail(received, 'bad-answer', error);
    }
  }

  /** Opens a WebSocket. `early`: the bytes that the client already sent after the head. Never rejects. */
  async upgrade(request: IncomingMessage, socket: Duplex, early: Buffer): Promise<void> {
    const head = new IncomingHead(request);
    const deps = this.#deps;
    try {
      const rules = deps.rules();
      const refusal = validateRequest(head, rules.maxFields);
      if (refusal !== undefined) {
        this.#logRefused(refusal, head, request);
        return sendRawAnswer(socket, refusal.status, refusal.why);
      }
      const decision = rules.ingress(request, head);
      if (decision.kind !== 'accepted' || decision.ingress.hostKind === 'console') {
        return sendRawAnswer(socket, 400, 'No WebSocket at this address.');
      }
      if (head.target.startsWith(reservedPrefix)) return sendRawAnswer(socket, 404, 'Not found.');
      const lookup = await deps.sessions.find(head.cookieField, decision.ingress.publicUrl.secure);
      if (socket.destroyed) return;
      if (lookup.kind === 'unavailable') {
        return sendRawAnswer(socket, 503, 'The session store is unavailable.', ['Retry-After', '5']);
      }
      if (lookup.kind !== 'found' || !belongsTo(lookup.session, decision.ingress)) {
        return sendRawAnswer(socket, 401, 'Sign in first.', signInChallenge);
      }
      const { session, rest } = lookup;
      const { requestHeaders } = rules;
      const { ingress } = decision;
      deps.upgrades.open({ request, socket, early, head, ingress, session, cookieRest: rest, requestHeaders });
    } catch (error) {
      const reference = deps.newReference();
      deps.log.error('upgrade-failed', { reference, err: error });
      sendRawAnswer(socket, 503, `The connection could not be opened (${reference}).`);
    }
  }

  #route(received: ReceivedRequest): void {
    const { request, response, head } = received;
    const { ingress: readIngress, maxFields, basicPaths, requestHeaders } = this.#deps.rules();
    const mayBeBasic = basicPaths?.covers(head.target) === true;
    const refusal = validateRequest(head, maxFields, mayBeBasic);
    if (refusal !== undefined) {
      this.#logRefused(refusal, head, request);
      // The rest of this connection could be read in more than one way.
      response.shouldKeepAlive = false;
      return sendAnswer(request, response, textAnswer(refusal.status, refusal.why), refusal.fields);
    }
    const probe = probeOf(head);
    if (probe !== undefined) return sendAnswer(request, response, this.#deps.probes[probe](), probeFields);
    const decision = readIngress(request, head);
    if (decision.kind === 'redirect') return sendAnswer(request, response, redirectAnswer(308, decision.location));
    if (decision.kind === 'refused') {
      return sendAnswer(request, response, this.#deps.refusedAnswer(head, decision.why));
    }
    const { ingress } = decision;
    if (ingress.hostKind === 'console' || head.target.startsWith(reservedPrefix)) {
      return this.#serveOwnPage(received, ingress);
    }
    if (ingress.hostKind === 'assist' && isCrossOrigin(head, ingress.publicUrl.origin)) {
      return sendAnswer(request, response, textAnswer(403, 'Cross-origin requests are not allowed here.'));
    }
    if (mayBeBasic && ingress.hostKind === 'public' && head.header('authorization') !== undefined) {
      return this.#deps.basicRequests.pass({ ...received, ingress, requestHeaders });
    }
    const lookup = this.#deps.sessions.find(head.cookieField, ingress.publicUrl.secure);
    const admitted = { request, response, head, ingress, requestHeaders };
    if (lookup instanceof Promise) void this.#serveLater(admitted, lookup);
    else this.#serve(admitted, lookup);
  }

  #serveOwnPage({ request, response, head }: ReceivedRequest, ingress: Ingress): void {
    // Express would read the whole body before it answers an error.
    if (head.header('transfer-encoding') !== undefined) {
      return sendAnswer(request, response, textAnswer(411, 'A Content-Length is required.'));
    }
    if (Number(head.header('content-length') ?? 0) > maxFormBytes) {
      return sendAnswer(request, response, textAnswer(413, 'The body is too large.'));
    }
    if (head.header('expect') !== undefined) response.writeContinue();
    if (head.hasBody) cutLateBody(request, this.#deps.limits.headMs);
    // Express does not know the absolute form of a target.
    request.url = head.target;
    this.#deps.pages(request, response, ingress);
  }

  async #serveLater(admitted: AdmittedRequest, lookup: Promise<SessionLookup>): Promise<void> {
    let found: SessionLookup;
    try {
      found = await lookup;
    } catch (error) {
      this.#fail(admitted, 'store', error);
      return;
    }
    try {
      this.#serve(admitted, found);
    } catch (error) {
      this.#fail(admitted, 'bad-answer', error);
    }
  }

  #serve(admitted: AdmittedRequest, lookup: SessionLookup): void {
    const { request, response, head, ingress, requestHeaders } = admitted;
    if (request.socket.destroyed) return;
    const { origin } = ingress.publicUrl;
    switch (lookup.kind) {
      case 'found': {
        const { session, rest } = lookup;
        if (!belongsTo(session, ingress)) return sendAnswer(request, response, this.#deps.noSession(head, origin));
        const cookieRest = rest;
        this.#deps.webmailRequests.pass({ request, response, head, ingress, requestHeaders, session, cookieRest });
        break;
      }
      case 'none':
        sendAnswer(request, response, this.#deps.noSession(head, origin));
        break;
      case 'ended':
        sendAnswer(request, response, this.#deps.noSession(head, origin, lookup.reason));
        break;
      case 'unavailable':
        this.#fail(admitted, lookup.why, undefined);
    }
  }

  #fail({ request, response, head, ingress }: ReceivedRequest, kind: FailureKind, error: unknown): void {
    const ids = ingress === undefined ? { reference: this.#deps.newReference() } : requestIdsOf(ingress);
    this.#deps.log.error('request-failed', { ...ids, kind, err: error });
    sendAnswer(request, response, this.#deps.failureAnswer(head, { kind, reference: ids.reference }));
  }

  /** Logs a refusal, because operators of clients and load balancers read the log before the answer. */
  #logRefused({ status, why, remedy }: RequestRefusal, { method }: IncomingHead, { socket }: IncomingMessage): void {
    this.#warn('request-refused', why, { status, method, peer: socket.remoteAddress, why, remedy });
  }
}

const probeFields = [['Allow', 'GET, HEAD, OPTIONS']] as const;

/** The probe that a load balancer asks for, under any Host, with or without a query; undefined if it is none. */
function probeOf({ method, target }: IncomingHead): 'live' | 'ready' | undefined {
  if (method !== 'GET' && method !== 'HEAD' && method !== 'OPTIONS') return undefined;
  const [path] = target.split('?', 1);
  return path === '/-/live' ? 'live' : path === '/-/ready' ? 'ready' : undefined;
}

/** Whether the session may be used on this host: opened mailboxes only on the assist host, others never there. */
function belongsTo({ record }: LiveSession, { hostKind }: Ingress): boolean {
  return (record.impersonation !== undefined) === (hostKind === 'assist');
}

/** Cuts a client whose body does not arrive in time: anyone can send one slowly, without signing in. */
function cutLateBody(request: IncomingMessage, ms: number): void {
  const timer = setTimeout(() => request.socket.destroy(), ms);
  const arrived = (): void => clearTimeout(timer);
  request.once('end', arrived).once('close', arrived);
}

/**
 * Whether a page of another origin made the browser send this request; following a link does not count. Users' mail and
 * opened mailboxes are shown under names of one site, for which browsers send cookies along, SameSite or not.
 */
function isCrossOrigin(head: IncomingHead, origin: string): boolean {
  const site = head.header('sec-fetch-site');
  if (site === undefined) return (head.header('origin') ?? origin) !== origin;
  if (site === 'same-origin' || site === 'none') return false;
  const reads = head.method === 'GET' || head.method === 'HEAD';
  const isNavigation = head.header('sec-fetch-mode') === 'navigate' && head.header('sec-fetch-dest') === 'document';
  return !(reads && isNavigation);
}
