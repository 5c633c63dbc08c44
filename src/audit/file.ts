import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeFolder } from '../core/named-files.ts';

/**
 * What became of lines that were appended: the first `written` of them are in the file, and on disk unless there is a
 * failure. `torn`: the file ended in mid-line.
 */
interface Appended {
  readonly written: number;
  readonly torn: boolean;
  readonly failure?: unknown;
}

/**
 * Appends lines to a file, which is made with mode 0600 where it is missing, and syncs them to disk.
 *
 * The file is opened anew each time: whoever rotates it only renames it, and needs no signal. Several processes may
 * append to one file. A line that was torn by a crash or a full disk is ended first, so that no line is glued to it.
 * Without lines it only looks whether it could write. Never rejects.
 */
export async function appendLines(file: string, lines: readonly string[]): Promise<Appended> {
  let written = 0;
  let torn = false;
  try {
    makeFolder(dirname(file));
    await using handle = await open(file, 'a+', 0o600);
    const stats = await handle.stat();
    if (stats.isFIFO()) throw new Error(`${file} is a pipe: it would hold everything up`);
    const { size } = stats;
    torn = await endsInMidLine(handle, size);
    let before = torn ? '\n' : '';
    for (const line of lines) {
      const bytes = Buffer.from(`${before}${line}\n`);
      const { bytesWritten } = await handle.write(bytes);
      // Without its end a line is whole, and the next one ends it.
      if (bytesWritten < bytes.length - 1) throw new Error('the disk took only a part of a line');
      before = bytesWritten < bytes.length ? '\n' : '';
      written += 1;
    }
    if (lines.length > 0) await handle.sync();
    if (size === 0) await settleFolder(handle, dirname(file));
    return { written, torn };
  } catch (failure) {
    return { written, torn, failure };
  }
}

async function endsInMidLine(handle: FileHandle, size: number): Promise<boolean> {
  if (size === 0) return false;
  const last = Buffer.alloc(1);
  await handle.read(last, 0, 1, size - 1);
  return last[0] !== 0x0a;
}

/**
 * A file that was just made must be there after a crash, and a command that root runs must not take it away from the
 * gateway: it belongs to whom its folder belongs.
 */
async function settleFolder(file: FileHandle, name: string): Promise<void> {
  await using folder = await open(name, 'r');
  const { uid, gid } = await folder.stat();
  if (uid !== 0 && process.getuid?.() === 0) await file.chown(uid, gid);
  await folder.sync();
}
