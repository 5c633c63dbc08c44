import type { Command } from 'commander';
import { addDirectoryCompare } from './directory-compare.ts';
import { addDirectoryDrop } from './directory-drop.ts';
import { addDirectoryPreview } from './directory-preview.ts';
import type { ExitCode } from './exit-codes.ts';
import type { Surroundings } from './surroundings.ts';

/** `postern directory`: what operators ask and tell the directory as a whole. */
export function addDirectory(program: Command, surroundings: Surroundings, end: (code: ExitCode) => void): void {
  const directory = program
    .command('directory')
    .summary('compare directories, preview a hash, forget a user’s home')
    .description('What would change if the directory did, for whom; and a way to make all nodes ask anew.');
  for (const add of [addDirectoryCompare, addDirectoryPreview, addDirectoryDrop]) add(directory, surroundings, end);
}
