import { readdirSync, readFileSync } from 'node:fs';

/**
 * The CPU time of these processes and all their descendants so far, in microseconds: user and system time, as utime and
 * stime of /proc/PID/stat have it, but read from schedstat, which counts nanoseconds instead of ticks of 10 ms.
 */
export function cpuMicros(roots: readonly number[]): number {
  let nanos = 0;
  for (const pid of withDescendants(roots)) nanos += nanosOf(pid);
  return nanos / 1000;
}

/** The resident memory of these processes and all their descendants, in bytes. */
export function residentBytes(roots: readonly number[]): number {
  let kilobytes = 0;
  for (const pid of withDescendants(roots)) {
    kilobytes += Number(/^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0);
  }
  return kilobytes * 1024;
}

/** These processes and all their descendants. */
export function withDescendants(roots: readonly number[]): ReadonlySet<number> {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    // The second field may contain spaces and parentheses; the parent is the second field after it.
    const stat = read(`/proc/${name}/stat`);
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? 0);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found = new Set<number>();
  const queue = [...roots];
  for (let pid = queue.pop(); pid !== undefined; pid = queue.pop()) {
    found.add(pid);
    queue.push(...(children.get(pid) ?? []));
  }
  return found;
}

function nanosOf(pid: number): number {
  let nanos = 0;
  for (const thread of list(`/proc/${pid}/task`)) {
    nanos += Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0] ?? 0);
  }
  return nanos;
}

/** Reads a file of /proc; empty if the process or thread has ended meanwhile. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
