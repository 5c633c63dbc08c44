import type { Audit, AuditEvent } from '../core/audit.ts';
import { type Clock, isRecent } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { type CanonicalUser, isRecordKey, type RecordKey } from '../core/names.ts';
import { parseJson } from '../core/objects.ts';
import type { EndReason, ImpersonationRecord, LiveSession, SessionLookup } from '../core/session.ts';
import type { ReplicatedTable } from '../core/state-store.ts';
import type { OneTimeLinks } from './one-time-links.ts';
import { covers } from './permission.ts';
import type { StaffChecks } from './roles.ts';

interface MailboxExpiryDeps {
  readonly staffChecks: StaffChecks;
  /** Whether the current configuration excludes this user from impersonation. */
  readonly isNeverOpened: (user: CanonicalUser) => boolean;
  readonly opened: Pick<ReplicatedTable<OpenedMailbox>, 'all' | 'set' | 'take'>;
  readonly links: Pick<OneTimeLinks, 'sweep'>;
  /**
   * How a session ended: undefined while it lives, `unknown` if the store has forgotten it. Rejects if the store cannot
   * be asked.
   */
  readonly endOf: (session: RecordKey) => Promise<EndReason | 'unknown' | undefined>;
  /** Ends a session on all nodes. `by`: the person who does it, if it is one. */
  readonly end: (session: RecordKey, reason: EndReason, by?: string) => Promise<void>;
  readonly audit: Pick<Audit, 'record'>;
  readonly clock: Clock;
  /** A monotonic clock in milliseconds, which no change of the system clock affects. */
  readonly elapsedMs?: () => number;
  readonly log: Log;
  /** How often the right to each open mailbox is checked. */
  readonly vouchEveryMs?: number;
}

/** Ends opened mailboxes on this node: each when its staff session, its role or its time ends. */
export interface MailboxExpiry extends AsyncDisposable {
  /** Notes an opened mailbox for all nodes. Rejects if the store cannot take it. */
  opened(session: RecordKey, mailbox: OpenedMailbox): Promise<void>;
  /** Passes a lookup on. The session of an opened mailbox passes only after its staff session and role were checked. */
  guard(lookup: SessionLookup): SessionLookup | Promise<SessionLookup>;
  /** Closes an opened mailbox for its staff member. No list shows it any more when this resolves. */
  stop(session: RecordKey): Promise<void>;
  /** The open mailboxes of a member of staff, on all nodes. */
  of(actor: string): readonly (OpenedMailbox & { readonly session: RecordKey })[];
}

const vouchEveryMs = 1_000;
const endUnwatchedEveryMs = 15_000;
const vouchTimeoutMs = 5_000;

/** Creates the expiry and starts its timer. Disposing stops the timer and ends no mailbox: other nodes go on. */
export function createMailboxExpiry(deps: MailboxExpiryDeps): MailboxExpiry {
  return new ExpiringMailboxes(deps);
}

class ExpiringMailboxes implements MailboxExpiry {
  readonly #deps: MailboxExpiryDeps;
  readonly #elapsedMs: () => number;
  readonly #watched = new Map<RecordKey, { readonly session: LiveSession; readonly endsAtMs: number }>();
  #endedUnwatchedAtMs: number;
  #checking: Promise<void> | undefined;
  readonly #timer: NodeJS.Timeout;

