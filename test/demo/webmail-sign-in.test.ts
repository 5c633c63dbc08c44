import assert from 'node:assert/strict';
import { test } from 'node:test';
import { oddPassword, signedIn, startSite, Visitor } from './mail-site.fixture.ts';

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

test('a user may ask to be forgotten, and is lost at the next request', async (t) => {
  const { visitor } = await signedIn(t);
  const response = await visitor.post('/expire', { token: await visitor.token('/arrived') });
  assert.equal(response.status, 303);
  assert.equal(response.headers.get('location'), '/arrived');
  assert.equal((await visitor.ask('/arrived')).status, 302);
});
