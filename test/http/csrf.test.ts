import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import request from 'supertest';
import { createFormTokens, formLifetimeMs, requestInitiator } from '../../src/http/forms.ts';
import { openLogin, setCookies, submitLogin, tokenIn, withCookies } from './browser-like.fixture.ts';
import { startPages } from './http.fixture.ts';

const origin = 'https://mail.example.org';

const initiators: readonly (readonly [headers: Record<string, string>, whose: string])[] = [
  [{ 'sec-fetch-site': 'same-origin' }, 'own'],
  [{ 'sec-fetch-site': 'same-origin', origin: 'null' }, 'own'],
  [{ 'sec-fetch-site': 'same-site' }, 'foreign'],
  [{ 'sec-fetch-site': 'cross-site' }, 'foreign'],
  [{ 'sec-fetch-site': 'cross-site', origin }, 'foreign'],
  [{ 'sec-fetch-site': 'none' }, 'foreign'],
  [{ 'sec-fetch-site': '' }, 'foreign'],
  [{ 'sec-fetch-site': 'same-origin, cross-site' }, 'foreign'],
  [{ origin }, 'own'],
  [{ origin: 'null' }, 'foreign'],
  [{ origin: '' }, 'foreign'],
  [{ origin: 'http://mail.example.org' }, 'foreign'],
  [{ origin: 'https://mail.example.org:8443' }, 'foreign'],
  [{ origin: 'https://mail.example.org.evil.example' }, 'foreign'],
  [{ origin: 'https://evil.example' }, 'foreign'],
  [{}, 'unknown'],
];
for (const [headers, whose] of initiators) {
  test(`a request with ${JSON.stringify(headers)} was made by: ${whose}`, () => {
    assert.equal(requestInitiator(headers, origin), whose);
  });
}

describe('a form token', () => {
  const clock = { now: 1_000_000_000, nowMs: () => clock.now };
  const [key, older] = [createSecretKey(randomBytes(32)), createSecretKey(randomBytes(32))];

  test('is good for what it was bound to, for two hours', () => {
    const tokens = createFormTokens(() => [key], clock);
    const token = tokens.issue('cookie');
    assert.equal(tokens.check(token, 'cookie'), true);
    assert.equal(tokens.check(token, 'another cookie'), false);
    clock.now += formLifetimeMs;
    assert.equal(tokens.check(token, 'cookie'), true);
    clock.now += 1;
    assert.equal(tokens.check(token, 'cookie'), false);
  });

  test('of any key that is still in use is good on every node', () => {
    const before = createFormTokens(() => [older], clock).issue('cookie');
    assert.equal(createFormTokens(() => [key, older], clock).check(before, 'cookie'), true);
    assert.equal(createFormTokens(() => [key], clock).check(before, 'cookie'), false);
  });

  test('of another time than it was signed with is refused', () => {
    const tokens = createFormTokens(() => [key], clock);
    const [issued = '', mac = ''] = tokens.issue('cookie').split('.');
    const later = (Number.parseInt(issued, 36) + 1).toString(36);
    for (const forged of [
      `${later}.${mac}`,
      `${issued}.`,
      `.${mac}`,
      mac,
      '',
      `${issued}.${mac}=`,
      undefined,
      7,
      [`${issued}.${mac}`],
    ]) {
      assert.equal(tokens.check(forged, 'cookie'), false, String(forged));
    }
  });
});

const strangers: readonly (readonly [what: string, headers: Record<string, string>])[] = [
  ['another site', { 'sec-fetch-site': 'cross-site' }],
  ['another host of this domain', { 'sec-fetch-site': 'same-site' }],
  ['another origin, without Sec-Fetch-Site', { origin: 'https://evil.example' }],
  ['a sandboxed frame, without Sec-Fetch-Site', { origin: 'null' }],
];
for (const [what, initiator] of strangers) {
  test(`a sign-in from ${what} is not tried, though cookie and token are right`, async () => {
    await using fixture = await startPages({ secure: true });
    const reply = await submitLogin(fixture, await openLogin(fixture), {}, { initiator });
    assert.equal(reply.status, 403);
    assert.deepEqual(fixture.attempts, []);
    assert.deepEqual(setCookies(reply), []);
  });
}

test('the token of another browser is refused', async () => {
  await using fixture = await startPages();
  const [mine, theirs] = [await openLogin(fixture), await openLogin(fixture)];
  const reply = await submitLogin(fixture, { cookie: mine.cookie, token: theirs.token });
  assert.equal(reply.status, 403);
  assert.deepEqual(fixture.attempts, []);
});

test('two form cookies are none: somebody planted one', async () => {
  await using fixture = await startPages();
  const page = await openLogin(fixture);
  const reply = await submitLogin(fixture, { ...page, cookie: `${page.cookie}; postern-form=${'A'.repeat(22)}` });
  assert.equal(reply.status, 403);
});

test('a page that was open for hours is no dead end: the form comes again, with the name, and works', async () => {
  await using fixture = await startPages();
  const page = await openLogin(fixture);
  fixture.nowMs += formLifetimeMs + 1;
  // Cookie and token have both run out.
  const again = await submitLogin(fixture, { ...page, cookie: '' }, { user: 'alice@example.test' });
  assert.equal(again.status, 403);
  assert.match(again.text, /open for too long/);
  assert.match(again.text, /value="alice@example\.test"/);
  assert.deepEqual(fixture.attempts, []);

  const fresh = { cookie: withCookies('', again), token: tokenIn(again.text) };
  assert.equal((await submitLogin(fixture, fresh)).status, 303);
});

test('a second tab does not spoil the first', async () => {
  await using fixture = await startPages();
  const first = await openLogin(fixture);
  const second = await openLogin(fixture, '/-/login', first.cookie);
  assert.equal(second.cookie, first.cookie);
  assert.equal((await submitLogin(fixture, first)).status, 303);
});

test('a client that is no browser may sign in with cookie and token alone', async () => {
  await using fixture = await startPages();
  const page = await openLogin(fixture);
  const reply = await request(fixture.server)
    .post('/-/login')
    .set('Cookie', page.cookie)
    .type('form')
    .send({ user: 'alice', password: 'right', token: page.token });
  assert.equal(reply.status, 303);
});

for (const type of ['text/plain', 'application/json', 'multipart/form-data; boundary=x']) {
  test(`a body of ${type} is refused`, async () => {
    await using fixture = await startPages();
    const page = await openLogin(fixture);
    const reply = await submitLogin(fixture, page, {}, { headers: { 'content-type': type } });
    assert.equal(reply.status, 415);
    assert.deepEqual(fixture.attempts, []);
  });
}

test('no answer lets another origin read it', async () => {
  await using fixture = await startPages();
  for (const method of ['get', 'options', 'post'] as const) {
    const reply = await request(fixture.server)[method]('/-/login').set('Origin', 'https://evil.example');
    assert.ok(Object.keys(reply.headers).every((name) => !name.startsWith('access-control-')));
  }
});
