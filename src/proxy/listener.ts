import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { endBehind, type Turn, Turns, wantsUpgrade } from './pipelining.ts';
import type { ProxyProtocol } from './proxy-protocol-listener.ts';
import { rawReply, reply, textAnswer } from './reply.ts';
import { mayUpgrade } from './request-validation.ts';
import { type AdmissionDeps, createAdmission } from './routing.ts';
import type { TlsCertificates } from './tls-certificates.ts';

const drainStepMs = 100;

interface FrontDoorDeps extends AdmissionDeps {
  /** Without it, connections begin with HTTP. */
  readonly proxyProtocol?: ProxyProtocol;
  /** With them the listener speaks HTTPS. */
  readonly certificates?: TlsCertificates;
  readonly limits: FrontDoorLimits;
  /** A client that reads nothing of any answer for this long is gone. */
  readonly stallMs: number;
}

interface FrontDoorLimits {
  readonly headBytes: number;
  /** For a head to arrive, and for a new connection to say anything. */
  readonly headMs: number;
  readonly keepAliveMs: number;
}

/** The public listener's server and its way to close. */
export interface FrontDoor {
  /** Call `listen` on it; `drain` closes it. */
  readonly server: Server;
  /** Makes each answer the last one on its connection, so that clients find another node. */
  lastCall(): void;
  /** Accepts no more, lets requests finish, ends upgrades; cuts what is left when `signal` is aborted. */
  drain(signal: AbortSignal): Promise<void>;
}

/** The public listener: refuses early, then leads each request to the probes, the gateway's pages or the webmail. */
export function createFrontDoor(deps: FrontDoorDeps): FrontDoor {
  const { limits } = deps;
  const admission = createAdmission(deps);
  const options = {
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
    // Behind an answer that is still open it would be written into that answer.
    shouldUpgradeCallback: (request: IncomingMessage) =>
      turns.get(request.socket)?.open === undefined && mayUpgrade(request),
  };
  const { certificates } = deps;
  const server = certificates === undefined ? createServer(options) : createSecure(options, certificates);
  // Beyond a limit Node drops fields in silence: screen() counts them and refuses.
  server.maxHeadersCount = 0;
  deps.proxyProtocol?.standBefore(server);

  /** Under TLS both ends of it: the raw connection, and the one that HTTP is spoken on. */
  const sockets = new Set<Socket>();
  /** The state of each connection that has sent something. */
  const turns = new WeakMap<Duplex, Turns>();
  /** TLS connections that have got as far as HTTP. */
  const secured = new WeakSet<Duplex>();
  let isLastCall = false;
  let draining = false;
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const watch = setInterval(() => watchWriting(sockets, deps.stallMs), Math.min(1000, deps.stallMs / 2)).unref();

  function admit(request: IncomingMessage, response: ServerResponse): void {
    if (request.socket.timeout !== 0) request.socket.setTimeout(0);
    if (isLastCall || wantsUpgrade(request)) response.shouldKeepAlive = false;
    if (response.statusCode === 417) reply(request, response, textAnswer(417, 'Only 100-continue is expected here.'));
    else admission.request(request, response);
  }

  function handle(request: IncomingMessage, response: ServerResponse): void {
    let ofSocket = turns.get(request.socket);
    if (ofSocket === undefined) turns.set(request.socket, (ofSocket = new Turns(request.socket, admit)));
    ofSocket.take(request, response);
  }

  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    // Node never closes a connection on which nothing was ever sent.
    socket.setTimeout(limits.headMs);
  });
  server.on('secureConnection', (socket: Socket) => {
    secured.add(socket);
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.setTimeout(limits.headMs);
  });
  server.on('request', handle);
  // Node would say "100 Continue" before anybody has looked at the request: the upload does, once it is let in.
  server.on('checkContinue', handle);
  // Node would refuse any other expectation past us, and past the answer before it.
  server.on('checkExpectation', (request, response) => {
    response.statusCode = 417;
    handle(request, response);
  });
  server.on('timeout', (socket) => {
    if (turns.get(socket)?.open === undefined) socket.destroy();
    else cutIfStalled(socket);
  });
  server.on('clientError', (error, socket) => {
    if (certificates !== undefined && !secured.has(socket)) {
      certificates.notice(error, socket);
      socket.destroy();
      return;
    }
    const ofSocket = turns.get(socket);
    if (ofSocket?.keeps(error) === true) return;
    if (ofSocket === undefined) deps.proxyProtocol?.notice(error, socket);
    answerClientError(error, socket, ofSocket?.open);
  });
  server.on('upgrade', (request, socket, early) => {
    // Without a listener a reset is an uncaught exception.
    socket.on('error', () => socket.destroy());
    request.socket.setTimeout(0);
    request.socket.on('timeout', () => cutIfStalled(request.socket));
    if (draining) rawReply(socket, 503, 'This node is going away.');
    else void admission.upgrade(request, socket, early);
  });

  return {
    server,
    lastCall() {
      isLastCall = true;
    },
    async drain(signal) {
      isLastCall = true;
      draining = true;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      deps.upgrades.endAll();
      // Connections become idle one by one as their last request finishes.
      const timer = setInterval(() => server.closeIdleConnections(), drainStepMs);
      signal.addEventListener('abort', cut, { once: true });
      if (signal.aborted) cut();
      await closed;
      clearInterval(timer);
      clearInterval(watch);
      signal.removeEventListener('abort', cut);
    },
  };
}

/**
 * Starts the stall timer of connections whose answer waits in this process. A look at all of them each second costs the
 * requests nothing; that the client reads on, be it slowly, Node's timer sees by itself.
 */
function watchWriting(sockets: Iterable<Socket>, stallMs: number): void {
  for (const socket of sockets) {
    if (socket.writableLength > 0 && socket.timeout !== stallMs) socket.setTimeout(stallMs);
  }
}

/** Cuts a connection whose time is over while it has something to take; one that waits for us may wait. */
function cutIfStalled(socket: Socket): void {
  if (socket.writableLength > 0) socket.destroy();
  else socket.setTimeout(0);
}

function createSecure(options: ServerOptions, certificates: TlsCertificates): Server {
  const { headersTimeout: handshakeTimeout = 0 } = options;
  const server = createTlsServer({ ...options, ...certificates.options, handshakeTimeout });
  certificates.follow(server);
  return server;
}

/**
 * Answers bytes that are no HTTP, once the answers that the connection still owes are out, and closes it. An answer to
 * broken bytes must never be taken for the answer to the request before them.
 */
function answerClientError(error: Error, socket: Duplex, last: Turn | undefined): void {
  if (socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  if (last === undefined || last.response.writableFinished) {
    const { status, text } = statusOf(error);
    rawReply(socket, status, text);
    return;
  }
  const { request, response } = last;
  if (request.complete) {
    // Garbage behind a good request, which still gets its answer.
    endBehind(response, socket);
    return;
  }
  // Its own body is broken. Without a socket the response still waits behind an earlier one.
  if (response.headersSent || response.socket === null) {
    socket.destroy();
    return;
  }
  const { status, text } = statusOf(error);
  rawReply(socket, status, text);
}

function statusOf(error: Error): { readonly status: 400 | 408 | 413 | 431; readonly text: string } {
  switch ('code' in error ? error.code : undefined) {
    case 'HPE_HEADER_OVERFLOW':
      return { status: 431, text: 'The header fields are too large.' };
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return { status: 413, text: 'The chunk extensions are too large.' };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, text: 'The request did not arrive in time.' };
    default:
      return { status: 400, text: 'This is not HTTP.' };
  }
}
