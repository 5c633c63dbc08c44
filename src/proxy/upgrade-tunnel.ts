import type { ClientRequest, IncomingMessage } from 'node:http';
import { type Duplex, pipeline } from 'node:stream';
import type { BackendHost } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { Ingress } from '../core/http.ts';
import type { Log } from '../core/log.ts';
import { requestIdsOf } from '../core/names.ts';
import type { Attachment, LiveSession } from '../core/session.ts';
import { errorCodeOf } from './failure.ts';
import { endWithin, sendRawAnswer } from './reply.ts';
import type { IncomingHead } from './request-head.ts';
import { responseHeaders, UpstreamHead } from './response-headers.ts';

/** How long a side that was told to close may take. */
const closingMs = 2000;
/** Status codes of Close frames (RFC 6455, 7.4.1). */
const closeCodes = { goingAway: 1001, policy: 1008 };
/** How long a client may take to read the Close frame. No other bytes pass meanwhile. */
const closeFrameMs = 500;

interface UpgradeTunnelParts {
  readonly socket: Duplex;
  readonly head: IncomingHead;
  readonly ingress: Ingress;
  readonly session: LiveSession;
  readonly backend: string;
  readonly host: BackendHost;
  readonly handshakeMs: number;
  readonly isOwnCookie: (name: string) => boolean;
  readonly clock: Clock;
  readonly log: Log;
  /** Called once, when the connection ends, with the bytes from the client and to it. */
  readonly ended: (end: TunnelEnd) => void;
}

/** The end of an upgraded connection. */
export interface TunnelEnd {
  /** 101 if it was open, else the backend's answer; 0 if there was none. */
  readonly status: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/**
 * One upgraded connection, from the client's socket to the backend's.
 *
 * It makes up for three faults of http-proxy-3, which leaves the backend's connection open when the client leaves
 * before the 101, waits for ever for a silent backend, and passes on the fields of every answer unfiltered.
 */
export class UpgradeTunnel implements Attachment {
  readonly backend: string;
  readonly #parts: UpgradeTunnelParts;
  readonly #generation: number;
  #outgoing: ClientRequest | undefined;
  #upstream: Duplex | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #boundary = new FrameBoundary();
  #status = 0;
  #bytesIn = 0;
  #bytesOut = 0;
  #isOver = false;

