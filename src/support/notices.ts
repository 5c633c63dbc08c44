import type { Audit } from '../core/audit.ts';
import type { BackendHost } from '../core/backend.ts';
import { PosternError } from '../core/error.ts';
import type { NoticePolicy } from '../core/identity.ts';
import type { Log } from '../core/log.ts';
import type { CanonicalUser } from '../core/names.ts';
import { parseJson } from '../core/objects.ts';
import type { ReplicatedTable } from '../core/state-store.ts';

/** The facts that a user is told about one opening of the mailbox. */
export interface Notice {
  readonly actor: CanonicalUser;
  readonly reason: string;
  readonly minutes: number;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

/** Notices that wait for users' next login. Each change rejects when the store cannot be asked. */
export interface Notices {
  /** The notices of a user, oldest first. */
  of(user: CanonicalUser): readonly Notice[];
  add(user: CanonicalUser, notice: Notice): Promise<void>;
  /** Removes the notices up to this time, which the user was shown. */
  told(user: CanonicalUser, untilMs: number): Promise<void>;
}

/** The most notices that are kept for a user. Older ones are dropped; the audit has them all. */
const maxNotices = 20;
const tries = 5;

/** Keeps notices in the state that all nodes share, by user. */
export function createNotices(table: Pick<ReplicatedTable<readonly Notice[]>, 'get' | 'change'>): Notices {
  async function change(user: CanonicalUser, make: (before: readonly Notice[]) => readonly Notice[]): Promise<void> {
    // Another node may write at the same moment, and its notice must not be lost.
    for (let left = tries; left > 0; left -= 1) {
      if ((await table.change(user, (before) => make(before ?? []))) !== 'conflict') return;
    }
    throw new Error('too many nodes write the same notices at once');
  }
  return {
    of: (user) => table.get(user) ?? [],
    add: (user, notice) => change(user, (before) => [...before, notice].slice(-maxNotices)),
    told: (user, untilMs) => change(user, (before) => before.filter(({ atMs }) => atMs > untilMs)),
  };
}

/** Parses an entry of the table; undefined for another form. */
export function parseNotices(text: string): readonly Notice[] | undefined {
  const value = parseJson(text);
  return Array.isArray(value) && value.every(isNotice) ? value : undefined;
}

function isNotice(value: unknown): value is Notice {
  if (typeof value !== 'object' || value === null) return false;
  const { actor, reason, minutes, atMs }: Partial<Record<keyof Notice, unknown>> = value;
  return [actor, reason].every((text) => typeof text === 'string') && [minutes, atMs].every(Number.isFinite);
}

/** Dependencies of createNoticeDelivery. */
export interface NoticeDeliveryDeps {
  readonly policy: NoticePolicy;
  readonly notices: Pick<Notices, 'of' | 'add' | 'told'>;
  /** Puts a message into the user's INBOX. Rejects if that could not be done. */
  readonly appendMessage: (user: CanonicalUser, notice: Notice, host: BackendHost) => Promise<void>;
  /** Reads what other nodes wrote. Rejects if the state store cannot be asked. */
  readonly refresh: () => Promise<void>;
  readonly audit: Pick<Audit, 'record'>;
  readonly log: Log;
}

/** Tells users that their mailbox was opened, as the operator decided. */
export interface NoticeDelivery {
  /** Tells the user by the policy. Rejects if it could not be told in any way. */
  tell(user: CanonicalUser, notice: Notice, host: BackendHost): Promise<void>;
  /** Notices that a user must read at this login, as far as this node knows. */
  pending(user: CanonicalUser): readonly Notice[];
  /** The same, with what other nodes wrote just now if the store can be asked. */
  pendingNow(user: CanonicalUser): Promise<readonly Notice[]>;
  /** Notes that the user has read the notices up to this time. Rejects if the store cannot be asked. */
  read(user: CanonicalUser, untilMs: number): Promise<void>;
}

/** Tells users by message or page that staff opened their mailbox. */
export function createNoticeDelivery({
  policy,
  notices,
  appendMessage,
  refresh,
  audit,
  log,
}: NoticeDeliveryDeps): NoticeDelivery {
  async function noteTold(user: CanonicalUser, { actor }: Notice, by: string): Promise<void> {
    try {
      await audit.record({ event: 'subject-told', actor, subject: user, facts: { by } });
    } catch (error) {
      // The audit already says that the mailbox was opened.
      log.error('notice-not-audited', { err: error, user });
    }
  }

  return {
    async tell(user, notice, host) {
      if (policy === 'never') return;
      if (policy === 'at-sign-in') return notices.add(user, notice);
      try {
        await appendMessage(user, notice, host);
      } catch (error) {
        if (!(error instanceof PosternError)) throw error;
        log.warn('notice-not-sent', { err: error, user });
        return notices.add(user, notice);
      }
      await noteTold(user, notice, 'message');
    },
    pending: (user) => notices.of(user),
    async pendingNow(user) {
      try {
        await refresh();
      } catch (error) {
        if (!(error instanceof PosternError)) throw error;
      }
      return notices.of(user);
    },
    async read(user, untilMs) {
      const read = notices.of(user).filter(({ atMs }) => atMs <= untilMs);
      await notices.told(user, untilMs);
      for (const notice of read) await noteTold(user, notice, 'page');
    },
  };
}
