import type { ServerResponse } from 'node:http';
import type { Backend, BasicPath } from '../core/backend.ts';
import { pathOf } from '../core/cookie-jar.ts';
import type { FailureKind } from '../core/http.ts';
import type { Log } from '../core/log.ts';
import { type CanonicalUser, requestIdsOf } from '../core/names.ts';
import type { BasicAdmission, BasicAuthentication } from '../core/passdb.ts';
import type { HostEvidence } from '../core/placement.ts';
import type { Verdict } from '../core/webmail.ts';
import {
  type BasicCredentials,
  type BasicHome,
  BasicUpstreamRequest,
  type BasicUpstreamRequestDeps,
  challengeAnswer,
  challengeFields,
  parseBasic,
} from './basic-upstream-request.ts';
import type { Connections } from './connections.ts';
import { type FailureAnswer, isRefused, loggedReason } from './failure.ts';
import { Relay, type RelayDeps, type RelayEvents } from './relay.ts';
import { sendAnswer, textAnswer } from './reply.ts';
import { type IncomingHead, isServiceWorkerScript, loggedPath } from './request-head.ts';
import type { UpstreamHead } from './response-headers.ts';
import { brokenAnswer, type FinishedRequest, finishedRequest } from './session-requests.ts';
import type { AdmittedRequest } from './upstream-request.ts';

interface BasicRequestsDeps extends BasicUpstreamRequestDeps, RelayDeps {
  readonly authentication: () => BasicAuthentication;
  readonly realm: () => string;
  readonly connections: Connections;
  readonly failureAnswer: FailureAnswer;
  readonly requestFinished: (request: FinishedRequest) => void;
  /** How often the home of a waiting client is checked. */
  readonly recheckMs: number;
  /** Called when nothing listens at the webmail's address. */
  readonly hostEvidence: (host: string, evidence: HostEvidence) => void;
  /** Resolves once standbys have taken over from the hosts that are known to be down. */
  readonly takenOver: () => Promise<void>;
  readonly log: Log;
}

/** Passes the requests of Basic clients (DAV, ActiveSync, JMAP) on to the home of the user that they name. */
export class BasicRequests implements RelayEvents<BasicUpstreamRequest> {
  readonly #deps: BasicRequestsDeps;
  /** The requests that are open, each with the timer of its next check. */
  readonly #rechecks = new Map<BasicRelay, NodeJS.Timeout>();
  /** Responses whose requests were already sent to a second host. */
  readonly #repeated = new WeakSet<ServerResponse>();

  constructor(deps: BasicRequestsDeps) {
    this.#deps = deps;
  }

