import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PosternError } from '../../src/core/error.ts';
import type { ExchangeRequest, ExchangeResponse } from '../../src/core/http.ts';
import type { Verdict } from '../../src/core/webmail.ts';
import { create } from '../../src/webmail/form.ts';
import { driverContract } from './driver-contract.ts';
import {
  answerHead,
  clock,
  field,
  going,
  hostWith,
  identity,
  requestHead,
  responseOf,
  scriptedExchange,
} from './scripted-exchange.ts';

const settings = {
  page: '/login',
  user_field: 'user',
  password_field: 'pass',
  success: { status: 303, location: '/mail/' },
  failure: [{ status: 401 }, { status: 200, text: 'is not right' }],
  lost: [
    { status: 302, location: '/login' },
    { status: 200, text: '<form id="sign-in"' },
  ],
  signed_out: { path: '/logout', removes_cookie: 'sid' },
  sign_out: { path: '/logout', page: '/mail/' },
  own_cookies: ['csrf'],
  polls: ['/api/poll'],
};
const page = `<form action="/search"><input name="q"></form>
<form action="/login" method="post"><input type="hidden" name="token" value="a&amp;b"><input name="user" value="old">
<input name="pass" type="password"><input type="checkbox" name="remember"><input type="submit" name="go"></form>`;

function webmail(request: ExchangeRequest): ExchangeResponse {
  if (request.method === 'GET' && request.target === '/login')
    return responseOf(200, page, {}, ['pre=1; Path=/; HttpOnly', 'shown=1; Path=/']);
  if (request.method === 'GET')
    return responseOf(200, '<form action="/logout"><input type="hidden" name="t" value="T"></form>');
  if (request.target === '/logout') return responseOf(303, '', { location: '/login' }, ['sid=; Max-Age=0; Path=/']);
  const form = new URLSearchParams(request.body);
  if (form.get('token') !== 'a&b' || !(field(request, 'cookie') ?? '').includes('pre=1'))
    return responseOf(400, 'forged');
  if (form.get('pass') !== 'right') return responseOf(401, 'no');
  return responseOf(303, '', { location: 'http://127.0.0.11/mail/INBOX?x=1' }, [
    'sid=S; Path=/; HttpOnly',
    'csrf=C; Path=/',
    'theme=dark; Path=/; Domain=b.test',
  ]);
}

driverContract({ name: 'form', landing: '/', create: (exchange) => create({ exchange, clock, settings }), webmail });

test('the form is filled in as a browser would: hidden fields, no unchecked box, no button', async () => {
  const exchange = scriptedExchange(webmail);
  const outcome = await create({ exchange, clock, settings }).signIn(hostWith('/'), identity('right'), going);
  assert.ok(outcome.kind === 'signed-in');
  assert.equal(exchange.requests[1]?.body, 'token=a%26b&user=alice%40example.test&pass=right');
  assert.match(field(exchange.requests[1], 'cookie') ?? '', /pre=1; shown=1/);
});

test('own and HttpOnly cookies stay, the others are for the browser, and the Location is the landing', async () => {
  const outcome = await create({ exchange: scriptedExchange(webmail), clock, settings }).signIn(
    hostWith('/'),
    identity('right'),
    going,
  );
  assert.ok(outcome.kind === 'signed-in');
  assert.equal(outcome.landing, '/mail/INBOX?x=1');
  assert.equal(outcome.jar.header('/', clock.nowMs()), 'pre=1; sid=S; csrf=C');
  assert.deepEqual(outcome.browserCookies, ['shown=1; Path=/', 'theme=dark; Path=/']);
});

