/**
 * Says what is wrong with the mode of a file that holds a secret, and how to fix it; undefined when nothing is.
 *
 * Its group may read it, since that is how containers and packages hand secrets to a user of their own (Kubernetes:
 * root:GROUP 0440). A file that everybody may read is taken only where nobody may write it: that is what Docker mounts
 * (0444), and its mode cannot be changed there.
 */
export function exposureOf(file: string, mode: number): string | undefined {
  const shown = `mode 0${(mode & 0o777).toString(8)}`;
  if ((mode & 0o022) !== 0) return `${file} may be changed by others (${shown}); run: chmod 600 ${file}`;
  if ((mode & 0o004) !== 0 && (mode & 0o200) !== 0) {
    return `${file} may be read by everybody (${shown}); run: chmod 600 ${file}, or mount it with mode 0440`;
  }
  return undefined;
}
