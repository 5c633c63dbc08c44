import type { HomeLookup } from '../core/directory.ts';
import { PosternError } from '../core/error.ts';
import type { LoginNameParser } from '../core/names.ts';
import type { Directory } from './directory.ts';

/** A directory with its own rules for names. */
export interface ComparedDirectory {
  readonly directory: Pick<Directory, 'lookup'>;
  readonly parseName: LoginNameParser;
}

/** How users fare in two directories. */
export interface Comparison {
  readonly users: number;
  /** Users who would live elsewhere, or be known to one directory only. */
  readonly moved: number;
  /** Users of whom one directory could not say where they live: nothing is known of them. */
  readonly unsure: number;
  /** How many go from one home to another: `a → b`, `unknown → a`. */
  readonly flows: ReadonlyMap<string, number>;
}

/** A user whose home differs. A home is a backend's name, `unknown` or `refused`. */
export interface HomeChange {
  /** As it was given. */
  readonly user: string;
  readonly from: string;
  readonly to: string;
}

const concurrent = 64;

/**
 * Asks two directories for the same users: who would move if the second took the place of the first. With two `hash`
 * sources of different weights it is the preview of the change. `onChange` hears of each user who moves, in no
 * particular order; `onProgress` of how many have been asked. Rejects when `signal` is aborted.
 */
export async function compareDirectories(
  directories: { readonly before: ComparedDirectory; readonly after: ComparedDirectory },
  users: AsyncIterable<string> | Iterable<string>,
  listeners: { readonly onChange?: (change: HomeChange) => void; readonly onProgress?: (users: number) => void },
  signal: AbortSignal,
): Promise<Comparison> {
  const flows = new Map<string, number>();
  const counts = { users: 0, moved: 0, unsure: 0 };

  async function compareUser(user: string): Promise<void> {
    const [from, to] = await Promise.all([
      homeIn(directories.before, user, signal),
      homeIn(directories.after, user, signal),
    ]);
    counts.users += 1;
    if (from === undefined || to === undefined) counts.unsure += 1;
    else if (from !== to) {
      counts.moved += 1;
      flows.set(`${from} → ${to}`, (flows.get(`${from} → ${to}`) ?? 0) + 1);
      listeners.onChange?.({ user, from, to });
    }
    listeners.onProgress?.(counts.users);
  }

  const running = new Set<Promise<void>>();
  for await (const user of users) {
    const one = compareUser(user).finally(() => running.delete(one));
    running.add(one);
    if (running.size >= concurrent) await Promise.race(running);
  }
  await Promise.all(running);
  return { ...counts, flows };
}

/** A user's home as a word; undefined if the directory could not say. A malformed name has no home. */
async function homeIn(
  { directory, parseName }: ComparedDirectory,
  user: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const parsed = parseName(user);
  if (parsed.kind === 'malformed') return 'unknown';
  try {
    return wordFor(await directory.lookup(parsed.name, signal));
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof PosternError) return undefined;
    throw error;
  }
}

function wordFor(home: HomeLookup): string | undefined {
  switch (home.kind) {
    case 'found':
      return home.backend;
    case 'referred':
      return undefined;
    case 'refused':
      return 'refused';
    case 'unknown-user':
      return 'unknown';
    default:
      return home satisfies never;
  }
}
