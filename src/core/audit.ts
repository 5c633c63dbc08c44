/**
 * Events of the audit; docs/audit.md lists each. `impersonation-failed`: nothing came of an opening that was started,
 * or even written down as opened, and nobody saw the mailbox. `impersonation-ended`: by somebody or something else than
 * its time or its Stop button, which the facts name. `role-used`: somebody saw or did what a role of staff allows.
 */
export const auditEventNames = [
  'staff-sign-in',
  'staff-refused',
  'staff-sign-out',
  'staff-invited',
  'staff-enrolled',
  'staff-unenrolled',
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
  'failover',
  'user-move',
  'session-end',
  'penalty-lifted',
  'home-forgotten',
] as const;
type AuditEventName = (typeof auditEventNames)[number];

/** One audited act. It holds no secret. */
export interface AuditEvent {
  readonly event: AuditEventName;
  /** The one who acted, never the one who was acted upon. */
  readonly actor: string;
  /** To whom or to what it was done. */
  readonly subject?: string;
  /** From where, where it came over a network. */
  readonly address?: string;
  readonly facts?: AuditFacts;
}

/** Further fields of an audit line. */
export type AuditFacts = Readonly<Record<string, string | number | boolean>>;

/** A line of the audit, as it is read again. Values were cut and cleaned of control characters when it was written. */
export interface AuditLine extends Omit<AuditEvent, 'event'> {
  /** The chain of the process that wrote it. Each process has its own, with lines numbered from 1. */
  readonly chain: string;
  readonly sequence: number;
  readonly timeMs: number;
  readonly node: string;
  /** One of `auditEventNames`, or one of another version. */
  readonly event: string;
}

/** Which lines are meant: those that fit everything that is given. */
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

/** Where everything is written that staff and operators do. */
export interface Audit {
  /**
   * Resolves when the line is on disk.
   *
   * Rejects with a PosternError of source `audit` (ERR_AUDIT_UNAVAILABLE) when it cannot be written, after two seconds
   * at the latest: what must not happen unseen must then not happen. Such a line may have been written all the same.
   */
  record(event: AuditEvent): Promise<void>;
  /**
   * The lines of this machine that fit, newest first, at most `limit` of them. What it takes does not grow with the
   * audit, but with how far back the lines lie. They are not verified: `postern audit verify` is for that. Rejects as
   * `record` does when the file cannot be read.
   */
  list(filter: AuditFilter, limit: number): Promise<readonly AuditLine[]>;
}

/**
 * Records what happens whether it is written or not: an outage of the audit must not make an outage of mail worse.
 * Never rejects; the audit has raised its alarm.
 */
export async function recordIfPossible(audit: Pick<Audit, 'record'>, event: AuditEvent): Promise<void> {
  await audit.record(event).catch(() => undefined);
}

const columns = ['time', 'node', 'event', 'actor', 'subject', 'address', 'facts', 'chain', 'sequence'] as const;

/** The names of the columns, as the first row. */
export const auditCsvHead = row(columns);

/**
 * A line of the audit as a row of CSV (RFC 4180), with its end. A cell that a spreadsheet would take for a formula
 * begins with an apostrophe instead (OWASP, CSV injection): what a user or a client sent may stand there.
 */
export function auditCsvRow(line: AuditLine): string {
  const { timeMs, node, event, actor, subject = '', address = '', facts, chain, sequence } = line;
  const told = facts === undefined ? '' : JSON.stringify(facts);
  return row([new Date(timeMs).toISOString(), node, event, actor, subject, address, told, chain, String(sequence)]);
}

function row(cells: readonly string[]): string {
  return `${cells.map(cell).join(',')}\r\n`;
}

function cell(text: string): string {
  const harmless = /^\s*[=+\-@＝＋－＠]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
