import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { z } from 'zod';
import { configHash } from '../../src/config/diff.ts';
import { loadConfig } from '../../src/config/load.ts';
import { load } from '../config/config.fixture.ts';
import { type StandbySite, startStandbySite } from '../gateway/standby-site.fixture.ts';
import { run } from './cli.fixture.ts';

describe('postern config show', () => {
  let site: StandbySite;
  before(async () => (site = await startStandbySite(', token: { file: token }')));
  after(() => site[Symbol.asyncDispose]());

  const show = (...args: readonly string[]) => run(['config', 'show', ...args, '-c', site.configFile]);
  const near = (name: string) => join(dirname(site.configFile), name);

  it('shows one value or section, with the defaults that no file names', async () => {
    assert.deepEqual(await show('login.deadline'), { code: 0, out: '15s\n', err: '' });
    assert.deepEqual(await show('login.refusal_after'), { code: 0, out: '0s\n', err: '' });
    assert.match((await show('shutdown')).out, /^delay: 0s\ndeadline: 1s\n$/);
    assert.equal(JSON.parse((await show('sessions', '--format', 'json')).out).idle_timeout, '30 min');
  });

  it('shows with -n only what the files say', async () => {
    const written = await show('-n');
    assert.match(written.out, /^login:\n {2}refusal_after: 0s\n(?! )/m);
    assert.doesNotMatch(written.out, /idle_timeout/);
    assert.equal((await show('-n', 'login.deadline')).code, 1);
  });

  it('shows all of it as a configuration that means the same', async () => {
    const { out } = await show();
    await writeFile(near('shown.yaml'), out);
    const [shown, own] = await Promise.all(
      [near('shown.yaml'), site.configFile].map((file) => loadConfig(file, { env: {}, checksDrivers: true })),
    );
    assert.ok(shown !== undefined && own !== undefined);
    assert.equal(configHash(shown), configHash(own));
  });

  it('shows a secret as the name of its file', async () => {
    assert.match((await show('operators.token')).out, /^file: token\n$/);
    for (const format of ['yaml', 'json']) {
      assert.doesNotMatch((await show('--format', format)).out, /open-sesame/);
    }
  });

  it('shows what is in force, not what a file says since', async () => {
    const text = await readFile(site.configFile, 'utf8');
    await writeFile(site.configFile, text.replace('refusal_after: 0s', 'refusal_after: 7ms'));
    assert.equal((await show('login.refusal_after')).out, '0s\n');
    assert.equal((await run(['reload', '-c', site.configFile])).code, 0);
    assert.equal((await show('login.refusal_after')).out, '7ms\n');
  });

  it('says of a key that is not there what to read', async () => {
    const { code, out, err } = await show('login.dead\u001bline');
    assert.deepEqual([code, out], [1, '']);
    assert.equal(err, 'Nothing is set at login.dead\ufffdline; docs/configuration.md lists all keys.\n');
  });
});

it('a password in an address is hidden, and backends of included files stand with the others', async (t) => {
  const text = `public_url: http://127.0.0.1:8080
directory: { sources: [{ type: http, url: "https://reader:s3cret@directory.example.org/%u" }] }
backend_defaults: { driver: none, imap: imaps://$host, webmail: http://$host/ }
backends: { a: mx1.internal }
include: more.yaml
`;
  const files: Readonly<Record<string, string>> = {
    'postern.yaml': text,
    'more.yaml': 'backends: { b: mx2.internal }\n',
  };
  const { settings } = await load(t, files);
  assert.deepEqual(settings['backends'], { a: 'mx1.internal', b: 'mx2.internal' });
  assert.match(JSON.stringify(settings), /https:\/\/\*\*\*@directory/);
});

it('all that signs in by a URL is hidden, however it is written', async (t) => {
  const hidden = async (url: string) => {
    const { settings } = await load(t, {
      'postern.yaml': `public_url: http://127.0.0.1:8080
directory: { sources: [{ type: http, url: ${JSON.stringify(url)} }] }
backends: { a: { driver: none, imap: imaps://mx1.internal, webmail: http://mx1.internal/ } }
`,
    });
    const { sources } = z.object({ sources: z.array(z.object({ url: z.string() })) }).parse(settings['directory']);
    return sources[0]?.url;
  };
  const cases = [
    ['https://reader:s3@cr@et@dir.example/%u', 'https://***@dir.example/%u'],
    ['https://T0KEN@dir.example/%u', 'https://***@dir.example/%u'],
    ['https://dir.example/homes/%u?key=s3cret', 'https://dir.example/homes/%u?key=***'],
    ['https://dir.example?u=%u&api-key=s3cret&d=%n@%d', 'https://dir.example?u=%u&api-key=***&d=%n@%d'],
    ['https://dir.example/?user=%u&key=%%d3s=cret?x', 'https://dir.example/?user=%u&key=***'],
    ['https://dir.example/?s3cret&user=%u', 'https://dir.example/?***&user=%u'],
    ['https://dir.example/a@b/%u', 'https://dir.example/a@b/%u'],
  ] as const;
  for (const [given, shown] of cases) assert.equal(await hidden(given), shown);
});
