import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { type ClientOptions, WebSocket } from 'ws';
import { createCertificate } from '../../demo/certificate.ts';
import { createDelivery } from '../../demo/delivery.ts';
import { type ImapServer, startImapServer } from '../../demo/imap-server.ts';
import { startWebmail, type Webmail, type WebmailOptions } from '../../demo/webmail.ts';

const keyPair = createCertificate(['127.0.0.1'], Date.now());
const oddPassword = 'Paß "wört" \\1 €';

interface Site {
  readonly imap: ImapServer;
  readonly webmail: Webmail;
}

async function startSite(t: TestContext, options: Partial<WebmailOptions> = {}): Promise<Site> {
  const users = { 'alice@example.test': oddPassword, 'bob@example.test': 'builder' };
  const imap = await startImapServer({ users, masters: { postman: 'stamps' }, security: 'tls', keyPair });
  t.after(() => imap.close());
  const address = { hostname: imap.hostname, port: imap.port, ca: keyPair.certificate };
  const homes = new Map(Object.keys(users).map((user) => [user, address] as const));
  const deliver = createDelivery({ homes, master: { name: 'postman', password: 'stamps' } });
  const webmail = await startWebmail({ name: 'a', imap: address, deliver, ...options });
  t.after(() => webmail.close());
  return { imap, webmail };
}

/** A browser that follows no redirects and keeps the last value of each cookie. */
class Visitor {
  readonly #origin: string;
  readonly #cookies = new Map<string, string>();

  constructor(origin: string) {
    this.#origin = origin;
  }

  get cookie(): string {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  async ask(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.#cookies.size > 0) headers.set('cookie', this.cookie);
    const response = await fetch(this.#origin + path, { ...init, headers, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (/max-age=0/i.test(line)) this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
    return response;
  }

  post(path: string, fields: Record<string, string>): Promise<Response> {
    return this.ask(path, { method: 'POST', body: new URLSearchParams(fields) });
  }

  /** The token in the form of a page. */
  async token(path: string): Promise<string> {
    return tokenIn(await (await this.ask(path)).text());
  }

  async signIn(user = 'alice@example.test', password = oddPassword): Promise<Response> {
    return this.post('/login', { token: await this.token('/login'), user, password });
  }
}

function tokenIn(page: string): string {
  return /name="token" value="([^"]+)"/.exec(page)?.[1] ?? '';
}

async function signedIn(t: TestContext, options: Partial<WebmailOptions> = {}): Promise<Site & { visitor: Visitor }> {
  const site = await startSite(t, options);
  const visitor = new Visitor(site.webmail.origin);
  assert.equal((await visitor.signIn()).status, 303);
  return { ...site, visitor };
}

test('signing in answers 303 to the inbox with a new HttpOnly session cookie', async (t) => {
  const { webmail } = await startSite(t);
  const visitor = new Visitor(webmail.origin);
  await visitor.ask('/login');
  const before = visitor.cookie;
  const response = await visitor.signIn();
  assert.equal(response.status, 303);
  assert.equal(response.headers.get('location'), '/mail/INBOX');
  assert.match(response.headers.get('set-cookie') ?? '', /^demo_session=[\w-]{32}; Path=\/; HttpOnly; SameSite=Lax$/);
  assert.notEqual(visitor.cookie, before);
  const inbox = await (await visitor.ask('/mail/INBOX')).text();
  assert.match(inbox, /backend a/);
  assert.match(inbox, /alice@example\.test/);
});

test('the address that the gateway passes on reaches the IMAP server', async (t) => {
  const { imap, webmail } = await startSite(t);
  const visitor = new Visitor(webmail.origin);
  const token = await visitor.token('/login');
  const body = new URLSearchParams({ token, user: 'alice@example.test', password: oddPassword });
  await visitor.ask('/login', { method: 'POST', body, headers: { 'x-forwarded-for': '192.0.2.9' } });
  assert.equal(imap.logins[0]?.clientId.get('x-originating-ip'), '192.0.2.9');
});

