import { readFileSync, statSync } from 'node:fs';
import { findIncluded } from './include.ts';

/** What a configuration is read from. `size` and `read` throw as node:fs does. */
export interface ConfigFiles {
  size(path: string): number;
  read(path: string): Buffer;
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
  included: findIncluded,
};

/** The files on disk; `record` holds what was read of them. */
export function recordFiles(): { readonly files: ConfigFiles; readonly record: FilesRead } {
  const record: FilesRead = { contents: {}, included: {} };
  const files: ConfigFiles = {
    size: (path) => filesOnDisk.size(path),
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
    read,
    included: (pattern, directory) => included[`${directory}\0${pattern}`],
  };
}
