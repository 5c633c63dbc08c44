import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PosternError } from '../../src/core/error.ts';
import type { ExchangeRequest, ExchangeResponse } from '../../src/core/http.ts';
import { Secret } from '../../src/core/secrets.ts';
import { create } from '../../src/webmail/form.ts';
import { problemsOf } from '../config/config.fixture.ts';
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

const json = { 'content-type': 'application/json' };
const settings = {
  page: '/app/',
  json: {
    path: '/api/session',
    body: { login: { name: '{user}', secret: '{password}' }, keep: false, methods: ['password', '{user}'] },
    token: { cookie: 'XSRF-TOKEN', header: 'X-XSRF-TOKEN' },
  },
  landing: '/app/mail',
  success: { status: 200, json: { ok: true, 'error.code': null } },
  failure: { json: { 'error.code': 'bad-password' } },
  lost: [{ status: 401 }, { json: { 'error.code': 'no-session' } }],
  sign_out: { path: '/api/leave', json: { all: false } },
  own_cookies: ['XSRF-TOKEN'],
};

function webmail({ method, target, headers, body }: ExchangeRequest): ExchangeResponse {
  if (method === 'GET') return responseOf(200, '<div id="app">', {}, ['XSRF-TOKEN=a%2Bb%3D; Path=/']);
  const token = headers.find(([name]) => name === 'X-XSRF-TOKEN')?.[1];
  if (token !== 'a+b=') return responseOf(419, '{"error":{"code":"forged"}}', json);
  if (target === '/api/leave') return responseOf(204);
  const { login }: { login: { secret: string } } = JSON.parse(body ?? '{}');
  if (login.secret !== 'right') return responseOf(200, '{"ok":false,"error":{"code":"bad-password"}}', json);
  return responseOf(200, '{"ok":true,"error":{"code":null}}', json, ['sid=S; Path=/; HttpOnly']);
}

driverContract({
  name: 'form by JSON',
  landing: '/',
  create: (exchange) => create({ exchange, clock, settings }),
  webmail,
});

test('a sign-in by JSON fills the template in, and sends the token as the webmail’s script does', async () => {
  const exchange = scriptedExchange(webmail);
  const outcome = await create({ exchange, clock, settings }).signIn(hostWith('/'), identity('right'), going);
  assert.ok(outcome.kind === 'signed-in');
  assert.equal(outcome.landing, '/app/mail');
  assert.match(outcome.jar.header('/', clock.nowMs()), /sid=S/);
  const [, sent] = exchange.requests;
  assert.deepEqual([sent?.method, sent?.target], ['POST', '/api/session']);
  assert.deepEqual(JSON.parse(sent?.body ?? ''), {
    login: { name: 'alice@example.test', secret: 'right' },
    keep: false,
    methods: ['password', 'alice@example.test'],
  });
  const named = ['content-type', 'origin', 'referer', 'x-xsrf-token'].map((name) => field(sent, name));
  const publicPage = 'https://mail.example.test/app/';
  assert.deepEqual(named, ['application/json', 'https://mail.example.test', publicPage, 'a+b=']);
});

test('a password that looks like a place of the template is sent as it is', async () => {
  const exchange = scriptedExchange(webmail);
  const driver = create({ exchange, clock, settings });
  assert.deepEqual(await driver.signIn(hostWith('/'), identity('{user}"$&'), going), { kind: 'rejected' });
  assert.equal(JSON.parse(exchange.requests[1]?.body ?? '').login.secret, '{user}"$&');
});

for (const [what, token, page, expected] of [
  ['a meta of the page', { meta: 'csrf', header: 'X-C' }, '<meta name="csrf" content="m&amp;1">', 'm&1'],
  ['the JSON of the page', { json: 'a.token', header: 'X-C' }, '{"a":{"token":"j1"}}', 'j1'],
] as const) {
  test(`the token may stand in ${what}`, async () => {
    const exchange = scriptedExchange(({ method }) =>
      method === 'GET' ? responseOf(200, page) : responseOf(200, '{"ok":true,"error":{"code":null}}', json),
    );
    const driver = create({ exchange, clock, settings: { ...settings, json: { ...settings.json, token } } });
    assert.equal((await driver.signIn(hostWith('/'), identity('right'), going)).kind, 'signed-in');
    assert.equal(field(exchange.requests[1], 'x-c'), expected);
  });
}

function configured(password: string): string {
  return `public_url: http://127.0.0.1:8080
directory: { sources: [{ type: static, backend: a }] }
backends:
  a:
    imap: imaps://a.test
    webmail: http://a.test/
    driver: form
    form: { json: { path: /in, body: { user: "{user}", password: "${password}" , pw: "{password}" } }, success: { status: 200 }, failure: { status: 401 } }
`;
}

test('a secret of the gateway’s own in the template is sent, and none is written out in the configuration', async (t) => {
  const exchange = scriptedExchange(webmail);
  const key = new Secret('0123456789abcdef');
  const body = { ...settings.json.body, client: { key } };
  const driver = create({ exchange, clock, settings: { ...settings, json: { ...settings.json, body } } });
  assert.equal((await driver.signIn(hostWith('/'), identity('right'), going)).kind, 'signed-in');
  assert.deepEqual(JSON.parse(exchange.requests[1]?.body ?? '').client, { key: '0123456789abcdef' });
  const problems = (password: string) =>
    problemsOf(t, { 'postern.yaml': configured(password) }, { checksDrivers: true });
  assert.deepEqual(await problems('{password}'), []);
  assert.match((await problems('hunter2')).join(), /secrets do not belong in this file/);
});

test('a token that is not there is said, and nothing is sent', async () => {
  const exchange = scriptedExchange(() => responseOf(200, '<p>'));
  const attempt = create({ exchange, clock, settings }).signIn(hostWith('/'), identity('right'), going);
  await assert.rejects(
    attempt,
    (error) => error instanceof PosternError && /no token in the cookie XSRF-TOKEN at \/app\//.test(error.message),
  );
  assert.equal(exchange.requests.length, 1);
});

test('values of JSON are a mark of a later answer, which no mail can bear as a text', () => {
  const driver = create({ exchange: scriptedExchange(webmail), clock, settings });
  const judged = (body: string, complete = true) => {
    const request = requestHead('POST', '/api/list');
    const byHead = driver.judge(request, answerHead(200, json));
    return byHead === 'look-inside' ? driver.judgeBody?.(request, Buffer.from(body), complete) : byHead;
  };
  assert.equal(judged('{"error":{"code":"no-session"}}'), 'lost');
  assert.equal(judged('{"error":{"code":"no-session"}', false), 'alive');
  assert.equal(judged('{"mail":"{\\"error\\":{\\"code\\":\\"no-session\\"}}"}'), 'alive');
  assert.equal(judged('{"error":"no-session"}'), 'alive');
});

test('the sign-out by JSON goes with a token of the session', async () => {
  const exchange = scriptedExchange(webmail);
  const driver = create({ exchange, clock, settings });
  const outcome = await driver.signIn(hostWith('/'), identity('right'), going);
  assert.ok(outcome.kind === 'signed-in');
  const as = { userAgent: 'UA', publicOrigin: 'https://mail.example.test', clientAddress: '203.0.113.7' };
  await driver.signOut(hostWith('/'), outcome.jar, as, going);
  const last = exchange.requests.at(-1);
  assert.deepEqual([last?.target, last?.body, field(last, 'x-xsrf-token')], ['/api/leave', '{"all":false}', 'a+b=']);
});
