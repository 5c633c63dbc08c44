import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

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

test('Dovecot takes the sample, and understands the passdb as one for masters', () => {
  const file = join(directory, 'dovecot.conf');
  writeFileSync(
    file,
    `protocols = imap\nssl = no\n${readFileSync(join(integrations, 'dovecot/postern.conf'), 'utf8')}`,
  );
  const settings = execFileSync('/usr/bin/doveconf', ['-n', '-c', file], { encoding: 'utf8', stdio: 'pipe' });
  assert.match(settings, /master = yes/);
  assert.match(settings, /result_success = continue/);
  assert.match(settings, /login_trusted_networks = 10\.0\.0\.21 10\.0\.0\.22 127\.0\.0\.1/);
});

test('each file of the integrations is named in its README', () => {
  const readme = readFileSync(join(integrations, 'README.md'), 'utf8');
  const own = files.filter((name) => /\.(conf|php)$/.test(name) && !name.startsWith('roundcube/postern/'));
  for (const name of own) assert.ok(readme.includes(`(${name})`), name);
});
