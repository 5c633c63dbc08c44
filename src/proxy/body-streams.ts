import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { collectYoung } from '../core/garbage-collection.ts';
import { discardBody } from './reply.ts';
import type { UpstreamHead } from './response-headers.ts';

/**
 * Writes a backend's answer to the client. The head goes out with the first bytes of the body; until then another
 * answer may replace it.
 */
export class AnswerWriter {
  bytes = 0;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  /** Bytes that are still to be written; Infinity if that is not known. */
  #left = Infinity;
  #insertion: Insertion | undefined;
  #head: { readonly status: number; readonly fields: string[] } | undefined;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request;
    this.#response = response;
  }

  /** Takes the head of the answer. `fields`: the rebuilt ones, names and values in turn. */
  begin(upstream: UpstreamHead, fields: string[], insertion: Insertion | undefined): void {
    this.#insertion = insertion;
    if (insertion === undefined && this.#request.method !== 'HEAD') this.#left = upstream.contentLength;
    this.#head = { status: upstream.status, fields };
  }

  #writeHead(): void {
    const head = this.#head;
    if (head === undefined) return;
    this.#head = undefined;
    this.#response.sendDate = false;
    this.#response.writeHead(head.status, head.fields);
  }

  /** Whether the client takes more; if not, wait for `drain`. */
  write(received: Buffer): boolean {
    this.#writeHead();
    const chunk = this.#insertion === undefined ? received : this.#insertion.feed(received);
    this.bytes += chunk.length;
    noteSpent(chunk.length);
    this.#left -= chunk.length;
    if (this.#left !== 0) return this.#response.write(chunk);
    // One system call fewer than write() and end().
    this.#response.end(chunk);
    return true;
  }

  finish(): void {
    if (this.#response.writableEnded) return;
    this.#writeHead();
    if (this.#insertion === undefined) this.#response.end();
    else this.#response.end(this.#insertion.finish());
  }
}

/** The minimum pace of a client that sends a body. */
export interface UploadPace {
  /** How often a client's pace is checked; a client that sends nothing for this long is cut. */
  readonly stallMs: number;
  /** Minimum average pace over each `stallMs`. */
  readonly uploadBytesPerSecond: number;
}

/**
 * The body of a client's request, as undici reads it. It is a stream of its own, because undici destroys the body when
 * an answer comes early; destroying the request itself would close the client's connection. It ends only when the whole
 * body has arrived. If the client leaves before, it fails, so that half a body is never taken for the whole.
 */
export class Upload extends Readable {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #pace: UploadPace;
  readonly #expectsContinue: boolean;
  #complete = false;
  #timer: NodeJS.Timeout | undefined;
  /** Bytes received. */
  bytes = 0;
  /** Bytes received since the last check of the pace. */
  #arrived = 0;
  #begun: (() => void) | undefined;
  readonly #onPaceTimer = (): void => this.#checkPace();
  readonly #onData = (chunk: Buffer): void => this.#take(chunk);
  readonly #onEnd = (): void => this.#finish();
  readonly #onClose = (): void => this.#cut();

  constructor(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean, pace: UploadPace) {
    super({ highWaterMark: 64 * 1024 });
    this.#request = request;
    this.#response = response;
    this.#expectsContinue = expectsContinue;
    this.#pace = pace;
    request.on('data', this.#onData).on('end', this.#onEnd).on('close', this.#onClose);
    request.pause();
  }

  /** Whether all of it has arrived; some may still have to be read. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Asks the client for its body, and calls `begun` once its first bytes have arrived. */
  begin(begun: () => void): void {
    this.#begun = begun;
    if (this.#expectsContinue && !this.#response.headersSent) this.#response.writeContinue();
    this.#want();
  }

  /** Discards what the client still sends after an early answer, so that the client gets to read that answer. */
  abandon(): void {
    this.destroy();
    discardBody(this.#request);
  }

  override _read(): void {
    this.#want();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#leave();
    callback(error);
  }

  #take(chunk: Buffer): void {
    noteSpent(chunk.length);
    this.bytes += chunk.length;
    this.#arrived += chunk.length;
    if (!this.push(chunk)) {
      this.#request.pause();
      this.#rest();
    }
    this.#begins();
  }

  #begins(): void {
    const begun = this.#begun;
    this.#begun = undefined;
    begun?.();
  }

  #want(): void {
    this.#timer ??= setTimeout(this.#onPaceTimer, this.#pace.stallMs).unref();
    this.#request.resume();
  }

  /** Cuts a client that sends too slowly: it keeps a connection to its backend from others. */
  #checkPace(): void {
    const { stallMs, uploadBytesPerSecond } = this.#pace;
    if (this.#arrived < Math.max(1, (uploadBytesPerSecond * stallMs) / 1000)) {
      this.#request.socket.destroy();
      return;
    }
    this.#arrived = 0;
    this.#timer?.refresh();
  }

  #finish(): void {
    this.#leave();
    if (this.#request.complete) {
      this.#complete = true;
      this.push(null);
      this.#begins();
    } else this.destroy(new Error('the client left in the middle of its request'));
  }

  #cut(): void {
    if (!this.readableEnded && !this.#request.complete) {
      this.destroy(new Error('the client left in the middle of its request'));
    }
  }

  #leave(): void {
    this.#request.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onClose);
    this.#rest();
  }

  /** Stops checking the pace: nobody waits for the client. */
  #rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#arrived = 0;
  }
}

