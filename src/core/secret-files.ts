import { readFileSync, realpathSync } from 'node:fs';
import { join, relative } from 'node:path';

/** The mode of a file, and who it belongs to. */
interface FileAccess {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/**
 * Says what is wrong with the mode of a file that holds a secret, and how to fix it; undefined if the mode is right.
 *
 * The group may read the file, because packages and container platforms give secrets to their own user that way
 * (Kubernetes with fsGroup: root:GROUP 0440). A file that others may read or change is accepted only on a mount that
 * brings secrets into a container, where it has the mode of the platform (Docker: 0444): see {@link bringsSecrets}.
 */
export function exposureOf(file: string, access: FileAccess, mounts: () => string = readMounts): string | undefined {
  const { mode } = access;
  const isChangeable = (mode & 0o022) !== 0;
  const isReadable = (mode & 0o004) !== 0;
  if ((!isChangeable && !isReadable) || isMountedSecret(file, isChangeable, mounts)) return undefined;
  const shown = `mode 0${(mode & 0o777).toString(8)}`;
  const who = isChangeable ? 'other users may change it' : 'every user may read it';
  return `${file} is too open: ${who} (${shown}); run: chmod ${rightMode(access)} ${file}, or mount it read-only as a secret of the container`;
}

/** 600, or 640 for a file that its owner keeps for a group, such as root:postern: with 600 the gateway could not read it. */
function rightMode({ uid, gid }: FileAccess): string {
  const isInGroup = uid !== process.getuid?.() && (process.getgroups?.() ?? []).includes(gid);
  return gid !== 0 && (uid === 0 || isInGroup) ? '640' : '600';
}

function isMountedSecret(file: string, isChangeable: boolean, mounts: () => string): boolean {
  try {
    return bringsSecrets(mounts(), realpathSync(file), isChangeable);
  } catch {
    // Not Linux, or no /proc: the mode alone decides.
    return false;
  }
}

function readMounts(): string {
  return readFileSync('/proc/self/mountinfo', 'utf8');
}

/** A line of proc_pid_mountinfo(5). */
interface Mount {
  readonly id: string;
  readonly parent: string;
  readonly device: string;
  /** The folder or file of the file system that is mounted; `/` for all of it. */
  readonly root: string;
  readonly point: string;
  readonly isReadOnly: boolean;
  /** Whether it is neither shared with other mount namespaces, nor follows what happens in one. */
  readonly isPrivate: boolean;
  readonly type: string;
}

/**
 * Whether a path lies on a mount that brings secrets into a container, by the text of proc_pid_mountinfo(5). Such a
 * mount is private to this mount namespace, as container runtimes make it: a service of systemd with ProtectSystem= sees
 * the machine's own mounts read-only, which follow the machine's. It is at /run/secrets or below, if only the owner may
 * change the file (Podman mounts it writable); or it
 *
 * - is read-only and is not the root, which a container may have read-only, too;
 * - is memory, as kubelet and swarm make it, or a part of its file system: a bind mount;
 * - shows a file that no other mount of this namespace shows in another way: a folder mounted onto itself, or a second
 *   view of the machine's disk, keeps nothing from other users.
 */
export function bringsSecrets(mountinfo: string, path: string, isChangeable: boolean): boolean {
  const mounts = mountinfo.split('\n').flatMap(parseMount);
  const mount = mountOf(path, mounts);
  if (mount === undefined) return false;
  if (!isChangeable && mount.isPrivate && isWithin(mount.point, '/run/secrets')) return true;
  const place = join(mount.root, relative(mount.point, path));
  const views = mounts.filter(({ device, root }) => device === mount.device && isWithin(place, root));
  return views.every(isOfPlatform);
}

function isOfPlatform({ isReadOnly, isPrivate, point, type, root }: Mount): boolean {
  const isMemory = type === 'tmpfs' || type === 'ramfs';
  return isReadOnly && isPrivate && point !== '/' && (isMemory || root !== '/');
}

/**
 * Finds the mount that a path lies on as the kernel does, from the root downwards: a mount over a folder hides those that
 * were made below that folder before.
 */
function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  const ids = new Set(mounts.map(({ id }) => id));
  const over = mounts.filter(({ point }) => isWithin(path, point)).sort((a, b) => a.point.length - b.point.length);
  let found = over.find(({ parent }) => !ids.has(parent));
  for (let next = found; next !== undefined; next = over.find(({ parent }) => parent === found?.id)) found = next;
  return found;
}

function isWithin(path: string, folder: string): boolean {
  return folder === '/' || path === folder || path.startsWith(`${folder}/`);
}

function parseMount(line: string): readonly Mount[] {
  const [own = '', fileSystem = ''] = line.split(' - ');
  const [id, parent, device, root, point, options = '', ...propagation] = own.split(' ').map(unescapePath);
  const [type = '', , superOptions = ''] = fileSystem.split(' ');
  if (id === undefined || parent === undefined || device === undefined) return [];
  if (root === undefined || point === undefined) return [];
  const isReadOnly = [...options.split(','), ...superOptions.split(',')].includes('ro');
  const isPrivate = !propagation.some((field) => /^(?:shared|master):/.test(field));
  // The first mount of the kernel is its own parent.
  return [{ id, parent: parent === id ? '' : parent, device, root, point, isReadOnly, isPrivate, type }];
}

/** Decodes white space and backslashes, which are written as three octal digits. */
function unescapePath(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
