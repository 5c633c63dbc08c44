import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Insertion } from './insertion.ts';
import type { UpstreamHead } from './response-headers.ts';
import { noteSpent } from './spent-buffers.ts';

/**
 * Writes a backend's answer to the client. Its head goes out with the first of its body: until then another answer may
 * take its place.
 */
export class Answering {
  bytes = 0;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  /** What is still to come of a body of known length. */
  #left: number | undefined;
  #insertion: Insertion | undefined;
  #head: { readonly status: number; readonly fields: string[] } | undefined;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request;
    this.#response = response;
  }

  /** @param fields names and values in turn, rebuilt */
  begin(upstream: UpstreamHead, fields: string[], insertion: Insertion | undefined): void {
    this.#insertion = insertion;
    const length = upstream.header('content-length');
    if (length !== undefined && insertion === undefined && this.#request.method !== 'HEAD') this.#left = Number(length);
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
    if (this.#left !== undefined) {
      this.#left -= chunk.length;
      if (this.#left === 0) {
        // One system call fewer than write() and end().
        this.#response.end(chunk);
        return true;
      }
    }
    return this.#response.write(chunk);
  }

  finish(): void {
    if (this.#response.writableEnded) return;
    this.#writeHead();
    if (this.#insertion === undefined) this.#response.end();
    else this.#response.end(this.#insertion.finish());
  }
}
