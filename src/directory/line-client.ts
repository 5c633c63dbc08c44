import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { untilAborted } from '../core/deadline.ts';
import type { SourceAddress } from './settings.ts';
import { badAnswer, couldNotAsk } from './source.ts';

/** Finds the reply in the bytes received so far; undefined until it is complete. Throws if they break the protocol. */
type ReadReply = (received: Buffer) => string | undefined;

const maxConnections = 16;
const maxReplyBytes = 64 * 1024;

/**
 * Keeps connections to a server that answers one question after the other, and asks each question on a free one.
 *
 * The server may have closed a kept connection meanwhile: a question that got no byte back on such a one is asked once
 * more on a new one. A connection whose question was given up is closed: its late reply would be taken for the reply to
 * the next question.
 */
export class LineClient implements AsyncDisposable {
  readonly #address: SourceAddress;
  readonly #readReply: ReadReply;
  readonly #idle: Socket[] = [];
  readonly #all = new Set<Socket>();
  readonly #waiting = new Set<() => void>();
  readonly #closing = new AbortController();

  constructor(address: SourceAddress, readReply: ReadReply) {
    this.#address = address;
    this.#readReply = readReply;
  }

  /**
   * Sends one question and resolves with its reply. Rejects with {@link couldNotAsk} when the server cannot be reached
   * or hangs up, with {@link badAnswer} when the reply is too long or breaks the protocol, and with the signal's reason
   * when it is aborted.
   */
  async ask(question: string, signal: AbortSignal): Promise<string> {
    const { socket, isFresh } = await this.#take(signal);
    const result = await exchangeLine(socket, question, this.#readReply, signal);
    if (result.kind === 'reply') {
      this.#idle.push(socket);
      this.#wakeOne();
      return result.text;
    }
    socket.destroy();
    signal.throwIfAborted();
    if (result.kind === 'silent' && !isFresh) return this.ask(question, signal);
    if (result.kind === 'broken') throw badAnswer(`${this.#address.label} ${result.why}`);
    throw couldNotAsk(`${this.#address.label} closed the connection before it answered`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(couldNotAsk('the source is closed'));
    for (const socket of this.#all) socket.destroy();
    for (const wake of this.#waiting) wake();
  }

  /** A free connection, or a new one; waits while all are in use. */
  async #take(signal: AbortSignal): Promise<{ readonly socket: Socket; readonly isFresh: boolean }> {
    for (;;) {
      signal.throwIfAborted();
      this.#closing.signal.throwIfAborted();
      const socket = this.#idle.pop();
      if (socket !== undefined && !socket.destroyed) return { socket, isFresh: false };
      if (socket !== undefined) continue;
      if (this.#all.size < maxConnections) return { socket: await this.#dial(signal), isFresh: true };
      await this.#waitForOne(signal);
    }
  }

  async #waitForOne(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    try {
      await untilAborted(promise, signal);
    } finally {
      this.#waiting.delete(resolve);
    }
  }

  #wakeOne(): void {
    const [wake] = this.#waiting;
    if (wake === undefined) return;
    this.#waiting.delete(wake);
    wake();
  }

  async #dial(signal: AbortSignal): Promise<Socket> {
    const socket = connect(this.#address.connect);
    this.#all.add(socket);
    // Dialling and each exchange listen by themselves; an idle connection may fail without anybody to tell.
    socket.on('error', () => {});
    // Bytes that come without a question would be taken for the reply to the next one.
    socket.on('data', () => this.#idle.includes(socket) && socket.destroy());
    socket.once('close', () => {
      this.#all.delete(socket);
      this.#wakeOne();
    });
    try {
      await once(socket, 'connect', { signal });
      return socket.setNoDelay(true);
    } catch (error) {
      socket.destroy();
      signal.throwIfAborted();
      throw couldNotAsk(`${this.#address.label} cannot be reached: ${errorText(error)}`, error);
    }
  }
}

type LineResult =
  | { readonly kind: 'reply'; readonly text: string }
  | { readonly kind: 'broken'; readonly why: string }
  /** The connection ended: `silent` before any byte of a reply came. */
  | { readonly kind: 'silent' | 'ended' };

/** One question and its reply on a connection. Never rejects; an aborted signal counts as the connection's end. */
function exchangeLine(
  socket: Socket,
  question: string,
  readReply: ReadReply,
  signal: AbortSignal,
): Promise<LineResult> {
  const { promise, resolve } = Promise.withResolvers<LineResult>();
  let received: Buffer = Buffer.alloc(0);
  const onData = (bytes: Buffer): void => {
    received = Buffer.concat([received, bytes]);
    if (received.length > maxReplyBytes)
      resolve({ kind: 'broken', why: `answered with more than ${maxReplyBytes} bytes` });
    try {
      const text = readReply(received);
      if (text !== undefined) resolve({ kind: 'reply', text });
    } catch (error) {
      resolve({ kind: 'broken', why: errorText(error) });
    }
  };
  const onEnd = (): void => resolve({ kind: received.length === 0 ? 'silent' : 'ended' });
  socket.on('data', onData).once('close', onEnd).once('end', onEnd);
  signal.addEventListener('abort', onEnd, { once: true });
  socket.write(question);
  return promise.finally(() => {
    socket.off('data', onData).off('close', onEnd).off('end', onEnd);
    signal.removeEventListener('abort', onEnd);
  });
}

function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
