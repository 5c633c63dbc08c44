import type { Audit } from '../core/audit.ts';
import type { BackendHost } from '../core/backend.ts';
import { PosternError } from '../core/error.ts';
import type { NoticePolicy } from '../core/identity.ts';
import type { Log } from '../core/log.ts';
import type { CanonicalUser } from '../core/names.ts';
import type { Notice, Notices } from './notices.ts';

export interface TellingDeps {
  readonly policy: NoticePolicy;
  readonly notices: Pick<Notices, 'of' | 'add' | 'told'>;
  /** Puts a message into the user's INBOX. Rejects when that could not be done. */
  readonly appendMessage: (user: CanonicalUser, notice: Notice, host: BackendHost) => Promise<void>;
  /** Reads what other nodes wrote. Rejects when the state store cannot be asked. */
  readonly refresh: () => Promise<void>;
  readonly audit: Pick<Audit, 'record'>;
  readonly log: Log;
}

/** Tells users that their mailbox was opened, as the operator decided. */
export interface Telling {
  /** Rejects when it can be told in no way. */
  tell(user: CanonicalUser, notice: Notice, host: BackendHost): Promise<void>;
  /** What a user must read at this sign-in, as far as this node knows. */
  pending(user: CanonicalUser): readonly Notice[];
  /** The same, with what other nodes wrote just now where they can be asked. */
  pendingNow(user: CanonicalUser): Promise<readonly Notice[]>;
  /** The user has read those up to this time. Rejects when the store cannot be asked. */
  read(user: CanonicalUser, untilMs: number): Promise<void>;
}

export function createTelling({ policy, notices, appendMessage, refresh, audit, log }: TellingDeps): Telling {
  async function noteTold(user: CanonicalUser, { actor }: Notice, by: string): Promise<void> {
    try {
      await audit.record({ event: 'subject-told', actor, subject: user, facts: { by } });
    } catch (error) {
      // That the mailbox was opened stands in the audit already.
      log.error({ err: error, user }, 'the audit could not take that a user was told');
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
        log.warn({ err: error, user }, 'a user could not be told by a message, and is told at the next sign-in');
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
