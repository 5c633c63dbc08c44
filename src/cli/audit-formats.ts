import { auditCsvHead, auditCsvRow, type AuditFacts, type AuditLine } from '../core/audit.ts';
import { table } from './table.ts';

/** Lines on their way out, one after another: there may be more than fit into memory. */
interface LineWriter {
  readonly head: string;
  line(line: AuditLine): string;
  foot(): string;
}

/** A line as JSON has it: the time as ISO 8601. */
export function auditJson({ timeMs, ...line }: AuditLine): object {
  return { time: isoTime(timeMs), ...line };
}

/** One JSON list. */
export function auditJsonArray(): LineWriter {
  let separator = '';
  return {
    head: '[',
    line(line) {
      const text = `${separator}\n${JSON.stringify(auditJson(line))}`;
      separator = ',';
      return text;
    },
    foot: () => '\n]\n',
  };
}

export function auditCsv(): LineWriter {
  return { head: auditCsvHead, line: auditCsvRow, foot: () => '' };
}

/** For a person at a terminal: nothing that a value holds moves the cursor or turns the text around. */
export function auditTable(lines: readonly AuditLine[]): string {
  const rows = lines.map(({ timeMs, event, actor, subject = '-', address = '-', facts = {} }) =>
    [isoTime(timeMs), event, actor, subject, address, inWords(facts)].map((text) =>
      text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '\ufffd'),
    ),
  );
  return table(['TIME', 'EVENT', 'ACTOR', 'SUBJECT', 'FROM', 'FACTS'], rows);
}

function inWords(facts: AuditFacts): string {
  return Object.entries(facts)
    .map(([name, value]) => `${name}: ${String(value)}`)
    .join('; ');
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
