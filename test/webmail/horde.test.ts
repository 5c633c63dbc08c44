import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { ExchangeRequest, ExchangeResponse } from '../../src/core/http.ts';
import { create } from '../../src/webmail/horde.ts';
import { driverContract, signOutAs, strangeAnswers } from './driver-contract.fixture.ts';
import { recorded } from './fake-roundcube.fixture.ts';
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

const page = { 'content-type': 'text/html; charset=UTF-8' };
const dropped = 'horde_secret_key=deleted; expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; path=/horde; HttpOnly';

/** Answers as a real Horde 5 with IMP 6 did; everybody's password is `right`. */
function fakeHorde(request: ExchangeRequest): ExchangeResponse {
  if (request.method === 'POST') {
    const form = new URLSearchParams(request.body);
    if (form.get('horde_pass') !== 'right') {
      return responseOf(200, recorded('horde-login-failed.html'), page, ['Horde=s0; path=/horde; HttpOnly']);
    }
    return responseOf(302, '', { location: 'https://mail.example.test/horde/imp' }, [
      'Horde=s1; path=/horde; HttpOnly',
      'horde_secret_key=k1; path=/horde; HttpOnly',
    ]);
  }
  if (field(request, 'cookie')?.includes('horde_secret_key=k1') !== true) {
    return responseOf(302, '', { location: '/horde/login.php?url=x' });
  }
  if (request.target.startsWith('/horde/login.php')) return responseOf(200, '<html>', page, [dropped]);
  return responseOf(200, 'HordeCore.conf = {"TOKEN":"JZ_AQueSOx73M1lZ53Fl8_n"};', page);
}

const driver = create({ exchange: scriptedExchange(fakeHorde), clock, settings: {} });

driverContract({
  name: 'horde',
  landing: '/horde/',
  create: (exchange) => create({ exchange, clock, settings: {} }),
  webmail: fakeHorde,
});

suite('sign-in', () => {
  test('both cookies stay in the gateway, and Horde says where its users land', async () => {
    const outcome = await driver.signIn(hostWith('/horde/'), identity('right'), going);
    assert.ok(outcome.kind === 'signed-in');
    assert.equal(outcome.jar.header('/horde/imp/', clock.nowMs()), 'Horde=s1; horde_secret_key=k1');
    assert.deepEqual([outcome.browserCookies, outcome.landing], [[], '/horde/imp']);
  });

  test('a wrong password is refused', async () => {
    assert.deepEqual(await driver.signIn(hostWith('/horde/'), identity('wrong'), going), { kind: 'rejected' });
  });

  for (const [password, kind, asked] of [
    ['right', 'signed-in', ['de']],
    ['wrong', 'rejected', ['de', 'en']],
  ] as const) {
    test(`a ${password} password is known in the words of another language, which the session keeps`, async () => {
      const exchange = scriptedExchange((request) => {
        const answer = fakeHorde(request);
        if (answer.status !== 200 || field(request, 'accept-language') === 'en') return answer;
        return responseOf(200, '<div class="noticetext">Anmeldung fehlgeschlagen.</div>', page);
      });
      const as = identity(password);
      const under = create({ exchange, clock, settings: {} });
      const outcome = await under.signIn(
        hostWith('/horde/'),
        { ...as, client: { ...as.client, language: 'de' } },
        going,
      );
      assert.equal(outcome.kind, kind);
      assert.deepEqual(
        exchange.requests.map((request) => field(request, 'accept-language')),
        asked,
      );
    });
  }

  strangeAnswers((exchange) => create({ exchange, clock, settings: {} }), '/horde/', [
    [
      'an IMAP server that is down',
      responseOf(200, '<div class="noticetext">Login failed.</div>', page),
      /status 200: "Login failed\."$/,
    ],
    ['a redirect back to the form', responseOf(302, '', { location: '/horde/login.php?x' }), /status 302/],
    ['a redirect to another server', responseOf(302, '', { location: 'https://evil.example/' }), /status 302/],
    ['another webmail', responseOf(404, '', page), /status 404: no message/],
  ]);

  test('signing out carries the token of the session', async () => {
    const exchange = scriptedExchange(fakeHorde);
    const under = create({ exchange, clock, settings: {} });
    const outcome = await under.signIn(hostWith('/horde/index.php'), identity('right'), going);
    assert.ok(outcome.kind === 'signed-in');
    await under.signOut(hostWith('/horde/index.php'), outcome.jar, signOutAs, going);
    assert.deepEqual(
      exchange.requests.map(({ target }) => target),
      [
        '/horde/login.php',
        '/horde/imp/dynamic.php?page=mailbox',
        '/horde/login.php?horde_logout_token=JZ_AQueSOx73M1lZ53Fl8_n&logout_reason=4',
      ],
    );
  });
});