  constructor(parts: UpgradeTunnelParts) {
    this.#parts = parts;
    this.backend = parts.backend;
    this.#generation = parts.session.jar.generation;
    const { socket } = parts;
    socket.once('close', () => this.#clientClosed());
    // A client that half-closes sends no more frames, so it has left. http-proxy-3's pipe tells the backend.
    socket.once('end', () => endWithin(socket, closingMs));
  }

  /** Takes over the outgoing request before its head is written, and before http-proxy-3 listens to it. */
  adopt(outgoing: ClientRequest): void {
    this.#outgoing = outgoing;
    outgoing.path = this.#parts.head.target;
    this.#timer = setTimeout(() => {
      outgoing.destroy(new Error('the backend did not answer the handshake'));
    }, this.#parts.handshakeMs);
    outgoing.on('upgrade', (answer, upstream) => this.#opened(answer, upstream));
    if (this.#parts.socket.destroyed) outgoing.destroy();
  }

  /** Replaces http-proxy-3's listener for answers other than 101. Call it once http-proxy-3 listens. */
  replaceAnswer(): void {
    this.#outgoing?.removeAllListeners('response');
    this.#outgoing?.on('response', (answer) => this.#refused(answer));
  }

  /**
   * Logs and answers that the handshake or the connection failed. http-proxy-3 closes the client's socket afterwards.
   */
  fail(error: Error): void {
    clearTimeout(this.#timer);
    const { log, ingress, session, host, socket } = this.#parts;
    if (socket.destroyed || this.#upstream !== undefined) return;
    const ids = requestIdsOf(ingress);
    const { user } = session.record;
    log.warn('upgrade-failed', { ...ids, user, backend: this.backend, host: host.name, code: errorCodeOf(error) });
    sendRawAnswer(socket, 502, `The mailbox server did not open the connection (${ids.reference}).`);
  }

  /** Closes the connection because the session has ended. */
  end(): void {
    this.#close(closeCodes.policy);
  }

  /** Closes the connection because the node stops. */
  close(): void {
    this.#close(closeCodes.goingAway);
  }

  #close(code: number): void {
    this.#tellEnd();
    const { socket } = this.#parts;
    const upstream = this.#upstream;
    if (upstream === undefined || !this.#boundary.reached || !socket.writable) {
      socket.destroy();
      return;
    }
    socket.unpipe(upstream);
    upstream.unpipe(socket);
    upstream.destroy();
    socket.end(closeFrame(code));
    endWithin(socket, closeFrameMs);
  }

  #opened(answer: IncomingMessage, upstream: Duplex): void {
    clearTimeout(this.#timer);
    this.#upstream = upstream;
    // Listens only once http-proxy-3 pipes: else the bytes after the backend's 101 would reach this listener alone.
    const { socket } = this.#parts;
    this.#status = 101;
    process.nextTick(() => {
      upstream.on('data', (bytes: Buffer) => {
        this.#bytesOut += bytes.length;
        this.#boundary.pass(bytes);
      });
      socket.on('data', (bytes: Buffer) => {
        this.#bytesIn += bytes.length;
      });
    });
    if (socket.destroyed) {
      upstream.destroy();
      return;
    }
    upstream.once('close', () => endWithin(socket, closingMs));
    const fields = this.#rebuilt(answer);
    answer.headers = { ...fields, connection: 'Upgrade', upgrade: 'websocket' };
  }

  #refused(answer: IncomingMessage): void {
    clearTimeout(this.#timer);
    const { socket } = this.#parts;
    this.#status = answer.statusCode ?? 502;
    const lines = [`HTTP/1.1 ${answer.statusCode ?? 502} ${answer.statusMessage ?? ''}`, 'Connection: close'];
    for (const [name, value] of Object.entries(this.#rebuilt(answer))) {
      for (const line of [value].flat()) lines.push(`${name}: ${line}`);
    }
    socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
    pipeline(answer, socket, () => endWithin(socket, closingMs));
  }

  /** The answer's fields for the browser, one entry for each name. */
  #rebuilt(answer: IncomingMessage): Record<string, string | string[]> {
    const { clock, isOwnCookie } = this.#parts;
    const fields = responseHeaders(new UpstreamHead(answer.statusCode ?? 0, answer.rawHeaders), {
      to: this.#parts,
      generation: this.#generation,
      nowMs: clock.nowMs(),
      isOwnCookie,
    });
    const entries = new Map<string, string | string[]>();
    for (let i = 0; i + 1 < fields.length; i += 2) {
      const name = fields[i] ?? '';
      const value = fields[i + 1] ?? '';
      const before = entries.get(name);
      entries.set(name, before === undefined ? value : [before, value].flat());
    }
    return Object.fromEntries(entries);
  }

  /** Tells the end once: before that of the session, whose figures include it. */
  #tellEnd(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#parts.ended({ status: this.#status, bytesIn: this.#bytesIn, bytesOut: this.#bytesOut });
  }

  #clientClosed(): void {
    this.#tellEnd();
    clearTimeout(this.#timer);
    this.#outgoing?.destroy();
    this.#upstream?.destroy();
  }
}

const maxFrameHead = 14;

/**
 * Follows the frames of a WebSocket (RFC 6455, 5.2) as their bytes pass, so that a frame of our own is never inserted
 * into another one. It keeps no bytes of the payload.
 */
export class FrameBoundary {
  readonly #head = Buffer.alloc(maxFrameHead);
  #headBytes = 0;
  #payloadLeft = 0;

  /** Whether the bytes so far end at the end of a frame. */
  get reached(): boolean {
    return this.#headBytes === 0 && this.#payloadLeft === 0;
  }

  pass(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#payloadLeft > 0) {
        const taken = Math.min(this.#payloadLeft, bytes.length - at);
        this.#payloadLeft -= taken;
        at += taken;
      } else {
        this.#head[this.#headBytes] = bytes[at] ?? 0;
        this.#headBytes += 1;
        at += 1;
        this.#readHead();
      }
    }
  }

  #readHead(): void {
    if (this.#headBytes < 2) return;
    const second = this.#head.readUInt8(1);
    const short = second & 0x7f;
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    if (this.#headBytes < 2 + lengthBytes + (second >= 0x80 ? 4 : 0)) return;
    this.#headBytes = 0;
    if (lengthBytes === 0) this.#payloadLeft = short;
    else if (lengthBytes === 2) this.#payloadLeft = this.#head.readUInt16BE(2);
    else this.#payloadLeft = Number(this.#head.readBigUInt64BE(2));
  }
}

/** An unmasked Close frame (RFC 6455, 5.5.1), as a server sends it. */
function closeFrame(code: number): Buffer {
  const frame = Buffer.from([0x88, 2, 0, 0]);
  frame.writeUInt16BE(code, 2);
  return frame;
}
