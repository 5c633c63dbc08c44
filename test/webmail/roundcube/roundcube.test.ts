import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PosternError } from '../../../src/core/error.ts';
import { create } from '../../../src/webmail/roundcube/roundcube.ts';
import { loginFailedTexts } from '../../../src/webmail/roundcube/texts.ts';
import { driverContract } from '../driver-contract.fixture.ts';
import { fakeRoundcube, recorded } from '../fake-roundcube.fixture.ts';
import {
  clock,
  field,
  going,
  hostWith,
  identity,
  requestHead,
  responseOf,
  scriptedExchange,
} from '../scripted-exchange.fixture.ts';

driverContract({
  name: 'roundcube',
  landing: '/',
  create: (exchange) => create({ exchange, clock, settings: {} }),
  webmail: fakeRoundcube(),
});

driverContract({
  name: 'roundcube, as 1.7 was recorded',
  landing: '/roundcube/',
  create: (exchange) => create({ exchange, clock, settings: {} }),
  webmail: fakeRoundcube('/roundcube/', 'roundcube-1.7/'),
});

test('1.7 asked above its public_html is a failure that names the path', async () => {
  const said = 'Please, configure your HTTP server to point to the /public_html directory (with fallback to …).';
  const exchange = scriptedExchange(() => responseOf(200, said));
  const signIn = create({ exchange, clock, settings: {} }).signIn(hostWith('/'), identity('right'), going);
  await assert.rejects(signIn, { code: 'ERR_WEBMAIL_ANSWER', message: /check the path of the webmail URL/ });
});

test('a wrong password is a refusal in the recorded words of 1.7', async () => {
  const exchange = scriptedExchange(fakeRoundcube('/', 'roundcube-1.7/'));
  const driver = create({ exchange, clock, settings: {} });
  assert.deepEqual(await driver.signIn(hostWith('/'), identity('wrong'), going), { kind: 'rejected' });
});

test('a sign-in sends the token, the time zone and the exact password, and keeps the newest pair of cookies', async () => {
  const exchange = scriptedExchange(fakeRoundcube());
  const outcome = await create({ exchange, clock, settings: {} }).signIn(hostWith('/'), identity('right'), going);
  assert.ok(outcome.kind === 'signed-in');
  assert.equal(outcome.landing, '/?_task=mail');
  assert.equal(outcome.jar.header('/', clock.nowMs()), 'roundcube_sessid=s1; roundcube_sessauth=auth1-1795312500');
  assert.deepEqual(outcome.browserCookies, []);
  const form = new URLSearchParams(exchange.requests[1]?.body);
  assert.equal(form.get('_timezone'), 'Europe/Berlin');
  assert.deepEqual([form.get('_task'), form.get('_action'), form.get('_url')], ['login', 'login', '']);
  assert.equal(field(exchange.requests[0], 'cookie'), undefined);
});

test('an odd password arrives as it is', async () => {
  const exchange = scriptedExchange(fakeRoundcube());
  const password = ' Paß "wört" \\1 €+&=% 🙂';
  await create({ exchange, clock, settings: {} }).signIn(hostWith('/'), identity(password), going);
  assert.equal(new URLSearchParams(exchange.requests[1]?.body).get('_pass'), password);
});

test('a sub path is kept, from the configuration to the landing', async () => {
  const exchange = scriptedExchange(fakeRoundcube('/roundcube/'));
  const outcome = await create({ exchange, clock, settings: {} }).signIn(
    hostWith('/roundcube/?_task=mail'),
    identity('right'),
    going,
  );
  assert.ok(outcome.kind === 'signed-in');
  assert.equal(outcome.landing, '/roundcube/?_task=mail');
});

test('a wrong password is a refusal in every language of Roundcube', async () => {
  const driver = create({ exchange: scriptedExchange(fakeRoundcube()), clock, settings: {} });
  assert.deepEqual(await driver.signIn(hostWith('/'), identity('wrong'), going), { kind: 'rejected' });
  for (const text of loginFailedTexts) {
    const german = scriptedExchange((_request, count) =>
      count === 1
        ? responseOf(200, recorded('sign-in-page.html'))
        : responseOf(401, `<script>rcmail.display_message(${JSON.stringify(text)},"warning",0);</script>`),
    );
    const outcome = await create({ exchange: german, clock, settings: {} }).signIn(
      hostWith('/'),
      identity('wrong'),
      going,
    );
    assert.deepEqual(outcome, { kind: 'rejected' }, text);
  }
});

