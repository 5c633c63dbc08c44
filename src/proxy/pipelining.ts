import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** A request that was read from a connection, and its response. */
export interface PipelinedRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** llhttp's HPE_PAUSED: a callback that returns it stops the parser where it is. */
const parserPaused = 21;
/** Maximum of bytes read after the next request, to notice a client that hangs up. The rest waits in the kernel. */
const maxUnreadBytes = 65_536;

/**
 * Serves the requests of one connection one after the other, in order. Bytes that a client sends before it has the
 * answer wait unread.
 *
 * Node by itself parses all requests in the 64 KiB that it reads at once, some 1,700 of them in 4 MB, and serves them
 * side by side. It has no documented way to stop its parser between two requests, so the parser's `onIncoming` is
 * wrapped. If a later Node no longer stops there, a client with two requests ahead is cut.
 */
export class RequestPipeline {
  readonly #socket: Socket;
  readonly #serve: (request: IncomingMessage, response: ServerResponse) => void;
  #open: PipelinedRequest | undefined;
  #next: PipelinedRequest | undefined;
  /** Bytes that came after the head of the next request; undefined while the parser runs. */
  #unread: Buffer[] | undefined;
  #unreadLength = 0;
  readonly #onClose = (): void => this.#close();
  readonly #onTurn = (): void => this.#goOn();
  /** Pauses again: Node resumes reading by itself when an answer has drained or a body is wanted. */
  readonly #stayPaused = (): void => {
    if (this.#unreadLength > maxUnreadBytes) this.#socket.emit('pause');
  };

  /** `serve` is called with each request once the answers before it are sent. */
  constructor(socket: Socket, serve: (request: IncomingMessage, response: ServerResponse) => void) {
    this.#socket = socket;
    this.#serve = serve;
    const parser = parserOf(socket);
    if (parser === undefined) return;
    const incoming = parser.onIncoming;
    parser.onIncoming = (request, keepAlive) => {
      if (request.method === 'CONNECT' && this.#open !== undefined) {
        // Node would hand the connection over while an answer is still open on it, unless it sees no upgrade.
        Object.assign(request, { upgrade: false });
        endBehind(this.#open.response, socket);
        return parserPaused;
      }
      const told = incoming(request, keepAlive);
      return told === 0 && this.#next?.request === request ? parserPaused : told;
    };
  }

  /** The request that is being answered; undefined if there is none. */
  get open(): PipelinedRequest | undefined {
    return this.#open;
  }

  take(request: IncomingMessage, response: ServerResponse): void {
    if (this.#open === undefined) return this.#begin(request, response);
    if (this.#next !== undefined) {
      // The parser did not stop.
      this.#socket.destroy();
      return;
    }
    this.#next = { request, response };
    this.#socket.on('resume', this.#stayPaused);
    if (wantsUpgrade(request) && !this.#open.response.headersSent) this.#open.response.shouldKeepAlive = false;
  }

  /** Whether a parser error only reports that the parser stopped as intended. Then the unread bytes are kept. */
  keeps(error: Error): boolean {
    if (this.#next === undefined || !isStop(error)) return false;
    // A parser that had already stopped does not know how far it got.
    const rest = this.#unread === undefined ? error.rawPacket.subarray(error.bytesParsed) : error.rawPacket;
    (this.#unread ??= []).push(rest);
    this.#unreadLength += rest.length;
    if (this.#unreadLength > maxUnreadBytes) this.#socket.pause();
    return true;
  }

  #begin(request: IncomingMessage, response: ServerResponse): void {
    this.#open = { request, response };
    response.on('close', this.#onClose);
    this.#serve(request, response);
  }

  #close(): void {
    // Other connections go first: a client that sends a thousand requests at once is one of many.
    if (this.#next !== undefined) setImmediate(this.#onTurn);
    else this.#open = undefined;
  }

  #goOn(): void {
    const [next, unread, socket] = [this.#next, this.#unread, this.#socket];
    this.#open = undefined;
    this.#next = undefined;
    this.#unread = undefined;
    this.#unreadLength = 0;
    socket.off('resume', this.#stayPaused);
    // A connection that ends with the last answer gets no other.
    if (next === undefined || socket.destroyed || !socket.writable) return;
    // The parser does not know where such a request ends.
    if (wantsUpgrade(next.request)) return socket.destroySoon();
    this.#begin(next.request, next.response);
    const parser = parserOf(socket);
    if (unread !== undefined && parser !== undefined) {
      parser.resume();
      const [first] = unread;
      socket.emit('data', unread.length === 1 ? first : Buffer.concat(unread));
    }
    if (this.#next === undefined) socket.resume();
  }
}

/**
 * Whether a request asks for an upgrade. If it is not upgraded, Node loses what it has read after the request, and
 * takes the next bytes for the beginning of another. So the answer must be the last one on its connection.
 */
export function wantsUpgrade(request: IncomingMessage): boolean {
  return request.headers.upgrade !== undefined;
}

/** Ends a connection after the answer that is open on it. */
export function endBehind(response: ServerResponse, socket: Duplex): void {
  response.shouldKeepAlive = false;
  response.once('finish', () => socket.end());
  response.once('close', () => socket.destroy());
}

/** The parts of Node's parser that its types leave out. */
interface NodeParser {
  onIncoming: (request: IncomingMessage, keepAlive: boolean) => number;
  resume(): void;
}

function parserOf(socket: Socket): NodeParser | undefined {
  const parser: unknown = 'parser' in socket && !socket.destroyed ? socket.parser : undefined;
  return isParser(parser) ? parser : undefined;
}

function isParser(parser: unknown): parser is NodeParser {
  if (typeof parser !== 'object' || parser === null || !('onIncoming' in parser) || !('resume' in parser)) return false;
  return typeof parser.onIncoming === 'function' && typeof parser.resume === 'function';
}

function isStop(error: Error): error is Error & { readonly rawPacket: Buffer; readonly bytesParsed: number } {
  if (!('code' in error) || error.code !== 'HPE_PAUSED') return false;
  if (!('rawPacket' in error) || !Buffer.isBuffer(error.rawPacket)) return false;
  return 'bytesParsed' in error && typeof error.bytesParsed === 'number';
}
