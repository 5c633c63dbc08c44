import { parseJson } from '../core/json.ts';
import type { CanonicalUser } from '../core/names.ts';
import type { RecordKey } from '../core/session.ts';

/** A mailbox that is open now, as all nodes know it, under the name of its session. */
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

/** Reads an entry of the table. */
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

/** For how many minutes a mailbox may be opened. */
export const openingMinutes = [5, 15, 30, 60] as const;
type OpeningMinutes = (typeof openingMinutes)[number];

/** A granted request of a member of staff: whose mailbox, why, for how long. */
export interface Opening {
  readonly actor: CanonicalUser;
  /** The staff member's own session: what is opened ends with it. */
  readonly staffSession: RecordKey;
  readonly subject: CanonicalUser;
  readonly reason: string;
  /** Empty where there is none. */
  readonly ticket: string;
  readonly minutes: OpeningMinutes;
}

/** Whether a value that was stored is an opening. */
export function isOpening(value: unknown): value is Opening {
  if (typeof value !== 'object' || value === null) return false;
  const { actor, staffSession, subject, reason, ticket, minutes }: Partial<Record<keyof Opening, unknown>> = value;
  return (
    [actor, staffSession, subject, reason, ticket].every((text) => typeof text === 'string') &&
    openingMinutes.some((known) => known === minutes)
  );
}