const failures: readonly (readonly [
  name: string,
  answer: ReturnType<typeof responseOf>,
  code: string,
  message: RegExp,
])[] = [
  ['an invalid request', responseOf(401, recorded('invalid-request.html')), 'ERR_WEBMAIL_ANSWER', /Invalid request/],
  [
    'a web server that wants a password of its own',
    responseOf(401, 'Unauthorized'),
    'ERR_WEBMAIL_ANSWER',
    /401: no message/,
  ],
  [
    'a message that is no string',
    responseOf(401, 'rcmail.display_message("\\x","warning"'),
    'ERR_WEBMAIL_ANSWER',
    /no message/,
  ],
  ['an error', responseOf(502, ''), 'ERR_WEBMAIL_UNAVAILABLE', /502/],
  [
    'a redirect to another server',
    responseOf(302, '', { location: 'https://evil.test/' }),
    'ERR_WEBMAIL_ANSWER',
    /evil/,
  ],
  ['a redirect without a target', responseOf(302), 'ERR_WEBMAIL_ANSWER', /nowhere/],
  [
    'a redirect back to the form',
    responseOf(302, '', { location: '/?_task=login' }),
    'ERR_WEBMAIL_ANSWER',
    /_task=login/,
  ],
];
for (const [name, answer, code, message] of failures) {
  test(`${name} is not taken for a wrong password`, async () => {
    const exchange = scriptedExchange((_request, count) =>
      count === 1 ? responseOf(200, recorded('sign-in-page.html')) : answer,
    );
    const error = await create({ exchange, clock, settings: {} })
      .signIn(hostWith('/'), identity('secret-pw'), going)
      .catch((each: unknown) => each);
    assert.ok(error instanceof PosternError);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /secret-pw/);
  });
}

test('a webmail URL whose path is not that of Roundcube is named as such', async () => {
  const exchange = scriptedExchange(() => responseOf(301, '', { location: 'http://127.0.0.11/roundcube/' }));
  await assert.rejects(
    create({ exchange, clock, settings: {} }).signIn(hostWith('/roundcube'), identity('right'), going),
    /check the path/,
  );
});

const leads: readonly (readonly [what: string, location: string, told: RegExp])[] = [
  ['force_https', 'https://mail.example.test/?_task=login', /force_https .*proxy_whitelist/],
  ['another path', 'https://mail.example.test/roundcube/', /check the path/],
];
for (const [what, location, told] of leads) {
  test(`a form that leads away by ${what}: the error names the remedy`, async () => {
    const exchange = scriptedExchange(() => responseOf(302, '', { location }));
    const driver = create({ exchange, clock, settings: {} });
    await assert.rejects(driver.signIn(hostWith('/'), identity('right'), going), told);
  });
}

test('Roundcube is asked in the languages of the browser: a new user of its keeps the first one', async () => {
  const exchange = scriptedExchange(fakeRoundcube());
  const as = identity('right');
  const driver = create({ exchange, clock, settings: {} });
  await driver.signIn(hostWith('/'), { ...as, client: { ...as.client, language: 'de-AT,de;q=0.9' } }, going);
  assert.deepEqual(
    exchange.requests.map((each) => field(each, 'accept-language')),
    ['de-AT,de;q=0.9', 'de-AT,de;q=0.9'],
  );
  await driver.signIn(hostWith('/'), as, going);
  assert.equal(field(exchange.requests.at(-1), 'accept-language'), 'en');
});

test('a mailbox that staff opens goes no further where the user would have to', async () => {
  const step = '<script>var rcmail = new rcube_webmail();</script>';
  const exchange = scriptedExchange((_request, count) =>
    responseOf(200, count === 1 ? recorded('sign-in-page.html') : step),
  );
  const driver = create({ exchange, clock, settings: {} });
  const as = identity('right');
  await assert.rejects(driver.signIn(hostWith('/'), { ...as, actor: as.user }, going), /more than the password/);
});

test('a sign-out uses the token of the session', async () => {
  const exchange = scriptedExchange(fakeRoundcube());
  const driver = create({ exchange, clock, settings: {} });
  const outcome = await driver.signIn(hostWith('/'), identity('right'), going);
  assert.ok(outcome.kind === 'signed-in');
  const as = { userAgent: undefined, publicOrigin: 'https://mail.example.test', clientAddress: '203.0.113.7' };
  await driver.signOut(hostWith('/'), outcome.jar, as, going);
  assert.equal(exchange.requests.at(-1)?.target, '/?_task=logout&_token=T1');
  assert.match(field(exchange.requests.at(-1), 'cookie') ?? '', /roundcube_sessauth=auth1/);
});

test('polls are what the page does by itself', () => {
  const driver = create({ exchange: scriptedExchange(() => responseOf(200)), clock, settings: {} });
  const isPoll = (target: string): boolean | undefined => driver.isPoll?.(requestHead('POST', target));
  for (const action of ['refresh', 'keep-alive', 'check-recent', 'getunread']) {
    assert.equal(isPoll(`/?_task=mail&_action=${action}`), true);
  }
  for (const target of ['/', '/?_task=mail', '/?_task=mail&_action=list', '/?_task=mail&_action=send']) {
    assert.equal(isPoll(target), false);
  }
});

test('its cookies are its own, and colorMode is not', () => {
  const driver = create({ exchange: scriptedExchange(() => responseOf(200)), clock, settings: {} });
  assert.ok(driver.ownsCookie('roundcube_sessid') && driver.ownsCookie('roundcube_sessauth'));
  assert.ok(!driver.ownsCookie('colorMode'));
});
