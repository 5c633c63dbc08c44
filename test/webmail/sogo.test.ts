import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { ExchangeRequest, ExchangeResponse } from '../../src/core/http.ts';
import { Secret } from '../../src/core/secrets.ts';
import type { WebmailDriver } from '../../src/core/webmail.ts';
import { create } from '../../src/webmail/sogo.ts';
import { driverContract, signOutAs, strangeAnswers } from './driver-contract.fixture.ts';
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

const json = { 'content-type': 'application/json' };
const sessionValue = `basic%20${'c'.repeat(4036)}`;
const discard = '0xHIGHFLYxSOGo=discard; expires=Sat, 21-Nov-2020 09:02:19 GMT; path=/SOGo/';
const discardToken = 'XSRF-TOKEN=discard; expires=Sat, 21-Nov-2020 09:02:19 GMT; path=/SOGo/';
const secret = new Secret('the-secret-of-the-gateway');
const signInPage = '\n\n  <!DOCTYPE html>\n  <html><body>SOGo</body></html>';

/** Answers as a real SOGo 5.8 did; everybody's password is `right`. */
function fakeSogo(request: ExchangeRequest): ExchangeResponse {
  if (request.target === '/SOGo/connect') {
    const { password } = JSON.parse(request.body ?? '') as { password: string };
    if (password !== 'right') return responseOf(403, '{"LDAPPasswordPolicyError":65535}', json);
    return responseOf(200, '{"cn":"Alice","expire":-1,"grace":-1}', json, [
      `0xHIGHFLYxSOGo=${sessionValue}; path=/SOGo/; secure; HttpOnly`,
      'XSRF-TOKEN=ab56f44cabb8a94d02bf46e72a0f7d3504bcb84d; path=/SOGo/',
      'SOGoLogin=; expires=Sat, 21-Nov-2020 09:02:19 GMT; path=/SOGo/',
    ]);
  }
  const signedIn = field(request, 'cookie')?.includes('0xHIGHFLYxSOGo=basic') === true;
  if (!signedIn) return responseOf(200, signInPage, { 'content-type': 'text/html; charset=utf-8' });
  if (request.target.endsWith('/logoff'))
    return responseOf(302, '', { location: '/SOGo/so/' }, [discard, discardToken]);
  return responseOf(302, '', { location: '/SOGo/alice@example.test' });
}

driverContract({
  name: 'sogo',
  landing: '/SOGo/',
  create: (exchange) => create({ exchange, clock, settings: {} }),
  webmail: fakeSogo,
});

function driverWith(settings: Readonly<Record<string, unknown>> = {}): WebmailDriver {
  return create({ exchange: scriptedExchange(fakeSogo), clock, settings });
}

