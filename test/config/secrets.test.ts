import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { remarks } from '../../src/cli/check.ts';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { Secret } from '../../src/core/secrets.ts';
import { filesOf, load, problemsOf, smallest } from './config.fixture.ts';

function redis(password: string): string {
  return smallest(`sessions: { redis: { url: redis://127.0.0.1, password: ${password} } }`);
}

function revealed({ sessions: { store } }: Config): string | undefined {
  return store.kind === 'redis' ? store.password?.reveal() : undefined;
}

describe('secrets', () => {
  test('are read from a file, without its line end', async (t) => {
    const config = await load(t, { 'postern.yaml': redis('{ file: s/redis }'), 's/redis': ' hunter2 \n' });
    assert.equal(revealed(config), ' hunter2 ');
  });

  test('are read from the environment', async (t) => {
    const config = await load(t, { 'postern.yaml': redis('{ env: REDIS }') }, { env: { REDIS: 'hunter2' } });
    assert.equal(revealed(config), 'hunter2');
  });

  test('are read for the settings of a source, whose files become absolute', async (t) => {
    const text = smallest().replace(
      '{ type: static, backend: a }',
      '{ type: ldap, password: { env: LDAP }, key_file: k.pem }',
    );
    const config = await load(t, { 'postern.yaml': text }, { env: { LDAP: 'hunter2' } });
    const [source] = config.directory.sources;
    assert.ok(source['password'] instanceof Secret);
    assert.match(String(source['key_file']), /^\/.*\/k\.pem$/);
    assert.doesNotMatch(inspect(config, { depth: 9 }) + JSON.stringify(config), /hunter2/);
  });

  test('are not shown by a configuration, however it is printed', async (t) => {
    const config = await load(t, { 'postern.yaml': redis('{ env: REDIS }') }, { env: { REDIS: 'hunter2' } });
    const printed = [inspect(config, { depth: 9, showHidden: true }), JSON.stringify(config), inspect(config.sessions)];
    for (const text of printed) assert.doesNotMatch(text, /hunter2/);
  });

  const refused: readonly (readonly [password: string, what: RegExp])[] = [
    ['hunter2', /must come from a file or the environment/],
    ['[hunter2]', /must come from a file or the environment/],
    ['{ value: hunter2 }', /password.value: is not a valid key here: use file or env/],
    ['{ file: hunter2.key, env: HUNTER }', /must name one place/],
    ['{}', /must name one place/],
    ['{ env: NOT_SET }', /the environment variable NOT_SET is not set/],
    ['{ env: EMPTY }', /the environment variable EMPTY is empty/],
    ['{ file: two-lines }', /two-lines has several lines/],
    ['{ file: nowhere }', /there is no file/],
  ];
  for (const [password, what] of refused) {
    test(`${password} is refused, and what it holds is not shown`, async (t) => {
      const files = { 'postern.yaml': redis(password), 'two-lines': 'hunter2\nhunter3\n' };
      const lines = await problemsOf(t, files, { env: { EMPTY: '' } });
      assert.match(lines.join('\n'), what);
      assert.doesNotMatch(lines.join().replace('hunter2.key', ''), /hunter/);
    });
  }

  test('that are written out in the settings of a driver are refused and not shown', async (t) => {
    const text = smallest().replace('{ type: static, backend: a }', '{ type: ldap, bind: { password: hunter2 } }');
    const lines = await problemsOf(t, { 'postern.yaml': text });
    assert.deepEqual(lines, [
      'postern.yaml:2:56 directory.sources[0].bind.password: must come from a file or the environment: write { file: NAME } or { env: VARIABLE }: secrets do not belong in this file',
    ]);
  });
});

test('a file of a secret that every user of the machine may read is noted, and nothing else is', async (t) => {
  const yaml = smallest(
    'operators: { token: { file: token } }\nsessions: { redis: { sentinels: [r1], name: m, password: { file: redis } } }\n',
  );
  const directory = filesOf(t, { 'postern.yaml': yaml, token: 'secret\n', redis: 'secret\n' });
  chmodSync(join(directory, 'token'), 0o644);
  chmodSync(join(directory, 'redis'), 0o640);
  const config = await loadConfig(join(directory, 'postern.yaml'), { env: {} });
  const token = join(directory, 'token');
  const why = `${token} is too open: every user may read it (mode 0644); run: chmod 600 ${token}, or mount it read-only as a secret of the container`;
  assert.deepEqual(config.exposedSecrets, [why]);
  assert.match(remarks(config).join('\n'), /a secret is exposed: \S*token is too open: every user may read it/);
});
