import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Answer } from '../core/http.ts';
import type { Ingress } from '../core/ingress.ts';
import type { Log } from '../core/log.ts';
import type { LiveSessions, SessionLookup } from '../core/session.ts';
import { answerClientError, type LastRequest } from './client-error.ts';
import type { FailureAnswer } from './failure.ts';
import type { IngressReader, IngressRefusal } from './ingress.ts';
import type { NoSession } from './no-session.ts';
import type { ProxyProtocol } from './proxy-protocol-intake.ts';
import { rawReply } from './raw-reply.ts';
import { redirectAnswer, reply, textAnswer } from './reply.ts';
import { IncomingHead } from './request-head.ts';
import type { Requests } from './requests.ts';
import { allowedMethods, screen } from './screen.ts';
import { mayUpgrade } from './upgrade-screen.ts';
import type { Upgrades } from './upgrades.ts';

const reservedPrefix = '/-/';
/** What the gateway's own forms hold at most. */
const maxOwnBody = 8 * 1024;
const drainStepMs = 100;

export interface FrontDoorDeps {
  /** `/-/live` and `/-/ready`, for any Host or none. */
  readonly probes: { readonly live: () => Answer; readonly ready: () => Answer };
  readonly ingress: IngressReader;
  /** Without it, connections begin with HTTP. */
  readonly proxyProtocol?: ProxyProtocol;
  /** The gateway's own pages. */
  readonly pages: (request: IncomingMessage, response: ServerResponse, ingress: Ingress) => void;
  readonly sessions: LiveSessions;
  readonly requests: Requests;
  readonly upgrades: Upgrades;
  readonly noSession: NoSession;
  readonly failureAnswer: FailureAnswer;
  /** For a Host that is not ours, and for plain HTTP where HTTPS is asked. */
  readonly refusedAnswer: (head: IncomingHead, why: IngressRefusal) => Answer;
  readonly newReference: () => string;
  readonly limits: FrontDoorLimits;
  readonly log: Log;
}

export interface FrontDoorLimits {
  readonly headBytes: number;
  /** For a head to arrive, and for a new connection to say anything. */
  readonly headMs: number;
  readonly keepAliveMs: number;
}

export interface FrontDoor {
  /** Call `listen` on it; `drain` closes it. */
  readonly server: Server;
  /** Accepts no more, lets requests finish, ends upgrades; cuts what is left when `signal` is aborted. */
  drain(signal: AbortSignal): Promise<void>;
}

/** The public listener: refuses early, then leads each request to the probes, the gateway's pages or the webmail. */
export function createFrontDoor(deps: FrontDoorDeps): FrontDoor {
  const { limits } = deps;
  const server = createServer({
    maxHeaderSize: limits.headBytes,
    headersTimeout: limits.headMs,
    connectionsCheckingInterval: Math.min(1000, limits.headMs),
    // Uploads take as long as they take; one that stalls is cut by the upload itself.
    requestTimeout: 0,
    keepAliveTimeout: limits.keepAliveMs,
    // Probes of load balancers come without; the ingress refuses everything else.
    requireHostHeader: false,
    // No 'end' event for requests without a body, and a fifth less work for them.
    optimizeEmptyRequests: true,
    shouldUpgradeCallback: mayUpgrade,
  });
  // Beyond a limit Node drops fields in silence: screen() counts them and refuses.
  server.maxHeadersCount = 0;
  deps.proxyProtocol?.standBefore(server);

  const sockets = new Set<Duplex>();
  const last = new WeakMap<Duplex, LastRequest>();
  let draining = false;
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };

  function handle(request: IncomingMessage, response: ServerResponse): void {
    last.set(request.socket, { request, response });
    if (request.socket.timeout !== 0) request.socket.setTimeout(0);
    if (draining) response.shouldKeepAlive = false;
    admit(deps, request, response);
  }

  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    // Node never closes a connection on which nothing was ever sent.
    socket.setTimeout(limits.headMs);
  });
  server.on('request', handle);
  // Node would say "100 Continue" before anybody has looked at the request: the upload does, once a backend takes it.
  server.on('checkContinue', handle);
  server.on('clientError', (error, socket) => {
    if (!last.has(socket)) deps.proxyProtocol?.notice(error, socket);
    answerClientError(error, socket, last.get(socket));
  });
  server.on('upgrade', (request, socket, early) => {
    // Without a listener a reset is an uncaught exception.
    socket.on('error', () => socket.destroy());
    request.socket.setTimeout(0);
    if (draining) rawReply(socket, 503, 'This node is going away.');
    else void admitUpgrade(deps, request, socket, early);
  });

  return {
    server,
    async drain(signal) {
      draining = true;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      deps.upgrades.endAll();
      // Connections become idle one by one as their last request finishes.
      const timer = setInterval(() => server.closeIdleConnections(), drainStepMs);
      signal.addEventListener('abort', cut, { once: true });
      if (signal.aborted) cut();
      await closed;
      clearInterval(timer);
      signal.removeEventListener('abort', cut);
    },
  };
}

