import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

interface Asset {
  readonly target: string;
  readonly bytes: number;
}

const assets: readonly Asset[] = readFileSync(new URL('roundcube-page.tsv', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [target = '', bytes = ''] = line.split('\t');
    return { target, bytes: Number(bytes) };
  });

/** The paths that a browser requests, in order. */
export const assetTargets: readonly string[] = assets.map(({ target }) => target);

/** Writes files of the recorded names and sizes under a web server's root. */
export async function writeAssets(root: string): Promise<void> {
  for (const { target, bytes } of assets) {
    const file = join(root, target.split('?')[0] ?? '');
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, Buffer.alloc(bytes, target));
  }
}
