import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { CookieJar } from '../../src/core/cookie-jar.ts';
import { PosternError } from '../../src/core/error.ts';
import type { ExchangeRequest, ExchangeResponse, HttpExchange } from '../../src/core/http.ts';
import type { WebmailDriver } from '../../src/core/webmail.ts';
import {
  answerHead,
  field,
  going,
  hostWith,
  identity,
  requestHead,
  responseOf,
  scriptedExchange,
  userAgent,
} from './scripted-exchange.fixture.ts';

/** A driver with a webmail that accepts `right` as every password; `landing` is the path of its configured URL. */
export interface DriverUnderTest {
  readonly name: string;
  readonly landing: string;
  /** Set if its sign-in is recognised by English text. */
  readonly readsEnglish?: true;
  /** Set if every page without an error counts as a sign-in. */
  readonly takesAnyPage?: true;
  create(exchange: HttpExchange): WebmailDriver;
  webmail(request: ExchangeRequest): ExchangeResponse;
}

/** The user's browser at a sign-out. */
export const signOutAs = { userAgent, publicOrigin: 'https://mail.example.test', clientAddress: '203.0.113.7' };

const idsOf = (request: ExchangeRequest) => [field(request, 'x-request-id'), field(request, 'traceparent')];

/** The contract of every webmail driver, with a well-behaved webmail and with a broken one. */
export function driverContract(under: DriverUnderTest): void {
  const host = hostWith(under.landing);
  const before = (): { driver: WebmailDriver; exchange: ReturnType<typeof scriptedExchange> } => {
    const exchange = scriptedExchange((request) => under.webmail(request));
    return { driver: under.create(exchange), exchange };
  };

  test(`${under.name}: a sign-in gives a jar of its own, and a landing on the same origin`, async () => {
    const { driver } = before();
    const first = await driver.signIn(host, identity('right'), going);
    const second = await driver.signIn(host, identity('right'), going);
    assert.ok(first.kind === 'signed-in' && second.kind === 'signed-in');
    assert.notEqual(first.jar, second.jar);
    assert.match(first.landing, /^\/(?!\/)[\x21-\x7e]*$/);
    for (const line of first.browserCookies) assert.match(line, /^[^=;\s]+=/);
  });

  test(`${under.name}: every request looks like the browser's own, through the gateway`, async () => {
    const { driver, exchange } = before();
    const outcome = await driver.signIn(host, identity('right'), going);
    assert.ok(outcome.kind === 'signed-in');
    await driver.signOut(host, outcome.jar, signOutAs, going);
    for (const request of exchange.requests) {
      assert.match(request.target, /^\/(?!\/)/);
      assert.equal(field(request, 'user-agent'), userAgent);
      assert.equal(field(request, 'host'), 'mail.example.test');
      assert.equal(field(request, 'x-forwarded-for'), '203.0.113.7');
      assert.equal(field(request, 'x-forwarded-proto'), 'https');
      assert.equal(field(request, 'x-forwarded-host'), 'mail.example.test');
    }
  });

  test(`${under.name}: every request carries the ids of the user’s request, and none where there is no such`, async () => {
    const { driver, exchange } = before();
    const trace = { requestId: 'made-by-a-proxy', traceparent: `00-${'4b'.repeat(16)}-${'f0'.repeat(8)}-01` };
    const as = identity('right');
    const traced = { ...as, client: { ...as.client, trace: { ...trace, tracestate: 'a=1' } } };
    const outcome = await driver.signIn(host, traced, going);
    assert.ok(outcome.kind === 'signed-in');
    await driver.signOut(host, outcome.jar, { ...signOutAs, trace }, going);
    for (const request of exchange.requests) assert.deepEqual(idsOf(request), [trace.requestId, trace.traceparent]);
    const [first] = exchange.requests;
    if (first !== undefined) assert.equal(field(first, 'tracestate'), 'a=1');
    await driver.signIn(host, as, going);
    const last = exchange.requests.at(-1);
    if (last !== undefined) assert.deepEqual(idsOf(last), [undefined, undefined]);
  });

  test(`${under.name}: a sign-in asks in the languages of the browser, for they may stay those of the session`, async () => {
    const { driver, exchange } = before();
    const language = 'de-AT,de;q=0.9,en;q=0.5';
    const as = identity('right');
    const outcome = await driver.signIn(host, { ...as, client: { ...as.client, language } }, going);
    assert.equal(outcome.kind, 'signed-in');
    const asked = new Set(exchange.requests.map((request) => field(request, 'accept-language')));
    assert.deepEqual([...asked], under.name === 'none' ? [] : [under.readsEnglish === true ? 'en' : language]);
  });

  test(`${under.name}: a webmail that cannot be asked is a failure of source webmail, never a refusal`, async () => {
    const gone = new PosternError('ERR_WEBMAIL_UNAVAILABLE', 'gone', { source: 'webmail', retryable: true });
    for (const broken of [
      () => Promise.reject(gone),
      () => responseOf(503, 'busy'),
      () => responseOf(200, '<p>garbage'),
    ]) {
      const driver = under.create(scriptedExchange(broken));
      const outcome = await driver.signIn(host, identity('right'), going).catch((error: unknown) => error);
      if (under.name === 'none') continue;
      if (under.takesAnyPage === true && typeof outcome === 'object' && outcome !== null && 'kind' in outcome) continue;
      assert.ok(outcome instanceof PosternError);
      assert.equal(outcome.source, 'webmail');
      assert.doesNotMatch(outcome.message, /right/);
    }
  });

  test(`${under.name}: without the user's password it enters as it says it can, or refuses and sends nothing`, async () => {
    const { driver, exchange } = before();
    const outcome = await driver
      .signIn(host, { ...identity('right'), password: undefined }, going)
      .catch((error: unknown) => error);
    if (driver.masterEntry.kind !== 'impossible') {
      assert.ok(typeof outcome === 'object' && outcome !== null && 'kind' in outcome);
      assert.equal(outcome.kind, 'signed-in');
      return;
    }
    assert.ok(outcome instanceof PosternError);
    assert.deepEqual([outcome.code, outcome.source, outcome.retryable], ['ERR_NO_MASTER_ENTRY', 'webmail', false]);
    assert.ok(outcome.message.includes(driver.masterEntry.why));
    assert.deepEqual(exchange.requests, []);
  });

  test(`${under.name}: signing out with an empty jar does no harm`, async () => {
    await before().driver.signOut(host, new CookieJar(() => true), signOutAs, going);
  });

  test(`${under.name}: pictures, scripts, downloads and redirects are signs of life`, () => {
    const { driver } = before();
    const get = requestHead('GET', '/some/picture.png');
    for (const response of [
      answerHead(200, { 'content-type': 'image/png' }),
      answerHead(200, { 'content-type': 'text/javascript' }),
      answerHead(200, { 'content-type': 'text/html', 'content-disposition': 'attachment; filename="page.html"' }),
      answerHead(304),
      answerHead(404, { 'content-type': 'text/html' }),
      answerHead(500, { 'content-type': 'text/html' }),
    ]) {
      assert.equal(driver.judge(get, response), 'alive');
    }
  });

  test(`${under.name}: no request and no body makes it throw, or leads to another server`, () => {
    const { driver } = before();
    const text = fc.string({ unit: 'binary', maxLength: 60 });
    const target = fc
      .tuple(fc.constantFrom('/', '/index.php', '/a/b?', '/?_task=mail&_action=', '/%'), text)
      .map((parts) => parts.join(''));
    const fields = fc.dictionary(
      fc.constantFrom('referer', 'accept-language', 'host', 'x-roundcube-request', 'content-type'),
      text,
    );
    fc.assert(
      fc.property(
        fc.constantFrom('GET', 'POST', 'HEAD', 'PUT'),
        target,
        fields,
        fc.uint8Array(),
        (method, path, headers, body) => {
          const request = requestHead(method, path, headers);
          driver.judge(request, answerHead(200, headers, [path]));
          driver.judgeBody?.(request, body, true);
          driver.isPoll?.(request);
          driver.isSignInPage?.(request);
          const resumed = driver.resumeTarget?.(path) ?? path;
          assert.ok(resumed.startsWith('/') && !resumed.startsWith('//'));
          for (const [name, value] of driver.lostAnswer?.(request, '/-/login')?.headers ?? []) {
            assert.doesNotMatch(name + value, /[\r\n\0]/);
          }
        },
      ),
    );
  });
}

/** Tests that none of these answers to a sign-in is a wrong password: each is an error of the webmail. */
export function strangeAnswers(
  create: DriverUnderTest['create'],
  landing: string,
  answers: readonly (readonly [name: string, answer: ExchangeResponse, message: RegExp])[],
): void {
  for (const [name, answer, message] of answers) {
    test(`${name} is no wrong password`, async () => {
      const attempt = create(scriptedExchange(() => answer)).signIn(hostWith(landing), identity('right'), going);
      await assert.rejects(attempt, { code: 'ERR_WEBMAIL_ANSWER', message });
    });
  }
}
