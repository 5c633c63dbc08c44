import {
  type CountedOutcome,
  countedOutcomes,
  dayMs,
  daysIn,
  type DistinctUsers,
  hourMs,
  type LastLogin,
  type LastLoginsPage,
  type LoginFigures,
  type LoginsGroupedBy,
  type OutcomeCounts,
  type StatisticsReader,
  type StatisticsStore,
  type TimeSpan,
} from '../../core/statistics.ts';

/** Options of StatisticsFigures. */
interface FiguresOptions {
  readonly store: StatisticsStore;
  readonly nowMs: () => number;
  readonly keptMs: () => number;
}

/** Tables that are asked for at once. */
const tablesAtOnce = 31;

/** Reads the figures of all nodes out of their store. */
export class StatisticsFigures implements StatisticsReader {
  readonly #options: FiguresOptions;

  constructor(options: FiguresOptions) {
    this.#options = options;
  }

  async logins(by: LoginsGroupedBy, asked: TimeSpan, zone = 'UTC'): Promise<LoginFigures> {
    const isTime = by === 'hour' || by === 'day';
    const period = widened(this.#within(asked), isTime ? hourMs : dayMs);
    const sums = new Map<string, Record<CountedOutcome, number>>();
    const add = (key: string, outcome: string | undefined, count: number): void => {
      const known = countedOutcomes.find((one) => one === outcome);
      if (known === undefined) return;
      const row = sums.get(key) ?? emptyCounts();
      row[known] += count;
      sums.set(key, row);
    };
    if (isTime) {
      const local = localTime(zone);
      for await (const { startMs, outcome, count } of this.#hours(period)) {
        const { day, hour } = local(startMs);
        add(by === 'day' ? day : `${day} ${hour}:00`, outcome, count);
      }
    } else {
      for await (const [, fields] of this.#tables('days', period)) {
        for (const [field, count] of fields) {
          const [kind, value = '', outcome] = field.split('|');
          if (kind === by) add(value, outcome, count);
        }
      }
    }
    const rows = [...sums].map(([key, counts]) => ({ key, counts }));
    return {
      ...period,
      rows: isTime ? rows : rows.toSorted((a, b) => countsTogether(b.counts) - countsTogether(a.counts)),
    };
  }

  async week(asked: TimeSpan, zone = 'UTC'): Promise<readonly (readonly number[])[]> {
    const week = Array.from({ length: 7 }, () => Array.from({ length: 24 }, () => 0));
    const local = localTime(zone);
    for await (const { startMs, outcome, count } of this.#hours(widened(this.#within(asked), hourMs))) {
      if (outcome !== 'signed_in') continue;
      const { day, hour } = local(startMs);
      const hours = week[(new Date(day).getUTCDay() + 6) % 7];
      if (hours !== undefined) hours[Number(hour)] = (hours[Number(hour)] ?? 0) + count;
    }
    return week;
  }

  async users(asked: TimeSpan): Promise<{ days: readonly DistinctUsers[]; months: readonly DistinctUsers[] }> {
    const { sinceMs, untilMs } = this.#within(asked);
    const days = daysIn(sinceMs, untilMs);
    const months = [...new Set(days.map((day) => day.slice(0, 7)))];
    return { days: await this.#distinct(days), months: await this.#distinct(months) };
  }

  async lastLogins(cursor: string): Promise<LastLoginsPage> {
    const { users, ...next } = await this.#options.store.lastLogins(cursor);
    return { users: users.filter(({ last }) => this.#isKept(last)), ...next };
  }

  async lastLoginsOf(users: readonly string[]): Promise<readonly (LastLogin | undefined)[]> {
    const found = await this.#options.store.lastLoginsOf(users);
    return found.map((last) => (last !== undefined && this.#isKept(last) ? last : undefined));
  }

  async knownSinceMs(): Promise<number | undefined> {
    const beganMs = await this.#options.store.beganMs();
    return beganMs === undefined ? undefined : Math.max(beganMs, this.#oldestMs());
  }

  #oldestMs(): number {
    return this.#options.nowMs() - this.#options.keptMs();
  }

  #isKept(last: LastLogin): boolean {
    const { web = 0, program = 0, mail = 0 } = last;
    return Math.max(web, program, mail) >= this.#oldestMs();
  }

  /** What of a period can be known. */
  #within({ sinceMs, untilMs }: TimeSpan): TimeSpan {
    const lastMs = this.#options.nowMs() + dayMs;
    return { sinceMs: Math.max(sinceMs, this.#oldestMs()), untilMs: Math.min(untilMs, lastMs) };
  }

  async #distinct(periods: readonly string[]): Promise<readonly DistinctUsers[]> {
    const found: DistinctUsers[] = [];
    for (const period of periods) {
      const sets = [`web:${period}`, `program:${period}`];
      const [web = 0, program = 0, users = 0] = await Promise.all(
        [...sets.map((set) => [set]), sets].map((some) => this.#options.store.distinct(some)),
      );
      if (users > 0) found.push({ period, web, program, users });
    }
    return found;
  }

  /** Tables of a period, a month of them at a time. */
  async *#tables(kind: 'hours' | 'days', { sinceMs, untilMs }: TimeSpan) {
    const days = daysIn(sinceMs, untilMs);
    for (let at = 0; at < days.length; at += tablesAtOnce) {
      const some = days.slice(at, at + tablesAtOnce);
      const tables = await this.#options.store.counts(some.map((day) => `${kind}:${day}`));
      for (const [index, fields] of tables.entries()) yield [some[index] ?? '', fields] as const;
    }
  }

  async *#hours(period: TimeSpan) {
    for await (const [day, fields] of this.#tables('hours', period)) {
      for (const [field, count] of [...fields].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
        const [hour, outcome] = field.split('|');
        const startMs = Date.parse(day) + Number(hour) * hourMs;
        if (startMs >= period.sinceMs && startMs < period.untilMs) yield { startMs, outcome, count };
      }
    }
  }
}

function emptyCounts(): Record<CountedOutcome, number> {
  return { signed_in: 0, refused: 0, failed: 0, program_accepted: 0, program_refused: 0, program_failed: 0 };
}

function countsTogether(counts: OutcomeCounts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** A period to whole hours or days. */
function widened({ sinceMs, untilMs }: TimeSpan, unitMs: number): TimeSpan {
  return { sinceMs: Math.floor(sinceMs / unitMs) * unitMs, untilMs: Math.ceil(untilMs / unitMs) * unitMs };
}

/** Tells the day and the hour of a time in a zone. */
function localTime(zone: string): (ms: number) => { readonly day: string; readonly hour: string } {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
  });
  return (ms) => {
    const parts = new Map<string, string>(format.formatToParts(ms).map(({ type, value }) => [type, value]));
    const day = ['year', 'month', 'day'].map((part) => parts.get(part)).join('-');
    return { day, hour: parts.get('hour') ?? '00' };
  };
}
