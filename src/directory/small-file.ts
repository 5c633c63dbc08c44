import { isUtf8 } from 'node:buffer';
import { open } from 'node:fs/promises';

const maxBytes = 1 << 20;

/** The text of a file that people write: UTF-8, at most 1 MiB. Rejects with the file's name and what is wrong. */
export async function readSmallFile(file: string): Promise<string> {
  await using handle = await open(file);
  const { size } = await handle.stat();
  if (size > maxBytes) throw new Error(`${file}: larger than 1 MiB`);
  const bytes = await handle.readFile();
  if (!isUtf8(bytes) || bytes.includes(0)) throw new Error(`${file}: is not UTF-8 text`);
  return bytes.toString('utf8').replace(/^\ufeff/, '');
}