const collectAfterBytes = 32 * 1024 * 1024;

let spentBytes = 0;

/**
 * Counts the bytes of bodies, and makes V8 free their buffers in time.
 *
 * Each 64 KB of a body arrive in a buffer outside V8's heap. V8 collects the whole heap after each 64 MB of those. That
 * takes 30 to 70 ms of CPU, and more with each session in memory, although all these buffers are young. A minor
 * collection frees the same in a millisecond. With it, big bodies cost half as much (docs/performance.md).
 */
export function noteSpent(bytes: number): void {
  spentBytes += bytes;
  if (spentBytes < collectAfterBytes) return;
  spentBytes = 0;
  collectYoung();
}

/** Text that may precede the head of a document: byte order mark, white space, comments, the doctype, `<html>`. */
const documentStart =
  /^(?:\u00ef\u00bb\u00bf|\s+|<!--[^]*?-->|<![a-z][^>]*>|<\?[^>]*>|<html(?:\s(?:"[^"]*"|'[^']*'|[^'">])*)?>)/i;
const headTag = /^<head(?:\s(?:"[^"]*"|'[^']*'|[^'">])*)?>/i;
/** Within these bytes the place is decided, whatever the document begins with. */
const maxDocumentStart = 64 * 1024;

/**
 * Writes a text into an HTML document, as the first thing in its head. Feed it the document in chunks: it returns what
 * may go on, and holds back a bounded part.
 */
export class Insertion {
  readonly #text: Buffer;
  #held = '';
  #done = false;

  /** `text` must be ASCII. */
  constructor(text: string) {
    this.#text = Buffer.from(text, 'latin1');
  }

  feed(chunk: Buffer): Buffer {
    if (this.#done) return chunk;
    // Reads bytes as characters: the tags are ASCII in every charset that a webmail uses.
    this.#held += chunk.toString('latin1');
    const at = insertionPoint(this.#held);
    if (at === undefined && this.#held.length < maxDocumentStart) return Buffer.alloc(0);
    return this.#insert(at ?? 0);
  }

  /** Returns the rest once the document has ended. */
  finish(): Buffer {
    return this.#done ? Buffer.alloc(0) : this.#insert(insertionPoint(`${this.#held}<body>`) ?? 0);
  }

  #insert(at: number): Buffer {
    this.#done = true;
    const held = Buffer.from(this.#held, 'latin1');
    this.#held = '';
    return Buffer.concat([held.subarray(0, at), this.#text, held.subarray(at)]);
  }
}

/** The offset for the text; undefined until enough of the document has arrived. */
function insertionPoint(document: string): number | undefined {
  let at = 0;
  let rest = document;
  for (let found = documentStart.exec(rest); found !== null; found = documentStart.exec(rest)) {
    at += found[0].length;
    rest = document.slice(at);
  }
  const head = headTag.exec(rest);
  if (head !== null) return at + head[0].length;
  return isUndecided(rest) ? undefined : at;
}

/** Whether the bytes so far may still become a comment, a doctype, `<html>` or `<head>`. */
function isUndecided(rest: string): boolean {
  if (rest === '') return true;
  if (/^<(?:!|\?|html[\s>]|head[\s>])/i.test(rest)) return true;
  const start = rest.slice(0, 6).toLowerCase();
  return ['<html>', '<head>', '\u00ef\u00bb\u00bf'].some((tag) => tag.startsWith(start));
}
