import { csvRow } from './text.ts';

/**
 * Events of the audit; docs/audit.md lists each. `impersonation-failed`: an impersonation that was started, or even
 * recorded as opened, failed before anybody saw the mailbox. `impersonation-ended`: it ended otherwise than by its time
 * limit or its Stop button; the facts say by what. `role-used`: somebody used a role of staff.
 */
export const auditEventNames = [
  'staff-sign-in',
  'staff-refused',
  'staff-sign-out',
  'staff-invited',
  'staff-enrolled',
  'staff-unenrolled',
  'console-link-made',
  'console-link-used',
  'role-used',
  'role-refused',
  'impersonation-start',
  'impersonation-opened',
  'impersonation-failed',
  'impersonation-stop',
  'impersonation-expired',
  'impersonation-refused',
  'impersonation-ended',
  'subject-told',
  'backend-state',
  'host-state',
  'active-host',
  'node-state',
  'reload',
  'failover',
  'user-move',
  'session-end',
  'mail-end',
  'user-lock',
  'user-unlock',
  'penalty-lifted',
  'home-forgotten',
  'statistics-erased',
] as const;
type AuditEventName = (typeof auditEventNames)[number];

/** One audited act. It contains no secret. */
export interface AuditEvent {
  readonly event: AuditEventName;
  /** The person or program that acted. */
  readonly actor: string;
  /** The user or thing that the act concerned. */
  readonly subject?: string;
  /** Address of the actor; undefined if the act did not come over a network. */
  readonly address?: string;
  readonly facts?: AuditFacts;
}

/** Further fields of an audit line. */
export type AuditFacts = Readonly<Record<string, string | number | boolean>>;

/** A line of the audit as read back. Its values were cut and cleaned of control characters when it was written. */
export interface AuditLine extends Omit<AuditEvent, 'event'> {
  /** The chain of the process that wrote the line. Each process has its own, with lines numbered from 1. */
  readonly chain: string;
  readonly sequence: number;
  readonly timeMs: number;
  readonly node: string;
  /** One of `auditEventNames`, or one of another version. */
  readonly event: string;
}

/** Selects lines of the audit: a line must match every field that is given. */
export interface AuditFilter {
  readonly event?: string;
  readonly actor?: string;
  readonly subject?: string;
  readonly node?: string;
  /** Inclusive. */
  readonly sinceMs?: number;
  /** Exclusive. */
  readonly untilMs?: number;
}

/** The record of everything that staff and operators do. */
export interface Audit {
  /**
   * Resolves when the line is on disk.
   *
   * Rejects with a PosternError of source `audit` (ERR_AUDIT_UNAVAILABLE) when it cannot be written, after two seconds
   * at the latest. The caller must then not do what it wanted recorded. The line may have been written all the same.
   */
  record(event: AuditEvent): Promise<void>;
  /**
   * Returns the matching lines of this machine, newest first, at most `limit`. The cost grows with how far back the
   * lines lie, not with the size of the audit. Lines are not verified: `postern audit verify` does that. Rejects as
   * `record` does when the file cannot be read.
   */
  list(filter: AuditFilter, limit: number): Promise<readonly AuditLine[]>;
}

/**
 * Records an act that takes place whether it is recorded or not: an outage of the audit must not make an outage of mail
 * worse. Never rejects; the audit has raised its alarm.
 */
export async function recordIfPossible(audit: Pick<Audit, 'record'>, event: AuditEvent): Promise<void> {
  await audit.record(event).catch(() => undefined);
}

const columns = ['time', 'node', 'event', 'actor', 'subject', 'address', 'facts', 'chain', 'sequence'] as const;

/** The first row: the names of the columns. */
export const auditCsvHead = csvRow(columns);

/** Formats a line of the audit as a row of CSV with its line end. */
export function auditCsvRow(line: AuditLine): string {
  const { timeMs, node, event, actor, subject = '', address = '', facts, chain, sequence } = line;
  const told = facts === undefined ? '' : JSON.stringify(facts);
  return csvRow([new Date(timeMs).toISOString(), node, event, actor, subject, address, told, chain, String(sequence)]);
}
