import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

const chunkBytes = 64 * 1024;
/** Of a text without an end no more is kept: it is no line of ours. */
const longestLine = 1024 * 1024;
const lineEnd = 0x0a;

/** The lines of a file, without their ends, with one chunk of it in memory at a time. Only LF ends a line. */
export async function* linesForwards(file: string): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of createReadStream(file, { highWaterMark: chunkBytes })) {
    if (!Buffer.isBuffer(chunk)) throw new TypeError('a file without an encoding is read in bytes');
    const bytes = Buffer.concat([rest, chunk]);
    const last = bytes.lastIndexOf(lineEnd);
    if (last !== -1) yield* bytes.subarray(0, last).toString('utf8').split('\n');
    rest = bytes.subarray(last + 1, last + 1 + longestLine);
  }
  if (rest.length > 0) yield rest.toString('utf8');
}

/** The lines of a file from its end, with one chunk of it in memory at a time. */
export async function* linesBackwards(file: string): AsyncGenerator<string> {
  await using handle = await open(file, 'r');
  let { size: end } = await handle.stat();
  let rest: Buffer = Buffer.alloc(0);
  while (end > 0) {
    const start = Math.max(0, end - chunkBytes);
    const chunk = Buffer.concat([await readAt(handle, start, end - start), rest]);
    const firstEnd = start === 0 ? -1 : chunk.indexOf(lineEnd);
    end = start;
    if (firstEnd === -1 && start > 0) {
      rest = chunk.subarray(0, longestLine);
      continue;
    }
    rest = chunk.subarray(0, firstEnd + 1);
    yield* chunk
      .subarray(firstEnd + 1)
      .toString('utf8')
      .split('\n')
      .toReversed();
  }
}

async function readAt(handle: FileHandle, start: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await handle.read(buffer, 0, length, start);
  return buffer.subarray(0, bytesRead);
}
