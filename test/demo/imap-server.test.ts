import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import type { Twist } from '../../demo/imap/server-context.ts';
import { clientOf, mixedMessage, oddPassword, plainMessage, rawClientOf, serve } from './imap-peers.fixture.ts';

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
