import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runProgram } from '../programs.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The commit on which every copy of the checkout stands. */
export const copiedCommit = 'c0ffee'.padEnd(40, '0');

/** A copy of this checkout, in which packages can be made beside other tests. It is removed in the end. */
export interface CheckoutCopy extends AsyncDisposable {
  readonly path: string;
  /** The names of all its files but those of node_modules. */
  files(): Promise<readonly string[]>;
}

/** Copies the checkout; `version` is written into package.json. */
export async function copyCheckout(version?: string): Promise<CheckoutCopy> {
  const path = await mkdtemp(join(tmpdir(), 'postern-checkout-'));
  const omitted = new Set(['node_modules', '.git', 'var', 'dist', 'lib'].map((name) => join(root, name)));
  await cp(root, path, { recursive: true, filter: (source) => !omitted.has(source) && !source.endsWith('/lab/var') });
  await symlink(join(root, 'node_modules'), join(path, 'node_modules'));
  await mkdir(join(path, '.git'));
  await writeFile(join(path, '.git/HEAD'), `${copiedCommit}\n`);
  if (version !== undefined) {
    const file = join(path, 'package.json');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace(/"version": "[^"]+"/, `"version": "${version}"`));
  }
  return {
    path,
    files: async () => (await readdir(path, { recursive: true })).filter((name) => !name.startsWith('node_modules')),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

/** Runs npm, under the Node of this process, in a folder. */
export function npm(args: readonly string[], cwd: string): Promise<string> {
  const env = { PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH']}` };
  return runProgram(process.execPath, [npmProgram(), ...args], { cwd, env, timeoutMs: 120_000 });
}

/** The npm of the command that runs the tests, else that of the PATH. */
function npmProgram(): string {
  const { npm_execpath: running, PATH = '' } = process.env;
  if (running !== undefined) return running;
  for (const folder of PATH.split(delimiter)) {
    try {
      return realpathSync(join(folder, 'npm'));
    } catch {
      // It is in another folder of the PATH.
    }
  }
  throw new Error('there is no npm on the PATH');
}

/** Packs a checkout for npm into a folder; resolves with the file. */
export async function pack(checkout: string, folder: string): Promise<string> {
  const [packed] = JSON.parse(await npm(['pack', '--json', '--pack-destination', folder], checkout));
  return join(folder, String(packed.filename));
}
