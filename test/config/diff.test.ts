import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type ConfigDiff, diffConfig } from '../../src/config/diff.ts';
import { loadConfig } from '../../src/config/load.ts';
import { filesOf, smallest, someCertificate } from './config.fixture.ts';

const before = smallest(`  b: { imap: imaps://mx2, webmail: http://mx2, driver: none, tls_ca_file: ca.crt }
login: { refusal_after: 3s, branding: { logo: logo.svg } }
sessions: { redis: { url: redis://127.0.0.1, password: { file: redis.password } } }
`);

/** The difference that a reload would find after some files were rewritten. */
async function diffAfter(t: TestContext, changes: Readonly<Record<string, string>>): Promise<ConfigDiff> {
  const directory = filesOf(t, {
    'postern.yaml': before,
    'ca.crt': someCertificate,
    'logo.svg': '<svg/>',
    'redis.password': 'hunter2',
  });
  const old = await loadConfig(join(directory, 'postern.yaml'), { env: {} });
  for (const [name, text] of Object.entries(changes)) writeFileSync(join(directory, name), text);
  return diffConfig(old, await loadConfig(join(directory, 'postern.yaml'), { env: {} }));
}

test('a file that says the same in other words is no change', async (t) => {
  const diff = await diffAfter(t, { 'postern.yaml': `# a comment\n${before}` });
  assert.deepEqual(diff, { changed: [], refused: [], removed: [] });
});

test('a key is named where it stands, whether it was changed, added or left out', async (t) => {
  const text = before
    .replace('refusal_after: 3s', 'deadline: 20s')
    .replace('http://127.0.0.1:8080', 'http://localhost');
  const { changed, refused } = await diffAfter(t, { 'postern.yaml': text });
  assert.deepEqual(changed, ['login.deadline', 'login.refusal_after', 'public_url']);
  assert.deepEqual(refused, []);
});

test('a backend that is gone is named, and so is one that is new or different', async (t) => {
  const text = before
    .replace(/ {2}b: .*\n/, '  c: { imap: imaps://mx3, webmail: http://mx3, driver: none }\n')
    .replace('http://mx1.test/', 'http://mx1.test/mail/');
  const { changed, removed } = await diffAfter(t, { 'postern.yaml': text });
  assert.deepEqual(changed, ['backends.a', 'backends.b', 'backends.c']);
  assert.deepEqual(removed, ['b']);
});

test('a default that changes names itself and the backends that it reaches', async (t) => {
  const { changed } = await diffAfter(t, { 'postern.yaml': `${before}backend_defaults: { limits: { queue: 1 } }\n` });
  assert.deepEqual(changed, ['backend_defaults.limits.queue', 'backends.a', 'backends.b']);
});

test('files that are named are part of it', async (t) => {
  const { changed, refused } = await diffAfter(t, { 'ca.crt': someCertificate.repeat(2), 'logo.svg': '<svg></svg>' });
  assert.deepEqual(changed, ['backends.b', 'login (what it names)']);
  assert.deepEqual(refused, []);
});

test('what a running gateway cannot change is refused by name, with the remedy', async (t) => {
  const text = before
    .replace('sessions: {', 'sessions: { keys_file: other,')
    .concat('listen: 127.0.0.1:81\noperators: { listen: 127.0.0.1:91 }\nrequests: { header_size: 8 KiB }\n');
  const { refused } = await diffAfter(t, { 'postern.yaml': text, 'redis.password': 'hunter3' });
  const remedy = 'cannot change while the gateway runs: restart it, or restore the old value';
  const keys = ['listen', 'operators.listen', 'requests.header_size', 'sessions.redis', 'sessions.keys_file'];
  assert.deepEqual(
    refused,
    keys.map((key) => `${key}: ${remedy}`),
  );
});

test('no secret is in what is told', async (t) => {
  const diff = await diffAfter(t, { 'redis.password': 'hunter3' });
  assert.doesNotMatch(JSON.stringify(diff), /hunter/);
  assert.deepEqual(diff.changed, ['sessions (what it names)']);
});
