import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { endBehind, type PipelinedRequest, RequestPipeline, wantsUpgrade } from './pipelining.ts';
import type { ProxyProtocol } from './proxy-protocol-listener.ts';
import { sendAnswer, sendRawAnswer, textAnswer } from './reply.ts';
import { mayUpgrade } from './request-validation.ts';
import { Routing, type RoutingDeps } from './routing.ts';
import type { TlsCertificates } from './tls-certificates.ts';

const drainStepMs = 100;

interface HttpListenerDeps extends RoutingDeps {
  /** Undefined where connections begin with HTTP. */
  readonly proxyProtocol?: ProxyProtocol;
  /** Undefined where the listener speaks plain HTTP. */
  readonly certificates?: TlsCertificates;
  readonly limits: HttpListenerLimits;
  /** A client that reads nothing of its answer for this long is cut. */
  readonly stallMs: number;
}

interface HttpListenerLimits {
  readonly headBytes: number;
  /** The time for a head to arrive, and for a new connection to send its first byte. */
  readonly headMs: number;
  readonly keepAliveMs: number;
}

/** The HTTP or HTTPS server of one address: it refuses malformed requests, and routes all others. */
export class HttpListener {
  /** Call `listen` on it; `drain` closes it. */
  readonly server: Server;
  readonly #deps: HttpListenerDeps;
  readonly #routing: Routing;
  /** The raw connections, and under TLS also those that HTTP is spoken on. */
  readonly #sockets = new Set<Socket>();
  /** The pipeline of each connection that has sent something. */
  readonly #pipelines = new WeakMap<Duplex, RequestPipeline>();
  /** TLS connections whose handshake is done. */
  readonly #secured = new WeakSet<Duplex>();
  readonly #stallWatch: NodeJS.Timeout;
  #isLastCall = false;
  #isDraining = false;

  constructor(deps: HttpListenerDeps) {
    this.#deps = deps;
    this.#routing = new Routing(deps);
    this.server = this.#createServer();
    // Beyond a limit Node drops fields in silence: validateRequest counts and refuses them.
    this.server.maxHeadersCount = 0;
    deps.proxyProtocol?.installOn(this.server);
    this.#listenToConnections();
    this.#listenToRequests();
    const everyMs = Math.min(1000, deps.stallMs / 2);
    this.#stallWatch = setInterval(() => watchWriting(this.#sockets, deps.stallMs), everyMs).unref();
  }

  /** Makes each answer the last one on its connection, so that clients find another node. */
  lastCall(): void {
    this.#isLastCall = true;
  }

