import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { listening, portOf } from '../ports.fixture.ts';
import type { TestCertificate } from './certificates.fixture.ts';

/** Handles one line of the client; `say` sends a line, `raw` sends bytes. */
export interface Turn {
  readonly tag: string;
  readonly command: string;
  readonly line: string;
  readonly socket: net.Socket;
  say(...lines: readonly string[]): void;
  upgrade(certificate: TestCertificate): void;
}

export interface Script {
  /** The greeting; none if left out. */
  readonly greeting?: string;
  readonly certificate?: TestCertificate;
  readonly answer?: (turn: Turn) => void;
  /** Called when a client has connected, after the TLS handshake if the script has a certificate. */
  readonly connected?: () => void;
}

/** An IMAP server that answers only by a script, and keeps every line that it received. */
export class ScriptedImap implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly #script: Script;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  connections = 0;

  private constructor(script: Script) {
    this.#script = script;
    this.#server = net.createServer((socket) => this.#accept(socket));
  }

  static async start(script: Script): Promise<ScriptedImap> {
    const server = new ScriptedImap(script);
    await listening(server.#server);
    return server;
  }

  get port(): number {
    return portOf(this.#server);
  }

  /** Resolves when the client has closed every connection. */
  async abandoned(): Promise<void> {
    while (this.#sockets.size > 0) await Promise.all([...this.#sockets].map((socket) => once(socket, 'close')));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #accept(socket: net.Socket): void {
    this.connections += 1;
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    const { certificate, connected, greeting } = this.#script;
    const ready = certificate === undefined ? socket : secure(socket, certificate);
    if (certificate === undefined) connected?.();
    else ready.once('secure', () => connected?.());
    this.#converse(ready, greeting);
  }

  #converse(socket: net.Socket, greeting: string | undefined): void {
    if (greeting !== undefined) socket.write(`${greeting}\r\n`);
    let rest = '';
    const read = (chunk: Buffer): void => {
      const lines = (rest + chunk.toString('utf8')).split('\r\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#turn(socket, line, read);
    };
    socket.on('data', read);
  }

  #turn(socket: net.Socket, line: string, read: (chunk: Buffer) => void): void {
    this.lines.push(line);
    const [tag = '', command = ''] = line.split(' ');
    this.#script.answer?.({
      tag,
      command: command.toUpperCase(),
      line,
      socket,
      say: (...lines) => socket.write(lines.map((each) => `${each}\r\n`).join('')),
      upgrade: (certificate) => {
        socket.off('data', read);
        this.#converse(secure(socket, certificate), undefined);
      },
    });
  }
}

function secure(socket: net.Socket, certificate: TestCertificate): tls.TLSSocket {
  const secured = new tls.TLSSocket(socket, { isServer: true, cert: certificate.cert, key: certificate.key });
  secured.on('error', () => {});
  return secured;
}
