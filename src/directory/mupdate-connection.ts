import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import type { Secret } from '../core/secret.ts';
import { createMupdateReader, type MupdateResponse } from './mupdate-reader.ts';
import type { ServerAddress } from './server-address.ts';

export interface MupdateLogin {
  readonly user: string;
  readonly password: Secret;
  /** Nothing: in clear, as the operator says. */
  readonly tls: ((host: string) => ConnectionOptions) | undefined;
}

/** A connection to a MUPDATE server, signed in. */
export interface MupdateConnection {
  readonly isOpen: boolean;
  /** Settles when the connection has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /**
   * Sends a command and resolves when the server has done it; rejects when it refuses or the connection ends.
   * `onData` gets what comes under the command's tag, also after it is done (UPDATE never ends).
   */
  command(text: string, onData?: (response: MupdateResponse) => void): Promise<void>;
  close(): void;
}

interface Pending {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  readonly onData: (response: MupdateResponse) => void;
}

/** Connects, upgrades to TLS unless told otherwise, and signs in with SASL PLAIN. Rejects soon after `signal`. */
export async function connectMupdate(
  address: ServerAddress,
  login: MupdateLogin,
  signal: AbortSignal,
): Promise<MupdateConnection> {
  let socket: Socket = connect(address.connect);
  const abort = (): void => void socket.destroy(new Error('was given up'));
  signal.addEventListener('abort', abort, { once: true });
  try {
    signal.throwIfAborted();
    await once(socket, 'connect', { signal });
    if (login.tls !== undefined) {
      const plain = converse(socket);
      await plain.banner;
      await plain.command('STARTTLS');
      plain.detach();
      socket = connectTls({ ...login.tls(address.connect.host ?? ''), socket });
      await once(socket, 'secureConnect', { signal });
    }
    const conversation = converse(socket);
    await conversation.banner;
    const token = Buffer.from(`\0${login.user}\0${login.password.reveal()}`).toString('base64');
    await conversation.command(`AUTHENTICATE "PLAIN" "${token}"`);
    return conversation;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

interface Conversation extends MupdateConnection {
  /** The server's greeting; it comes again after STARTTLS (RFC 3656). */
  readonly banner: Promise<void>;
  /** Stops listening, so that TLS can take the socket over. */
  detach(): void;
}

function converse(socket: Socket): Conversation {
  const reader = createMupdateReader();
  const pending = new Map<string, Pending>();
  const banner = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  let count = 0;
  let isOpen = true;

  const end = (error: Error): void => {
    isOpen = false;
    banner.reject(error);
    for (const { reject } of pending.values()) reject(error);
    pending.clear();
    ended.resolve();
    socket.destroy();
  };
  const onClose = (): void => end(new Error('hung up'));
  const take = (response: MupdateResponse): void => {
    const command = pending.get(response.tag);
    if (response.tag === '*' && response.kind === 'OK') banner.resolve();
    else if (response.tag === '*' && response.kind === 'BYE') end(new Error('said good-bye'));
    else if (response.kind === 'OK') command?.resolve();
    else if (response.kind === 'NO' || response.kind === 'BAD') command?.reject(new Error(`answered ${response.kind}`));
    else command?.onData(response);
  };
  const onData = (bytes: Buffer): void => {
    try {
      for (const response of reader.push(bytes)) take(response);
    } catch (error) {
      end(error instanceof Error ? error : new Error(String(error)));
    }
  };
  socket.on('data', onData).on('error', end).on('close', onClose);
  // The command that waits is rejected too, and says the same.
  banner.promise.catch(() => {});

  return {
    banner: banner.promise,
    ended: ended.promise,
    get isOpen() {
      return isOpen;
    },
    command(text, onData = () => {}) {
      if (!isOpen) return Promise.reject(new Error('the connection is closed'));
      count += 1;
      const tag = `P${count}`;
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      pending.set(tag, { resolve, reject, onData });
      socket.write(`${tag} ${text}\r\n`);
      const isStream = text === 'UPDATE';
      return promise.finally(() => isStream || pending.delete(tag));
    },
    detach() {
      socket.off('data', onData).off('error', end).off('close', onClose);
    },
    close: () => end(new Error('the connection is closed')),
  };
}

/** A string as MUPDATE takes it: quoted, or a literal where it holds what a quoted string may not. */
export function mupdateString(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return `"${text.replace(/["\\]/g, '\\$&')}"`;
  return `{${Buffer.byteLength(text)}+}\r\n${text}`;
}
