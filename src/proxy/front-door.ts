import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type AdmissionDeps, createAdmission } from './admission.ts';
import { answerClientError, type LastRequest } from './client-error.ts';
import type { ProxyProtocol } from './proxy-protocol-intake.ts';
import { rawReply } from './raw-reply.ts';
import type { TlsCertificates } from './tls-certificates.ts';
import { mayUpgrade } from './upgrade-screen.ts';

const drainStepMs = 100;

export interface FrontDoorDeps extends AdmissionDeps {
  /** Without it, connections begin with HTTP. */
  readonly proxyProtocol?: ProxyProtocol;
  /** With them the listener speaks HTTPS. */
  readonly certificates?: TlsCertificates;
  readonly limits: FrontDoorLimits;
}

interface FrontDoorLimits {
  readonly headBytes: number;
  /** For a head to arrive, and for a new connection to say anything. */
  readonly headMs: number;
  readonly keepAliveMs: number;
}

export interface FrontDoor {
  /** Call `listen` on it; `drain` closes it. */
  readonly server: Server;
  /** From now on each answer is the last one on its connection: whoever comes next finds another node. */
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
    shouldUpgradeCallback: mayUpgrade,
  };
  const { certificates } = deps;
  const server = certificates === undefined ? createServer(options) : createSecure(options, certificates);
  // Beyond a limit Node drops fields in silence: screen() counts them and refuses.
  server.maxHeadersCount = 0;
  deps.proxyProtocol?.standBefore(server);

  const sockets = new Set<Duplex>();
  /** Of each connection that has said something: the last request, until it is answered. */
  const last = new WeakMap<Duplex, LastRequest | undefined>();
  /** TLS connections that have got as far as HTTP. */
  const secured = new WeakSet<Duplex>();
  let isLastCall = false;
  let draining = false;
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };

  /** A connection that waits for its next request must not keep what the last one was made of. */
  function forget(this: ServerResponse): void {
    const { socket } = this.req;
    if (last.get(socket)?.response === this) last.set(socket, undefined);
  }

  function handle(request: IncomingMessage, response: ServerResponse): void {
    last.set(request.socket, { request, response });
    response.on('close', forget);
    if (request.socket.timeout !== 0) request.socket.setTimeout(0);
    if (isLastCall) response.shouldKeepAlive = false;
    admission.request(request, response);
  }

  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    // Node never closes a connection on which nothing was ever sent.
    socket.setTimeout(limits.headMs);
  });
  server.on('secureConnection', (socket: Socket) => {
    secured.add(socket);
    socket.setTimeout(limits.headMs);
  });
  server.on('request', handle);
  // Node would say "100 Continue" before anybody has looked at the request: the upload does, once a backend takes it.
  server.on('checkContinue', handle);
  server.on('clientError', (error, socket) => {
    if (certificates !== undefined && !secured.has(socket)) {
      certificates.notice(error, socket);
      socket.destroy();
      return;
    }
    if (!last.has(socket)) deps.proxyProtocol?.notice(error, socket);
    answerClientError(error, socket, last.get(socket));
  });
  server.on('upgrade', (request, socket, early) => {
    // Without a listener a reset is an uncaught exception.
    socket.on('error', () => socket.destroy());
    request.socket.setTimeout(0);
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
      signal.removeEventListener('abort', cut);
    },
  };
}

function createSecure(options: ServerOptions, certificates: TlsCertificates): Server {
  const { headersTimeout: handshakeTimeout = 0 } = options;
  const server = createTlsServer({ ...options, ...certificates.options, handshakeTimeout });
  certificates.follow(server);
  return server;
}
