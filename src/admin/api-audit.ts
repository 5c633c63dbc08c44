import { type Audit, auditEventNames, type AuditFilter, type AuditLine } from '../core/audit.ts';
import { isoTime } from '../core/clock.ts';
import { defined } from '../core/objects.ts';
import { type ApiRoute, limitIn, ok, timeIn, wordIn } from './api-exchange.ts';

/** Dependencies of the API's audit operations. */
export interface ApiAuditDeps {
  readonly audit: Pick<Audit, 'list'>;
}

const maxListedLines = 1000;
const textFilters = ['event', 'actor', 'subject', 'node'] as const;

/** Routes that list the audit lines of this machine. */
export function auditRoutes({ audit }: ApiAuditDeps): readonly ApiRoute[] {
  return [
    {
      name: 'listAudit',
      method: 'GET',
      path: '/audit',
      async handle({ query }) {
        const limit = limitIn(query, maxListedLines, 100);
        // One line more than shown tells whether there are more.
        const lines = await audit.list(filterIn(query), limit + 1);
        return ok({ lines: lines.slice(0, limit).map(describeLine), truncated: lines.length > limit });
      },
    },
  ];
}

function filterIn(query: URLSearchParams): AuditFilter {
  const asked = Object.fromEntries(query);
  const sinceMs = timeIn(asked, 'since');
  const untilMs = timeIn(asked, 'until');
  wordIn(query, 'event', auditEventNames);
  return {
    ...Object.fromEntries(textFilters.flatMap((name) => (asked[name] === undefined ? [] : [[name, asked[name]]]))),
    ...defined({ sinceMs, untilMs }),
  };
}

function describeLine({ timeMs, ...line }: AuditLine) {
  return { time: isoTime(timeMs), ...line };
}
