import type { CanonicalUser } from '../core/names.ts';
import type { RecordKey } from '../core/session.ts';

/** For how many minutes a mailbox may be opened. */
export const openingMinutes = [5, 15, 30, 60] as const;
type OpeningMinutes = (typeof openingMinutes)[number];

/** What a member of staff has asked for and been granted: whose mailbox, why, for how long. */
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
