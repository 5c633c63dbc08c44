import type { AuditLine } from './audit.ts';

const columns = ['time', 'node', 'event', 'actor', 'subject', 'address', 'facts', 'chain', 'sequence'] as const;

/** The names of the columns, as the first row. */
export const auditCsvHead = row(columns);

/**
 * A line of the audit as a row of CSV (RFC 4180), with its end. A cell that a spreadsheet would take for a formula begins
 * with an apostrophe instead (OWASP, CSV injection): what a user or a client sent may stand there.
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
