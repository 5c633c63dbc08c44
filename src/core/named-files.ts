import { closeSync, constants, fchownSync, fstatSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname } from 'node:path';

/** Without O_NONBLOCK, opening a FIFO waits for its other end. */
const openFlags = constants.O_RDONLY | constants.O_NONBLOCK;

/**
 * Opens a file that the configuration names, for reading. Rejects with an explanation and the system's code if the file
 * is missing, may not be read or is not regular: reading a FIFO would hang, and a device may never end.
 */
export async function openNamedFile(file: string): Promise<FileHandle> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file, openFlags);
    const stats = await handle.stat();
    if (!stats.isFile()) throw notRegular(stats.isDirectory());
    return handle;
  } catch (error) {
    await handle?.close();
    throw worded(file, error);
  }
}

/** Reads a file that the configuration names; rejects as {@link openNamedFile} does. */
export async function readNamedFile(file: string): Promise<Buffer> {
  await using handle = await openNamedFile(file);
  return await readFile(handle).catch((error: unknown) => {
    throw worded(file, error);
  });
}

/** Reads a file that the configuration names, synchronously; throws as {@link openNamedFile} rejects. */
export function readNamedFileSync(file: string): Buffer {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, openFlags);
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) throw notRegular(stats.isDirectory());
    return readFileSync(descriptor);
  } catch (error) {
    throw worded(file, error);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function notRegular(isDirectory: boolean): Error {
  return Object.assign(new Error('not a regular file'), { code: isDirectory ? 'EISDIR' : 'ENXIO' });
}

function worded(file: string, cause: unknown): Error {
  return Object.assign(new Error(whyUnreadable(file, cause), { cause }), { code: codeOf(cause) });
}

/** Returns the system's code of an error, such as ENOENT; undefined for other errors. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Whether an error says that a file does not exist. */
export function isMissing(error: unknown): boolean {
  return codeOf(error) === 'ENOENT';
}

/** The name of the user that this process runs as; without an entry in the passwd database, as in a container, the number. */
export function thisUser(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.());
  }
}

/** Explains why a file cannot be read, and what to do. */
export function whyUnreadable(file: string, error: unknown): string {
  const code = codeOf(error);
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return `there is no file ${file}: create it, or name another (paths are relative to the file that names them)`;
    case 'EACCES':
      return `the user ${thisUser()} may not read ${file}: if the gateway runs as ${thisUser()}, run: chown ${thisUser()} ${file}, or let a group of that user read it (chgrp GROUP, chmod 640); else run the command with sudo`;
    case 'EISDIR':
      return `${file} is a directory: name a file`;
    case 'ENXIO':
      return `${file} is not a regular file but a device, a pipe or a socket: name a file`;
    default:
      return `${file} cannot be read (${code ?? 'unknown error'}): name another file`;
  }
}

/**
 * Gives a new file or folder to the owner of the folder that it is in, if this is root: what a command run by root makes
 * must not lock the gateway out. `descriptor` is open for it.
 */
export function giveToFolderOwner(made: string, descriptor: number): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(dirname(made));
  if (uid === 0) return;
  try {
    fchownSync(descriptor, uid, gid);
  } catch {
    // The root of a container may not give files away, and is the one that runs the gateway.
  }
}

/**
 * Makes a folder, and those above it, for this user alone; root gives them to the owner of the folder above. Throws if that is impossible. It does not use `recursive` of
 * node:fs, which never returns below /proc, where a folder can be missing although its parent exists.
 */
export function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
    const descriptor = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    giveToFolderOwner(folder, descriptor);
    closeSync(descriptor);
  } catch (error) {
    if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true) return;
    const above = dirname(folder);
    if (codeOf(error) !== 'ENOENT' || above === folder || statSync(above, { throwIfNoEntry: false }) !== undefined) {
      throw error;
    }
    makeFolder(above);
    makeFolder(folder);
  }
}
