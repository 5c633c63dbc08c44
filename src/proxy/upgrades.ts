import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { ProxyServer, type ServerOptions } from 'http-proxy-3';
import type { BackendHost } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { Ingress } from '../core/http.ts';
import type { Log } from '../core/log.ts';
import type { LiveSession, RecordKey } from '../core/session.ts';
import { rawReply } from './reply.ts';
import type { IncomingHead } from './request-head.ts';
import type { RequestHeaders } from './request-headers.ts';
import { screenUpgrade } from './request-validation.ts';
import type { Route, Routes } from './session-requests.ts';
import { Tunnel } from './upgrade-tunnel.ts';
import { driverFieldsOf } from './upstream-request.ts';

/** Dependencies of the upgrades. */
export interface UpgradesDeps {
  readonly requestHeaders: RequestHeaders;
  readonly routes: Routes;
  readonly isOwnCookie: (name: string) => boolean;
  readonly newReference: () => string;
  readonly clock: Clock;
  readonly log: Log;
}

/** A request that asks to leave HTTP, with the session it belongs to. */
interface UpgradeTask {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** What the client sent after the head already. */
  readonly early: Buffer;
  readonly head: IncomingHead;
  readonly ingress: Ingress;
  readonly session: LiveSession;
  readonly cookieRest: string;
}

/** The open upgraded connections (WebSocket) of this process. */
export interface Upgrades {
  open(task: UpgradeTask): void;
  stats(): { readonly backend: string; readonly count: number }[];
  /** Ends those whose session is no longer served by the host that they lead to. */
  endAstray(): void;
  /** Ends all of them, as when the node goes away: browsers connect again, to another node. */
  endAll(): void;
}

/** No WebSocket server takes longer to say yes. */
const handshakeMs = 15_000;

/**
 * WebSockets to the backend, by http-proxy-3 behind a screen of our own: it is given a rebuilt head, and what it would
 * leave open or pass on unfiltered is closed and rebuilt in {@link Tunnel}. Each one ends with its session.
 */
export function createUpgrades(deps: UpgradesDeps): Upgrades {
  const proxy = new ProxyServer();
  const tunnels = new Map<Tunnel, { readonly session: LiveSession; readonly host: string; readonly backend: string }>();
  const perSession = new Map<RecordKey, number>();
  const byRequest = new WeakMap<IncomingMessage, Tunnel>();

  proxy.on('proxyReqWs', (outgoing, request) => byRequest.get(request)?.adopt(outgoing));
  // Errors come by the callback of ws(); without a listener an unforeseen one would be thrown.
  proxy.on('error', (error) => deps.log.warn('upgrade-failed', { err: error }));

  function track(task: UpgradeTask, tunnel: Tunnel, host: string): void {
    const { key } = task.session;
    tunnels.set(tunnel, { session: task.session, host, backend: task.session.record.backend });
    perSession.set(key, (perSession.get(key) ?? 0) + 1);
    const detach = task.session.attach(tunnel);
    task.socket.once('close', () => {
      detach();
      tunnels.delete(tunnel);
      const left = (perSession.get(key) ?? 1) - 1;
      if (left === 0) perSession.delete(key);
      else perSession.set(key, left);
    });
  }

  return {
    open(task) {
      const { head, ingress, session, socket } = task;
      const refusal = screenUpgrade(head, ingress.publicUrl);
      if (refusal !== undefined) {
        rawReply(socket, refusal.status, refusal.why, refusal.status === 426 ? ['Sec-WebSocket-Version', '13'] : []);
        return;
      }
      const route = deps.routes(session.record.backend);
      const place = route?.placement.ofSession(session.record);
      if (route === undefined || place?.kind !== 'here') {
        rawReply(socket, 503, 'The mailbox server cannot be reached.');
        return;
      }
      if ((perSession.get(session.key) ?? 0) >= route.backend.limits.upgradesPerSession) {
        rawReply(socket, 429, 'Too many open connections in this session.');
        return;
      }
      session.touch();
      const { host } = place;
      const timeoutMs = Math.min(handshakeMs, route.backend.limits.webmailFirstByteMs);
      const tunnel = new Tunnel({ ...task, ...deps, host, backend: route.backend.name, handshakeMs: timeoutMs });
      byRequest.set(task.request, tunnel);
      track(task, tunnel, host.name);
      handOver(task, route, host);
      tunnel.replaceAnswer();
    },
    stats() {
      const counts = new Map<string, number>();
      for (const { backend } of tunnels.values()) counts.set(backend, (counts.get(backend) ?? 0) + 1);
      return [...counts].map(([backend, count]) => ({ backend, count }));
    },
    endAstray() {
      for (const [tunnel, { session, host }] of tunnels) {
        const place = deps.routes(session.record.backend)?.placement.ofSession(session.record);
        if (place?.kind === 'elsewhere' || (place?.kind === 'here' && place.host.name !== host)) tunnel.close();
        else if (place?.kind === 'closed' && place.closure.kind !== 'down') tunnel.close();
      }
    },
    endAll() {
      for (const tunnel of tunnels.keys()) tunnel.close();
    },
  };

  function handOver(task: UpgradeTask, { backend, driver }: Route, host: BackendHost): void {
    const { request, socket, early, head, ingress, session, cookieRest } = task;
    const nowMs = deps.clock.nowMs();
    const fields = deps.requestHeaders(head, {
      ingress,
      jar: session.jar,
      cookieRest,
      driverFields: driverFieldsOf(driver, task),
      nowMs,
    });
    request.headers = { ...asObject(fields), connection: 'Upgrade', upgrade: 'websocket' };
    // http-proxy-3 normalises the path, and throws at some: the tunnel sets the true one on the outgoing request.
    request.url = '/';
    proxy.ws(request, socket, early, optionsFor(host, backend.limits.webmailConnectMs), (error) =>
      byRequest.get(request)?.fail(error),
    );
  }
}

function optionsFor(host: BackendHost, connectTimeout: number): ServerOptions {
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
    // A new object each time: http-proxy-3 writes into it.
    ssl: {
      ...(trust.ca === undefined ? {} : { ca: trust.ca }),
      // Without it Node verifies the name in the Host field, which is the public one.
      servername: trust.servername ?? (/^[\d.]+$|:/.test(hostname) ? '' : hostname),
    },
  };
}

/** Fields as Node's request takes them: one entry a name, repeated ones joined. */
function asObject(fields: readonly string[]): Record<string, string> {
  const entries = new Map<string, string>();
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = (fields[i] ?? '').toLowerCase();
    const before = entries.get(name);
    entries.set(name, before === undefined ? (fields[i + 1] ?? '') : `${before}, ${fields[i + 1] ?? ''}`);
  }
  return Object.fromEntries(entries);
}
