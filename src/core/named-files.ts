import { closeSync, constants, fstatSync, mkdirSync, openSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';

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

/** Explains why a file cannot be read, and what to do. */
export function whyUnreadable(file: string, error: unknown): string {
  const code = codeOf(error);
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return `there is no file ${file}: create it, or name another (paths are relative to the file that names them)`;
    case 'EACCES':
      return `this user may not read ${file}: change its owner or mode`;
    case 'EISDIR':
      return `${file} is a directory: name a file`;
    case 'ENXIO':
      return `${file} is not a regular file but a device, a pipe or a socket: name a file`;
    default:
      return `${file} cannot be read (${code ?? 'unknown error'}): name another file`;
  }
}

/**
 * Makes a folder, and those above it, for this user alone. Throws if that is impossible. It does not use `recursive` of
 * node:fs, which never returns below /proc, where a folder can be missing although its parent exists.
 */
export function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
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

/**
 * Says what is wrong with the mode of a file that holds a secret, and how to fix it; undefined if the mode is right.
 *
 * The group may read the file, because containers and packages give secrets to their own user that way (Kubernetes:
 * root:GROUP 0440). A file that everybody may read is accepted only if nobody may write it: by its mode, as Docker
 * mounts it (0444), or because it lies on a read-only mount of a container, where no mode can be changed.
 */
export function exposureOf(
  file: string,
  mode: number,
  isMountedReadOnly: (file: string) => boolean = isOnReadOnlyMount,
): string | undefined {
  const isChangeable = (mode & 0o022) !== 0;
  const isOpen = (mode & 0o004) !== 0 && (mode & 0o200) !== 0;
  if ((!isChangeable && !isOpen) || isMountedReadOnly(file)) return undefined;
  const shown = `mode 0${(mode & 0o777).toString(8)}`;
  if (isChangeable) return `${file} may be changed by others (${shown}); run: chmod 600 ${file}`;
  return `${file} may be read by everybody (${shown}); run: chmod 600 ${file}, or mount it with mode 0440`;
}

function isOnReadOnlyMount(file: string): boolean {
  try {
    return isReadOnlyIn(readFileSync('/proc/self/mountinfo', 'utf8'), realpathSync(file));
  } catch {
    // Not Linux, or no /proc: the mode alone decides.
    return false;
  }
}

interface Mount {
  readonly id: string;
  readonly parent: string;
  readonly device: string;
  /** The folder of the device that is mounted. */
  readonly root: string;
  readonly point: string;
  readonly isReadOnly: boolean;
}

/**
 * Whether a path lies on a read-only mount of something from outside, by the text of proc_pid_mountinfo(5). The root
 * does not count, nor does a folder mounted onto itself: systemd's ProtectSystem= makes the machine's own files
 * read-only for one service that way, while everybody else on the machine reads them as before.
 */
export function isReadOnlyIn(mountinfo: string, path: string): boolean {
  const mounts = mountinfo.split('\n').flatMap(parseMount);
  const over = mounts.filter(({ point }) => point === '/' || path === point || path.startsWith(`${point}/`));
  // The longest path is the closest mount; of two at one place the later one is on top.
  const closest = over.toSorted((a, b) => a.point.length - b.point.length).at(-1);
  if (closest?.isReadOnly !== true || closest.point === '/') return false;
  const parent = mounts.find(({ id }) => id === closest.parent);
  if (parent?.device !== closest.device) return true;
  return join(parent.root, relative(parent.point, closest.point)) !== closest.root;
}

function parseMount(line: string): readonly Mount[] {
  const [own = '', fileSystem = ''] = line.split(' - ');
  const [id, parent, device, root, point, options = ''] = own.split(' ').map(unescapePath);
  if (id === undefined || parent === undefined || device === undefined) return [];
  if (root === undefined || point === undefined) return [];
  const all = [...options.split(','), ...(fileSystem.split(' ')[2] ?? '').split(',')];
  return [{ id, parent, device, root, point, isReadOnly: all.includes('ro') }];
}

/** Decodes white space and backslashes, which are written as three octal digits. */
function unescapePath(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
