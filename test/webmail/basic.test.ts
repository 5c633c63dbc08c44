import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, settings as schema } from '../../src/webmail/basic.ts';
import { parseSettings } from '../../src/schema/issues.ts';
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

const right = `Basic ${Buffer.from('alice@example.test:right').toString('base64')}`;
const realm = { 'www-authenticate': 'Basic realm="mail"' };

driverContract({
  name: 'basic',
  landing: '/mail/',
  takesAnyPage: true,
  create: (exchange) => create({ exchange, clock, settings: {} }),
  webmail: (request) => (field(request, 'authorization') === right ? responseOf(200) : responseOf(401, '', realm)),
});

test('user and password go along, in UTF-8', async () => {
  const exchange = scriptedExchange(() => responseOf(200));
  const driver = create({ exchange, clock, settings: {} });
  await driver.signIn(hostWith('/'), identity('Paß:€'), going);
  const sent = field(exchange.requests[0], 'authorization')?.slice('Basic '.length) ?? '';
  assert.equal(Buffer.from(sent, 'base64').toString('utf8'), 'alice@example.test:Paß:€');
  const as = { ...identity('right'), session: 'session-1' };
  const line = requestHead('GET', '/');
  assert.deepEqual(driver.requestHeaders?.(line, as), [['Authorization', right]]);
  assert.deepEqual(driver.requestHeaders?.(line, { ...as, password: undefined }), []);
  assert.equal(driver.checksNoTokens, true);
});

test('status 401 refuses the password, at sign-in and later', async () => {
  const driver = create({ exchange: scriptedExchange(() => responseOf(401, '', realm)), clock, settings: {} });
  assert.deepEqual(await driver.signIn(hostWith('/'), identity('wrong'), going), { kind: 'rejected' });
  assert.equal(driver.judge(requestHead('GET', '/inbox'), answerHead(401, realm)), 'lost');
  assert.equal(driver.judge(requestHead('GET', '/inbox'), answerHead(403)), 'alive');
});

test('the first page leads on where the webmail says so', async () => {
  const exchange = scriptedExchange(() => responseOf(302, '', { location: '/?_task=mail' }));
  const outcome = await create({ exchange, clock, settings: {} }).signIn(hostWith('/'), identity('x'), going);
  assert.equal(outcome.kind === 'signed-in' && outcome.landing, '/?_task=mail');
});

test('sign-out is known by its marks; other settings are problems', () => {
  const settings = { signed_out: { location: '/signed-out' } };
  const driver = create({ exchange: scriptedExchange(() => responseOf(200)), clock, settings });
  const answer = answerHead(307, { location: '/signed-out' });
  assert.equal(driver.judge(requestHead('GET', '/?_task=logout'), answer), 'signed-out');
  assert.equal(parseSettings(schema, { secret: 1 }).kind, 'problems');
  assert.equal(parseSettings(schema, { signed_out: [{ text: 'bye' }] }).kind, 'problems');
});
