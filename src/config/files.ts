import { readFileSync, statSync } from 'node:fs';
import { exposureOf, readNamedFileSync } from '../core/named-files.ts';
import { findIncluded } from './include.ts';

/** What a configuration is read from. `size`, `read` and `readMain` throw as node:fs does. */
export interface ConfigFiles {
  size(path: string): number;
  read(path: string): Buffer;
  /** The file of the command line, which may also be a pipe. */
  readMain(path: string): Buffer;
  /** Why others may read or change the file of a secret, and what to do; undefined when they may not. */
  exposure(path: string): string | undefined;
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
  read: readNamedFileSync,
  readMain: (path) => (statSync(path).isFIFO() ? readFileSync(path) : readNamedFileSync(path)),
  exposure: (path) => exposureOf(path, statSync(path).mode),
  included: findIncluded,
};

/** The files on disk; `record` holds what was read of them. */
export function recordFiles(): { readonly files: ConfigFiles; readonly record: FilesRead } {
  const record: FilesRead = { contents: {}, included: {} };
  const recorded = (path: string, content: Buffer): Buffer => {
    record.contents[path] = content.toString('base64');
    return content;
  };
  const files: ConfigFiles = {
    size: (path) => filesOnDisk.size(path),
    exposure: (path) => filesOnDisk.exposure(path),
    read: (path) => recorded(path, filesOnDisk.read(path)),
    readMain: (path) => recorded(path, filesOnDisk.readMain(path)),
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
    exposure: () => undefined,
    read,
    readMain: read,
    included: (pattern, directory) => included[`${directory}\0${pattern}`],
  };
}
