import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PosternError } from '../../src/core/error.ts';
import type { ExchangeRequest, ExchangeResponse } from '../../src/core/http.ts';
import type { Verdict } from '../../src/core/webmail.ts';
import { create } from '../../src/webmail/form.ts';
import { driverContract } from './driver-contract.fixture.ts';
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
} from './scripted-exchange.fixture.ts';

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
    return responseOf(
      200,
      '<form action="/logout" method="post"><input type="hidden" name="t" value="T"><button name="out" value="1">x</button></form>',
    );
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

driverContract({
  name: 'form',
  landing: '/',
  readsEnglish: true,
  create: (exchange) => create({ exchange, clock, settings }),
  webmail,
});

test('the form is filled in as a browser would: hidden fields, no unchecked box, the button, and where it came from', async () => {
  const exchange = scriptedExchange(webmail);
  const outcome = await create({ exchange, clock, settings }).signIn(hostWith('/'), identity('right'), going);
  assert.ok(outcome.kind === 'signed-in');
  const sent = exchange.requests[1];
  assert.equal(sent?.body, 'token=a%26b&user=alice%40example.test&pass=right&go=Submit');
  assert.match(field(sent, 'cookie') ?? '', /pre=1; shown=1/);
  const named = ['origin', 'referer', 'host'].map((name) => field(sent, name));
  assert.deepEqual(named, ['https://mail.example.test', 'https://mail.example.test/login', 'mail.example.test']);
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
  assert.match(error.message, /418, which matches neither success nor failure/);
});

test('a form that would carry the password to another server is not sent', async () => {
  const exchange = scriptedExchange(() =>
    responseOf(200, '<form action="https://evil.test/"><input name="pass"></form>'),
  );
  const attempt = create({ exchange, clock, settings }).signIn(hostWith('/'), identity('right'), going);
  await assert.rejects(attempt, /sent to another server/);
  assert.equal(exchange.requests.length, 1);
});

/** The error of a sign-in at a webmail that answers each GET by `answer`. */
async function failing(
  answer: ExchangeResponse,
  more: Readonly<Record<string, unknown>> = {},
  posted = responseOf(200, 'x'),
): Promise<string> {
  const exchange = scriptedExchange((request) => (request.method === 'GET' ? answer : posted));
  const error = await create({ exchange, clock, settings: { ...settings, ...more } })
    .signIn(hostWith('/'), identity('right'), going)
    .catch((each: unknown) => each);
  assert.ok(error instanceof PosternError && error.source === 'webmail');
  assert.doesNotMatch(error.message, /right\b/);
  return error.message;
}

const form = (attributes = '', name = 'pass'): string =>
  `<form method="post" ${attributes}><input name="user"><input name="${name}"></form>`;

const failures: readonly (readonly [what: string, message: () => Promise<string>, RegExp])[] = [
  [
    'a page without a form',
    () => failing(responseOf(200, '<p>Hi')),
    /the page has no form; a script may build it, see json/,
  ],
  ['other fields', () => failing(responseOf(200, form('', 'pw'))), /its forms have the fields user, pw$/],
  [
    'another form',
    () => failing(responseOf(200, form('id="a"')), { form_name: 'b' }),
    /no form called b with a field pass/,
  ],
  [
    'a page that is refused',
    () => failing(responseOf(403, 'no')),
    /status 403\): the webmail refused to show the page/,
  ],
  [
    'a page elsewhere',
    () => failing(responseOf(302, '', { location: '/in?x' })),
    /a redirect to \/in: set page to where/,
  ],
  [
    'a page that is too long',
    () => failing({ ...responseOf(200, '<p>Hi'), isCut: true }),
    /in the first 1 MiB of a longer page/,
  ],
  [
    'two forms that could be meant',
    () => failing(responseOf(200, form('action="/a"') + form('action="/b"'))),
    /which matches neither success nor failure; 2 forms at \/login have the field pass, and the first was sent: choose one with form_name/,
  ],
  [
    'a redirect that no mark names',
    () => failing(responseOf(200, form()), {}, responseOf(302, '', { location: 'https://x.test/sso?t=1' })),
    /status 302, which matches neither success nor failure; it leads to https:\/\/x\.test\/sso$/,
  ],
  [
    'a coding that the gateway cannot write',
    () => failing(responseOf(200, form('accept-charset="shift_jis"')), { user_field: 'ü' }),
    /the form cannot be sent: in shift_jis only ASCII can be written/,
  ],
];
for (const [what, message, expected] of failures) {
  test(`the log says what was wrong: ${what}`, async () => assert.match(await message(), expected));
}

