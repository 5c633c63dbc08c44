import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface, type Interface } from 'node:readline';
import type { TestContext } from 'node:test';
import { ImapFlow, type ImapFlowOptions } from 'imapflow';
import { createCertificate } from '../../demo/certificate.ts';
import { type ImapServer, type ImapServerOptions, startImapServer } from '../../demo/imap-server.ts';

/** The certificate of every server here. */
export const keyPair = createCertificate(['localhost', '127.0.0.1'], Date.now());
/** Alice's password. */
export const oddPassword = 'Paß "wört" \\1 €';

const crlf = (...lines: readonly string[]): Buffer => Buffer.from(lines.join('\r\n'));
export const plainMessage = crlf(
  'From: "Alice, A." <alice@example.test>',
  'To: bob@example.test',
  'Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=',
  'Date: Mon, 6 Oct 2025 09:30:00 +0200',
  'Message-ID: <one@example.test>',
  '',
  'first line',
  'second line',
  '',
);
export const mixedMessage = crlf(
  'From: bob@example.test',
  'Subject: two parts',
  'Content-Type: multipart/mixed; boundary="b1"',
  '',
  'preamble',
  '--b1',
  'Content-Type: text/plain; charset=utf-8',
  '',
  'hello',
  '--b1',
  'Content-Type: application/octet-stream; name="a.bin"',
  'Content-Disposition: attachment; filename="a.bin"',
  'Content-Transfer-Encoding: base64',
  '',
  'AAEC',
  '--b1',
  'Content-Type: message/rfc822',
  '',
  'Subject: inner',
  '',
  'inside',
  '--b1--',
  '',
);

/** A server for Alice and Bob that ends with the test. */
export async function serve(t: TestContext, options: Partial<ImapServerOptions> = {}): Promise<ImapServer> {
  const users = { 'alice@example.test': oddPassword, 'bob@example.test': 'builder' };
  const server = await startImapServer({ users, keyPair, security: 'tls', ...options });
  t.after(() => server.close());
  return server;
}

/** An imapflow client, by default as Alice. */
export function clientOf(t: TestContext, server: ImapServer, options: Partial<ImapFlowOptions> = {}): ImapFlow {
  const client = new ImapFlow({
    host: server.hostname,
    port: server.port,
    secure: true,
    auth: { user: 'alice@example.test', pass: oddPassword },
    tls: { ca: keyPair.certificate },
    logger: false,
    ...options,
  });
  client.on('error', () => undefined);
  t.after(() => client.close());
  return client;
}

/** A client that sends exactly what it is told, line by line. */
export interface RawClient {
  readonly socket: Socket;
  send(text: string): void;
  /** Reads lines up to and including the one that starts so. */
  until(start: string): Promise<readonly string[]>;
}

export async function rawClientOf(t: TestContext, server: ImapServer): Promise<RawClient> {
  const socket = connect(server.port, server.hostname);
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return speaking(socket);
}

export function speaking(socket: Socket): RawClient {
  const reader: Interface = createInterface({ input: socket, crlfDelay: Number.POSITIVE_INFINITY });
  const lines = reader[Symbol.asyncIterator]();
  return {
    socket,
    send: (text) => void socket.write(text),
    async until(start) {
      const seen: string[] = [];
      for (;;) {
        const next = await lines.next();
        if (next.done === true) throw new Error(`The server left before "${start}": ${seen.join(' | ')}`);
        seen.push(next.value);
        if (next.value.startsWith(start)) return seen;
      }
    },
  };
}
