import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface, type Interface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { ImapFlow, type ImapFlowOptions } from 'imapflow';
import { createCertificate } from '../../demo/certificate.ts';
import type { Twist } from '../../demo/imap/server-context.ts';
import { type ImapServer, type ImapServerOptions, startImapServer } from '../../demo/imap-server.ts';

const keyPair = createCertificate(['localhost', '127.0.0.1'], Date.now());
const oddPassword = 'Paß "wört" \\1 €';

const crlf = (...lines: readonly string[]): Buffer => Buffer.from(lines.join('\r\n'));
const plainMessage = crlf(
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
const mixedMessage = crlf(
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

async function serve(t: TestContext, options: Partial<ImapServerOptions> = {}): Promise<ImapServer> {
  const users = { 'alice@example.test': oddPassword, 'bob@example.test': 'builder' };
  const server = await startImapServer({ users, keyPair, security: 'tls', ...options });
  t.after(() => server.close());
  return server;
}

function clientOf(t: TestContext, server: ImapServer, options: Partial<ImapFlowOptions> = {}): ImapFlow {
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
interface RawClient {
  readonly socket: Socket;
  send(text: string): void;
  /** Lines up to and with the one that begins so. */
  until(start: string): Promise<readonly string[]>;
}

async function rawClientOf(t: TestContext, server: ImapServer): Promise<RawClient> {
  const socket = connect(server.port, server.hostname);
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return speaking(socket);
}

function speaking(socket: Socket): RawClient {
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

test('a client signs in over TLS with a password of quotes, backslashes and umlauts', async (t) => {
  const server = await serve(t);
  const client = clientOf(t, server, { clientInfo: { 'x-originating-ip': '192.0.2.7' } });
  await client.connect();
  const [attempt] = server.logins;
  assert.equal(attempt?.result, 'ok');
  assert.equal(attempt?.user, 'alice@example.test');
  assert.equal(attempt?.clientId.get('x-originating-ip'), '192.0.2.7');
  assert.equal(server.connections, 1);
  await client.logout();
});

test('a wrong password and an unknown user are refused with AUTHENTICATIONFAILED', async (t) => {
  const server = await serve(t);
  for (const auth of [
    { user: 'alice@example.test', pass: 'no' },
    { user: 'nobody@example.test', pass: oddPassword },
  ]) {
    const client = clientOf(t, server, { auth });
    await assert.rejects(client.connect(), { authenticationFailed: true, serverResponseCode: 'AUTHENTICATIONFAILED' });
  }
  assert.deepEqual(
    server.logins.map(({ result }) => result),
    ['refused', 'refused'],
  );
});

test('a master user opens a mailbox by authzid, and nobody else does', async (t) => {
  const server = await serve(t, { masters: { gateway: 'gateway-pw' } });
  const master = clientOf(t, server, {
    auth: { user: 'gateway', pass: 'gateway-pw', authzid: 'bob@example.test', loginMethod: 'AUTH=PLAIN' },
  });
  await master.connect();
  assert.deepEqual(
    server.logins.map(({ user, actor }) => [user, actor]),
    [['bob@example.test', 'gateway']],
  );
  const user = clientOf(t, server, {
    auth: { user: 'bob@example.test', pass: 'builder', authzid: 'alice@example.test', loginMethod: 'AUTH=PLAIN' },
  });
  await assert.rejects(user.connect(), { authenticationFailed: true });
});

test('with STARTTLS no password is taken before it, and what was sent with it is dropped', async (t) => {
  const server = await serve(t, { security: 'starttls' });
  const flow = clientOf(t, server, { secure: false, doSTARTTLS: true });
  await flow.connect();
  assert.equal(server.logins[0]?.secure, true);

  const raw = await rawClientOf(t, server);
  const [greeting = ''] = await raw.until('* OK');
  assert.match(greeting, /STARTTLS LOGINDISABLED/);
  raw.send('a LOGIN bob@example.test builder\r\n');
  assert.deepEqual(await raw.until('a '), ['a NO [PRIVACYREQUIRED] Use TLS first']);
  raw.send('b STARTTLS\r\nc LOGIN bob@example.test builder\r\n');
  await raw.until('b OK');
  raw.socket.removeAllListeners('data').pause();
  const secure = connectTls({ socket: raw.socket, ca: keyPair.certificate, servername: 'localhost' });
  await once(secure, 'secureConnect');
  const after = speaking(secure);
  after.send('d NOOP\r\n');
  assert.deepEqual(await after.until('d '), ['d OK Nothing done']);
  assert.equal(server.logins.length, 1);
});

test('a message that was appended is read back byte for byte, whole and in parts', async (t) => {
  const server = await serve(t);
  const client = clientOf(t, server);
  await client.connect();
  await client.append('INBOX', plainMessage, ['\\Flagged'], new Date('2025-10-06T07:30:00Z'));
  await client.append('INBOX', mixedMessage);
  assert.deepEqual(
    (await client.list()).map(({ path, specialUse }) => [path, specialUse]),
    [
      ['INBOX', '\\Inbox'],
      ['Sent', '\\Sent'],
    ],
  );
  await client.mailboxOpen('INBOX');
  const query = { envelope: true, flags: true, source: true, internalDate: true, bodyStructure: true } as const;
  const [first, second] = await client.fetchAll('1:*', query);
  assert.equal(first?.envelope?.subject, 'Grüße');
  assert.deepEqual(first?.envelope?.from, [{ name: 'Alice, A.', address: 'alice@example.test' }]);
  assert.deepEqual(first?.internalDate, new Date('2025-10-06T07:30:00Z'));
  assert.deepEqual(first?.flags, new Set(['\\Flagged']));
  assert.deepEqual(first?.source, plainMessage);
  assert.deepEqual(second?.source, mixedMessage);
  assert.deepEqual(
    second?.bodyStructure?.childNodes?.map(({ part, type }) => [part, type]),
    [
      ['1', 'text/plain'],
      ['2', 'application/octet-stream'],
      ['3', 'message/rfc822'],
    ],
  );
  const download = await client.download('2', '2', { uid: true });
  assert.equal(download.meta?.filename, 'a.bin');
  const chunks: Buffer[] = [];
  for await (const chunk of download.content ?? []) chunks.push(Buffer.from(chunk));
  assert.deepEqual(Buffer.concat(chunks), Buffer.from([0, 1, 2]));
});

test('flags are stored and cleared, and reading without PEEK marks as seen', async (t) => {
  const server = await serve(t, { security: 'plain' });
  server.account('bob@example.test').folders[0]?.append(plainMessage, [], new Date(0));
  const raw = await rawClientOf(t, server);
  raw.send('a LOGIN bob@example.test {7+}\r\nbuilder\r\n');
  await raw.until('a OK');
  raw.send('b SELECT inbox\r\nc FETCH 1 (FLAGS BODY.PEEK[HEADER.FIELDS (Subject)])\r\n');
  await raw.until('b OK [READ-WRITE]');
  assert.deepEqual(await raw.until('c '), [
    '* 1 FETCH (FLAGS () BODY[HEADER.FIELDS (Subject)] {40}',
    'Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=',
    '',
    ')',
    'c OK FETCH done',
  ]);
  raw.send('d UID FETCH 1 BODY[TEXT]<6.4>\r\n');
  assert.deepEqual(await raw.until('d '), [
    '* 1 FETCH (UID 1 BODY[TEXT]<6> {4}',
    'line FLAGS (\\Seen))',
    'd OK FETCH done',
  ]);
  raw.send('e UID STORE 1 -FLAGS (\\seen)\r\nf STORE 1 +FLAGS.SILENT (\\Flagged)\r\ng FETCH 1 FLAGS\r\n');
  assert.deepEqual(await raw.until('g '), [
    '* 1 FETCH (UID 1 FLAGS ())',
    'e OK STORE done',
    'f OK STORE done',
    '* 1 FETCH (FLAGS (\\Flagged))',
    'g OK FETCH done',
  ]);
  raw.send('h EXAMINE INBOX\r\ni STORE 1 +FLAGS (\\Seen)\r\n');
  assert.equal((await raw.until('i ')).at(-1), 'i NO The folder was opened read-only');
});

test('synchronising literals are asked for, and new mail is announced', async (t) => {
  const server = await serve(t, { security: 'plain' });
  const raw = await rawClientOf(t, server);
  raw.send('a LOGIN {18}\r\n');
  await raw.until('+ ');
  raw.send('alice@example.test {19}\r\n');
  await raw.until('+ ');
  raw.send(`${oddPassword}\r\nb SELECT INBOX\r\n`);
  await raw.until('b OK');
  raw.send('c APPEND Sent (\\Seen) "06-Oct-2025 09:30:00 +0200" {6}\r\n');
  await raw.until('+ ');
  raw.send('a: b\r\n\r\nd APPEND Nowhere {0+}\r\n\r\n');
  assert.equal((await raw.until('c ')).at(-1), 'c OK [APPENDUID 1 1] Kept');
  await raw.until('d NO [TRYCREATE]');
  server.account('alice@example.test').folders[0]?.append(plainMessage, [], new Date(0));
  raw.send('e NOOP\r\nf STATUS INBOX (MESSAGES UNSEEN)\r\ng LOGOUT\r\n');
  assert.deepEqual(await raw.until('g '), [
    '* 1 EXISTS',
    'e OK Nothing done',
    '* STATUS INBOX (MESSAGES 1 UNSEEN 1)',
    'f OK STATUS done',
    '* BYE Until next time',
    'g OK LOGOUT done',
  ]);
});

const refused: readonly (readonly [sent: string, answer: RegExp])[] = [
  ['x', /^\* BAD /],
  ['a', /^\* BAD /],
  ['a ', /^a BAD /],
  ['a NOSUCH', /^a BAD Unknown command/],
  ['a FETCH 1 FLAGS', /^a BAD Sign in first/],
  ['a LOGIN alice@example.test', /^a BAD Missing argument/],
  ['a LOGIN "open', /^a BAD Unexpected character/],
  ['a LOGIN (x) y', /^a BAD Unexpected list/],
  ['a LOGIN )', /^a BAD Unexpected \)/],
  ['a LOGIN (', /^a BAD Missing \)/],
  [`a LOGIN ${'('.repeat(50)}`, /^a BAD Lists nested too deeply/],
  ['a AUTHENTICATE CRAM-MD5', /^a NO \[CANNOT\]/],
  ['a AUTHENTICATE PLAIN AAAA', /^a (?:BAD|NO)/],
  ['a LOGIN x {99999999999}', /^a BAD/],
  ['a LOGIN x {999999999}', /^\* BYE Literal too large/],
  ['x'.repeat(70_000), /^\* BYE Line too long/],
];

for (const [sent, answer] of refused) {
  test(`"${sent.slice(0, 40)}" is answered with ${answer.source}`, async (t) => {
    const server = await serve(t, { security: 'plain' });
    const raw = await rawClientOf(t, server);
    await raw.until('* OK');
    raw.send(`${sent}\r\n`);
    assert.match((await raw.until('')).at(-1) ?? '', answer);
  });
}

test('a script refuses with a code, delays, drops, hangs, and greets as it likes', async (t) => {
  let twist: Twist | undefined;
  const server = await serve(t, {
    script: ({ verb }) => (verb === 'LOGIN' || verb === 'GREETING' ? twist : undefined),
  });
  const attempt = (): Promise<void> =>
    clientOf(t, server, {
      disableAutoIdle: true,
      auth: { user: 'bob@example.test', pass: 'builder', loginMethod: 'LOGIN' },
      greetingTimeout: 300,
    }).connect();
  await attempt();

  twist = { kind: 'late', ms: 20 };
  await attempt();

  twist = { kind: 'drop' };
  await assert.rejects(attempt());

  twist = { kind: 'hang' };
  await assert.rejects(attempt(), { code: 'GREETING_TIMEOUT' });

  twist = { kind: 'answer', line: 'PREAUTH Welcome without a word' };
  await attempt();
});

test('a script answers LOGIN with UNAVAILABLE', async (t) => {
  const server = await serve(t, {
    script: ({ verb, user }) =>
      verb === 'LOGIN' && user === 'bob@example.test'
        ? { kind: 'answer', line: 'NO [UNAVAILABLE] Not today' }
        : undefined,
  });
  const client = clientOf(t, server, { auth: { user: 'bob@example.test', pass: 'builder', loginMethod: 'LOGIN' } });
  await assert.rejects(client.connect(), { serverResponseCode: 'UNAVAILABLE' });
  assert.equal(server.logins.length, 0);
});

test('closing ends every connection, also one that waits for a held back answer', async (t) => {
  for (const security of ['plain', 'starttls', 'tls'] as const) {
    const server = await serve(t, { security, authFailureDelayMs: 600_000 });
    const raw = await rawClientOf(t, server);
    const gone = once(raw.socket, 'close');
    if (security === 'plain') raw.send('a LOGIN bob@example.test wrong\r\n');
    raw.socket.resume();
    if (security === 'plain') while (server.logins.length === 0) await new Promise((resolve) => setImmediate(resolve));
    else while (server.connections === 0) await new Promise((resolve) => setImmediate(resolve));
    await server.close();
    await gone;
    assert.equal(server.connections, 0);
  }
});