test('a wrong password is answered with 401 and the form, which keeps the user name', async (t) => {
  const { webmail } = await startSite(t);
  const response = await new Visitor(webmail.origin).signIn('"><script>', 'wrong');
  assert.equal(response.status, 401);
  const page = await response.text();
  assert.match(page, /Wrong user name or password\./);
  assert.match(page, /value="&quot;&gt;&lt;script&gt;"/);
});

test('a sign-in form without its token, or with the token of another session, is refused with 403', async (t) => {
  const { webmail } = await startSite(t);
  const other = await new Visitor(webmail.origin).token('/login');
  for (const token of ['', other]) {
    const visitor = new Visitor(webmail.origin);
    await visitor.ask('/login');
    const response = await visitor.post('/login', { token, user: 'alice@example.test', password: oddPassword });
    assert.equal(response.status, 403);
    assert.match(await response.text(), /This form has expired\./);
  }
});

test('when the mail server is away, signing in answers 503', async (t) => {
  const { imap, webmail } = await startSite(t);
  const visitor = new Visitor(webmail.origin);
  const token = await visitor.token('/login');
  await imap.close();
  const response = await visitor.post('/login', { token, user: 'alice@example.test', password: oddPassword });
  assert.equal(response.status, 503);
});

test('a lost session answers 302 to /login for pages, 401 with JSON under /api/, and keeps the cookie', async (t) => {
  const { webmail, visitor } = await signedIn(t);
  assert.equal((await visitor.ask('/api/poll')).status, 200);
  assert.equal(webmail.expire('bob@example.test'), 0);
  assert.equal(webmail.expire('alice@example.test'), 1);
  const page = await visitor.ask('/mail/INBOX');
  assert.equal(page.status, 302);
  assert.equal(page.headers.get('location'), '/login');
  assert.equal(page.headers.get('set-cookie'), null);
  const poll = await visitor.ask('/api/poll');
  assert.equal(poll.status, 401);
  assert.deepEqual(await poll.json(), { error: 'The session is lost' });
});

test('the session cookie changes when it is time, and the one before goes on for one more period', async (t) => {
  let nowMs = 1_000_000;
  const { webmail, visitor } = await signedIn(t, { nowMs: () => nowMs, rotateAfterMs: 1000 });
  const first = new Visitor(webmail.origin);
  const firstCookie = visitor.cookie;
  const withFirst = { headers: { cookie: firstCookie } };
  nowMs += 1000;
  assert.notEqual((await visitor.ask('/compose')).headers.get('set-cookie'), null);
  assert.notEqual(visitor.cookie, firstCookie);
  assert.equal((await visitor.ask('/compose')).headers.get('set-cookie'), null);
  assert.equal((await first.ask('/compose', withFirst)).status, 200);
  nowMs += 1000;
  await visitor.ask('/compose');
  assert.equal((await first.ask('/compose', withFirst)).status, 302);
  assert.equal((await visitor.ask('/compose')).status, 200);
});

test('signing out answers 303 and deletes the cookie; without the token it does nothing', async (t) => {
  const { visitor } = await signedIn(t);
  assert.equal((await visitor.post('/logout', {})).status, 403);
  assert.equal((await visitor.ask('/compose')).status, 200);
  const response = await visitor.post('/logout', { token: await visitor.token('/compose') });
  assert.equal(response.status, 303);
  assert.equal(response.headers.get('location'), '/login');
  assert.match(response.headers.get('set-cookie') ?? '', /^demo_session=; .*Max-Age=0/);
  assert.equal((await visitor.ask('/compose')).status, 302);
});

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

test('a user may ask to be forgotten, and is lost at the next request', async (t) => {
  const { visitor } = await signedIn(t);
  const response = await visitor.post('/expire', { token: await visitor.token('/arrived') });
  assert.equal(response.status, 303);
  assert.equal(response.headers.get('location'), '/arrived');
  assert.equal((await visitor.ask('/arrived')).status, 302);
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