function admit(deps: FrontDoorDeps, request: IncomingMessage, response: ServerResponse): void {
  const head = new IncomingHead(request);
  const refusal = screen(head);
  if (refusal !== undefined) {
    // What follows on this connection may be read in more than one way.
    response.shouldKeepAlive = false;
    const more = refusal.status === 405 ? ([['Allow', allowedMethods]] as const) : [];
    reply(request, response, textAnswer(refusal.status, refusal.why), more);
    return;
  }
  const reads = head.method === 'GET' || head.method === 'HEAD';
  if (reads && head.target === '/-/live') return reply(request, response, deps.probes.live());
  if (reads && head.target === '/-/ready') return reply(request, response, deps.probes.ready());
  const decision = deps.ingress(request, head);
  if (decision.kind === 'redirect') return reply(request, response, redirectAnswer(308, decision.location));
  if (decision.kind === 'refused') return reply(request, response, deps.refusedAnswer(head, decision.why));
  if (head.target.startsWith(reservedPrefix))
    return ownPage(deps, { request, response, head, ingress: decision.ingress });
  const task = { request, response, head, ingress: decision.ingress };
  const lookup = deps.sessions.find(head.cookieField);
  if (!(lookup instanceof Promise)) return serve(deps, task, lookup);
  lookup.then(
    (found) => serve(deps, task, found),
    (error: unknown) => {
      const reference = deps.newReference();
      deps.log.error({ reference, err: error }, 'session lookup failed');
      reply(request, response, deps.failureAnswer(head, { kind: 'store', reference }));
    },
  );
}

interface Task {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: IncomingHead;
  readonly ingress: Ingress;
}

function ownPage(deps: FrontDoorDeps, task: Task): void {
  const { request, response, head, ingress } = task;
  // Express would read the whole body before it answers an error.
  if (head.header('transfer-encoding') !== undefined) {
    return reply(request, response, textAnswer(411, 'Give the length of the body.'));
  }
  if (Number(head.header('content-length') ?? 0) > maxOwnBody) {
    return reply(request, response, textAnswer(413, 'The body is too large.'));
  }
  if (head.header('expect') !== undefined) response.writeContinue();
  deps.pages(request, response, ingress);
}

function serve(deps: FrontDoorDeps, task: Task, lookup: SessionLookup): void {
  const { request, response, head, ingress } = task;
  if (request.socket.destroyed) return;
  const origin = ingress.publicUrl.origin;
  switch (lookup.kind) {
    case 'found':
      deps.requests.pass({ ...task, session: lookup.session, cookieRest: lookup.rest });
      break;
    case 'none':
      reply(request, response, deps.noSession(head, origin));
      break;
    case 'ended':
      reply(request, response, deps.noSession(head, origin, lookup.reason));
      break;
    case 'unavailable':
      reply(request, response, unavailable(deps, head, lookup.why));
  }
}

function unavailable(deps: FrontDoorDeps, head: IncomingHead, kind: 'store' | 'unknown-key'): Answer {
  const reference = deps.newReference();
  deps.log.warn({ reference, kind }, 'a session could not be read');
  return deps.failureAnswer(head, { kind, reference });
}

async function admitUpgrade(
  deps: FrontDoorDeps,
  request: IncomingMessage,
  socket: Duplex,
  early: Buffer,
): Promise<void> {
  const head = new IncomingHead(request);
  const refusal = screen(head);
  if (refusal !== undefined) return rawReply(socket, refusal.status, refusal.why);
  const decision = deps.ingress(request, head);
  if (decision.kind !== 'accepted') return rawReply(socket, 400, 'Not at this address.');
  if (head.target.startsWith(reservedPrefix)) return rawReply(socket, 404, 'There is nothing here.');
  try {
    const lookup = await deps.sessions.find(head.cookieField);
    if (lookup.kind === 'found') {
      if (socket.destroyed) return;
      const { session, rest } = lookup;
      deps.upgrades.open({ request, socket, early, head, ingress: decision.ingress, session, cookieRest: rest });
    } else if (lookup.kind === 'unavailable')
      rawReply(socket, 503, 'Sessions cannot be read now.', ['Retry-After', '5']);
    else rawReply(socket, 401, 'Sign in first.');
  } catch (error) {
    deps.log.error({ err: error }, 'session lookup failed');
    rawReply(socket, 503, 'Sessions cannot be read now.', ['Retry-After', '5']);
  }
}
