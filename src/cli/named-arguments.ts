import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { codeOf, isMissing, whyUnreadable } from '../core/named-files.ts';

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
