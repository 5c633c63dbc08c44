import type { Transform } from 'node:stream';
import { constants, createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';

/** What may come before `limit` bytes are decoded, beyond those: empty blocks decode to nothing for ever. */
const spareRawBytes = 64 * 1024;
/** RFC 9659: no more than 8 MiB on the web. A decoder reserves the window that it is told. */
const zstdWindowLog = 23;
/** What encoders choose unless told otherwise, 4 MiB. */
const brotliWindowBits = 22;

/**
 * The first `limit` bytes of a body, decoded as it arrives; the raw bytes stay with the caller. A body in an unknown
 * coding, or a broken one, simply gives no more bytes,
 * and so does one that takes too much to decode. `close` it when it is no longer wanted.
 */
export class DecodedStart {
  readonly #limit: number;
  readonly #coding: string | undefined;
  readonly #decoder: Transform | undefined;
  readonly #parts: Uint8Array[] = [];
  #length = 0;
  #fed = 0;
  #over = false;
  #gaveUp = false;
  readonly #waiting = new Set<() => void>();

  constructor(coding: string | undefined, limit: number) {
    this.#limit = limit;
    this.#coding = coding?.trim().toLowerCase();
    const decoder = decoderOf(this.#coding);
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

  /** Whether it ended because it would have taken too much. */
  get gaveUp(): boolean {
    return this.#gaveUp;
  }

  /** Ends it: what it takes is more than it is worth. */
  giveUp(): void {
    if (this.#over) return;
    this.#gaveUp = true;
    this.#finish();
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
    const isFirst = this.#fed === 0;
    this.#fed += chunk.length;
    if (this.#fed > this.#limit + spareRawBytes + chunk.length || (isFirst && this.#isTooWide(chunk))) {
      this.giveUp();
      done();
      return;
    }
    const once = this.#once(done);
    this.#decoder.write(chunk, once);
  }

  #isTooWide(chunk: Buffer): boolean {
    return this.#coding === 'br' && brotliWindow(chunk[0] ?? 0) > brotliWindowBits;
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
  switch (coding) {
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
      return createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: zstdWindowLog } });
    default:
      return 'unknown';
  }
}

/** The window that a brotli stream announces in its first bits (RFC 7932, 9.1); 24 where it is none of the known ones. */
function brotliWindow(first: number): number {
  if ((first & 1) === 0) return 16;
  const high = (first >> 1) & 7;
  if (high > 0) return 17 + high;
  const low = (first >> 4) & 7;
  if (low === 0) return 17;
  return low === 1 ? 24 : 8 + low;
}