suite('sign-in', () => {
  test('the session stays in the gateway, and the token goes to the browser', async () => {
    const outcome = await driverWith().signIn(hostWith('/SOGo/'), identity('right'), going);
    assert.ok(outcome.kind === 'signed-in');
    assert.equal(outcome.jar.header('/SOGo/so/', clock.nowMs()), `0xHIGHFLYxSOGo=${sessionValue}`);
    assert.deepEqual(outcome.browserCookies, ['XSRF-TOKEN=ab56f44cabb8a94d02bf46e72a0f7d3504bcb84d; path=/SOGo/']);
    assert.equal(outcome.landing, '/SOGo/');
  });

  test('odd passwords arrive as they are', async () => {
    const exchange = scriptedExchange(fakeSogo);
    const password = ' Paß "wört" \\1 €\u{1f600}';
    await create({ exchange, clock, settings: {} }).signIn(hostWith('/SOGo/'), identity(password), going);
    assert.deepEqual(JSON.parse(exchange.requests[0]?.body ?? ''), {
      userName: 'alice@example.test',
      password,
      rememberLogin: 0,
    });
    assert.equal(field(exchange.requests[0], 'content-type'), 'application/json');
  });

  test('a webmail URL without a path leads to SOGo, and a deeper one is kept', async () => {
    for (const [landing, expected] of [
      ['/', '/SOGo/'],
      ['/SOGo/so/?x', '/SOGo/so/?x'],
    ] as const) {
      const outcome = await driverWith().signIn(hostWith(landing), identity('right'), going);
      assert.equal(outcome.kind === 'signed-in' && outcome.landing, expected);
    }
  });

  strangeAnswers((exchange) => create({ exchange, clock, settings: {} }), '/SOGo/', [
    ['a locked account', responseOf(403, '{"LDAPPasswordPolicyError":1}', json), /policy error 1/],
    ['a second factor', responseOf(202, '{"totpMissingKey":1}', json), /second factor/],
    ['another server', responseOf(404, '<html>', { 'content-type': 'text/html' }), /status 404 and "text\/html"/],
    ['a bare 200', responseOf(200, '{}', json), /status 200/],
    ['a 403 of a web server', responseOf(403, '<html>', { 'content-type': 'text/html' }), /status 403/],
  ]);

  test('signing out goes by the path of the user that SOGo itself names', async () => {
    const exchange = scriptedExchange(fakeSogo);
    const driver = create({ exchange, clock, settings: {} });
    const outcome = await driver.signIn(hostWith('/SOGo/'), identity('right'), going);
    assert.ok(outcome.kind === 'signed-in');
    await driver.signOut(hostWith('/SOGo/'), outcome.jar, signOutAs, going);
    assert.deepEqual(
      exchange.requests.map(({ target }) => target),
      ['/SOGo/connect', '/SOGo/', '/SOGo/so/alice@example.test/logoff'],
    );
  });
});

suite('what an answer means', () => {
  const user = '/SOGo/so/alice@example.test';
  const page = { 'content-type': 'text/html; charset=utf-8' };
  const navigation = { 'sec-fetch-dest': 'document', 'sec-fetch-site': 'same-origin' };
  const cases: readonly (readonly [
    name: string,
    request: Parameters<typeof requestHead>,
    answer: ReturnType<typeof answerHead>,
    verdict: string,
  ])[] = [
    ['a page', ['GET', `${user}/Mail/view`], answerHead(200, page), 'alive'],
    ['a lost page', ['GET', `${user}/Mail/view`], answerHead(200, page, [discard]), 'lost'],
    ['a lost script', ['POST', `${user}/Mail/0/folderINBOX/view`], answerHead(200, page, [discard]), 'lost'],
    [
      'a lost download',
      ['GET', `${user}/Mail/0/folderINBOX/1/asAttachment/2/x.pdf`],
      answerHead(200, page, [discard]),
      'lost',
    ],
    ['the start page that shows the sign-in form', ['GET', '/SOGo/'], answerHead(200, page), 'lost'],
    ['the start page that leads on', ['GET', '/SOGo/'], answerHead(302, { location: '/SOGo/a@b' }), 'alive'],
    ['sign-out', ['GET', `${user}/logoff`, navigation], answerHead(302, {}, [discard, discardToken]), 'signed-out'],
    [
      'sign-out in a browser that tells nothing',
      ['GET', `${user}/logoff`],
      answerHead(302, {}, [discard]),
      'signed-out',
    ],
    [
      'sign-out where the session was lost',
      ['GET', `${user}/logoff`, navigation],
      answerHead(200, page, [discard]),
      'signed-out',
    ],
    ['sign-out in mode trusted', ['GET', `${user}/logoff`], answerHead(302, {}, [discardToken]), 'signed-out'],
    ['a sign-out that did nothing', ['GET', `${user}/logoff`, navigation], answerHead(200, page), 'alive'],
    [
      'a picture in a mail that signs out',
      ['GET', `${user}/logoff`, { 'sec-fetch-dest': 'image', 'sec-fetch-site': 'same-origin' }],
      answerHead(302, {}, [discard]),
      'alive',
    ],
    [
      'a link of another site that signs out',
      ['GET', `${user}/logoff`, { 'sec-fetch-dest': 'document', 'sec-fetch-site': 'cross-site' }],
      answerHead(302, {}, [discard]),
      'alive',
    ],
    ['a mail whose name looks like sign-out', ['GET', `${user}/Mail/0/logoff`], answerHead(200, page), 'alive'],
    ['DAV without a password', ['PROPFIND', '/SOGo/dav/a/'], answerHead(401, {}), 'alive'],
  ];
  for (const [name, request, answer, verdict] of cases) {
    test(`${name}: ${verdict}`, () => {
      assert.equal(driverWith().judge(requestHead(...request), answer), verdict);
    });
  }
});

