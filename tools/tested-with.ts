import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/*
 * What the tests ran with. A test file that passes leaves a note of the servers that it started, with the versions of
 * their packages; tools/compatibility.ts makes a page of the notes.
 */

const root = fileURLToPath(new URL('..', import.meta.url));

/** The folder of the notes, one file for each test file and release. */
export const notesFolder = join(root, 'var/tested-with');

/** The packages whose versions the page gives, with the names that it uses for them. */
export const products: Readonly<Record<string, string>> = {
  'dovecot-core': 'Dovecot',
  'cyrus-common': 'Cyrus IMAP',
  perdition: 'Perdition',
  'roundcube-core': 'Roundcube',
  sogo: 'SOGo',
  'php-horde-imp': 'Horde IMP',
  'php-fpm': 'PHP',
  'redis-server': 'Redis',
  'valkey-server': 'Valkey',
  postgresql: 'PostgreSQL',
  'mariadb-server': 'MariaDB',
  slapd: 'OpenLDAP',
  haproxy: 'HAProxy',
  'nginx-light': 'nginx',
  'apache2-bin': 'Apache',
  caddy: 'Caddy',
  chromium: 'Chromium',
};

/** A note of one test file. */
export interface Note {
  /** The test file, below the checkout. */
  readonly file: string;
  /** The release of Debian that the servers are of. */
  readonly release: string;
  /** The version of each package that was used. */
  readonly versions: Readonly<Record<string, string>>;
}

const used = new Set<string>();
let isWatched = false;

/** Notes that the test file which runs uses these packages. Packages that are no products are passed over. */
export function noteUse(packages: readonly string[], release: string | undefined): void {
  for (const name of packages) if (name in products) used.add(name);
  if (isWatched) return;
  isWatched = true;
  process.once('exit', (code) => {
    const file = relative(root, process.argv[1] ?? '');
    if (code === 0 && used.size > 0 && file.endsWith('.test.ts')) write(file, release);
  });
}

function write(file: string, release: string | undefined): void {
  const installed = versionsIn(release === undefined ? '/' : rootOf(release));
  const versions = Object.fromEntries(
    [...used].toSorted().flatMap((name) => {
      const version = installed.get(name);
      return version === undefined ? [] : [[name, version]];
    }),
  );
  const note: Note = { file, release: release ?? codename(), versions };
  mkdirSync(join(notesFolder, note.release), { recursive: true });
  writeFileSync(join(notesFolder, note.release, `${file.replaceAll(sep, '+')}.json`), JSON.stringify(note));
}

/** The root of another release, in which the lab runs. */
function rootOf(release: string): string {
  return join(process.env['ROOTS_CACHE'] ?? '/var/cache/postern-tests', `lab-${release}`);
}

/** The name of this machine's release. */
function codename(): string {
  return /^VERSION_CODENAME=(\S+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown';
}

/** The installed packages below a folder, with their upstream versions. */
function versionsIn(folder: string): ReadonlyMap<string, string> {
  const status = readFileSync(join(folder, 'var/lib/dpkg/status'), 'utf8');
  const versions = new Map<string, string>();
  for (const entry of status.split('\n\n')) {
    const name = /^Package: (.+)$/m.exec(entry)?.[1];
    const version = /^Version: (.+)$/m.exec(entry)?.[1];
    if (name !== undefined && version !== undefined) versions.set(name, upstreamVersion(version));
  }
  return versions;
}

/** The version that the makers gave: without Debian's epoch, revision and additions. */
export function upstreamVersion(version: string): string {
  return version.replace(/^\d+:/, '').replace(/[+~-].*$/, '');
}
