import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import { type ClientOptions, WebSocket } from 'ws';
import { signedIn, Visitor } from './mail-site.fixture.ts';

test('a message with attachments arrives at another user, and comes down as it went up', async (t) => {
  const { webmail, visitor } = await signedIn(t);
  const files = [
    { name: 'Bericht für Ümläute (2).bin', bytes: randomBytes(3_000_001) },
    { name: 'empty.txt', bytes: Buffer.alloc(0) },
  ];
  const form = new FormData();
  form.set('token', await visitor.token('/compose'));
  form.set('to', 'Bob <BOB@example.test>, alice@example.test');
  form.set('subject', 'Grüße & <b>Küsse</b> \r\nBcc: mallory@example.test');
  form.set('text', 'Erste Zeile\n<script>alert(1)</script>\n');
  for (const { name, bytes } of files) form.append('files', new Blob([new Uint8Array(bytes)]), name);
  const sent = await visitor.ask('/compose', { method: 'POST', body: form });
  assert.equal(sent.status, 303);
  assert.match(await (await visitor.ask('/mail/Sent')).text(), /To BOB|To bob@example\.test/i);

  const bob = new Visitor(webmail.origin);
  await bob.signIn('bob@example.test', 'builder');
  const list = await (await bob.ask('/mail/INBOX')).text();
  assert.match(list, /class="unseen"/);
  assert.match(list, /Grüße &amp; &lt;b&gt;Küsse&lt;\/b&gt;/);
  const page = await (await bob.ask('/mail/INBOX/1')).text();
  assert.match(page, /Erste Zeile\r?\n&lt;script&gt;alert\(1\)&lt;\/script&gt;/);
  assert.doesNotMatch(await (await bob.ask('/mail/INBOX')).text(), /class="unseen"/);
  for (const [index, { name, bytes }] of files.entries()) {
    const down = await bob.ask(`/mail/INBOX/1/part/${index + 2}`);
    assert.equal(down.headers.get('content-type'), 'application/octet-stream');
    assert.match(down.headers.get('content-disposition') ?? '', /^attachment/);
    assert.ok(page.includes(name));
    assert.ok(Buffer.from(await down.arrayBuffer()).equals(bytes), name);
  }
});

test('a message to somebody unknown is sent to nobody, and the draft is kept', async (t) => {
  const { imap, visitor } = await signedIn(t);
  const form = new FormData();
  form.set('token', await visitor.token('/compose'));
  form.set('to', 'bob@example.test, nobody@example.test');
  form.set('text', 'still here');
  const response = await visitor.ask('/compose', { method: 'POST', body: form });
  assert.equal(response.status, 422);
  const page = await response.text();
  assert.match(page, /Nobody here is called nobody@example\.test\./);
  assert.match(page, /still here/);
  assert.equal(imap.account('bob@example.test').folders[0]?.messages.length, 0);
});

test('a message is not sent without the token of the session', async (t) => {
  const { imap, visitor } = await signedIn(t);
  const form = new FormData();
  form.set('to', 'bob@example.test');
  assert.equal((await visitor.ask('/compose', { method: 'POST', body: form })).status, 403);
  assert.equal((await visitor.post('/compose', { to: 'bob@example.test' })).status, 403);
  assert.equal(imap.account('bob@example.test').folders[0]?.messages.length, 0);
});

test('what is not there answers 404', async (t) => {
  const { visitor } = await signedIn(t);
  for (const path of [
    '/nowhere',
    '/mail/Trash',
    '/mail/INBOX/7',
    '/mail/INBOX/x',
    '/mail/INBOX/7/part/1',
    '/mail/INBOX/1/part/x',
  ]) {
    assert.equal((await visitor.ask(path)).status, 404, path);
  }
});

test('the page of what arrived shows fields escaped and cookies cut', async (t) => {
  const { visitor } = await signedIn(t);
  const response = await visitor.ask('/arrived', { headers: { 'x-strange': '<img src=x>' } });
  const page = await response.text();
  assert.match(page, /&lt;img src=x&gt;/);
  assert.ok(!page.includes(visitor.cookie));
  assert.match(page, /demo_session=[\w-]{6}…/);
});

test('events stream until the session ends', async (t) => {
  const { webmail, visitor } = await signedIn(t);
  const response = await visitor.ask('/api/events');
  assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
  const reader = response.body?.getReader();
  const first = await reader?.read();
  assert.equal(Buffer.from(first?.value ?? []).toString(), 'event: tick\ndata: {"backend":"a","count":1}\n\n');
  webmail.expire();
  assert.equal((await reader?.read())?.done, true);
});

test('a WebSocket echoes until the session ends, and is refused without one', async (t) => {
  const { webmail, visitor } = await signedIn(t);
  const open = (path: string, options: ClientOptions = {}): WebSocket => {
    const socket = new WebSocket(webmail.origin.replace('http', 'ws') + path, options);
    socket.on('error', () => undefined); // of a handshake that the test gives up
    t.after(() => socket.terminate());
    return socket;
  };
  const socket = open('/api/echo', { headers: { cookie: visitor.cookie } });
  const messages: string[] = [];
  socket.on('message', (data: Buffer) => messages.push(data.toString()));
  await once(socket, 'message');
  socket.send('there and back');
  await once(socket, 'message');
  assert.deepEqual(messages, ['Hello from backend a', 'there and back']);
  webmail.expire();
  const [code]: unknown[] = await once(socket, 'close');
  assert.equal(code, 1008);
  for (const [path, status] of [
    ['/api/echo', 401],
    ['/other', 401],
  ] as const) {
    const [, response]: { statusCode?: number }[] = await once(open(path), 'unexpected-response');
    assert.equal(response?.statusCode, status);
  }
});
