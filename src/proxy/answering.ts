import type { IncomingMessage, ServerResponse } from 'node:http';
import type { UpstreamHead } from './response-headers.ts';
import { noteSpent } from './spent-buffers.ts';

/** Writes a backend's answer to the client. */
export class Answering {
  bytes = 0;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #stallMs: number;
  /** What is still to come of a body of known length. */
  #left: number | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, stallMs: number) {
    this.#request = request;
    this.#response = response;
    this.#stallMs = stallMs;
  }

  /** @param fields names and values in turn, rebuilt */
  begin(upstream: UpstreamHead, fields: string[]): void {
    const length = upstream.header('content-length');
    if (length !== undefined && this.#request.method !== 'HEAD') this.#left = Number(length);
    this.#response.sendDate = false;
    this.#response.writeHead(upstream.status, fields);
  }

  /** Whether the client takes more; if not, wait for `drain`. */
  write(chunk: Buffer): boolean {
    this.bytes += chunk.length;
    noteSpent(chunk.length);
    if (this.#left !== undefined) {
      this.#left -= chunk.length;
      if (this.#left === 0) {
        // One system call fewer than write() and end().
        this.#response.end(chunk);
        return true;
      }
    }
    if (this.#response.write(chunk)) return true;
    this.#request.socket.setTimeout(this.#stallMs);
    return false;
  }

  drained(): void {
    this.#request.socket.setTimeout(0);
  }

  finish(): void {
    if (!this.#response.writableEnded) this.#response.end();
  }
}
