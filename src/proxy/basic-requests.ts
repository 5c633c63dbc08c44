import type { ServerResponse } from 'node:http';
import type { Backend, ClientPath } from '../core/backend.ts';
import { pathOf } from '../core/cookie-jar.ts';
import type { FailureKind } from '../core/http.ts';
import type { Log } from '../core/log.ts';
import type { ClientAdmission, ClientAuthentication } from '../core/passdb.ts';
import type { HostEvidence } from '../core/placement.ts';
import {
  type BasicCredentials,
  challengeAnswer,
  challengeFields,
  type ClientHome,
  ClientPassage,
  type ClientPassageDeps,
  parseBasic,
} from './basic-upstream-request.ts';
import type { Connections } from './connections.ts';
import { type FailureAnswer, isRefused, reasonOf } from './failure.ts';
import { Relay, type RelayDeps, type RelayEvents } from './relay.ts';
import { reply, textAnswer } from './reply.ts';
import { type IncomingHead, isServiceWorkerScript, loggedPath } from './request-head.ts';
import { brokenAnswer, type FinishedRequest, finishedRequest } from './session-requests.ts';
import type { AdmittedRequest } from './upstream-request.ts';

interface ClientRequestsDeps extends ClientPassageDeps, RelayDeps {
  readonly authentication: () => ClientAuthentication;
  readonly paths: () => ClientPaths;
  readonly realm: () => string;
  readonly connections: Connections;
  readonly failureAnswer: FailureAnswer;
  readonly requestFinished: (request: FinishedRequest) => void;
  /** How often it is asked whether a client that waits is still where it belongs. */
  readonly recheckMs: number;
  /** Told where nothing listens at the webmail's address. */
  readonly hostEvidence: (host: string, evidence: HostEvidence) => void;
  /** Resolves when standbys have taken over from what is known to be lost. */
  readonly takenOver: () => Promise<void>;
  readonly newReference: () => string;
  readonly log: Log;
}

/** DAV, ActiveSync, JMAP and other clients that give name and password with each request. */
export interface ClientRequests {
  /** Whether the target is one of theirs. */
  covers(target: string): boolean;
  /** Passes a request with an Authorization field on to the user's own backend, or says why not. */
  pass(task: AdmittedRequest): void;
}

