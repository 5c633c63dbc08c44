import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/*
 * Installs what the tests need and the machine lacks; npm test runs it first. Where nothing is missing it does nothing.
 * No service is started by an installation.
 */

/** Servers and tools of the tests, besides those of the lab's backends. */
const packages = [
  'openssl',
  'redis-server',
  'chromium',
  'fonts-dejavu-core',
  'haproxy',
  'apache2-bin',
  'keepalived',
  'slapd',
  'ldap-utils',
  'postgresql',
  'mariadb-server',
  'tinycdb',
  'libnginx-mod-mail',
  'perdition',
];
const backends = ['a', 'b', 'c', 'd'];

const script = fileURLToPath(new URL('lab/lab', import.meta.url));
const env = { ...process.env, LAB_EXTRA_PACKAGES: packages.join(' ') };

function missingPackages(): readonly string[] {
  const { stdout } = spawnSync(script, ['missing', ...backends], { env, encoding: 'utf8' });
  return stdout.split('\n').filter((line) => line !== '');
}

function prepare(): number {
  if (!existsSync('/etc/debian_version')) {
    process.stderr.write(
      `The tests run real servers and know how to install them on Debian 12 and Ubuntu only. They need the programs of:
  ${packages.join(' ')}
  and for the lab: Dovecot, Roundcube, SOGo, Cyrus and Horde with nginx and PHP-FPM (test/lab/README.md)
`,
    );
    return 1;
  }
  const missing = missingPackages();
  const isRoot = process.getuid?.() === 0;
  if (!isRoot) {
    const first = missing.length === 0 ? '' : `First install: apt-get install ${missing.join(' ')}\n`;
    process.stderr.write(`The tests start real mail servers on loopback addresses: run them as root.\n${first}`);
    return 1;
  }
  if (missing.length === 0) return 0;
  process.stdout.write(`installing ${missing.length} packages, once; this takes a minute or two\n`);
  return spawnSync(script, ['packages', ...backends], { env, stdio: 'inherit' }).status ?? 1;
}

process.exitCode = prepare();
