import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { discardBody } from './reply.ts';
import { noteSpent } from './spent-buffers.ts';

/**
 * The body of a client's request, as undici reads it. A stream of its own, because undici destroys the body that it
 * was given when an answer comes early, and with the request itself the client's connection would go. It ends only when
 * the whole body has arrived; a client that leaves before makes it fail, so that no half is ever taken for the whole.
 */
export class Upload extends Readable {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #stallMs: number;
  #expectsContinue: boolean;
  #complete = false;
  #timer: NodeJS.Timeout | undefined;
  readonly #onStall = (): void => void this.#request.socket.destroy();
  readonly #onData = (chunk: Buffer): void => this.#take(chunk);
  readonly #onEnd = (): void => this.#finish();
  readonly #onClose = (): void => this.#cut();

  /** @param stallMs a client that sends nothing for so long, while we would read, is gone */
  constructor(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean, stallMs: number) {
    super({ highWaterMark: 64 * 1024 });
    this.#request = request;
    this.#response = response;
    this.#expectsContinue = expectsContinue;
    this.#stallMs = stallMs;
    request.on('data', this.#onData).on('end', this.#onEnd).on('close', this.#onClose);
    request.pause();
  }

  /** Whether all of it has arrived; some may still have to be read. */
  get complete(): boolean {
    return this.#complete;
  }

  /** The answer came early: what the client still sends is read away, so that it gets to read the answer. */
  abandon(): void {
    this.destroy();
    discardBody(this.#request);
  }

  override _read(): void {
    // Only now is it known that a backend takes the body.
    if (this.#expectsContinue && !this.#response.headersSent) this.#response.writeContinue();
    this.#expectsContinue = false;
    this.#timer ??= setTimeout(this.#onStall, this.#stallMs).unref();
    this.#request.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#leave();
    callback(error);
  }

  #take(chunk: Buffer): void {
    noteSpent(chunk.length);
    this.#timer?.refresh();
    if (this.push(chunk)) return;
    this.#request.pause();
    this.#rest();
  }

  #finish(): void {
    this.#leave();
    if (this.#request.complete) {
      this.#complete = true;
      this.push(null);
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
  }
}
