import { constants, createReadStream } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { codeOf, isMissing, whyUnreadable } from '../core/named-files.ts';
import { lineFeedByte } from '../core/text.ts';

/**
 * Says why one of the files that the command line names cannot be read, as a line for the operator; undefined if they can.
 * A pipe can be read: a shell may give one.
 */
export async function whyUnread(...files: readonly string[]): Promise<string | undefined> {
  for (const file of files) {
    try {
      await access(file, constants.R_OK);
      if ((await stat(file)).isDirectory()) return `${file} is a directory: name a file\n`;
    } catch (error) {
      const isAbsent = isMissing(error) || codeOf(error) === 'ENOTDIR';
      return isAbsent ? `there is no file ${file}: name another\n` : `${whyUnreadable(file, error)}\n`;
    }
  }
  return undefined;
}

/**
 * Counts the lines of files that are not empty, for the progress of long work; undefined if one is no plain file, as a
 * pipe, or cannot be read. It takes a small part of the time that the work takes.
 */
export async function countLines(...files: readonly string[]): Promise<number | undefined> {
  let lines = 0;
  try {
    for (const file of files) {
      if (!(await stat(file)).isFile()) return undefined;
      let before = lineFeedByte;
      for await (const chunk of createReadStream(file, { highWaterMark: 256 * 1024 })) {
        for (const byte of Buffer.from(chunk)) {
          if (before === lineFeedByte && byte !== lineFeedByte) lines += 1;
          before = byte;
        }
      }
    }
    return lines;
  } catch {
    return undefined;
  }
}
