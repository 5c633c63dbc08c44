import type { Socket } from 'node:net';

const maxLineBytes = 64 * 1024;
const highWaterBytes = 256 * 1024;

/** The client broke the grammar; the text goes into a `BAD` answer. */
export class ImapSyntaxError extends Error {}

/**
 * Reads lines and counted bytes from a socket, with back-pressure.
 *
 * Both answer `undefined` once the peer is gone. After `detach` the socket is paused and may be handed to TLS; what
 * was buffered is dropped, so that nothing sent before the handshake counts after it (RFC 3501, 6.2.1).
 */
export class ImapInput {
  readonly #socket: Socket;
  readonly #onData = (chunk: Buffer): void => this.#take(chunk);
  readonly #onEnd = (): void => this.#finish();
  #chunks: Buffer[] = [];
  #size = 0;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', this.#onData).on('end', this.#onEnd).on('close', this.#onEnd);
  }

  /**
   * The next line without its end, each byte one character (latin1). Rejects with {@link ImapSyntaxError} beyond
   * 64 KiB.
   */
  async line(): Promise<string | undefined> {
    for (;;) {
      const buffered = this.#joined();
      const end = buffered.indexOf(0x0a);
      if (end > maxLineBytes || (end === -1 && this.#size > maxLineBytes)) throw new ImapSyntaxError('Line too long');
      if (end !== -1)
        return this.#cut(end + 1)
          .toString('latin1')
          .replace(/\r?\n$/, '');
      if (!(await this.#more())) return undefined;
    }
  }

  async bytes(count: number): Promise<Buffer | undefined> {
    while (this.#size < count) {
      if (!(await this.#more())) return undefined;
    }
    return this.#cut(count);
  }

  detach(): void {
    this.#socket.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onEnd).pause();
    this.#chunks = [];
    this.#size = 0;
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#wake !== undefined) this.#wake();
    else if (this.#size > highWaterBytes) this.#socket.pause();
  }

  #finish(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async #more(): Promise<boolean> {
    if (this.#ended) return false;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      this.#socket.resume();
    });
    this.#wake = undefined;
    return !this.#ended || this.#size > 0;
  }

  #joined(): Buffer {
    if (this.#chunks.length !== 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] ?? Buffer.alloc(0);
  }

  #cut(count: number): Buffer {
    const all = this.#joined();
    this.#chunks = [all.subarray(count)];
    this.#size -= count;
    return all.subarray(0, count);
  }
}