  /** Accepts no more, lets requests finish, ends upgrades; cuts the remaining connections when `signal` is aborted. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#isLastCall = true;
    this.#isDraining = true;
    const cut = (): void => {
      for (const socket of this.#sockets) socket.destroy();
    };
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.#deps.upgrades.endAll();
    // Connections become idle one by one as their last request finishes.
    const timer = setInterval(() => this.server.closeIdleConnections(), drainStepMs);
    signal.addEventListener('abort', cut, { once: true });
    if (signal.aborted) cut();
    await closed;
    clearInterval(timer);
    clearInterval(this.#stallWatch);
    signal.removeEventListener('abort', cut);
  }

  #createServer(): Server {
    const { limits, certificates } = this.#deps;
    const options = {
      maxHeaderSize: limits.headBytes,
      headersTimeout: limits.headMs,
      connectionsCheckingInterval: Math.min(1000, limits.headMs),
      // Uploads have no time limit; `Upload` (body-streams.ts) cuts those that stall.
      requestTimeout: 0,
      keepAliveTimeout: limits.keepAliveMs,
      // Probes of load balancers send no Host; the ingress refuses all other requests without one.
      requireHostHeader: false,
      // Requests without a body get no 'end' event, which saves a fifth of their work.
      optimizeEmptyRequests: true,
      // While an earlier answer is open, an upgrade's answer would be written into it.
      shouldUpgradeCallback: (request: IncomingMessage) =>
        this.#pipelines.get(request.socket)?.open === undefined && mayUpgrade(request),
    };
    return certificates === undefined ? createServer(options) : createSecureServer(options, certificates);
  }

  #listenToConnections(): void {
    const { limits, certificates, proxyProtocol } = this.#deps;
    const track = (socket: Socket): void => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      // Node never closes a connection on which nothing was ever sent.
      socket.setTimeout(limits.headMs);
    };
    this.server.on('connection', track);
    this.server.on('secureConnection', (socket: Socket) => {
      this.#secured.add(socket);
      track(socket);
    });
    this.server.on('timeout', (socket) => {
      if (this.#pipelines.get(socket)?.open === undefined) socket.destroy();
      else cutIfStalled(socket);
    });
    this.server.on('clientError', (error, socket) => {
      if (certificates !== undefined && !this.#secured.has(socket)) {
        certificates.notice(error, socket);
        socket.destroy();
        return;
      }
      const pipeline = this.#pipelines.get(socket);
      if (pipeline?.keeps(error) === true) return;
      if (pipeline === undefined) proxyProtocol?.notice(error, socket);
      answerClientError(error, socket, pipeline?.open);
    });
  }

  #listenToRequests(): void {
    this.server.on('request', this.#onRequest);
    // Node would send "100 Continue" before the request is validated; Upload sends it once the request is accepted.
    this.server.on('checkContinue', this.#onRequest);
    // Node would answer any other expectation itself, ahead of the answer that is still open.
    this.server.on('checkExpectation', (request, response) => {
      response.statusCode = 417;
      this.#onRequest(request, response);
    });
    this.server.on('upgrade', (request, socket, early) => {
      // Without a listener a reset is an uncaught exception.
      socket.on('error', () => socket.destroy());
      request.socket.setTimeout(0);
      request.socket.on('timeout', () => cutIfStalled(request.socket));
      if (this.#isDraining) sendRawAnswer(socket, 503, 'This node is shutting down.');
      else void this.#routing.upgrade(request, socket, early);
    });
  }

  readonly #onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    let pipeline = this.#pipelines.get(request.socket);
    if (pipeline === undefined) {
      pipeline = new RequestPipeline(request.socket, this.#serve);
      this.#pipelines.set(request.socket, pipeline);
    }
    pipeline.take(request, response);
  };

  readonly #serve = (request: IncomingMessage, response: ServerResponse): void => {
    if (request.socket.timeout !== 0) request.socket.setTimeout(0);
    if (this.#isLastCall) response.shouldKeepAlive = false;
    if (response.statusCode === 417) {
      if (wantsUpgrade(request)) response.shouldKeepAlive = false;
      sendAnswer(request, response, textAnswer(417, 'Only Expect: 100-continue is supported.'));
    } else this.#routing.request(request, response);
  };
}

/**
 * Starts the stall timer of connections whose answer waits in this process. Checking all of them each second costs the
 * requests nothing. Node's timer restarts by itself as long as the client reads, however slowly.
 */
function watchWriting(sockets: Iterable<Socket>, stallMs: number): void {
  for (const socket of sockets) {
    if (socket.writableLength > 0 && socket.timeout !== stallMs) socket.setTimeout(stallMs);
  }
}

/** Cuts a connection whose stall timer is over while its client has something to read; one that waits for us stays. */
function cutIfStalled(socket: Socket): void {
  if (socket.writableLength > 0) socket.destroy();
  else socket.setTimeout(0);
}

function createSecureServer(options: ServerOptions, certificates: TlsCertificates): Server {
  const { headersTimeout: handshakeTimeout = 0 } = options;
  const server = createTlsServer({ ...options, ...certificates.options, handshakeTimeout });
  certificates.follow(server);
  return server;
}

/**
 * Answers a malformed request once all earlier answers are out, and closes the connection. The client must never
 * take this answer for the answer to the request before.
 */
function answerClientError(error: Error, socket: Duplex, last: PipelinedRequest | undefined): void {
  if (socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  if (last === undefined || last.response.writableFinished) {
    const { status, text } = clientErrorStatusOf(error);
    sendRawAnswer(socket, status, text);
    return;
  }
  const { request, response } = last;
  if (request.complete) {
    // Garbage after a good request, which still gets its answer.
    endBehind(response, socket);
    return;
  }
  // The body of this request is broken. A response without a socket still waits behind an earlier one.
  if (response.headersSent || response.socket === null) {
    socket.destroy();
    return;
  }
  const { status, text } = clientErrorStatusOf(error);
  sendRawAnswer(socket, status, text);
}

function clientErrorStatusOf(error: Error): { readonly status: 400 | 408 | 413 | 431; readonly text: string } {
  switch ('code' in error ? error.code : undefined) {
    case 'HPE_HEADER_OVERFLOW':
      return { status: 431, text: 'The header fields are too large.' };
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return { status: 413, text: 'The chunk extensions are too large.' };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, text: 'The request did not arrive in time.' };
    default:
      return { status: 400, text: 'Malformed HTTP request.' };
  }
}
