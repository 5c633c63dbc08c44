import assert from 'node:assert/strict';
import { test } from 'node:test';
import request from 'supertest';
import { CookieJar } from '../../src/core/cookie-jar.ts';
import { openLogin, setCookies, submitLogin, tokenIn, withCookies } from './browser-like.fixture.ts';
import { aliceSignedIn, type Fixture, type FixtureOptions, startPages } from './http.fixture.ts';

async function startSignedIn(options: FixtureOptions = {}): Promise<{ fixture: Fixture; cookie: string }> {
  const fixture = await startPages(options);
  const jar = new CookieJar(() => false);
  jar.absorb('XSRF-TOKEN=x; path=/SOGo/', '/', fixture.nowMs);
  const outcome = aliceSignedIn();
  fixture.decide = async () => ({ ...outcome, ...(outcome.kind === 'signed-in' && { jar }) });
  const page = await openLogin(fixture);
  return { fixture, cookie: withCookies(page.cookie, await submitLogin(fixture, page)) };
}

test('GET shows a button and ends nothing', async () => {
  const { fixture, cookie } = await startSignedIn();
  await using _fixture = fixture;
  const { status, text } = await request(fixture.server).get('/-/logout').set('Cookie', cookie);
  assert.equal(status, 200);
  assert.match(text, /<form method="post">/);
  assert.match(text, /alice@example\.test/);
  assert.equal(fixture.sessions.stored.size, 1);
});

for (const secure of [true, false]) {
  test(`POST ends the session everywhere in this browser (${secure ? 'https' : 'http'})`, async () => {
    const { fixture, cookie } = await startSignedIn({ secure });
    await using _fixture = fixture;
    const { text } = await request(fixture.server).get('/-/logout').set('Cookie', cookie);
    const reply = await request(fixture.server)
      .post('/-/logout')
      .set('Cookie', cookie)
      .set('Sec-Fetch-Site', 'same-origin')
      .type('form')
      .send({ token: tokenIn(text) });
    assert.equal(reply.status, 303);
    assert.equal(reply.get('Location'), '/-/login?ended=signed-out');
    assert.equal(reply.get('Clear-Site-Data'), undefined);
    const lines = setCookies(reply);
    const name = secure ? '__Host-postern' : 'postern';
    assert.ok(lines.some((line) => line.startsWith(`${name}=;`) && line.includes('Secure') === secure));
    assert.ok(lines.some((line) => line.startsWith('XSRF-TOKEN=; Path=/SOGo/; Expires=Thu, 01 Jan 1970')));
    assert.deepEqual(fixture.signedOut, ['alice@example.test']);
    assert.equal(fixture.sessions.ended[0]?.reason, 'signed-out');
  });
}

const forgeries: readonly (readonly [what: string, headers: Record<string, string>, token: 'right' | 'wrong'])[] = [
  ['another site', { 'Sec-Fetch-Site': 'cross-site' }, 'right'],
  ['another origin', { Origin: 'https://evil.example' }, 'right'],
  ['our own site without the token', { 'Sec-Fetch-Site': 'same-origin' }, 'wrong'],
  ['a client without the token', {}, 'wrong'],
];
for (const [what, headers, token] of forgeries) {
  test(`a POST from ${what} shows the button instead`, async () => {
    const { fixture, cookie } = await startSignedIn();
    await using _fixture = fixture;
    const { text } = await request(fixture.server).get('/-/logout').set('Cookie', cookie);
    const reply = await request(fixture.server)
      .post('/-/logout')
      .set('Cookie', cookie)
      .set(headers)
      .type('form')
      .send({ token: token === 'right' ? tokenIn(text) : 'x' });
    assert.equal(reply.status, 303);
    assert.equal(reply.get('Location'), '/-/logout');
    assert.deepEqual(setCookies(reply), []);
    assert.equal(fixture.sessions.stored.size, 1);
  });
}

test('a POST of another site without our cookie, as SameSite has it, cannot clear the cookie', async () => {
  await using fixture = await startPages();
  const reply = await request(fixture.server)
    .post('/-/logout')
    .set('Sec-Fetch-Site', 'cross-site')
    .type('form')
    .send({});
  assert.equal(reply.get('Location'), '/-/logout');
  assert.deepEqual(setCookies(reply), []);
});

test('who is not signed in is led to the sign-in page', async () => {
  await using fixture = await startPages();
  assert.equal((await request(fixture.server).get('/-/logout')).get('Location'), '/-/login');
});

test('signing out works while the store is away', async () => {
  const { fixture, cookie } = await startSignedIn();
  await using _fixture = fixture;
  fixture.sessions.away = true;
  const page = await request(fixture.server).get('/-/logout').set('Cookie', cookie);
  assert.equal(page.status, 200);
  const reply = await request(fixture.server)
    .post('/-/logout')
    .set('Cookie', cookie)
    .set('Sec-Fetch-Site', 'same-origin')
    .type('form')
    .send({ token: tokenIn(page.text) });
  assert.equal(reply.get('Location'), '/-/login?ended=signed-out');
  assert.ok(setCookies(reply).some((line) => line.startsWith('postern=;')));
});

test('a page that says nothing of its origin cannot sign out a session that cannot be read', async () => {
  const { fixture, cookie } = await startSignedIn();
  await using _fixture = fixture;
  fixture.sessions.away = true;
  const reply = await request(fixture.server).post('/-/logout').set('Cookie', cookie).type('form').send({ token: 'x' });
  assert.deepEqual(setCookies(reply), []);
});