  /** Passes a request with an Authorization field on to its user's backend, or refuses it. */
  pass(task: AdmittedRequest): void {
    const { request, response, head } = task;
    const fields = head.all('authorization');
    const credentials = fields.length === 1 ? parseBasic(fields[0] ?? '') : undefined;
    if (credentials === undefined) return sendAnswer(request, response, challengeAnswer(this.#deps.realm()));
    if (isServiceWorkerScript(head)) {
      return sendAnswer(request, response, textAnswer(403, 'Service workers cannot be registered here.'));
    }
    if (isForeignPage(head)) {
      return sendAnswer(request, response, textAnswer(403, 'This request does not come from a page of this server.'));
    }
    void this.#authenticate(task, credentials);
  }

  /** Ends the open requests of users or networks that are locked, whatever is under way. */
  endLocked(isLocked: (user: CanonicalUser, address: string) => boolean): void {
    for (const relay of Array.from(this.#rechecks.keys())) {
      const { home, ingress } = relay.upstreamRequest;
      if (isLocked(home.user, ingress.client.address)) relay.end('locked');
    }
  }

  judged(relay: BasicRelay, _verdict: Verdict, { status }: UpstreamHead): void {
    if (status !== 401) return relay.handOn(false, []);
    const { home, backend, ingress } = relay.upstreamRequest;
    const credentials = { password: home.password, client: ingress.client };
    this.#deps.authentication().distrust(home.user, backend.name, credentials);
    // The backend's own challenge may name a realm that only it has, or a scheme that cannot pass a gateway.
    relay.handOn(false, challengeFields(this.#deps.realm()));
  }

  failed(relay: BasicRelay, kind: FailureKind, error: Error | undefined): void {
    const { home, isAtWebmail, head, response } = relay.upstreamRequest;
    if (isRefused(error) && isAtWebmail) this.#deps.hostEvidence(home.host.name, 'refused');
    const fail = (): void => {
      if (relay.waits) this.#fail(relay.upstreamRequest, kind, error);
    };
    const isLost = kind === 'unavailable' || kind === 'bad-answer';
    if (isLost && isAtWebmail && head.isRepeatable && !this.#repeated.has(response)) {
      this.#tryOtherHost(relay, fail).catch(fail);
    } else fail();
  }

  completed(): void {
    // The health checks of a host count the requests of sessions alone.
  }

  brokenOff(relay: BasicRelay, error: Error): void {
    this.#deps.log.warn('webmail-answer-broken', brokenAnswer(relay, error));
  }

  readAgain(relay: BasicRelay, error: Error): void {
    this.#deps.log.warn('webmail-head-faulty', brokenAnswer(relay, error));
  }

  sessionEnded(relay: BasicRelay): void {
    this.#fail(relay.upstreamRequest, 'unavailable', undefined);
  }

  closed(relay: BasicRelay): void {
    clearTimeout(this.#rechecks.get(relay));
    this.#rechecks.delete(relay);
    this.#deps.requestFinished(finishedRequest(relay, undefined, this.#deps.clock.nowMs()));
  }

  async #authenticate(task: AdmittedRequest, { user, password }: BasicCredentials): Promise<void> {
    const { response, ingress } = task;
    const gone = new AbortController();
    const abort = (): void => gone.abort();
    response.once('close', abort);
    try {
      const attempt = { user, password, client: ingress.client, requestId: ingress.requestId };
      const admission = await this.#deps.authentication().admit(attempt, gone.signal);
      if (gone.signal.aborted) return;
      if (admission.kind === 'admitted') this.#relay(task, { ...admission, password });
      else this.#refuse(task, admission);
    } catch (error) {
      if (!gone.signal.aborted) this.#fail(task, 'bad-answer', error);
    } finally {
      response.off('close', abort);
    }
  }

  #relay(task: AdmittedRequest, admitted: Omit<BasicHome, 'path'>): void {
    const { request, response, head } = task;
    const path = basicPathOf(admitted.backend, head.target);
    // The path is another backend's. Only the credentials tell whose backend is asked.
    if (path === undefined) return sendAnswer(request, response, textAnswer(404, 'Not found on your mail server.'));
    const upstreamRequest = new BasicUpstreamRequest(task, { ...admitted, path }, this.#deps);
    const pool = this.#deps.connections.to(upstreamRequest.host, upstreamRequest.backend.limits);
    const relay = new Relay(upstreamRequest, pool, this.#deps, this);
    this.#recheckLater(relay);
    relay.start();
  }

  #refuse({ request, response, head }: AdmittedRequest, admission: BasicRefusal): void {
    switch (admission.kind) {
      case 'rejected':
        return sendAnswer(request, response, challengeAnswer(this.#deps.realm()));
      case 'refused':
        // Not 401: the client would ask its user for another password.
        return sendAnswer(request, response, textAnswer(403, admission.reason));
      case 'busy':
      case 'unavailable':
        return sendAnswer(request, response, this.#deps.failureAnswer(head, admission));
    }
  }

  #fail(
    { request, response, head, ingress }: Omit<AdmittedRequest, 'requestHeaders'>,
    kind: FailureKind,
    error: unknown,
  ): void {
    const ids = requestIdsOf(ingress);
    const facts = { ...ids, kind, method: head.method, path: loggedPath(head), ...loggedReason(error) };
    this.#deps.log.warn('basic-request-failed', facts);
    sendAnswer(request, response, this.#deps.failureAnswer(head, { kind, reference: ids.reference }));
  }

  /** Sends a request that has no answer yet, and may be sent twice, once more to where its user is served now. */
  async #tryOtherHost(relay: BasicRelay, fail: () => void): Promise<void> {
    const { home, response } = relay.upstreamRequest;
    const { user, password } = home;
    await this.#deps.takenOver();
    const stays = await this.#deps.authentication().isStillAt(user, home.backend.name, home.host.name);
    if (stays || !relay.waits) return fail();
    clearTimeout(this.#rechecks.get(relay));
    this.#rechecks.delete(relay);
    relay.abandon();
    this.#repeated.add(response);
    await this.#authenticate(relay.upstreamRequest, { user, password });
  }

  /** A request that waits for news would otherwise stay for an hour on a server that its user has left. */
  #recheckLater(relay: BasicRelay): void {
    this.#rechecks.set(relay, setTimeout(() => void this.#recheck(relay), this.#deps.recheckMs).unref());
  }

  async #recheck(relay: BasicRelay): Promise<void> {
    const { user, backend, host } = relay.upstreamRequest.home;
    try {
      const stays = await this.#deps.authentication().isStillAt(user, backend.name, host.name);
      if (relay.upstreamRequest.response.destroyed) return;
      if (stays || isUnderWay(relay.upstreamRequest)) this.#recheckLater(relay);
      else relay.end('replaced');
    } catch (error) {
      this.#deps.log.error('basic-home-not-checked', { err: error, backend: backend.name });
    }
  }
}

/** Whether a body is still on its way. An event stream does not count, as it never ends by itself. */
function isUnderWay({ request, response, head }: BasicUpstreamRequest): boolean {
  if (head.header('accept')?.includes('text/event-stream') === true) return false;
  return response.headersSent || !request.complete;
}

type BasicRelay = Relay<BasicUpstreamRequest>;
type BasicRefusal = Exclude<BasicAdmission, { readonly kind: 'admitted' }>;

/** Whether a page of another site made the request: browsers send Basic credentials with those, too (RFC 7617, 4). */
function isForeignPage(head: IncomingHead): boolean {
  if (head.method === 'GET' || head.method === 'HEAD' || head.method === 'OPTIONS') return false;
  return head.all('sec-fetch-site').some((site) => site === 'cross-site' || site === 'same-site');
}

/** The paths of Basic clients, of all backends. */
export interface BasicPaths {
  /** Whether the target lies under a path of any backend; only the credentials tell which backend is meant. */
  covers(target: string): boolean;
}

/** A dot segment, or what some server takes for one: it could lead out of the path that the operator opened. */
const dotSegment = /(?:[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?=[/\\;]|%2f|%5c|$)/i;

/** Collects the paths of Basic clients from all backends; undefined if no backend has any. */
export function createBasicPaths(backends: Iterable<Backend>): BasicPaths | undefined {
  const prefixes = new Set<string>();
  for (const { basicPaths = [] } of backends) for (const { prefix } of basicPaths) prefixes.add(prefix);
  if (prefixes.size === 0) return undefined;

  return {
    covers(target) {
      const path = pathOf(target);
      for (const prefix of prefixes) {
        if (liesUnder(path, prefix)) return !dotSegment.test(path);
      }
      return false;
    },
  };
}

/** The path of Basic clients that serves the target on this backend; undefined if there is none. */
export function basicPathOf({ basicPaths = [] }: Backend, target: string): BasicPath | undefined {
  const path = pathOf(target);
  let longest: BasicPath | undefined;
  for (const one of basicPaths) {
    if (liesUnder(path, one.prefix) && one.prefix.length > (longest?.prefix.length ?? 0)) longest = one;
  }
  return longest;
}

function liesUnder(path: string, prefix: string): boolean {
  return path.startsWith(prefix) && (path.length === prefix.length || path[prefix.length] === '/');
}
