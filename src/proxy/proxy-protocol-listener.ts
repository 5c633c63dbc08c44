import { type Server, Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import type { Clock } from '../core/clock.ts';
import { plainAddress } from '../core/ip-networks.ts';
import { type CappedEvent, createWarnings, type Log, type Warn } from '../core/log.ts';
import { type ProxyHeader, readProxyHeader } from './proxy-protocol-header.ts';

/**
 * Whether connections begin with a PROXY protocol header. `optional`: those of trusted proxies may. `required`: only
 * trusted proxies connect, and always with a header.
 */
export type ProxyProtocolMode = 'off' | 'optional' | 'required';

interface ProxyProtocolOptions {
  readonly mode: ProxyProtocolMode;
  readonly isTrusted: (address: string) => boolean;
  /** How long a header may take to arrive. */
  readonly deadlineMs: number;
  readonly log: Log;
  readonly clock: Clock;
}

/** The client behind the proxy, as a header names it. */
export type ProxiedClient = Extract<ProxyHeader, { readonly kind: 'proxied' }>;

/** Reads the PROXY protocol headers on the connections of a listener, before anything else reads from them. */
export interface ProxyProtocol {
  /** Installs itself on an HTTP or HTTPS server that does not listen yet. */
  installOn(server: Server): void;
  /** The client of a connection of the server; undefined if it came without a header. */
  readonly clientOf: (connection: Socket) => ProxiedClient | undefined;
  /** Logs the mistake if bytes that are not HTTP are a PROXY protocol header that was not expected. */
  notice(error: Error, connection: unknown): void;
}

/** Creates the reader of headers. It keeps a header for the life of its connection, and logs refused peers. */
export function createProxyProtocol(options: ProxyProtocolOptions): ProxyProtocol {
  const { mode, isTrusted, deadlineMs } = options;
  const warn = createWarnings(options.log, options.clock);
  const clients = new WeakMap<Socket, ProxiedClient>();

  function installOn(server: Server): void {
    if (mode === 'off') return;
    // Node's own listener, which starts reading. That of TLS later emits another socket.
    const [serve] = server.listeners('connection');
    if (serve === undefined) throw new TypeError('this server does not serve connections');
    const behindTls = new Map<string, ProxiedClient>();
    server.removeAllListeners('connection');
    server.on('connection', (socket: Socket) => {
      const peer = plainAddress(socket.remoteAddress ?? '');
      const pass = (): void => void Reflect.apply(serve, server, [socket]);
      if (!isTrusted(peer)) {
        if (mode === 'optional') return pass();
        warn('proxy-untrusted', peer, { peer });
        socket.destroy();
        return;
      }
      takeHeader({ socket, peer, mode, deadlineMs, warn }, (header) => {
        if (header?.kind === 'proxied') {
          clients.set(socket, header);
          if (server instanceof TlsServer) {
            const link = connectionKeyOf(socket);
            behindTls.set(link, header);
            socket.once('close', () => behindTls.delete(link));
          }
        }
        pass();
      });
    });
    server.on('secureConnection', (secure: Socket) => {
      const client = behindTls.get(connectionKeyOf(secure));
      if (client !== undefined) clients.set(secure, client);
    });
  }

  return {
    installOn,
    clientOf: (connection) => clients.get(connection),
    notice(error, connection) {
      const bytes = 'rawPacket' in error ? error.rawPacket : undefined;
      if (!Buffer.isBuffer(bytes) || bytes.length < 6 || readProxyHeader(bytes).kind === 'absent') return;
      const peer = plainAddress((connection instanceof Socket ? connection.remoteAddress : undefined) ?? '');
      const remedy =
        mode === 'off'
          ? 'proxy_protocol is off: set it to required, or take send-proxy out of the load balancer'
          : 'its address is not in trusted_proxies, or it sends two: add it there if it is the load balancer';
      warn('proxy-header-unexpected', peer, { peer, remedy });
    },
  };
}

interface HeaderTask {
  readonly socket: Socket;
  readonly peer: string;
  readonly mode: ProxyProtocolMode;
  readonly deadlineMs: number;
  readonly warn: Warn;
}

/** Reads the header, then calls `go` once if the connection may be served; cuts the connection otherwise. */
function takeHeader(arrival: HeaderTask, go: (header: ProxyHeader | undefined) => void): void {
  const { socket, peer, mode, deadlineMs, warn } = arrival;
  let early: Buffer = Buffer.alloc(0);
  const refuse = (event: CappedEvent, fields: { readonly why?: string } = {}): void => {
    leave();
    warn(event, peer, { peer, ...fields });
    socket.destroy();
  };
  const onReadable = (): void => {
    const chunk: unknown = socket.read();
    if (!Buffer.isBuffer(chunk)) return;
    early = early.length === 0 ? chunk : Buffer.concat([early, chunk]);
    const reading = readProxyHeader(early);
    switch (reading.kind) {
      case 'incomplete':
        return;
      case 'malformed':
        return refuse('proxy-header-malformed', { why: reading.why });
      case 'absent':
        if (mode === 'required') return refuse('proxy-header-missing');
        return hand(0, undefined);
      case 'header':
        return hand(reading.length, reading.header);
    }
  };
  const hand = (taken: number, header: ProxyHeader | undefined): void => {
    leave();
    if (early.length > taken) socket.unshift(early.subarray(taken));
    go(header);
  };
  // A health check that only connects is not worth a warning. A half-closed connection would stay for ever.
  const gone = (): void => {
    leave();
    socket.destroy();
  };
  const timer = setTimeout(() => refuse('proxy-header-late'), deadlineMs);
  const leave = (): void => {
    clearTimeout(timer);
    socket.off('readable', onReadable).off('end', gone).off('error', gone).off('close', gone);
  };
  socket.on('readable', onReadable).on('end', gone).on('error', gone).on('close', gone);
}

/** A key that a raw connection shares with the TLS connection on it. */
function connectionKeyOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress ?? ''} ${remotePort ?? 0} ${localAddress ?? ''}`;
}
