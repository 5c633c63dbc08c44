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
  const files = found.filter((name) => statSync(name).isFile()).sort();
  return isPlain && files.length === 0 ? undefined : files;
}