/** Makes the path of requests that authenticate each time by Basic (DAV, ActiveSync). */
export function createClientRequests(deps: ClientRequestsDeps): ClientRequests {
  const rechecks = new WeakMap<ClientRelay, NodeJS.Timeout>();
  /** Responses whose requests were sent to another host already. */
  const repeated = new WeakSet<ServerResponse>();

  /** A request that waits for news would stay for an hour on a server that its user has left. */
  function recheckLater(relay: ClientRelay): void {
    rechecks.set(relay, setTimeout(() => void recheck(relay), deps.recheckMs).unref());
  }

  async function recheck(relay: ClientRelay): Promise<void> {
    const { user, backend, host } = relay.passage.home;
    try {
      const stays = await deps.authentication().isStillAt(user, backend.name, host.name);
      if (relay.passage.response.destroyed) return;
      if (stays || isUnderWay(relay.passage)) recheckLater(relay);
      else relay.end('replaced');
    } catch (error) {
      deps.log.error('basic-home-not-checked', { err: error, backend: backend.name });
    }
  }

  /** A request that nobody has answered, and that may be sent twice, goes once to where its user is served now. */
  async function tryElsewhere(relay: ClientRelay, giveUp: () => void): Promise<void> {
    const { home, response } = relay.passage;
    const { user, password } = home;
    await deps.takenOver();
    const stays = await deps.authentication().isStillAt(user, home.backend.name, home.host.name);
    if (stays || !relay.waits) return giveUp();
    clearTimeout(rechecks.get(relay));
    relay.abandon();
    repeated.add(response);
    await admit(relay.passage, { user, password });
  }

  const events: RelayEvents<ClientPassage> = {
    judged(relay, _verdict, { status }) {
      if (status !== 401) return relay.handOn(false, []);
      const { home, backend, ingress } = relay.passage;
      deps.authentication().distrust(home.user, backend.name, { password: home.password, client: ingress.client });
      // The backend's own challenge may name a realm that only it has, or a scheme that cannot pass a gateway.
      relay.handOn(false, challengeFields(deps.realm()));
    },
    failed(relay, kind, error) {
      const { home, isAtWebmail, head } = relay.passage;
      if (isRefused(error) && isAtWebmail) deps.hostEvidence(home.host.name, 'refused');
      const giveUp = (): void => {
        if (relay.waits) fail(relay.passage, kind, error);
      };
      const isLost = kind === 'unavailable' || kind === 'bad-answer';
      if (isLost && isAtWebmail && head.isRepeatable && !repeated.has(relay.passage.response)) {
        tryElsewhere(relay, giveUp).catch(giveUp);
      } else giveUp();
    },
    completed() {},
    brokenOff: (relay, error) => deps.log.warn('webmail-answer-broken', brokenAnswer(relay, error)),
    readAgain: (relay, error) => deps.log.warn('webmail-head-faulty', brokenAnswer(relay, error)),
    sessionEnded: (relay) => fail(relay.passage, 'unavailable', undefined),
    closed(relay) {
      clearTimeout(rechecks.get(relay));
      deps.requestFinished(finishedRequest(relay, deps.clock.nowMs()));
    },
  };

  function fail({ request, response, head }: AdmittedRequest, kind: FailureKind, error: unknown): void {
    const reference = deps.newReference();
    const { method } = head;
    deps.log.warn('basic-request-failed', { reference, kind, method, path: loggedPath(head), ...reasonOf(error) });
    reply(request, response, deps.failureAnswer(head, { kind, reference }));
  }

  async function admit(task: AdmittedRequest, { user, password }: BasicCredentials): Promise<void> {
    const { response, ingress } = task;
    const gone = new AbortController();
    const leave = (): void => gone.abort();
    response.once('close', leave);
    try {
      const credentials = { user, password, client: ingress.client };
      const admission = await deps.authentication().admit(credentials, gone.signal);
      if (gone.signal.aborted) return;
      if (admission.kind === 'admitted') pass(task, { ...admission, password });
      else refuse(task, admission);
    } catch (error) {
      if (!gone.signal.aborted) fail(task, 'bad-answer', error);
    } finally {
      response.off('close', leave);
    }
  }

  function pass(task: AdmittedRequest, admitted: Omit<ClientHome, 'path'>): void {
    const { request, response, head } = task;
    const path = deps.paths().of(admitted.backend, head.target);
    // Another backend has it: whose it is could not be known before.
    if (path === undefined) return reply(request, response, textAnswer(404, 'Your mail server has nothing here.'));
    const passage = new ClientPassage(task, { ...admitted, path }, deps);
    const pool = deps.connections.to(passage.host, passage.backend.limits);
    const relay = new Relay(passage, pool, deps, events);
    recheckLater(relay);
    relay.start();
  }

  function refuse({ request, response, head }: AdmittedRequest, admission: Refusal): void {
    switch (admission.kind) {
      case 'rejected':
        return reply(request, response, challengeAnswer(deps.realm()));
      case 'refused':
        // Not 401: the client would ask its user for another password.
        return reply(request, response, textAnswer(403, admission.reason));
      case 'busy':
      case 'unavailable':
        return reply(request, response, deps.failureAnswer(head, admission));
    }
  }

  return {
    covers: (target) => deps.paths().covers(target),
    pass(task) {
      const { request, response, head } = task;
      const fields = head.all('authorization');
      const credentials = fields.length === 1 ? parseBasic(fields[0] ?? '') : undefined;
      if (credentials === undefined) return reply(request, response, challengeAnswer(deps.realm()));
      if (isServiceWorkerScript(head)) {
        return reply(request, response, textAnswer(403, 'No service worker may be registered here.'));
      }
      if (isForeignPage(head)) {
        return reply(request, response, textAnswer(403, 'This request does not come from a page of this server.'));
      }
      void admit(task, credentials);
    },
  };
}

/** A body that is on its way may arrive; an event stream has no end of its own. */
function isUnderWay({ request, response, head }: ClientPassage): boolean {
  if (head.header('accept')?.includes('text/event-stream') === true) return false;
  return response.headersSent || !request.complete;
}

type ClientRelay = Relay<ClientPassage>;
type Refusal = Exclude<ClientAdmission, { readonly kind: 'admitted' }>;

/** A browser that was once given name and password sends them with what any page makes it ask (RFC 7617, 4). */
function isForeignPage(head: IncomingHead): boolean {
  if (head.method === 'GET' || head.method === 'HEAD' || head.method === 'OPTIONS') return false;
  return head.all('sec-fetch-site').some((site) => site === 'cross-site' || site === 'same-site');
}

/** The paths under which clients give name and password with each request. */
export interface ClientPaths {
  /** Whether the target lies under one of any backend: whose it is, only the credentials tell. */
  covers(target: string): boolean;
  /** The path that serves the target on this backend; undefined if there is none. */
  of(backend: Backend, target: string): ClientPath | undefined;
}

/** A dot segment, or what some server takes for one, could lead out of the path that the operator opened. */
const dotSegment = /(?:[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?=[/\\;]|%2f|%5c|$)/i;

/** Knows the paths that Basic clients may ask for, over all backends. */
export function createClientPaths(backends: Iterable<Backend>): ClientPaths {
  const prefixes = new Set<string>();
  for (const { clientPaths = [] } of backends) for (const { prefix } of clientPaths) prefixes.add(prefix);

  return {
    covers(target) {
      if (prefixes.size === 0) return false;
      const path = pathOf(target);
      for (const prefix of prefixes) {
        if (liesUnder(path, prefix)) return !dotSegment.test(path);
      }
      return false;
    },
    of({ clientPaths = [] }, target) {
      const path = pathOf(target);
      let longest: ClientPath | undefined;
      for (const one of clientPaths) {
        if (liesUnder(path, one.prefix) && one.prefix.length > (longest?.prefix.length ?? 0)) longest = one;
      }
      return longest;
    },
  };
}

function liesUnder(path: string, prefix: string): boolean {
  return path.startsWith(prefix) && (path.length === prefix.length || path[prefix.length] === '/');
}
