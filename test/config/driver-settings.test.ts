import assert from 'node:assert/strict';
import { test } from 'node:test';
import { problemsOf } from './config.fixture.ts';

const head = `public_url: http://127.0.0.1:8080
directory: { sources: [{ type: static, backend: a }] }
`;

test('a slip under the defaults is told at its line, and once', async (t) => {
  const file = `${head}backend_defaults:
  driver: sogo
  sogo: { mode: trustd }
  imap: imaps://$host
  webmail: http://$host/SOGo/
backends: { a: mx1.test, b: mx2.test, c: { host: mx3.test } }
`;
  assert.deepEqual(await problemsOf(t, { 'postern.yaml': file }, { checksDrivers: true }), [
    'postern.yaml:5:17 backend_defaults.sogo.mode: "trustd" is not known here: did you mean trusted?',
  ]);
});

test('a slip in a block of a backend is told there, whatever the defaults have', async (t) => {
  const file = `${head}backend_defaults: { driver: horde, horde: { master_login: false } }
backends:
  a: { imap: imaps://mx1.test, webmail: http://mx1.test/, horde: { mastr_login: true } }
  b: { imap: imaps://mx2.test, webmail: http://mx2.test/, driver: header, header: { user_field: X-User } }
`;
  assert.deepEqual(await problemsOf(t, { 'postern.yaml': file }, { checksDrivers: true }), [
    'postern.yaml:5:68 backends.a.horde.mastr_login: is not a known key: did you mean master_login?',
    'postern.yaml:6:75 backends.b.header.secret: is missing: without it, anybody who reaches the webmail could sign in as any user',
  ]);
});

test('a slip in a source is told at its key, with the nearest one', async (t) => {
  const file = `public_url: http://127.0.0.1:8080
directory:
  sources:
    - type: static
      backend: a
      domain: [example.org]
backends: { a: { imap: imaps://mx1.test, webmail: http://mx1.test/, driver: none } }
`;
  assert.deepEqual(await problemsOf(t, { 'postern.yaml': file }, { checksDrivers: true }), [
    'postern.yaml:6:7 directory.sources[0].domain: is not a known key: did you mean domains?',
  ]);
});
