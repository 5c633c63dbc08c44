import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';

/**
 * The first `limit` bytes of a body, decoded as it arrives; the raw bytes stay with the caller. A body in an unknown
 * coding, or a broken one, simply gives no more bytes. `close` it when it is no longer wanted.
 */
export class DecodedStart {
  readonly #limit: number;
  readonly #decoder: Transform | undefined;
  readonly #parts: Uint8Array[] = [];
  #length = 0;
  #over = false;
  readonly #waiting = new Set<() => void>();

  constructor(coding: string | undefined, limit: number) {
    this.#limit = limit;
    const decoder = decoderOf(coding);
    if (decoder === 'unknown') this.#over = true;
    if (decoder === 'unknown' || decoder === 'identity') return;
    this.#decoder = decoder;
    decoder.on('data', (part: Buffer) => this.#take(part));
    decoder.on('error', () => this.#finish());
    decoder.on('end', () => this.#finish());
  }

  /** Whether more input would change nothing. */
  get over(): boolean {
    return this.#over;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  /** Calls `done` once the chunk is decoded: at once where there is nothing to decode. */
  feed(chunk: Buffer, done: () => void): void {
    if (this.#decoder === undefined || this.#over) {
      if (!this.#over) this.#take(chunk);
      done();
      return;
    }
    const once = this.#once(done);
    this.#decoder.write(chunk, once);
  }

  /** Calls `done` once all that was fed is decoded. */
  end(done: () => void): void {
    if (this.#decoder === undefined || this.#over) {
      this.#over = true;
      done();
      return;
    }
    this.#once(done);
    this.#decoder.end();
  }

  close(): void {
    this.#over = true;
    this.#waiting.clear();
    this.#decoder?.destroy();
  }

  #once(done: () => void): () => void {
    const once = (): void => {
      if (this.#waiting.delete(once)) done();
    };
    this.#waiting.add(once);
    return once;
  }

  #take(part: Uint8Array): void {
    const room = this.#limit - this.#length;
    if (room > 0) {
      const taken = part.subarray(0, room);
      this.#parts.push(taken);
      this.#length += taken.length;
    }
    if (this.#length >= this.#limit) this.#finish();
  }

  #finish(): void {
    this.#over = true;
    this.#decoder?.destroy();
    for (const once of this.#waiting) once();
  }
}

function decoderOf(coding: string | undefined): Transform | 'identity' | 'unknown' {
  switch (coding?.trim().toLowerCase()) {
    case undefined:
    case '':
    case 'identity':
      return 'identity';
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'deflate':
      return createInflate();
    case 'br':
      return createBrotliDecompress();
    case 'zstd':
      return createZstdDecompress();
    default:
      return 'unknown';
  }
}
