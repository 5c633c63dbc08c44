import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { ProxyServer, type ServerOptions } from 'http-proxy-3';
import type { BackendHost } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import { pathOf } from '../core/cookie-jar.ts';
import type { Ingress } from '../core/http.ts';
import type { Log } from '../core/log.ts';
import { type RecordKey, requestIdsOf } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import type { LiveSession } from '../core/session.ts';
import { sendRawAnswer } from './reply.ts';
import type { IncomingHead } from './request-head.ts';
import type { RequestHeaders } from './request-headers.ts';
import { validateUpgrade } from './request-validation.ts';
import type { BackendRoute, FinishedRequest, Routes } from './session-requests.ts';
import { type TunnelEnd, UpgradeTunnel } from './upgrade-tunnel.ts';
import { driverFieldsOf } from './upstream-request.ts';

/** Dependencies of Upgrades. */
interface UpgradesDeps {
  readonly routes: Routes;
  readonly isOwnCookie: (name: string) => boolean;
  /** Called when a connection has ended. */
  readonly upgradeFinished: (connection: FinishedRequest) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** A request that asks to leave HTTP, with the session it belongs to. */
interface UpgradeTask {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** The bytes that the client already sent after the head. */
  readonly early: Buffer;
  readonly head: IncomingHead;
  readonly ingress: Ingress;
  readonly session: LiveSession;
  readonly cookieRest: string;
  readonly requestHeaders: RequestHeaders;
}

/** Maximum time for the backend to answer a handshake. No WebSocket server takes longer to say yes. */
const maxHandshakeMs = 15_000;

interface OpenTunnel {
  readonly session: LiveSession;
  readonly host: string;
  readonly backend: string;
}

/**
 * The upgraded connections (WebSocket) of this process, each of which ends with its session.
 *
 * http-proxy-3 connects them. It is given a rebuilt head, and {@link UpgradeTunnel} closes and rebuilds what it would
 * leave open or pass on unfiltered.
 */
export class Upgrades {
  readonly #deps: UpgradesDeps;
  readonly #proxy = new ProxyServer();
  readonly #tunnels = new Map<UpgradeTunnel, OpenTunnel>();
  readonly #countOfSession = new Map<RecordKey, number>();
  readonly #tunnelOfRequest = new WeakMap<IncomingMessage, UpgradeTunnel>();

  constructor(deps: UpgradesDeps) {
    this.#deps = deps;
    this.#proxy.on('proxyReqWs', (outgoing, request) => this.#tunnelOfRequest.get(request)?.adopt(outgoing));
    // Errors arrive in the callback of ws(). Without a listener an unexpected one would be thrown.
    this.#proxy.on('error', (error) => deps.log.warn('upgrade-failed', { err: error }));
  }

