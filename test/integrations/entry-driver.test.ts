import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '../../src/core/secrets.ts';
import type { WebmailDriver } from '../../src/core/webmail.ts';
import { parseSettings } from '../../src/schema/issues.ts';
import { settings as schema } from '../../src/webmail/roundcube/entry.ts';
import { create } from '../../src/webmail/roundcube/roundcube.ts';
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
} from '../webmail/scripted-exchange.fixture.ts';

const settings = { entry_key: new Secret('a-key-that-is-long-enough-for-it') };
const alice = { 'x-postern-session': 'user=alice%40example.test' };
const cookies = ['roundcube_sessid=s1; path=/; HttpOnly', 'roundcube_sessauth=a1; path=/; HttpOnly'];

function driverBefore(answer: ReturnType<typeof responseOf>): WebmailDriver {
  return create({ exchange: scriptedExchange(() => answer), clock, settings });
}

test('a sign-in is one signed request for the mailbox, without the password', async () => {
  const exchange = scriptedExchange(() => responseOf(307, '', alice, cookies));
  const driver = create({ exchange, clock, settings });
  const outcome = await driver.signIn(hostWith('/roundcube/'), identity('never-sent'), going);
  assert.ok(outcome.kind === 'signed-in');
  assert.equal(outcome.landing, '/roundcube/?_task=mail');
  assert.equal(outcome.jar.header('/', clock.nowMs()), 'roundcube_sessid=s1; roundcube_sessauth=a1');
  assert.equal(exchange.requests.length, 1);
  const [payload = ''] = field(exchange.requests[0], 'x-postern-entry')?.split('.') ?? [];
  assert.deepEqual(JSON.parse(Buffer.from(payload, 'base64url').toString()), {
    user: 'alice@example.test',
    session: '',
    time: clock.nowMs() / 1000,
    zone: 'Europe/Berlin',
    actor: '',
  });
  assert.doesNotMatch(JSON.stringify(exchange.requests), /never-sent/);
});

test('every request is signed for itself', () => {
  const driver = driverBefore(responseOf(200));
  const as = { ...identity('x'), session: 'session-1' };
  const signatures = [requestHead('GET', '/'), requestHead('POST', '/'), requestHead('GET', '/?_task=mail')].map(
    (line) => driver.requestHeaders?.(line, as)[0]?.[1],
  );
  assert.equal(new Set(signatures).size, 3);
});

const failures: readonly (readonly [
  name: string,
  fields: Readonly<Record<string, string>>,
  code: string,
  message: RegExp,
])[] = [
  ['no plugin', {}, 'ERR_WEBMAIL_ANSWER', /install it, and list the gateway/],
  ['a session of another user', { 'x-postern-session': 'user=mia%40example.test' }, 'ERR_WEBMAIL_ANSWER', /no answer/],
  ['broken encoding', { 'x-postern-session': 'user=%E0%A4%' }, 'ERR_WEBMAIL_ANSWER', /no answer/],
  [
    'another key',
    { 'x-postern-session': 'none', 'x-postern-refused': 'signature' },
    'ERR_WEBMAIL_ANSWER',
    /a different key/,
  ],
  ['another clock', { 'x-postern-refused': 'time' }, 'ERR_WEBMAIL_ANSWER', /clocks/],
  ['a refusal of a later version', { 'x-postern-refused': 'moon' }, 'ERR_WEBMAIL_ANSWER', /refused: "moon"/],
  ['a refused master', { 'x-postern-refused': 'imap' }, 'ERR_WEBMAIL_UNAVAILABLE', /master identity/],
];
for (const [name, fields, code, message] of failures) {
  test(`${name} is a failure that says what to do, and no wrong password`, async () => {
    const driver = driverBefore(responseOf(200, '<html>', fields));
    await assert.rejects(driver.signIn(hostWith('/'), identity('x'), going), { code, message });
  });
}

test('the field of the plugin says whether the session lives, whatever the body looks like', () => {
  const page = { 'content-type': 'text/html; charset=UTF-8' };
  const request = requestHead('GET', '/?_task=mail');
  const removal = 'roundcube_sessauth=-del-; expires=Sun, 22 Nov 2020 08:58:15 GMT; Max-Age=0; path=/; HttpOnly';
  for (const driver of [
    driverBefore(responseOf(200)),
    create({ exchange: scriptedExchange(() => responseOf(200)), clock, settings: {} }),
  ]) {
    assert.equal(driver.judge(request, answerHead(200, { ...page, ...alice })), 'alive');
    assert.equal(driver.judge(request, answerHead(200, { ...page, 'x-postern-session': 'none' })), 'lost');
    assert.equal(driver.judge(request, answerHead(200, page)), 'look-inside');
    const signOut = requestHead('GET', '/?_task=logout&_token=T');
    assert.equal(
      driver.judge(signOut, answerHead(200, { ...page, 'x-postern-session': 'none' }, [removal])),
      'signed-out',
    );
  }
});

test('a key that the plugin would not take is a problem of the configuration', () => {
  for (const given of [
    { entry_key: 'plain' },
    { entry_key: new Secret('x'.repeat(31)) },
    { key: settings.entry_key },
  ]) {
    assert.equal(parseSettings(schema, given).kind, 'problems');
  }
  assert.equal(parseSettings(schema, settings).kind, 'ok');
  assert.equal(parseSettings(schema, {}).kind, 'ok');
});
