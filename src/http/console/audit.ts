import { type Audit, auditCsvHead, auditCsvRow, type AuditFilter, type AuditLine } from '../../core/audit.ts';
import { queryOf } from '../forms.ts';
import type { Views } from '../views.ts';
import type { StaffExchange, StaffHandler } from './authorisation.ts';
import { showPage } from './layout.ts';

const shownAtMost = 200;
const exportedAtMost = 10_000;

/** `/-/audit`: what staff and operators did, newest first, and the same as a table to keep. Reading it is audited, too. */
export function createConsoleAudit({
  audit,
  views,
}: {
  readonly audit: Audit;
  readonly views: Views;
}): Readonly<Record<'show' | 'export', StaffHandler>> {
  async function read({ staff, request }: StaffExchange, limit: number, did: string) {
    const { filter, typed } = auditFilterOf(request.url);
    const facts = { did, ...Object.fromEntries(Object.entries(typed).filter(([, text]) => text !== '')) };
    await audit.record({ event: 'role-used', actor: staff.user, address: staff.address, facts });
    return { typed, lines: await audit.list(filter, limit) };
  }

  return {
    async show(exchange: StaffExchange): Promise<void> {
      const { typed, lines } = await read(exchange, shownAtMost, 'read the audit');
      const rows = lines.map((line) => ({ ...line, facts: factsText(line) }));
      const values = { typed, rows, isCut: lines.length === shownAtMost, query: new URLSearchParams(typed).toString() };
      showPage(views, exchange.response, { ...exchange.frame, title: 'Audit' }, ['console-audit', values]);
    },

    async export(exchange: StaffExchange): Promise<void> {
      const { lines } = await read(exchange, exportedAtMost, 'exported the audit');
      const { response } = exchange;
      response.setHeader('Content-Type', 'text/csv; charset=utf-8');
      // The file's name must show that there are more lines.
      const name = lines.length < exportedAtMost ? 'audit.csv' : `audit-newest-${exportedAtMost}.csv`;
      response.setHeader('Content-Disposition', `attachment; filename="${name}"`);
      response.end([auditCsvHead, ...lines.map(auditCsvRow)].join(''));
    },
  };
}

/** Filters that cannot be read are ignored, and shown as they were typed. */
function auditFilterOf(url: string): {
  readonly filter: AuditFilter;
  readonly typed: Readonly<Record<string, string>>;
} {
  const query = queryOf(url);
  const text = (name: string) => (query.get(name) ?? '').trim().slice(0, 254);
  const typed = { event: text('event'), actor: text('actor'), subject: text('subject'), day: text('day') };
  const dayMs = /^\d{4}-\d{2}-\d{2}$/.test(typed.day) ? Date.parse(typed.day) : Number.NaN;
  return {
    typed,
    filter: {
      ...(typed.event === '' ? {} : { event: typed.event }),
      ...(typed.actor === '' ? {} : { actor: typed.actor }),
      ...(typed.subject === '' ? {} : { subject: typed.subject }),
      ...(Number.isNaN(dayMs) ? {} : { sinceMs: dayMs, untilMs: dayMs + 24 * 60 * 60 * 1000 }),
    },
  };
}

function factsText({ facts }: AuditLine): string {
  return Object.entries(facts ?? {})
    .map(([name, value]) => `${name}: ${String(value)}`)
    .join('; ');
}
