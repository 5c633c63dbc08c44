import { createReadStream } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { AuditFilter, AuditLine } from '../core/audit.ts';
import { messageFrom, PosternError } from '../core/error.ts';
import { giveToFolderOwner, isMissing, makeFolder } from '../core/named-files.ts';
import { lineFeedByte } from '../core/text.ts';
import type { PlacedText } from './chain-check.ts';
import { parseLine } from './line.ts';

/**
 * The result of appending lines: the first `written` of them are in the file, and on disk unless there is a
 * failure. `torn`: the file ended in mid-line.
 */
interface Appended {
  readonly written: number;
  readonly torn: boolean;
  readonly failure?: unknown;
}

/**
 * Appends lines to a file and syncs them to disk. A missing file is made, with mode 0600.
 *
 * The file is opened again each time, so that rotating it is a rename and needs no signal. Several processes may append
 * to one file. A line that was torn by a crash or a full disk is ended first, so that no line is glued to it. Without
 * lines it only checks whether it could write. Never rejects.
 */
export async function appendLines(file: string, lines: readonly string[]): Promise<Appended> {
  let written = 0;
  let torn = false;
  try {
    makeFolder(dirname(file));
    await using handle = await open(file, 'a+', 0o600);
    const stats = await handle.stat();
    if (stats.isFIFO()) throw new Error(`${file} is a pipe, which would block the gateway`);
    const { size } = stats;
    torn = await endsInMidLine(handle, size);
    let before = torn ? '\n' : '';
    for (const line of lines) {
      const bytes = Buffer.from(`${before}${line}\n`);
      const { bytesWritten } = await handle.write(bytes);
      // Without its line end a line is still whole; the next one adds it.
      if (bytesWritten < bytes.length - 1) throw new Error('the disk accepted only part of a line');
      before = bytesWritten < bytes.length ? '\n' : '';
      written += 1;
    }
    if (lines.length > 0) await handle.sync();
    if (size === 0) await settleFolder(handle, file);
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
 * Syncs the folder, so that a new file survives a crash. The file gets the owner of its folder, so that a command run
 * by root does not lock the gateway out of it.
 */
async function settleFolder(file: FileHandle, name: string): Promise<void> {
  await using folder = await open(dirname(name), 'r');
  giveToFolderOwner(name, file.fd);
  await folder.sync();
}

const chunkBytes = 64 * 1024;
/** Bytes that are kept of a text without a line end. No line of the audit is longer. */
const maxAuditLineBytes = 1024 * 1024;

/** Yields the lines of a file without their line ends, with one chunk in memory at a time. Only LF ends a line. */
async function* linesForwards(file: string): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of createReadStream(file, { highWaterMark: chunkBytes })) {
    if (!Buffer.isBuffer(chunk)) throw new TypeError('a file without an encoding is read in bytes');
    const bytes = Buffer.concat([rest, chunk]);
    const last = bytes.lastIndexOf(lineFeedByte);
    if (last !== -1) yield* bytes.subarray(0, last).toString('utf8').split('\n');
    rest = bytes.subarray(last + 1, last + 1 + maxAuditLineBytes);
  }
  if (rest.length > 0) yield rest.toString('utf8');
}

/** Yields the lines of a file from its end, with one chunk in memory at a time. */
async function* linesBackwards(file: string): AsyncGenerator<string> {
  await using handle = await open(file, 'r');
  let { size: end } = await handle.stat();
  let rest: Buffer = Buffer.alloc(0);
  while (end > 0) {
    const start = Math.max(0, end - chunkBytes);
    const chunk = Buffer.concat([await readAt(handle, start, end - start), rest]);
    const firstEnd = start === 0 ? -1 : chunk.indexOf(lineFeedByte);
    end = start;
    if (firstEnd === -1 && start > 0) {
      rest = chunk.subarray(0, maxAuditLineBytes);
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

/**
 * Lists the file and those rotated out of it (`audit.jsonl.1`, `audit.jsonl.2`, …), newest first; none if the folder
 * does not exist. Rejects with ERR_AUDIT_UNAVAILABLE if the folder cannot be read.
 */
export async function auditFiles(file: string): Promise<readonly string[]> {
  const names = await readdir(dirname(file)).catch((error: unknown): string[] => {
    if (isMissing(error)) return [];
    throw unreadable(file, error);
  });
  const stem = `${basename(file)}.`;
  const numbered = names.flatMap((name) => {
    const number = name.startsWith(stem) ? name.slice(stem.length) : '';
    return /^[1-9]\d{0,5}$/.test(number) ? [Number(number)] : [];
  });
  numbered.sort((a, b) => a - b);
  const rotated = numbered.map((number) => join(dirname(file), `${stem}${number}`));
  return names.includes(basename(file)) ? [file, ...rotated] : rotated;
}

/**
 * Lists the matching lines of a file and of those rotated out of it, newest first. Texts that are not lines are
 * skipped. Rejects with ERR_AUDIT_UNAVAILABLE.
 */
export async function listLines(file: string, filter: AuditFilter, limit: number): Promise<readonly AuditLine[]> {
  const found: AuditLine[] = [];
  if (limit <= 0) return found;
  for (const name of await auditFiles(file)) {
    try {
      for await (const text of linesBackwards(name)) {
        const said = parseLine(text)?.said;
        if (said === undefined || !fits(said, filter)) continue;
        found.push(said);
        if (found.length >= limit) return found;
      }
    } catch (error) {
      // The file was rotated meanwhile: it is read under its new name.
      if (!isMissing(error)) throw unreadable(name, error);
    }
  }
  return found;
}

/** Yields the texts of files, in order. Rejects with ERR_AUDIT_UNAVAILABLE if one cannot be read. */
export async function* placedTexts(files: readonly string[]): AsyncGenerator<PlacedText> {
  for (const file of files) {
    let number = 0;
    try {
      for await (const text of linesForwards(file)) {
        number += 1;
        yield { file, number, text };
      }
    } catch (error) {
      throw unreadable(file, error);
    }
  }
}

/** Whether a line matches a filter. */
export function fits(line: AuditLine, filter: AuditFilter): boolean {
  const {
    event,
    actor,
    subject,
    node,
    sinceMs = Number.NEGATIVE_INFINITY,
    untilMs = Number.POSITIVE_INFINITY,
  } = filter;
  return (
    (event === undefined || line.event === event) &&
    (actor === undefined || line.actor === actor) &&
    (subject === undefined || line.subject === subject) &&
    (node === undefined || line.node === node) &&
    line.timeMs >= sinceMs &&
    line.timeMs < untilMs
  );
}

function unreadable(file: string, cause: unknown): PosternError {
  const message = `the audit ${file} cannot be read: ${messageFrom(cause)}`;
  return new PosternError('ERR_AUDIT_UNAVAILABLE', message, { source: 'audit', retryable: true, cause });
}