  /** Connects the client's socket to the backend, or refuses the request on it. */
  open(task: UpgradeTask): void {
    const { head, ingress, session, socket } = task;
    const refusal = validateUpgrade(head, ingress.publicUrl);
    if (refusal !== undefined) {
      const fields = refusal.status === 426 ? ['Sec-WebSocket-Version', '13'] : [];
      return sendRawAnswer(socket, refusal.status, refusal.why, fields);
    }
    const route = this.#deps.routes(session.record.backend);
    const place = route?.placement.ofSession(session.record);
    if (route === undefined || place?.kind !== 'here') {
      const ids = requestIdsOf(ingress);
      const { user, backend, host } = session.record;
      const because = place?.kind === 'closed' ? place.closure.kind : (place?.kind ?? 'removed');
      this.#deps.log.info('request-not-served', { ...ids, user, backend, host, because });
      return sendRawAnswer(socket, 503, `The mailbox server cannot be reached (${ids.reference}).`);
    }
    const { name: backend, limits } = route.backend;
    if ((this.#countOfSession.get(session.key) ?? 0) >= limits.upgradesPerSession) {
      return sendRawAnswer(socket, 429, 'Too many open connections in this session.');
    }
    session.touch();
    const { host } = place;
    const handshakeMs = Math.min(maxHandshakeMs, limits.webmailFirstByteMs);
    const ended = this.#endOf(task, { backend, host: host.name });
    const tunnel = new UpgradeTunnel({ ...task, ...this.#deps, host, backend, handshakeMs, ended });
    this.#tunnelOfRequest.set(task.request, tunnel);
    this.#track(task, tunnel, host.name);
    this.#connect(task, route, host);
    tunnel.replaceAnswer();
  }

  /** How many are open, of each backend that has any. */
  stats(): { readonly backend: string; readonly count: number }[] {
    const counts = new Map<string, number>();
    for (const { backend } of this.#tunnels.values()) counts.set(backend, (counts.get(backend) ?? 0) + 1);
    return [...counts].map(([backend, count]) => ({ backend, count }));
  }

  /** Ends those to a host that no longer serves their session. */
  endMisplaced(): void {
    for (const [tunnel, { session, host }] of this.#tunnels) {
      const place = this.#deps.routes(session.record.backend)?.placement.ofSession(session.record);
      if (place?.kind === 'elsewhere' || (place?.kind === 'here' && place.host.name !== host)) tunnel.close();
      else if (place?.kind === 'closed' && place.closure.kind !== 'down') tunnel.close();
    }
  }

  /** Ends all of them, as when the node stops: browsers connect again, to another node. */
  endAll(): void {
    for (const tunnel of this.#tunnels.keys()) tunnel.close();
  }

  /** Counts and reports a connection once it has ended. */
  #endOf({ head, ingress, session }: UpgradeTask, place: Pick<FinishedRequest, 'backend' | 'host'>) {
    const { clock, upgradeFinished } = this.#deps;
    const startedAtMs = clock.nowMs();
    return ({ status, bytesIn, bytesOut }: TunnelEnd): void => {
      session.count(bytesIn, bytesOut);
      upgradeFinished({
        requestId: ingress.requestId,
        user: session.record.user,
        client: ingress.client.address,
        session: session.key,
        ...place,
        method: head.method,
        path: pathOf(head.target),
        status,
        durationMs: clock.nowMs() - startedAtMs,
        bytes: bytesOut,
        bytesIn,
      });
    };
  }

  #track({ session, socket }: UpgradeTask, tunnel: UpgradeTunnel, host: string): void {
    const { key } = session;
    this.#tunnels.set(tunnel, { session, host, backend: session.record.backend });
    this.#countOfSession.set(key, (this.#countOfSession.get(key) ?? 0) + 1);
    const detach = session.attach(tunnel);
    socket.once('close', () => {
      detach();
      this.#tunnels.delete(tunnel);
      const left = (this.#countOfSession.get(key) ?? 1) - 1;
      if (left === 0) this.#countOfSession.delete(key);
      else this.#countOfSession.set(key, left);
    });
  }

  #connect(task: UpgradeTask, { backend, driver }: BackendRoute, host: BackendHost): void {
    const { request, socket, early, head, ingress, session, cookieRest } = task;
    const fields = task.requestHeaders(head, {
      ingress,
      jar: session.jar,
      cookieRest,
      driverFields: driverFieldsOf(driver, task),
      nowMs: this.#deps.clock.nowMs(),
    });
    request.headers = { ...nodeHeadersOf(fields), connection: 'Upgrade', upgrade: 'websocket' };
    // http-proxy-3 normalises the path, and throws for some paths. The tunnel sets the real one on the outgoing
    // request.
    request.url = '/';
    const options = serverOptionsFor(host, backend.limits.webmailConnectMs);
    this.#proxy.ws(request, socket, early, options, (error) => this.#tunnelOfRequest.get(request)?.fail(error));
  }
}

function serverOptionsFor(host: BackendHost, connectTimeout: number): ServerOptions {
  const url = new URL(host.webmail.origin);
  const { trust } = host.webmail;
  const hostname = url.hostname.replace(/^\[|\]$/g, '');
  return {
    target: {
      protocol: url.protocol,
      host: hostname,
      hostname,
      port: Number(url.port || (url.protocol === 'https:' ? 443 : 80)),
    },
    connectTimeout,
    // A new object each time, because http-proxy-3 writes into it.
    ssl: {
      ...defined({ ca: trust.ca }),
      // By default Node verifies the name in the Host field, which is the public one.
      servername: trust.servername ?? (/^[\d.]+$|:/.test(hostname) ? '' : hostname),
    },
  };
}

/** Fields as Node's request takes them: one entry for each name, repeated values joined. */
function nodeHeadersOf(fields: readonly string[]): Record<string, string> {
  const entries = new Map<string, string>();
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = (fields[i] ?? '').toLowerCase();
    const before = entries.get(name);
    entries.set(name, before === undefined ? (fields[i + 1] ?? '') : `${before}, ${fields[i + 1] ?? ''}`);
  }
  return Object.fromEntries(entries);
}
