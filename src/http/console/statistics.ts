import type { Clock } from '../../core/clock.ts';
import { dayMs, type StatisticsReader } from '../../core/statistics.ts';
import { queryOf } from '../forms.ts';
import type { Views } from '../views.ts';
import type { StaffExchange, StaffHandler } from './authorisation.ts';
import { bar, strength } from './charts.ts';
import { showPage } from './layout.ts';

/** The figures that the console shows. Each call rejects if the store cannot be asked. */
export type ConsoleStatistics = () => Promise<Pick<StatisticsReader, 'logins' | 'week' | 'knownSinceMs'>>;

const weekdays = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'] as const;
const spans = [7, 28, 91] as const;
const barGroupings = ['day', 'backend', 'domain', 'webmail', 'result', 'client'] as const;
const barsAtMost = 100;

/** `/-/statistics`: sign-ins by weekday and hour, and by day, backend, domain and more. */
export function createConsoleStatistics({
  statistics,
  views,
  clock,
}: {
  readonly statistics: ConsoleStatistics;
  readonly views: Views;
  readonly clock: Clock;
}): StaffHandler {
  return async ({ request, response, frame }: StaffExchange) => {
    const query = queryOf(request.url);
    const days = spans.find((span) => String(span) === query.get('days')) ?? 28;
    const by = barGroupings.find((name) => name === query.get('by')) ?? 'day';
    const untilMs = clock.nowMs();
    const span = { sinceMs: untilMs - days * dayMs, untilMs };
    const figures = await statistics();
    const [week, { rows }, knownSinceMs] = await Promise.all([
      figures.week(span),
      figures.logins(by, span),
      figures.knownSinceMs(),
    ]);
    const values = {
      days,
      by,
      spans: spans.map((one) => ({ label: `${one} days`, href: `/-/statistics?days=${one}&by=${by}`, days: one })),
      barGroupings: barGroupings.map((one) => ({ name: one, href: `/-/statistics?days=${days}&by=${one}` })),
      knownSinceMs,
      heat: heatOf(week),
      bars: barsOf(rows, by === 'day'),
      isCut: rows.length > barsAtMost,
    };
    showPage(views, response, { ...frame, title: 'Statistics' }, ['console-statistics', values]);
  };
}

/** The heat map: a strength from 0 to 5 for each hour of the week, and in words when it is busiest. */
function heatOf(week: readonly (readonly number[])[]) {
  const greatest = Math.max(0, ...week.flat());
  const rows = week.map((hours, at) => ({
    day: weekdays[at] ?? '',
    hours: hours.map((count) => ({ count, strength: strength(count, greatest) })),
    total: hours.reduce((sum, count) => sum + count, 0),
  }));
  const day = week.findIndex((hours) => hours.includes(greatest));
  const hour = week[day]?.indexOf(greatest) ?? 0;
  const busiest =
    greatest === 0 ? undefined : `${weekdays[day] ?? ''} from ${hour} to ${hour + 1} h UTC, with ${greatest} sign-ins`;
  return { rows, busiest, total: rows.reduce((sum, { total }) => sum + total, 0) };
}

type LoginRows = Awaited<ReturnType<StatisticsReader['logins']>>['rows'];

function barsOf(rows: LoginRows, isInOrder: boolean) {
  const counted = rows.map(({ key, counts }) => ({
    key,
    signedIn: counts.signed_in,
    refused: counts.refused,
    failed: counts.failed,
    programs: counts.program_accepted,
    sum: counts.signed_in + counts.refused + counts.failed,
  }));
  const greatest = Math.max(0, ...counted.map(({ sum }) => sum));
  const sorted = isInOrder ? counted.toReversed() : counted.toSorted((a, b) => b.sum - a.sum);
  return sorted.slice(0, barsAtMost).map((row) => ({ ...row, bar: bar(row.sum, greatest) }));
}
