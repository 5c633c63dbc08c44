import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '../../src/core/secrets.ts';
import { parseSettings } from '../../src/schema/issues.ts';
import { create, settings as schema } from '../../src/webmail/header.ts';
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

const secret = new Secret('the-secret-of-the-gateway');
const settings = { user_field: 'X-Remote-User', secret };
const line = requestHead('GET', '/');

driverContract({
  name: 'header',
  landing: '/mail/',
  takesAnyPage: true,
  create: (exchange) => create({ exchange, clock, settings }),
  webmail: () => responseOf(200, '<html>', {}, ['sid=s1; path=/; HttpOnly', 'colour=blue; path=/']),
});

test('the first page is opened with user and secret, and its cookies are kept', async () => {
  const exchange = scriptedExchange(() => responseOf(200, '', {}, ['sid=s1; path=/; HttpOnly', 'colour=blue; path=/']));
  const outcome = await create({ exchange, clock, settings }).signIn(hostWith('/mail/'), identity('x'), going);
  assert.ok(outcome.kind === 'signed-in');
  assert.equal(field(exchange.requests[0], 'x-remote-user'), 'alice@example.test');
  assert.equal(field(exchange.requests[0], 'x-postern-secret'), 'the-secret-of-the-gateway');
  assert.equal(outcome.jar.header('/mail/', clock.nowMs()), 'sid=s1');
  assert.deepEqual([outcome.browserCookies, outcome.landing], [['colour=blue; path=/'], '/mail/']);
});

test('every request carries them, in UTF-8, and the password only where it is asked for', () => {
  const exchange = scriptedExchange(() => responseOf(200));
  const as = { ...identity('Paß€', 'jürgen@example.test'), session: 'session-1' };
  assert.deepEqual(create({ exchange, clock, settings }).requestHeaders?.(line, as), [
    ['X-Remote-User', Buffer.from('jürgen@example.test').toString('latin1')],
    ['X-Postern-Secret', 'the-secret-of-the-gateway'],
  ]);
  const more = { ...settings, secret_field: 'X-Sso-Secret', password_field: 'X-Sso-Password' };
  const driver = create({ exchange, clock, settings: more });
  assert.deepEqual(driver.requestHeaders?.(line, as).slice(1), [
    ['X-Sso-Secret', 'the-secret-of-the-gateway'],
    ['X-Sso-Password', Buffer.from('Paß€').toString('latin1')],
  ]);
  assert.equal(driver.requestHeaders?.(line, { ...as, password: undefined }).length, 2);
});

test('a webmail that does not take the gateway’s word is no refusal of the user', async () => {
  const exchange = scriptedExchange(() => responseOf(403));
  await assert.rejects(create({ exchange, clock, settings }).signIn(hostWith('/'), identity('x'), going), {
    code: 'ERR_WEBMAIL_ANSWER',
    message: /check the secret/,
  });
});

test('the first page leads on where the webmail says so, but not to itself or elsewhere', async () => {
  for (const [location, landing] of [
    ['/mail/inbox', '/mail/inbox'],
    ['/mail/?again=1', '/mail/'],
    ['https://evil.example/x', '/mail/'],
  ] as const) {
    const exchange = scriptedExchange(() => responseOf(302, '', { location }));
    const outcome = await create({ exchange, clock, settings }).signIn(hostWith('/mail/'), identity('x'), going);
    assert.equal(outcome.kind === 'signed-in' && outcome.landing, landing);
  }
});

test('sign-out is known by its marks, and the gateway checks where requests come from', () => {
  const marks = { signed_out: { path: '/logout', removes_cookie: 'sid' } };
  const exchange = scriptedExchange(() => responseOf(200));
  const driver = create({ exchange, clock, settings: { ...settings, ...marks } });
  const removed = answerHead(200, {}, ['sid=; Max-Age=0; path=/']);
  assert.equal(driver.judge(requestHead('GET', '/logout'), removed), 'signed-out');
  assert.equal(driver.judge(requestHead('GET', '/inbox'), removed), 'alive');
  assert.equal(driver.checksNoTokens, true);
});

const bad: readonly (readonly [name: string, settings: Readonly<Record<string, unknown>>, problem: string])[] = [
  ['no user field', { secret }, 'user_field is missing'],
  ['no secret', { user_field: 'X-Remote-User' }, 'secret is missing'],
  ['a plain secret', { user_field: 'X-Remote-User', secret: 'x'.repeat(20) }, 'secret is not a secret'],
  [
    'a field that means something else',
    { user_field: 'Cookie', secret },
    'user_field "Cookie" is not a usable field name',
  ],
  ['a field that cannot be one', { user_field: 'X User', secret }, 'user_field "X User" is not a usable field name'],
  ['an underscore', { user_field: 'X_User', secret }, 'user_field "X_User" is not a usable field name'],
  ['one name twice', { user_field: 'X-Sso', secret_field: 'x-sso', secret }, 'user_field names two'],
  ['a text as a mark', { ...settings, signed_out: { text: 'bye' } }, 'signed_out names a text'],
  ['a mark of nothing', { ...settings, signed_out: { path: '/x' } }, 'signed_out has no condition'],
  ['a slip', { ...settings, user: 'x' }, 'user is not a'],
];
for (const [name, given, problem] of bad) {
  test(`settings: ${name} is a problem`, () => {
    const parsed = parseSettings(schema, given);
    assert.ok(parsed.kind === 'problems');
    assert.ok(parsed.problems.some(({ path, message }) => `${path.join('.')} ${message}`.startsWith(problem)));
    const exchange = scriptedExchange(() => responseOf(200));
    assert.throws(() => create({ exchange, clock, settings: given }), TypeError);
  });
}