  constructor(deps: MailboxExpiryDeps) {
    this.#deps = deps;
    this.#elapsedMs = this.#deps.elapsedMs ?? (() => performance.now());
    this.#endedUnwatchedAtMs = this.#deps.clock.nowMs();
    // One check at a time, however long the directory takes.
    this.#timer = setInterval(() => {
      this.#checking ??= this.#checkAll().finally(() => {
        this.#checking = undefined;
      });
    }, this.#deps.vouchEveryMs ?? vouchEveryMs).unref();
  }

  opened(session: RecordKey, mailbox: OpenedMailbox): Promise<void> {
    return this.#deps.opened.set(session, mailbox);
  }

  guard(lookup: SessionLookup): SessionLookup | Promise<SessionLookup> {
    const session = lookup.kind === 'found' ? lookup.session : undefined;
    const impersonation = session?.record.impersonation;
    if (session === undefined || impersonation === undefined || this.#watched.has(session.key)) return lookup;
    return this.#isVouchedFor(session.record.user, impersonation).then(
      async (vouched): Promise<SessionLookup> => {
        if (vouched) {
          if (!this.#watched.has(session.key)) this.#watch(session);
          return lookup;
        }
        await session.end('kicked');
        return { kind: 'ended', reason: 'kicked', rest: lookup.kind === 'found' ? lookup.rest : '' };
      },
      (error: unknown): SessionLookup => {
        if (error instanceof PosternError) return { kind: 'unavailable', why: 'store' };
        throw error;
      },
    );
  }

  async stop(session: RecordKey): Promise<void> {
    const actor = this.#deps.opened.all().get(session)?.actor;
    await this.#deps.end(session, 'signed-out', actor && `${actor} (console)`);
    await this.#close(session, 'signed-out').catch((error) => this.#logFailure(error));
  }

  of(actor: string): readonly (OpenedMailbox & { readonly session: RecordKey })[] {
    return [...this.#deps.opened.all()].flatMap(([session, mailbox]) =>
      isRecordKey(session) && mailbox.actor === actor && mailbox.untilMs > this.#deps.clock.nowMs()
        ? [{ ...mailbox, session }]
        : [],
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#checking;
  }

  /** Whether the mailbox may stay open. Rejects if directory or store cannot be asked. */
  async #isVouchedFor(
    subject: CanonicalUser,
    { actor, staffSession }: Pick<ImpersonationRecord, 'actor' | 'staffSession'>,
  ): Promise<boolean> {
    if (this.#deps.isNeverOpened(subject)) return false;
    const signal = AbortSignal.timeout(vouchTimeoutMs);
    const [grant, signedIn, ofSubject] = await Promise.all([
      this.#deps.staffChecks.grantOf(actor, signal),
      this.#deps.staffChecks.isSignedIn(staffSession),
      this.#deps.staffChecks.grantOf(subject, signal),
    ]);
    const mayOpen = grant !== undefined && grant.roles.includes('support') && covers(grant, subject);
    return signedIn && mayOpen && ofSubject === undefined;
  }

  /** Ends a mailbox that may not stay open. During an outage it stays open, as sessions do, until its time is over. */
  async #vouch(session: LiveSession, impersonation: ImpersonationRecord): Promise<void> {
    try {
      if (await this.#isVouchedFor(session.record.user, impersonation))
        this.#deps.staffChecks.keepAlive(impersonation.staffSession);
      else await session.end('kicked');
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      this.#deps.log.warn('impersonation-not-checked', { err: error, actor: impersonation.actor });
    }
  }

  /** Watches a session by the monotonic clock: a system clock that is set back extends nothing. */
  #watch(session: LiveSession): void {
    const { createdAtMs, absoluteEndMs } = session.record;
    const leftMs = absoluteEndMs - Math.max(createdAtMs, this.#deps.clock.nowMs());
    this.#watched.set(session.key, { session, endsAtMs: this.#elapsedMs() + leftMs });
    session.attach({
      end: (reason) => {
        this.#watched.delete(session.key);
        this.#close(session.key, reason).catch((error: unknown) => this.#logFailure(error));
      },
    });
  }

  /** Removes the entry. Only the node that removed it writes the audit line. */
  async #close(key: RecordKey, reason: EndReason): Promise<void> {
    const mailbox = await this.#deps.opened.take(key);
    if (mailbox !== undefined) await this.#deps.audit.record(auditEventOf(mailbox, reason));
  }

  /**
   * Ends mailboxes that this node does not watch: no browser has used them here. It has not come yet, or uses another
   * node, which may have gone.
   */
  async #endUnwatched(): Promise<void> {
    for (const [session, mailbox] of this.#deps.opened.all()) {
      if (!isRecordKey(session) || this.#watched.has(session)) continue;
      const ended = await this.#deps.endOf(session);
      const reason = ended === undefined || ended === 'unknown' ? await this.#dueEndOf(mailbox) : ended;
      if (ended === undefined && reason !== undefined) await this.#deps.end(session, reason);
      // The store no longer knows why the session ended; `signed-out` would claim that somebody pressed Stop.
      if (ended === 'unknown' || reason !== undefined) await this.#close(session, reason ?? 'kicked');
    }
    await this.#deps.links.sweep();
  }

  async #dueEndOf(mailbox: OpenedMailbox): Promise<EndReason | undefined> {
    if (this.#deps.clock.nowMs() > mailbox.untilMs) return 'absolute';
    try {
      return (await this.#isVouchedFor(mailbox.subject, mailbox)) ? undefined : 'kicked';
    } catch (error) {
      if (error instanceof PosternError) return undefined;
      throw error;
    }
  }

  async #checkAll(): Promise<void> {
    try {
      await Promise.all(
        [...this.#watched.values()].map(async ({ session, endsAtMs }) => {
          const { impersonation } = session.record;
          if (this.#elapsedMs() >= endsAtMs) await session.end('absolute');
          else if (impersonation !== undefined) await this.#vouch(session, impersonation);
        }),
      );
      if (isRecent(this.#endedUnwatchedAtMs, endUnwatchedEveryMs, this.#deps.clock.nowMs())) return;
      this.#endedUnwatchedAtMs = this.#deps.clock.nowMs();
      await this.#endUnwatched();
    } catch (error) {
      this.#logFailure(error);
    }
  }

  #logFailure(error: unknown): void {
    this.#deps.log.error('impersonation-end-not-noted', { err: error });
  }
}

const eventsOfEnds = new Map<EndReason, AuditEvent['event']>([
  ['signed-out', 'impersonation-stop'],
  ['absolute', 'impersonation-expired'],
]);

function auditEventOf({ actor, subject, reason, ticket }: OpenedMailbox, ended: EndReason): AuditEvent {
  return {
    event: eventsOfEnds.get(ended) ?? 'impersonation-ended',
    actor,
    subject,
    facts: { reason, ticket, ended },
  };
}

/** A mailbox that is open now. All nodes share it, keyed by the name of its session. */
export interface OpenedMailbox {
  readonly actor: CanonicalUser;
  /** The staff member's own session. */
  readonly staffSession: RecordKey;
  readonly subject: CanonicalUser;
  readonly reason: string;
  readonly ticket: string;
  /** Milliseconds since the epoch. */
  readonly sinceMs: number;
  readonly untilMs: number;
}

/** Parses an entry of the table; undefined for another form. */
export function parseOpenedMailbox(text: string): OpenedMailbox | undefined {
  const value = parseJson(text);
  return isOpenedMailbox(value) ? value : undefined;
}

function isOpenedMailbox(value: unknown): value is OpenedMailbox {
  if (typeof value !== 'object' || value === null) return false;
  const {
    actor,
    staffSession,
    subject,
    reason,
    ticket,
    sinceMs,
    untilMs,
  }: Partial<Record<keyof OpenedMailbox, unknown>> = value;
  return (
    [actor, staffSession, subject, reason, ticket].every((text) => typeof text === 'string') &&
    [sinceMs, untilMs].every(Number.isSafeInteger)
  );
}
