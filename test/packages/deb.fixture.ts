import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runProgram } from '../programs.ts';
import { copyCheckout } from './checkout.fixture.ts';

/** The date of every file in packages that tests build. */
const releasedAt = '1795000000';

export type Architecture = 'amd64' | 'arm64';

/** The architecture of this machine, and the other one. */
export const [native, foreign]: readonly [Architecture, Architecture] =
  process.arch === 'arm64' ? ['arm64', 'amd64'] : ['amd64', 'arm64'];

export interface DebOptions {
  /** Both if left out. */
  readonly architecture?: Architecture;
  /** The version of the checkout if left out. */
  readonly version?: string;
}

/**
 * Builds Debian packages from a fresh copy of the checkout into a folder, quickly rather than small. Resolves with
 * their files, and rejects with what the builder says.
 */
export async function buildDebs(
  folder: string,
  { architecture, version }: DebOptions = {},
): Promise<readonly string[]> {
  await using checkout = await copyCheckout(version);
  const args = ['--quick', '--output', folder, ...(architecture === undefined ? [] : ['--arch', architecture])];
  await mkdir(folder, { recursive: true });
  const built = await builder(checkout.path, args);
  return built.trim().split('\n');
}

/** Runs the builder of a checkout. */
export function builder(checkout: string, args: readonly string[]): Promise<string> {
  return runProgram('bash', [join(checkout, 'deploy/deb/build'), ...args], {
    env: { SOURCE_DATE_EPOCH: releasedAt },
    timeoutMs: 600_000,
  });
}

/** A copy of a package that is the same but for its version; it lies beside it. */
export async function withVersion(deb: string, version: string): Promise<string> {
  const copy = join(dirname(deb), `postern_${version}-1.deb`);
  const folder = `${copy}.d`;
  await runProgram('dpkg-deb', ['--raw-extract', deb, folder]);
  for (const [name, pattern, replacement] of [
    ['DEBIAN/control', /^Version: .*$/m, `Version: ${version}-1`],
    ['usr/lib/postern/package.json', /"version": "[^"]+"/, `"version": "${version}"`],
  ] as const) {
    const file = join(folder, name);
    await writeFile(file, (await readFile(file, 'utf8')).replace(pattern, replacement));
  }
  await runProgram('dpkg-deb', ['--root-owner-group', '-Znone', '--build', folder, copy]);
  await rm(folder, { recursive: true });
  return copy;
}
