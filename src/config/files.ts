import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { findIncluded } from './include.ts';

/** What a configuration is read from. `size` and `read` throw as node:fs does. */
export interface ConfigFiles {
  size(path: string): number;
  read(path: string): Buffer;
  /** Whether every user of the machine may read it; not so on a read-only mount, as containers get secrets. */
  isExposed(path: string): boolean;
  /** As {@link findIncluded}. */
  included(pattern: string, directory: string): readonly string[] | undefined;
}

/** All that was read for one configuration, secrets too, so that another process can read the same. */
export interface FilesRead {
  /** In base64, by path. */
  readonly contents: Record<string, string>;
  /** By directory and pattern. */
  readonly included: Record<string, readonly string[]>;
}

export const filesOnDisk: ConfigFiles = {
  size: (path) => statSync(path).size,
  read: (path) => readFileSync(path),
  isExposed: (path) => (statSync(path).mode & 0o004) !== 0 && !isOnReadOnlyMount(path),
  included: findIncluded,
};

function isOnReadOnlyMount(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return false;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EROFS';
  }
}

/** The files on disk; `record` holds what was read of them. */
export function recordFiles(): { readonly files: ConfigFiles; readonly record: FilesRead } {
  const record: FilesRead = { contents: {}, included: {} };
  const files: ConfigFiles = {
    size: (path) => filesOnDisk.size(path),
    isExposed: (path) => filesOnDisk.isExposed(path),
    read(path) {
      const content = filesOnDisk.read(path);
      record.contents[path] = content.toString('base64');
      return content;
    },
    included(pattern, directory) {
      const names = filesOnDisk.included(pattern, directory);
      if (names !== undefined) record.included[`${directory}\0${pattern}`] = names;
      return names;
    },
  };
  return { files, record };
}

/** Files as they were when they were recorded, whatever is on disk now. Others are not there. */
export function replayFiles({ contents, included }: FilesRead): ConfigFiles {
  const read = (path: string): Buffer => {
    const content = contents[path];
    if (content === undefined) throw Object.assign(new Error(`${path} was not read`), { code: 'ENOENT' });
    return Buffer.from(content, 'base64');
  };
  return {
    size: (path) => read(path).length,
    // Whoever recorded them has said so.
    isExposed: () => false,
    read,
    included: (pattern, directory) => included[`${directory}\0${pattern}`],
  };
}
