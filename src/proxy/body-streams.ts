import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { collectYoung } from '../core/garbage-collection.ts';
import { discardBody } from './reply.ts';
import type { UpstreamHead } from './response-headers.ts';

/**
 * Writes a backend's answer to the client. Its head goes out with the first of its body: until then another answer may
 * take its place.
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

  /** @param fields names and values in turn, rebuilt */
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

/** How slowly a client may send a body that we would read. */
export interface UploadPace {
  /** How often a client's pace is checked; one that sends nothing for this long is gone. */
  readonly stallMs: number;
  /** The least that it must send on average, over each such time. */
  readonly uploadBytesPerSecond: number;
}

/**
 * The body of a client's request, as undici reads it. A stream of its own, because undici destroys the body that it
 * was given when an answer comes early, and with the request itself the client's connection would go. It ends only when
 * the whole body has arrived; a client that leaves before makes it fail, so that no half is ever taken for the whole.
 */
export class Upload extends Readable {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #pace: UploadPace;
  readonly #expectsContinue: boolean;
  #complete = false;
  #timer: NodeJS.Timeout | undefined;
  /** Bytes that came since the client was waited for, or since the last look. */
  #arrived = 0;
  #begun: (() => void) | undefined;
  readonly #onLook = (): void => this.#look();
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

  /** Asks the client for its body, and calls `begun` once the first of it has come. */
  begin(begun: () => void): void {
    this.#begun = begun;
    if (this.#expectsContinue && !this.#response.headersSent) this.#response.writeContinue();
    this.#want();
  }

  /** The answer came early: what the client still sends is read away, so that it gets to read the answer. */
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
    this.#timer ??= setTimeout(this.#onLook, this.#pace.stallMs).unref();
    this.#request.resume();
  }

  /** A client that is waited for and sends too little keeps a connection of its backend from others. */
  #look(): void {
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

  /** The client is not waited for. */
  #rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#arrived = 0;
  }
}

const collectAfterBytes = 32 * 1024 * 1024;

let spentBytes = 0;

/**
 * Counts what has gone by of bodies, and has V8 free the buffers in time.
 *
 * Each 64 KB of a body come in a buffer outside of V8's heap. V8 collects the whole heap after each 64 MB of those:
 * 30 to 70 ms of CPU, and more with each session in memory, for buffers that were all new. A minor collection frees
 * the same in a millisecond. Big bodies cost half with it (docs/performance.md).
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
/** Whatever a document begins with, it is decided within these bytes. */
const maxDocumentStart = 64 * 1024;

/**
 * Writes a text into an HTML document, as the first thing in its head. It is fed the document as it comes and gives
 * back what may go on; what it holds back is bounded.
 */
export class Insertion {
  readonly #text: Buffer;
  #held = '';
  #done = false;

  /** @param text ASCII */
  constructor(text: string) {
    this.#text = Buffer.from(text, 'latin1');
  }

  feed(chunk: Buffer): Buffer {
    if (this.#done) return chunk;
    // Bytes as characters: what is looked for is ASCII in every coding that a webmail uses.
    this.#held += chunk.toString('latin1');
    const at = insertionPoint(this.#held);
    if (at === undefined && this.#held.length < maxDocumentStart) return Buffer.alloc(0);
    return this.#insert(at ?? 0);
  }

  /** The rest when the document ends. */
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

/** Where the text goes; undefined while the beginning is not all there. */
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

/** Whether what is there may still become a comment, a doctype, `<html>` or `<head>`. */
function isUndecided(rest: string): boolean {
  if (rest === '') return true;
  if (/^<(?:!|\?|html[\s>]|head[\s>])/i.test(rest)) return true;
  const start = rest.slice(0, 6).toLowerCase();
  return ['<html>', '<head>', '\u00ef\u00bb\u00bf'].some((tag) => tag.startsWith(start));
}
