import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { untilAborted } from '../core/deadline.ts';
import type { ServerAddress } from './settings.ts';
import { badAnswer, couldNotAsk } from './source.ts';

/** Finds the reply in the bytes received so far; undefined until it is complete. */
type ReadReply = (received: Buffer) => string | undefined;

interface Conversations extends AsyncDisposable {
  /**
   * Sends one question and resolves with its reply. Rejects with {@link couldNotAsk} when the server cannot be reached
   * or hangs up, with {@link badAnswer} when the reply is longer than allowed or breaks the protocol, and when `signal`
   * is aborted.
   */
  ask(question: string, signal: AbortSignal): Promise<string>;
}

const maxConnections = 16;
const maxReplyBytes = 64 * 1024;

/**
 * Keeps connections to a server that answers one question after the other, and asks each question on a free one.
 *
 * A kept connection may have been closed by the server: a question that got not one byte back on such a one is asked
 * once more on a new one. A connection whose question was given up is closed: its late reply would be taken for the
 * next one's.
 */
export function createConversations(address: ServerAddress, readReply: ReadReply): Conversations {
  const idle: Socket[] = [];
  const all = new Set<Socket>();
  const waiting = new Set<() => void>();
  const closing = new AbortController();

  async function take(signal: AbortSignal): Promise<{ readonly socket: Socket; readonly isFresh: boolean }> {
    for (;;) {
      signal.throwIfAborted();
      closing.signal.throwIfAborted();
      const socket = idle.pop();
      if (socket !== undefined && !socket.destroyed) return { socket, isFresh: false };
      if (socket === undefined && all.size < maxConnections) return { socket: await dial(signal), isFresh: true };
      if (socket === undefined) await turn(signal);
    }
  }

  /** Waits until a connection is free, or may be made. */
  async function turn(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.add(resolve);
    try {
      await untilAborted(promise, signal);
    } finally {
      waiting.delete(resolve);
    }
  }

  function wakeOne(): void {
    const [next] = waiting;
    if (next === undefined) return;
    waiting.delete(next);
    next();
  }

  async function dial(signal: AbortSignal): Promise<Socket> {
    const socket = connect(address.connect);
    all.add(socket);
    // Whoever waits for this connection hears of its errors by itself; between questions there is nobody to tell.
    socket.on('error', () => {});
    // What comes without a question would be taken for the answer to the next one.
    socket.on('data', () => idle.includes(socket) && socket.destroy());
    socket.once('close', () => {
      all.delete(socket);
      wakeOne();
    });
    try {
      await once(socket, 'connect', { signal });
      return socket.setNoDelay(true);
    } catch (error) {
      socket.destroy();
      signal.throwIfAborted();
      throw couldNotAsk(`${address.label} cannot be reached: ${messageOf(error)}`, error);
    }
  }

  function giveBack(socket: Socket): void {
    idle.push(socket);
    wakeOne();
  }

  async function ask(question: string, signal: AbortSignal): Promise<string> {
    const { socket, isFresh } = await take(signal);
    const outcome = await converse(socket, question, readReply, signal);
    if (outcome.kind === 'reply') {
      giveBack(socket);
      return outcome.text;
    }
    socket.destroy();
    signal.throwIfAborted();
    if (outcome.kind === 'silent' && !isFresh) return ask(question, signal);
    if (outcome.kind === 'broken') throw badAnswer(`${address.label} ${outcome.why}`);
    throw couldNotAsk(`${address.label} hung up before it answered`);
  }

  return {
    ask,
    async [Symbol.asyncDispose]() {
      closing.abort(couldNotAsk('the source is closed'));
      for (const socket of all) socket.destroy();
      for (const resolve of waiting) resolve();
    },
  };
}

type Outcome =
  | { readonly kind: 'reply'; readonly text: string }
  | { readonly kind: 'broken'; readonly why: string }
  /** The connection ended: `silent` before any byte of a reply came. */
  | { readonly kind: 'silent' | 'ended' };

function converse(socket: Socket, question: string, readReply: ReadReply, signal: AbortSignal): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  let received: Buffer = Buffer.alloc(0);
  const onData = (bytes: Buffer): void => {
    received = Buffer.concat([received, bytes]);
    if (received.length > maxReplyBytes)
      resolve({ kind: 'broken', why: `answered with more than ${maxReplyBytes} bytes` });
    try {
      const text = readReply(received);
      if (text !== undefined) resolve({ kind: 'reply', text });
    } catch (error) {
      resolve({ kind: 'broken', why: messageOf(error) });
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

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
