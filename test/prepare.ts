import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { listedPrograms, spawnSync } from './programs.ts';

/*
 * Installs what the tests need and the machine lacks; npm test runs it first. Where nothing is missing it does nothing.
 * No service is started by an installation.
 */

/** The users in programs.tsv whose packages a run of the tests needs. */
const wanted = ['tests', 'bench', 'a', 'b', 'c', 'd', 'mupdate', 'perdition'];

const script = fileURLToPath(new URL('lab/lab', import.meta.url));

function missingPackages(): readonly string[] {
  const { stdout } = spawnSync(script, ['missing', ...wanted], { encoding: 'utf8' });
  return stdout.split('\n').filter((line) => line !== '');
}

function prepare(): number {
  if (!existsSync('/etc/debian_version')) {
    const packages = new Set(listedPrograms.map((listed) => listed.package));
    process.stderr.write(
      `The tests run real servers and know how to install them on Debian 12 and Ubuntu only. They need the programs of:
  ${[...packages].join(' ')}
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
  return spawnSync(script, ['packages', ...wanted], { stdio: 'inherit' }).status ?? 1;
}

process.exitCode = prepare();
