import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSettings } from '../../src/schema/issues.ts';
import { settings as formSettings } from '../../src/webmail/form-settings.ts';
import { driverProblems, isDriverName, loadDriver } from '../../src/webmail/registry.ts';
import { clock, responseOf, scriptedExchange } from './scripted-exchange.fixture.ts';

const least = { user_field: 'u', password_field: 'p', success: { status: 303 }, failure: { status: 401 } };

test('the least settings are enough', () => {
  const parsed = parseSettings(formSettings, least);
  assert.ok(parsed.kind === 'ok');
  assert.deepEqual([parsed.settings.lost, parsed.settings.signOut, parsed.settings.page], [[], undefined, undefined]);
});

const wrong: readonly (readonly [settings: Readonly<Record<string, unknown>>, problem: string])[] = [
  [{ ...least, user_feld: 'x' }, 'user_feld is not a known key: did you mean user_field?'],
  [{ ...least, user_field: '' }, 'user_field is empty: write a text'],
  [{ ...least, user_field: undefined }, 'user_field is missing'],
  [{ ...least, success: undefined }, 'success is missing'],
  [{ ...least, success: {} }, 'success has no condition'],
  [{ ...least, success: { path: '/x' } }, 'success has no condition'],
  [{ ...least, success: '303' }, 'success "303" is not one or a list'],
  [{ ...least, failure: [{ status: 401 }, { status: 42 }] }, 'failure.1.status 42 is not a status'],
  [{ ...least, lost: { location: 'login' } }, 'lost.location "login" is not a path'],
  [{ ...least, lost: { cookie: 'x' } }, 'lost.cookie is not a valid key here'],
  [{ ...least, page: '//evil.test/' }, 'page "//evil.test/" is not a path'],
  [{ ...least, page: '/a b' }, 'page "/a b" is not a path'],
  [{ ...least, own_cookies: ['a', 1] }, 'own_cookies.1 1 is not a text'],
  [{ ...least, carried_cookies: [1] }, 'carried_cookies.0 1 is not a text'],
  [{ ...least, sign_out: { method: 'PUT', path: '/x' } }, 'sign_out.method "PUT" is not known here'],
  [{ ...least, sign_out: {} }, 'sign_out.path is missing'],
  [{ ...least, method: 'PUT' }, 'method "PUT" is not known here'],
  [{ ...least, lost: { text: 'x', within: '2 MiB' } }, 'lost.within "2 MiB" is too much: write at most 1 MiB'],
  [{ ...least, lost: { text: 'x', within: 65536 } }, 'lost.within 65536 is not a size'],
  [{ ...least, lost: { within: '64 KiB' } }, 'lost has no condition'],
  [{ ...least, lost: { json: { a: {} } } }, 'lost.json.a a map is not a text, a number, true, false or null'],
  [{ ...least, json: { path: '/api', body: { u: '{user}', p: '{password}' } } }, 'user_field belongs to a form'],
  [{ json: { path: '/api', body: { u: '{user}' } } }, 'json.body does not contain {password}'],
  [{ json: { body: { u: '{user}{password}' } } }, 'json.path is missing'],
  [
    { json: { path: '/', body: { u: '{user}{password}' }, token: { header: 'X' } } },
    'json.token needs exactly one place',
  ],
  [
    { json: { path: '/', body: { u: '{user}{password}' }, token: { cookie: 'c', header: 'X Y' } } },
    'json.token.header "X Y" is not the name',
  ],
];
for (const [settings, problem] of wrong) {
  test(`is told: ${problem}`, () => {
    const parsed = parseSettings(formSettings, settings);
    assert.ok(parsed.kind === 'problems');
    const told = parsed.problems.map(({ path, message }) => `${path.join('.')} ${message}`);
    assert.ok(
      told.some((each) => each.startsWith(problem)),
      told.join('\n'),
    );
  });
}

test('all problems are told at once', () => {
  const parsed = parseSettings(formSettings, { page: 1, success: [], failure: [], own_cookies: [2] });
  assert.ok(parsed.kind === 'problems');
  assert.ok(parsed.problems.length >= 4);
});

test('the registry loads each driver by its name, and knows no other', async () => {
  const exchange = scriptedExchange(() => responseOf(200));
  for (const name of ['roundcube', 'form', 'none']) {
    assert.ok(isDriverName(name));
    assert.deepEqual(await driverProblems(name, name === 'form' ? least : {}), []);
    const driver = await loadDriver(name, { exchange, clock, settings: name === 'form' ? least : {} });
    assert.equal(typeof driver.signIn, 'function');
  }
  assert.ok(!isDriverName('toString') && !isDriverName('squirrelmail'));
  assert.equal((await driverProblems('form', {})).length, 4);
});

test('a form driver is not made of settings that were not checked', async () => {
  const exchange = scriptedExchange(() => responseOf(200));
  await assert.rejects(loadDriver('form', { exchange, clock, settings: {} }), TypeError);
});
