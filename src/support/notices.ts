import { parseJson } from '../core/json.ts';
import type { CanonicalUser } from '../core/names.ts';
import type { MirroredTable } from '../core/state-store.ts';

/** What a user is told of one opening of the mailbox. */
export interface Notice {
  readonly actor: CanonicalUser;
  readonly reason: string;
  readonly minutes: number;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

/** What users have yet to be told at their next sign-in. Each change rejects when the store cannot be asked. */
export interface Notices {
  /** In the order in which it happened; empty for nearly everybody. */
  of(user: CanonicalUser): readonly Notice[];
  add(user: CanonicalUser, notice: Notice): Promise<void>;
  /** Removes what the user was shown: those up to this time. */
  told(user: CanonicalUser, untilMs: number): Promise<void>;
}

/** Of more than these the oldest are dropped: the audit has them all. */
const most = 20;
const tries = 5;

/** Keeps notices in the state that all nodes share, by user. */
export function createNotices(table: Pick<MirroredTable<readonly Notice[]>, 'get' | 'change'>): Notices {
  async function change(user: CanonicalUser, make: (before: readonly Notice[]) => readonly Notice[]): Promise<void> {
    // Another node may write at the same moment: its notice must not be lost.
    for (let left = tries; left > 0; left -= 1) {
      if ((await table.change(user, (before) => make(before ?? []))) !== 'conflict') return;
    }
    throw new Error('too many nodes write the same notices at once');
  }
  return {
    of: (user) => table.get(user) ?? [],
    add: (user, notice) => change(user, (before) => [...before, notice].slice(-most)),
    told: (user, untilMs) => change(user, (before) => before.filter(({ atMs }) => atMs > untilMs)),
  };
}

/** Reads an entry of the table. */
export function parseNotices(text: string): readonly Notice[] | undefined {
  const value = parseJson(text);
  return Array.isArray(value) && value.every(isNotice) ? value : undefined;
}

function isNotice(value: unknown): value is Notice {
  if (typeof value !== 'object' || value === null) return false;
  const { actor, reason, minutes, atMs }: Partial<Record<keyof Notice, unknown>> = value;
  return [actor, reason].every((text) => typeof text === 'string') && [minutes, atMs].every(Number.isFinite);
}