test('the form and the button can be named, and the way where a script sends it', async () => {
  const two = `<form><input name="pass"><button name="no">x</button></form>
    <form name="b" action="https://mail.example.test/in"><input name="user"><input name="pass"><button name="x">x</button><button name="y" value="1">y</button></form>`;
  const exchange = scriptedExchange((request) =>
    request.method === 'GET' ? responseOf(200, two) : responseOf(303, '', { location: '/mail/' }),
  );
  const named = { ...settings, form_name: 'b', button: 'y', method: 'POST' };
  const outcome = await create({ exchange, clock, settings: named }).signIn(hostWith('/'), identity('right'), going);
  assert.equal(outcome.kind, 'signed-in');
  const sent = exchange.requests[1];
  assert.deepEqual([sent?.method, sent?.target], ['POST', '/in']);
  assert.equal(sent?.body, 'user=alice%40example.test&pass=right&y=1');
});

test('a page of a megabyte, however its elements are nested, is read at once', async () => {
  const deep = `${'<b id=x>'.repeat(60_000)}${'<fieldset disabled>'.repeat(20_000)}${'</fieldset>'.repeat(20_000)}`;
  const long =
    deep + form('action="/login"').replace('<input', '<input type="hidden" name="token" value="a&amp;b"><input');
  assert.ok(long.length > 900_000);
  const exchange = scriptedExchange((request) =>
    request.method === 'GET' ? responseOf(200, long) : responseOf(303, '', { location: '/mail/' }),
  );
  const outcome = await create({ exchange, clock, settings }).signIn(hostWith('/'), identity('right'), going);
  assert.equal(outcome.kind, 'signed-in');
  assert.equal(exchange.requests[1]?.body, 'token=a%26b&user=alice%40example.test&pass=right');
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

test('a text that stands late is found as far as the mark says, and no page waits for more', () => {
  const lost = [
    { status: 200, text: '<form id="sign-in"', within: '64 KiB' },
    { status: 401, text: 'nobody' },
  ];
  const driver = create({ exchange: scriptedExchange(webmail), clock, settings: { ...settings, lost } });
  const late = Buffer.from(`${'x'.repeat(60_000)}<form id="sign-in">nobody`);
  const judged = (status: number, body: Buffer): readonly [number | undefined, Verdict | undefined] => {
    const request = requestHead('GET', '/mail/');
    assert.equal(driver.judge(request, answerHead(status, { 'content-type': 'text/html' })), 'look-inside');
    const bytes = driver.judgedBytes?.(request);
    return [bytes, driver.judgeBody?.(request, body.subarray(0, bytes), true)];
  };
  assert.deepEqual(judged(200, late), [65_536, 'lost']);
  assert.deepEqual(judged(200, Buffer.from('nobody')), [65_536, 'alive'], 'the text of a mark for another status');
  assert.deepEqual(judged(401, Buffer.from('nobody')), [8192, 'lost']);
});

test('a text in the coding of an old page is found', () => {
  const driver = create({
    exchange: scriptedExchange(webmail),
    clock,
    settings: { ...settings, lost: { status: 200, text: 'Bitte melden Sie sich für' } },
  });
  const text = 'Bitte melden Sie sich für heute an';
  const judged = (body: Buffer): Verdict | undefined => driver.judgeBody?.(requestHead('GET', '/mail/'), body, true);
  assert.deepEqual([judged(Buffer.from(text)), judged(Buffer.from(text, 'latin1'))], ['lost', 'lost']);
});

test('a sign-out by POST takes the hidden fields of its form along', async () => {
  const exchange = scriptedExchange(webmail);
  const driver = create({ exchange, clock, settings });
  const outcome = await driver.signIn(hostWith('/'), identity('right'), going);
  assert.ok(outcome.kind === 'signed-in');
  const as = { userAgent: 'UA', publicOrigin: 'https://mail.example.test', clientAddress: '203.0.113.7' };
  await driver.signOut(hostWith('/'), outcome.jar, as, going);
  const last = exchange.requests.at(-1);
  assert.deepEqual([last?.method, last?.target, last?.body], ['POST', '/logout', 't=T&out=1']);
  assert.match(field(last, 'cookie') ?? '', /sid=S/);
});

test('its sign-in page and its polls are known', () => {
  const driver = create({ exchange: scriptedExchange(webmail), clock, settings });
  assert.equal(driver.isSignInPage?.(requestHead('GET', '/login?x')), true);
  assert.equal(driver.isSignInPage?.(requestHead('GET', '/login/x')), false);
  assert.equal(driver.isSignInPage?.(requestHead('GET', '/login?page=inbox'), '/login'), false, 'it is every page');
  assert.equal(driver.isPoll?.(requestHead('GET', '/api/poll?1')), true);
  assert.equal(driver.isPoll?.(requestHead('GET', '/mail/')), false);
});
