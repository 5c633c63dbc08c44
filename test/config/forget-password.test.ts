import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, problemsOf } from './config.fixture.ts';

const secret = '0123456789abcdef0123456789abcdef';
const options = { checksDrivers: true };

function site(...backends: readonly string[]): Readonly<Record<string, string>> {
  const lines = backends.map(
    (settings, at) => `  b${at}: { imap: imaps://mx${at}.test, webmail: http://mx${at}.test/, ${settings} }`,
  );
  return {
    secret,
    'postern.yaml': `public_url: http://127.0.0.1:8080
sessions: { forget_password: true }
directory: { sources: [{ type: static, backend: b0 }] }
backends:
${lines.join('\n')}
`,
  };
}

const key = '{ file: secret }';
const master = `master: { user: postern, password: ${key} }`;

test('passwords may be forgotten where every webmail opens the user’s own account without them', async (t) => {
  const config = await load(
    t,
    site(
      `driver: roundcube, roundcube: { entry_key: ${key} }`,
      `driver: sogo, sogo: { mode: trusted, secret: ${key}, imap_password: ${key} }`,
      `driver: header, header: { user_field: X-User, secret: ${key} }`,
      `driver: horde, horde: { master_login: true, own_account: true }, ${master}`,
      'driver: none',
    ),
    options,
  );
  assert.equal(config.sessions.forgetPassword, true);
});

const impossible: readonly (readonly [settings: string, why: RegExp])[] = [
  ['driver: roundcube', /install the plugin of integrations\/roundcube, and set entry_key$/],
  [`driver: roundcube, roundcube: { master_login: true }, ${master}`, /sender address are not those of the user$/],
  ['driver: sogo', /set mode: trusted with an imap_password$/],
  [`driver: sogo, sogo: { mode: trusted, secret: ${key} }`, /set imap_password/],
  ['driver: horde', /Horde needs the password/],
  [`driver: horde, horde: { master_login: true }, ${master}`, /are not those of the user$/],
  ['driver: basic', /HTTP Basic needs the password/],
  [`driver: basic, basic: { master_login: true }, ${master}`, /are not those of the user$/],
  [`driver: header, header: { user_field: X-User, secret: ${key}, password_field: X-Pass }`, /password_field$/],
];
for (const [settings, why] of impossible) {
  test(`they may not with ${settings}`, async (t) => {
    const [problem = '', ...others] = await problemsOf(t, site('driver: none', settings), options);
    assert.match(problem, /^postern\.yaml:2:\d+ sessions\.forget_password: .*the backend b1 cannot: /);
    assert.match(problem, why);
    assert.deepEqual(others, []);
  });
}

test('a reason that many backends share is told once', async (t) => {
  const problems = await problemsOf(
    t,
    site('driver: horde', 'driver: horde', 'driver: basic', 'driver: horde'),
    options,
  );
  assert.equal(problems.length, 2);
  assert.match(problems.join('\n'), /the backend b0 and 2 more cannot: Horde[^]*the backend b2 cannot: HTTP Basic/);
});
