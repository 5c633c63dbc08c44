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
