import type { HomeLookup } from '../core/directory.ts';
import { PosternError } from '../core/error.ts';
import type { LoginNameParser } from '../core/names.ts';
import type { Directory } from './directory.ts';

/** A directory with its own rules for names. */
export interface ComparedDirectory {
  readonly directory: Pick<Directory, 'lookup'>;
  readonly parseName: LoginNameParser;
}

/** The differences between two directories. */
export interface Comparison {
  readonly users: number;
  /** Users whose home differs, or who are known to one directory only. */
  readonly moved: number;
  /** Users for whom one directory could not be asked. */
  readonly unsure: number;
  /** Counts of users by the change of their home: `a → b`, `unknown → a`. */
  readonly flows: ReadonlyMap<string, number>;
}

/** A user whose home differs. A home is a backend's name, `unknown` or `refused`. */
export interface HomeChange {
  /** The name as it was given. */
  readonly user: string;
  readonly from: string;
  readonly to: string;
}

const maxConcurrentUsers = 64;

/**
 * Finds the users who would move if the second directory took the place of the first. With two `hash` sources of
 * different weights it previews the change of weights. `onChange` gets each user who moves, in no particular order;
 * `onProgress` gets the number of users asked so far. Rejects when `signal` is aborted.
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
    if (running.size >= maxConcurrentUsers) await Promise.race(running);
  }
  await Promise.all(running);
  return { ...counts, flows };
}

/** A user's home as a word; undefined if the directory could not be asked. A malformed name is unknown. */
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
