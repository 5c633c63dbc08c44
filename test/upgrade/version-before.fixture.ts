import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { npm } from '../packages/checkout.fixture.ts';
import { exists, runProgram } from '../programs.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const cache = '/var/cache/postern-tests';

/** The release before this version, as a tree that runs. */
export interface VersionBefore {
  readonly version: string;
  readonly commit: string;
  /** Its program, for Node. */
  readonly program: string;
}

/**
 * The tree of the release before the topmost one of CHANGELOG.md, with its own libraries. It is taken from the history,
 * and kept for the next run. Throws with a remedy if the history is not there.
 */
export async function versionBefore(): Promise<VersionBefore> {
  const [current = '', version = ''] = [
    ...(await readFile(join(root, 'CHANGELOG.md'), 'utf8')).matchAll(/^## (\S+)/gm),
  ].map(([, name]) => name);
  const commit = await commitOf(version, current);
  const path = join(cache, `postern-${version}-${commit.slice(0, 12)}`);
  if (!(await exists(path))) await unpack(commit, path);
  return { version, commit, program: join(path, 'bin/postern.mjs') };
}

function git(...args: readonly string[]): Promise<string> {
  return runProgram('git', ['-C', root, '-c', `safe.directory=${root.replace(/\/$/, '')}`, ...args]);
}

/** Why this checkout, such as an archive or a shallow clone, cannot give the version before; undefined if it can. */
export async function lacksHistory(): Promise<string | undefined> {
  const isShallow = await git('rev-parse', '--is-shallow-repository').then(
    (said) => said.trim() === 'true',
    () => true,
  );
  return isShallow ? 'the history is missing: run this test in a clone, after git fetch --unshallow --tags' : undefined;
}

/** The commit with the tag of a version; if there is no tag, the last one before the changes of the next version. */
async function commitOf(version: string, next: string): Promise<string> {
  const tagged = await git('tag', '--list', `v${version}`);
  if (tagged.trim() !== '') return (await git('rev-parse', `v${version}^{commit}`)).trim();
  const commits = await git('log', '--format=%H %P', `-S## ${next}`, '--', 'CHANGELOG.md');
  const [, before] = commits.trim().split('\n').at(-1)?.split(' ') ?? [];
  if (before === undefined) throw lacking(version);
  return before;
}

function lacking(version: string): Error {
  return new Error(`the history of this checkout does not reach version ${version}: git fetch --unshallow --tags`);
}

/** Another run may do the same at the same time: the tree appears whole, once. */
async function unpack(commit: string, path: string): Promise<void> {
  await mkdir(cache, { recursive: true });
  const fresh = await mkdtemp(`${path}-`);
  try {
    const parts = ['package.json', 'package-lock.json', '.npmrc', 'bin', 'src', 'views', 'static'];
    await git('archive', '--format=tar', '-o', join(fresh, 'tree.tar'), commit, ...parts);
    await runProgram('tar', ['-xf', join(fresh, 'tree.tar'), '-C', fresh]);
    await rm(join(fresh, 'tree.tar'));
    await npm(['ci', '--omit=dev', '--omit=optional', '--ignore-scripts'], fresh);
    await rename(fresh, path).catch(async (error: unknown) => {
      if (!(await exists(path))) throw error;
    });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}
