import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DriverSettings } from '../../src/core/backend.ts';
import type { ExchangeRequest, ExchangeResponse } from '../../src/core/http.ts';
import { Secret } from '../../src/core/secrets.ts';
import type { MasterEntry } from '../../src/core/webmail.ts';
import { type DriverName, driverProblems, loadDriver } from '../../src/webmail/registry.ts';
import { fakeRoundcube, recorded } from './fake-roundcube.fixture.ts';
import { clock, field, going, hostWith, identity, responseOf, scriptedExchange } from './scripted-exchange.fixture.ts';

const secret = new Secret('0123456789abcdef0123456789abcdef');
const master = { user: 'support', password: new Secret('right'), separator: '*' };
const alice = { ...identity('never sent'), password: undefined };
const byName = 'alice@example.test*support';
const form = { user_field: 'user', password_field: 'pass', success: { status: 303 }, failure: { status: 401 } };

const entries: readonly (readonly [name: DriverName, settings: DriverSettings, kind: MasterEntry['kind']])[] = [
  ['roundcube', {}, 'impossible'],
  ['roundcube', { master_login: true }, 'other-account'],
  ['roundcube', { entry_key: secret }, 'own-account'],
  ['sogo', {}, 'impossible'],
  ['sogo', { mode: 'trusted', secret }, 'impossible'],
  ['sogo', { mode: 'trusted', secret, imap_password: secret }, 'own-account'],
  ['horde', {}, 'impossible'],
  ['horde', { master_login: true }, 'other-account'],
  ['horde', { master_login: true, own_account: true }, 'own-account'],
  ['form', form, 'impossible'],
  ['form', { ...form, master_login: true }, 'other-account'],
  ['basic', {}, 'impossible'],
  ['basic', { master_login: true }, 'other-account'],
  ['header', { user_field: 'X-User', secret }, 'own-account'],
  ['header', { user_field: 'X-User', secret, password_field: 'X-Pass' }, 'impossible'],
  ['none', {}, 'own-account'],
];
for (const [name, settings, kind] of entries) {
  test(`${name} with ${Object.keys(settings).join(', ') || 'no settings'}: ${kind}`, async () => {
    const exchange = scriptedExchange(() => responseOf(500));
    const driver = await loadDriver(name, { exchange, clock, settings, master });
    assert.equal(driver.masterEntry.kind, kind);
    assert.deepEqual(await driverProblems(name, settings), []);
    if (kind !== 'impossible') return;
    await assert.rejects(driver.signIn(hostWith('/'), alice, going), {
      code: 'ERR_NO_MASTER_ENTRY',
      source: 'webmail',
    });
    assert.deepEqual(exchange.requests, []);
  });
}

test('without a master of the backend nothing is sent, whatever is declared', async () => {
  const exchange = scriptedExchange(() => responseOf(500));
  for (const name of ['roundcube', 'horde', 'form', 'basic'] as const) {
    const own = name === 'horde' ? { own_account: true } : {};
    const settings = { ...(name === 'form' ? form : {}), master_login: true, ...own };
    const driver = await loadDriver(name, { exchange, clock, settings });
    assert.equal(driver.masterEntry.kind, 'impossible');
    await assert.rejects(driver.signIn(hostWith('/'), alice, going), { message: /has no master: set its user/ });
  }
  assert.deepEqual(exchange.requests, []);
});

const page = '<form action="/login" method="post"><input name="user"><input name="pass" type="password"></form>';
const notice = 'Login failed because your username or password was entered incorrectly.';
const webmails: readonly (readonly [
  name: DriverName,
  right: (request: ExchangeRequest) => ExchangeResponse,
  wrong: ExchangeResponse,
  sent: (request: ExchangeRequest | undefined) => readonly (string | null)[],
])[] = [
  ['roundcube', fakeRoundcube(), responseOf(401, recorded('login-failed.html')), fields('_user', '_pass')],
  [
    'horde',
    () => responseOf(302, '', { location: '/imp/' }),
    responseOf(200, `<div class="noticetext">${notice}</div>`),
    fields('horde_user', 'horde_pass'),
  ],
  [
    'form',
    ({ method }) => (method === 'GET' ? responseOf(200, page) : responseOf(303, '', { location: '/mail/' })),
    responseOf(401),
    fields('user', 'pass'),
  ],
  ['basic', () => responseOf(200), responseOf(401), basic],
];