suite('what an answer means', () => {
  const signOut = '/horde/login.php?horde_logout_token=T&logout_reason=4';
  const cases: readonly (readonly [
    name: string,
    target: string,
    answer: ReturnType<typeof answerHead>,
    verdict: string,
  ])[] = [
    ['a page', '/horde/imp/dynamic.php?page=mailbox', answerHead(200, page), 'alive'],
    ['a lost page', '/horde/imp/', answerHead(302, { location: '/horde/login.php?url=x&logout_reason=6' }), 'lost'],
    ['a lost start page', '/horde/', answerHead(302, { location: 'http://127.0.0.14/horde/login.php' }), 'lost'],
    ['another browser', '/horde/imp/', answerHead(302, { location: '/horde/login.php?logout_reason=100' }), 'lost'],
    ['a redirect inside', '/horde/imp', answerHead(301, { location: 'http://127.0.0.14/horde/imp/' }), 'alive'],
    ['a redirect that names login.php', '/horde/x', answerHead(302, { location: '/horde/imp/?u=/login.php' }), 'alive'],
    ['sign-out', signOut, answerHead(200, page, [dropped]), 'signed-out'],
    [
      'sign-out without a token',
      '/horde/login.php?logout_reason=4',
      answerHead(302, { location: '/horde/imp' }),
      'alive',
    ],
    [
      'a stale page that was led to sign-in',
      '/horde/login.php?logout_reason=6&horde_logout_token=T',
      answerHead(200, page, [dropped]),
      'alive',
    ],
    ['a script', '/horde/services/ajax.php/imp/poll', answerHead(200, { 'content-type': 'application/json' }), 'alive'],
    [
      'a download',
      '/horde/services/download/?app=imp',
      answerHead(200, { 'content-type': 'text/html', 'content-disposition': 'attachment; filename="a.html"' }),
      'alive',
    ],
    ['a page in the place of a download', '/horde/services/download/?app=imp', answerHead(200, page), 'look-inside'],
  ];
  for (const [name, target, answer, verdict] of cases) {
    test(`${name}: ${verdict}`, () => assert.equal(driver.judge(requestHead('GET', target), answer), verdict));
  }

  test('the error page of a download without a session is known, and nothing that only quotes it', () => {
    const request = requestHead('GET', '/horde/services/download/?app=imp');
    const lost = recorded('horde-lost-download.html');
    for (const [text, complete, verdict] of [
      [lost, true, 'lost'],
      [lost, false, 'alive'],
      [`<p>${lost}`, true, 'alive'],
      [lost.replace('User is not authenticated.', 'Call to a member function fetch() on null'), true, 'alive'],
    ] as const) {
      assert.equal(driver.judgeBody?.(request, Buffer.from(text), complete), verdict);
    }
  });
});

test('the sign-in page is one, and sign-out is none', () => {
  const isSignInPage = (target: string, method = 'GET'): boolean | undefined =>
    driver.isSignInPage?.(requestHead(method, target));
  assert.equal(isSignInPage('/horde/login.php'), true);
  assert.equal(isSignInPage('/horde/login.php?url=%2Fhorde%2Fimp%2F&horde_logout_token=T&logout_reason=6'), true);
  assert.equal(isSignInPage('/horde/login.php?horde_logout_token=T&logout_reason=4'), false);
  assert.equal(isSignInPage('/horde/imp/'), false);
  assert.equal(driver.resumeTarget?.('/horde/login.php?horde_logout_token=T'), '/horde/');
  assert.equal(driver.resumeTarget?.('/horde/imp/?x'), '/horde/imp/?x');
});

test('Horde’s script is led to the sign-in page in its own words', () => {
  const request = requestHead('POST', '/horde/services/ajax.php/imp/poll');
  const answer = driver.lostAnswer?.(request, '/-/login?ended=idle');
  assert.equal(answer?.status, 200);
  assert.equal(
    answer?.body,
    '/*-secure-{"msgs":[{"message":"/-/login?ended=idle","type":"horde.ajaxtimeout"}],"response":false}*/',
  );
  assert.equal(driver.lostAnswer?.(requestHead('GET', '/horde/imp/'), '/-/login'), undefined);
});
