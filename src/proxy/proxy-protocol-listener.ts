import { type Server, Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import type { Clock } from '../core/clock.ts';
import { plainAddress } from '../core/ip-networks.ts';
import { type CappedEvent, createWarnings, type Log, type Warn } from '../core/log.ts';
import { type ProxyHeader, readProxyHeader } from './proxy-protocol-header.ts';

/**
 * Whether connections begin with a PROXY protocol header. `optional`: those of trusted proxies may. `required`: only
 * trusted proxies connect, and always with one.
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

/** The client behind the proxy, from a connection's header. */
export type ProxiedClient = Extract<ProxyHeader, { readonly kind: 'proxied' }>;

/** Takes PROXY protocol headers off the connections of a listener, before anything else reads from them. */
export interface ProxyProtocol {
  /** Stands before an HTTP or HTTPS server that does not listen yet. */
  installOn(server: Server): void;
  /** The client of a connection as the server's requests show it; undefined if it came without a proxy. */
  readonly clientOf: (connection: Socket) => ProxiedClient | undefined;
  /** Says in the log what is wrong when bytes that are no HTTP are a header that nobody asked for. */
  notice(error: Error, connection: unknown): void;
}

/** A header that came is remembered as long as its connection lives. The address of a refused peer is logged. */
export function createProxyProtocol(options: ProxyProtocolOptions): ProxyProtocol {
  const { mode, isTrusted, deadlineMs } = options;
  const warn = createWarnings(options.log, options.clock);
  const clients = new WeakMap<Socket, ProxiedClient>();

  function installOn(server: Server): void {
    if (mode === 'off') return;
    // Node's own listener, which begins to read: TLS has one of its own, and shows another socket later.
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

/** Calls `go` once when the connection may be served, with its header taken off; refuses it otherwise. */
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
  // A check that only connects leaves without a word: nothing to warn of. A half-closed one would stay for ever.
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

/** A key that a raw connection shares with the TLS one on it. */
function connectionKeyOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress ?? ''} ${remotePort ?? 0} ${localAddress ?? ''}`;
}