function fields(...names: readonly string[]) {
  return (request: ExchangeRequest | undefined) => {
    const sent = new URLSearchParams(request?.body);
    return names.map((name) => sent.get(name));
  };
}

function basic(request: ExchangeRequest | undefined): readonly string[] {
  const [, encoded = ''] = field(request, 'authorization')?.split(' ') ?? [];
  return Buffer.from(encoded, 'base64').toString().split(':');
}

for (const [name, right, wrong, sent] of webmails) {
  const settings = { ...(name === 'form' ? form : {}), master_login: true };

  test(`${name}: the name of user and master, and the master's password, are sent`, async () => {
    const exchange = scriptedExchange(right);
    const driver = await loadDriver(name, { exchange, clock, settings, master });
    const outcome = await driver.signIn(hostWith('/'), alice, going);
    assert.equal(outcome.kind, 'signed-in');
    assert.deepEqual(sent(exchange.requests.at(-1)), [byName, 'right']);
  });

  test(`${name}: a user who has a password is entered with that, whatever is declared`, async () => {
    const exchange = scriptedExchange(right);
    const driver = await loadDriver(name, { exchange, clock, settings, master });
    await driver.signIn(hostWith('/'), identity('right'), going);
    assert.deepEqual(sent(exchange.requests.at(-1)), ['alice@example.test', 'right']);
  });

  test(`${name}: a refused master is a failure, and never a user's wrong password`, async () => {
    const exchange = scriptedExchange((request) => (request.method === 'GET' ? right(request) : wrong));
    const refusing = name === 'basic' ? scriptedExchange(() => wrong) : exchange;
    const driver = await loadDriver(name, { exchange: refusing, clock, settings, master });
    const code = 'ERR_WEBMAIL_ANSWER';
    await assert.rejects(driver.signIn(hostWith('/'), alice, going), { code, message: /master identity was refused/ });
    assert.deepEqual(await driver.signIn(hostWith('/'), identity('wrong'), going), { kind: 'rejected' });
  });
}

test('basic: what goes with each request is the master’s where the session holds no password', async () => {
  const exchange = scriptedExchange(() => responseOf(200));
  const driver = await loadDriver('basic', { exchange, clock, settings: { master_login: true }, master });
  const line = { method: 'GET', target: '/', header: () => undefined };
  const [added] = driver.requestHeaders?.(line, { ...alice, session: undefined }) ?? [];
  assert.deepEqual(added, ['Authorization', `Basic ${Buffer.from(`${byName}:right`).toString('base64')}`]);
});

test('master_login is a yes or no, and has no use beside the key of the plugin', async () => {
  for (const name of ['roundcube', 'horde', 'form', 'basic'] as const) {
    const settings = { ...(name === 'form' ? form : {}), master_login: 'yes' };
    assert.deepEqual(await driverProblems(name, settings), [
      { path: ['master_login'], message: '"yes" is not a yes or no: write true or false' },
    ]);
  }
  assert.deepEqual(await driverProblems('horde', { own_account: true }), [
    { path: ['own_account'], message: 'only changes what master_login opens: set master_login: true, too' },
  ]);
  const both = { entry_key: secret, master_login: true };
  const [problem] = await driverProblems('roundcube', both);
  assert.deepEqual(problem?.path, ['master_login']);
  for (const name of ['sogo', 'header', 'none'] as const) {
    const problems = await driverProblems(name, { master_login: true });
    assert.ok(problems.some(({ path }) => path[0] === 'master_login'));
  }
});
