import { globSync, statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The files that a pattern means, in the order of their names; relative to `directory` and named as a person who
 * stands where the main file was named would write them. A pattern may match nothing; a plain name must exist.
 */
export function findIncluded(pattern: string, directory: string): readonly string[] | undefined {
  const isPlain = !/[*?[\]{}]/.test(pattern);
  const found = globSync(pattern, { cwd: directory }).map((name) =>
    name.startsWith('/') ? name : join(directory, name),
  );
  // What is named itself is opened, and that says what is wrong with it.
  if (isPlain) return found.length === 0 ? undefined : found;
  return found.filter((name) => statSync(name, { throwIfNoEntry: false })?.isFile() === true).sort();
}
