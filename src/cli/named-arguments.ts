import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { codeOf, isMissing, whyUnreadable } from '../core/named-files.ts';

/**
 * Says why a file that the command line names cannot be read, as a line for the operator; undefined if it can. A pipe
 * can be read: a shell may give one.
 */
export async function whyUnread(file: string): Promise<string | undefined> {
  try {
    await access(file, constants.R_OK);
    const isFolder = (await stat(file)).isDirectory();
    return isFolder ? `${file} is a directory: name a file\n` : undefined;
  } catch (error) {
    const isAbsent = isMissing(error) || codeOf(error) === 'ENOTDIR';
    return isAbsent ? `there is no file ${file}: name another\n` : `${whyUnreadable(file, error)}\n`;
  }
}
