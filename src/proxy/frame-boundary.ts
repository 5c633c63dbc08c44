const longestHead = 14;

/**
 * Follows the frames of a WebSocket (RFC 6455, 5.2) as their bytes pass, so that a frame of our own is never put inside
 * another. The bytes are looked at, not kept.
 */
export class FrameBoundary {
  readonly #head = Buffer.alloc(longestHead);
  #headBytes = 0;
  #payloadLeft = 0;

  /** Whether all that has passed are whole frames. */
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
export function closeFrame(code: number): Buffer {
  const frame = Buffer.from([0x88, 2, 0, 0]);
  frame.writeUInt16BE(code, 2);
  return frame;
}
