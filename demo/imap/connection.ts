import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import { ImapInput } from './input.ts';
import type { Account, Folder } from './mailbox.ts';

/** The folder that a connection has open. */
export interface Selection {
  readonly folder: Folder;
  readonly readOnly: boolean;
  /** The number of messages that the client knows. */
  known: number;
}

/** One client: its socket and its state. */
export class ImapConnection {
  #socket: Socket;
  #input: ImapInput;
  #secure: boolean;
  account: Account | undefined;
  selected: Selection | undefined;
  /** The client's fields of ID, with names in lower case. */
  clientId: ReadonlyMap<string, string> = new Map();
  ended = false;

  constructor(socket: Socket, secure: boolean) {
    this.#socket = socket;
    this.#secure = secure;
    this.#input = new ImapInput(socket);
    this.#watch(socket);
  }

  get input(): ImapInput {
    return this.#input;
  }

  get secure(): boolean {
    return this.#secure;
  }

  /** Writes one response line; buffers in it are written as they are. */
  send(...chunks: readonly (string | Buffer)[]): void {
    if (!this.#socket.writable) return;
    this.#socket.cork();
    for (const chunk of chunks) this.#socket.write(typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : chunk);
    this.#socket.write('\r\n');
    this.#socket.uncork();
  }

  sendRaw(bytes: string): void {
    if (this.#socket.writable) this.#socket.write(bytes, 'latin1');
  }

  onceEnded(listener: () => void): void {
    if (this.ended) listener();
    else this.#socket.once('close', listener);
  }

  /** Resolves when the client has read what was sent, or is gone. */
  async flushed(): Promise<void> {
    const socket = this.#socket;
    if (socket.destroyed || !socket.writableNeedDrain) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        socket.off('drain', done).off('close', done);
        resolve();
      };
      socket.on('drain', done).on('close', done);
    });
  }

  startTls(secureContext: SecureContext): void {
    this.#input.detach();
    this.#socket = new TLSSocket(this.#socket, { isServer: true, secureContext });
    this.#secure = true;
    this.#input = new ImapInput(this.#socket);
    this.#watch(this.#socket);
  }

  end(): void {
    this.#socket.end();
  }

  /** Ends the connection without an answer. */
  drop(): void {
    this.#socket.destroy();
  }

  #watch(socket: Socket): void {
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy()); // the client went away; there is nobody to tell
    socket.on('close', () => (this.ended = true));
  }
}
