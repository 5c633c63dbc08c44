import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { clientOf, keyPair, oddPassword, plainMessage, rawClientOf, serve, speaking } from './imap-peers.fixture.ts';

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