suite('the fields that the gateway adds', () => {
  const as = { ...identity('right'), session: 'session-1' };
  const line = requestHead('GET', '/SOGo/');

  test('say under which address SOGo is seen, and from where', () => {
    assert.deepEqual(driverWith().requestHeaders?.(line, as), [
      ['x-webobjects-server-protocol', 'HTTP/1.0'],
      ['x-webobjects-remote-host', '203.0.113.7'],
      ['x-webobjects-server-name', 'mail.example.test'],
      ['x-webobjects-server-port', '443'],
      ['x-webobjects-server-url', 'https://mail.example.test'],
    ]);
    const elsewhere = driverWith().requestHeaders?.(line, { ...as, publicOrigin: 'http://[2001:db8::1]:8080' });
    assert.deepEqual(elsewhere?.slice(2, 4), [
      ['x-webobjects-server-name', '[2001:db8::1]'],
      ['x-webobjects-server-port', '8080'],
    ]);
  });

  test('put the current token in the place of a stale one, where the script sends one at all', async () => {
    const driver = driverWith();
    const outcome = await driver.signIn(hostWith('/SOGo/'), identity('right'), going);
    assert.ok(outcome.kind === 'signed-in');
    const { jar } = outcome;
    const stale = requestHead('POST', '/SOGo/so/x', { 'x-xsrf-token': 'stale' });
    const current = ['X-XSRF-TOKEN', 'ab56f44cabb8a94d02bf46e72a0f7d3504bcb84d'];
    assert.deepEqual(driver.requestHeaders?.(stale, { ...as, jar }).slice(5), [current]);
    assert.equal(driver.requestHeaders?.(line, { ...as, jar }).length, 5);
    assert.equal(driver.requestHeaders?.(stale, as).length, 5);
    assert.doesNotMatch(jar.header('/SOGo/so/', clock.nowMs()), /kept/);
  });

  test('in mode trusted they say who, with the secret and the password for IMAP', () => {
    const trusted = driverWith({ mode: 'trusted', secret });
    assert.equal(trusted.checksNoTokens, true);
    assert.notEqual(driverWith().checksNoTokens, true);
    assert.deepEqual(trusted.requestHeaders?.(line, as).slice(5), [
      ['X-Postern-Secret', 'the-secret-of-the-gateway'],
      ['x-webobjects-remote-user', 'alice@example.test'],
      ['x-webobjects-auth-type', 'Basic'],
      ['Authorization', `Basic ${Buffer.from('alice@example.test:right').toString('base64')}`],
    ]);
    const master = driverWith({ mode: 'trusted', secret, imap_password: new Secret('master') });
    const expected = `Basic ${Buffer.from('alice@example.test:master').toString('base64')}`;
    assert.equal(new Map(master.requestHeaders?.(line, { ...as, password: undefined })).get('Authorization'), expected);
    const none = new Map(trusted.requestHeaders?.(line, { ...as, password: undefined }));
    assert.equal(none.has('Authorization'), false);
  });

  test('in mode trusted a sign-in page is a refusal of the gateway, not of the user', async () => {
    const driver = driverWith({ mode: 'trusted', secret });
    await assert.rejects(driver.signIn(hostWith('/SOGo/'), identity('right'), going), /SOGoTrustProxyAuthentication/);
  });
});

test('polls are known', () => {
  const driver = driverWith();
  assert.equal(driver.isPoll?.(requestHead('POST', '/SOGo/so/a/Mail/0/folderINBOX/changes')), true);
  assert.equal(driver.isPoll?.(requestHead('GET', '/SOGo/so/a/Calendar/alarmslist?browserTime=1')), true);
  assert.equal(driver.isPoll?.(requestHead('POST', '/SOGo/so/a/Mail/0/folderINBOX/view')), false);
});
