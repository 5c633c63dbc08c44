import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { discardBody } from './reply.ts';
import { noteSpent } from './spent-buffers.ts';

/** How slowly a client may send a body that we would read. */
export interface UploadPace {
  /** A client that sends nothing for so long is gone; how often its pace is looked at. */
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