test('a failure mark is a refusal, and what fits no mark is a failure', async () => {
  const driver = create({ exchange: scriptedExchange(webmail), clock, settings });
  assert.deepEqual(await driver.signIn(hostWith('/'), identity('wrong'), going), { kind: 'rejected' });
  const odd = scriptedExchange((request) =>
    request.method === 'GET' ? responseOf(200, page) : responseOf(418, 'tea'),
  );
  const error = await create({ exchange: odd, clock, settings })
    .signIn(hostWith('/'), identity('right'), going)
    .catch((each: unknown) => each);
  assert.ok(error instanceof PosternError);
  assert.deepEqual([error.code, error.source], ['ERR_WEBMAIL_ANSWER', 'webmail']);
  assert.match(error.message, /418, which no success or failure mark fits/);
});

test('a form that would carry the password to another server is not sent', async () => {
  const exchange = scriptedExchange(() =>
    responseOf(200, '<form action="https://evil.test/"><input name="pass"></form>'),
  );
  const attempt = create({ exchange, clock, settings }).signIn(hostWith('/'), identity('right'), going);
  await assert.rejects(attempt, /sent to another server/);
  assert.equal(exchange.requests.length, 1);
});

const heads: readonly (readonly [target: string, response: ReturnType<typeof answerHead>, Verdict | 'look-inside'])[] =
  [
    ['/mail/', answerHead(302, { location: '/login?back=1' }), 'lost'],
    ['/mail/', answerHead(302, { location: 'http://127.0.0.11/login' }), 'lost'],
    ['/mail/', answerHead(302, { location: '/mail/INBOX' }), 'alive'],
    ['/mail/', answerHead(200, { 'content-type': 'text/html' }), 'look-inside'],
    ['/file', answerHead(200, { 'content-type': 'application/pdf' }), 'alive'],
    ['/logout', answerHead(303, { location: '/login' }, ['sid=; Max-Age=0']), 'signed-out'],
    ['/logout', answerHead(303, {}, ['sid=; Max-Age=0', 'sid=new']), 'alive'],
    ['/logout', answerHead(303, {}, ['sid=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT']), 'signed-out'],
    ['/mail/', answerHead(200, { 'content-type': 'image/png' }, ['sid=; Max-Age=0']), 'alive'],
  ];
for (const [target, response, verdict] of heads) {
  test(`${target} with ${response.status} ${response.header('location') ?? ''} ${response.setCookies.join()} is ${verdict}`, () => {
    const driver = create({ exchange: scriptedExchange(webmail), clock, settings });
    assert.equal(driver.judge(requestHead('GET', target), response), verdict);
  });
}

test('a text mark is looked for in the body', () => {
  const driver = create({ exchange: scriptedExchange(webmail), clock, settings });
  const judged = (text: string): Verdict | undefined =>
    driver.judgeBody?.(requestHead('GET', '/mail/'), Buffer.from(text), true);
  assert.equal(judged('<html><form id="sign-in">'), 'lost');
  assert.equal(judged('<html>mail'), 'alive');
});

test('a sign-out by POST takes the hidden fields of its form along', async () => {
  const exchange = scriptedExchange(webmail);
  const driver = create({ exchange, clock, settings });
  const outcome = await driver.signIn(hostWith('/'), identity('right'), going);
  assert.ok(outcome.kind === 'signed-in');
  const as = { userAgent: 'UA', publicOrigin: 'https://mail.example.test', clientAddress: '203.0.113.7' };
  await driver.signOut(hostWith('/'), outcome.jar, as, going);
  const last = exchange.requests.at(-1);
  assert.deepEqual([last?.method, last?.target, last?.body], ['POST', '/logout', 't=T']);
  assert.match(field(last, 'cookie') ?? '', /sid=S/);
});

test('its sign-in page and its polls are known', () => {
  const driver = create({ exchange: scriptedExchange(webmail), clock, settings });
  assert.equal(driver.isSignInPage?.(requestHead('GET', '/login?x')), true);
  assert.equal(driver.isSignInPage?.(requestHead('GET', '/login/x')), false);
  assert.equal(driver.isPoll?.(requestHead('GET', '/api/poll?1')), true);
  assert.equal(driver.isPoll?.(requestHead('GET', '/mail/')), false);
});
