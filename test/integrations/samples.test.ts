import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execFileSync, runProgram, spawnSync } from '../programs.ts';
import { mailRoot } from './mail-root.fixture.ts';
import { loadedModules } from './own-web-server.fixture.ts';

const integrations = fileURLToPath(new URL('../../integrations/', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'postern-samples-'));
after(() => rmSync(directory, { recursive: true }));

const files = readdirSync(integrations, { recursive: true, encoding: 'utf8' });

test('every PHP file of the integrations is well formed', () => {
  const php = files.filter((name) => /\.php(\.dist)?$/.test(name));
  assert.ok(php.length >= 6);
  for (const name of php) execFileSync('php', ['-l', join(integrations, name)], { stdio: 'pipe' });
});

for (const name of ['nginx/webmail.conf', 'sogo/nginx.conf']) {
  test(`nginx takes ${name}`, () => {
    const sample = readFileSync(join(integrations, name), 'utf8').replace(
      'include fastcgi_params',
      'include /etc/nginx/fastcgi_params',
    );
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (kind) => `${kind}_temp_path ${directory}/${kind};`,
    );
    const file = join(directory, 'nginx.conf');
    writeFileSync(
      file,
      `pid ${directory}/nginx.pid; error_log ${directory}/error.log; events {}\nhttp { access_log off; ${temporary.join(' ')}\n${sample}\n}`,
    );
    execFileSync('/usr/sbin/nginx', ['-t', '-q', '-c', file, '-e', join(directory, 'error.log')], { stdio: 'pipe' });
  });
}

for (const name of ['apache/webmail.conf', 'sogo/apache.conf']) {
  test(`Apache takes ${name} with the modules that it names`, () => {
    const sample = readFileSync(join(integrations, name), 'utf8');
    const file = join(directory, 'apache.conf');
    writeFileSync(
      file,
      `ServerName lab.test\nErrorLog ${directory}/error.log\nPidFile ${directory}/apache.pid\n${loadedModules(sample)}` +
        sample.replace('/var/lib/roundcube/public_html', directory),
    );
    execFileSync('/usr/sbin/apache2', ['-t', '-f', file], { stdio: 'pipe' });
  });
}

for (const [release, version] of [
  ['bookworm', '3.6'],
  ['trixie', '3.10'],
] as const) {
  test(`Cyrus ${version} knows every word of cyrus/imapd.conf`, async () => {
    const file = join(directory, 'imapd.conf');
    const sample = readFileSync(join(integrations, 'cyrus/imapd.conf'), 'utf8').replaceAll(/^#(?=\w+:)/gm, '');
    assert.match(sample, /^admins: .*\n(?:.*\n)*(?!#)/m);
    writeFileSync(file, `configdirectory: ${directory}\npartition-default: ${directory}\n${sample}`);
    const program = '/usr/lib/cyrus/bin/cyr_info';
    const root = release === 'bookworm' ? undefined : await mailRoot(release);
    const run = (...args: readonly string[]): Promise<string> =>
      root === undefined ? runProgram(program, args) : root.run(program, args, { mounts: { [directory]: directory } });
    assert.match(await run('-C', file, 'version'), new RegExp(`cyrus-imapd ${version.replace('.', '\\.')}\\.`));
    assert.equal(await run('-C', file, 'conf-lint'), '');
  });
}

test('SOGo can read the lines of sogo/sogo.conf, comments included', () => {
  const file = join(directory, 'sogo.conf');
  writeFileSync(file, `{\n${readFileSync(join(integrations, 'sogo/sogo.conf'), 'utf8')}}\n`);
  // It says what is wrong, and ends as if nothing was.
  const { stdout, stderr } = spawnSync('plparse', [file], { encoding: 'utf8' });
  assert.match(stdout + stderr, /^Parsing '.*' - a dictionary\s*$/);
});

test('each file of the integrations is named in its README', () => {
  const own = files.filter((name) => /\.(conf|php|lua)$/.test(name) && !name.startsWith('roundcube/postern/'));
  for (const name of own) {
    const folder = name.startsWith('dovecot/') ? 'dovecot' : '.';
    const readme = readFileSync(join(integrations, folder, 'README.md'), 'utf8');
    assert.ok(readme.includes(`(${relative(folder, name)})`), name);
  }
});
