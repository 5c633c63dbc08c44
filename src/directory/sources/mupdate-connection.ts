import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import type { Secret } from '../../core/secrets.ts';
import type { SourceAddress } from '../settings.ts';

/** How a connection to a MUPDATE server authenticates. */
export interface MupdateLogin {
  readonly user: string;
  readonly password: Secret;
  /** Undefined if the operator chose a connection in clear. */
  readonly tls: ((host: string) => ConnectionOptions) | undefined;
}

/** A connection to a MUPDATE server, signed in. */
export interface MupdateConnection {
  readonly isOpen: boolean;
  /** Resolves when the connection has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /**
   * Sends a command and resolves when the server has done it; rejects when the server refuses or the connection ends.
   * `onData` gets the responses under the command's tag, also after it is done (UPDATE never ends).
   */
  command(text: string, onData?: (response: MupdateResponse) => void): Promise<void>;
  close(): void;
}

/** A command that is not done. */
interface PendingCommand {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  readonly onData: (response: MupdateResponse) => void;
}

/** Connects, upgrades to TLS unless told otherwise, and signs in with SASL PLAIN. Rejects soon after `signal`. */
export async function connectMupdate(
  address: SourceAddress,
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
      const plain = conversationOn(socket);
      await plain.banner;
      await plain.command('STARTTLS');
      plain.detach();
      socket = connectTls({ ...login.tls(address.connect.host ?? ''), socket });
      await once(socket, 'secureConnect', { signal });
    }
    const conversation = conversationOn(socket);
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

function conversationOn(socket: Socket): Conversation {
  const reader = createMupdateReader();
  const pending = new Map<string, PendingCommand>();
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
  // The command that waits is rejected with the same error.
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

/** Writes a string for MUPDATE: quoted, or as a literal if it has characters that a quoted string may not have. */
export function mupdateString(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return `"${text.replace(/["\\]/g, '\\$&')}"`;
  return `{${Buffer.byteLength(text)}+}\r\n${text}`;
}

/** One response of a MUPDATE server. */
export interface MupdateResponse {
  readonly tag: string;
  readonly kind: string;
  readonly strings: readonly string[];
}

const maxMupdateResponseBytes = 64 * 1024;
const octets = { lineFeed: 10, carriageReturn: 13, space: 32, quote: 34, backslash: 92 } as const;

/**
 * Reads the responses in the bytes of a MUPDATE server (RFC 3656): atoms, quoted strings and literals, one response per
 * line. `push` returns the responses that are complete; it throws if one is malformed or too long.
 */
export function createMupdateReader(): { push(bytes: Buffer): readonly MupdateResponse[] } {
  let received: Buffer = Buffer.alloc(0);
  return {
    push(bytes) {
      received = received.length === 0 ? bytes : Buffer.concat([received, bytes]);
      const responses: MupdateResponse[] = [];
      let at = 0;
      for (;;) {
        const read = readResponse(received, at);
        if (read === undefined) break;
        responses.push(read.response);
        at = read.end;
      }
      received = received.subarray(at);
      if (received.length > maxMupdateResponseBytes) throw new Error('sent a response without end');
      return responses;
    },
  };
}

function readResponse(
  bytes: Buffer,
  from: number,
): { readonly response: MupdateResponse; readonly end: number } | undefined {
  const words: string[] = [];
  let at = from;
  for (;;) {
    while (bytes[at] === octets.space) at += 1;
    const byte = bytes[at];
    if (byte === undefined) return undefined;
    if (byte === octets.lineFeed || byte === octets.carriageReturn) {
      const end = bytes.indexOf(octets.lineFeed, at);
      if (end === -1) return undefined;
      const [tag, kind, ...strings] = words;
      if (tag === undefined || kind === undefined) throw new Error('sent a line that is not a response');
      return { response: { tag, kind: kind.toUpperCase(), strings }, end: end + 1 };
    }
    const word = byte === octets.quote ? readQuoted(bytes, at) : readWord(bytes, at);
    if (word === undefined) return undefined;
    words.push(word.text);
    at = word.end;
  }
}

interface Word {
  readonly text: string;
  readonly end: number;
}

function readQuoted(bytes: Buffer, from: number): Word | undefined {
  for (let at = from + 1; at < bytes.length; at += 1) {
    if (bytes[at] === octets.backslash) at += 1;
    else if (bytes[at] === octets.lineFeed) throw new Error('sent a string that does not end');
    else if (bytes[at] === octets.quote) {
      return { text: bytes.toString('utf8', from + 1, at).replace(/\\(.)/gs, '$1'), end: at + 1 };
    }
  }
  return undefined;
}

/** Reads an atom, or a literal: `{5}` or `{5+}`, the line end, and so many bytes. */
function readWord(bytes: Buffer, from: number): Word | undefined {
  let end = from;
  while (
    end < bytes.length &&
    bytes[end] !== octets.space &&
    bytes[end] !== octets.lineFeed &&
    bytes[end] !== octets.carriageReturn
  )
    end += 1;
  if (end === bytes.length) return undefined;
  const text = bytes.toString('utf8', from, end);
  const length = /^\{(\d{1,6})\+?\}$/.exec(text)?.[1];
  if (length === undefined || bytes[end] === octets.space) return { text, end };
  const start = bytes.indexOf(octets.lineFeed, end) + 1;
  if (start === 0 || start + Number(length) > bytes.length) return undefined;
  if (Number(length) > maxMupdateResponseBytes) throw new Error('sent a string that is too long');
  return { text: bytes.toString('utf8', start, start + Number(length)), end: start + Number(length) };
}
