import type { Clock } from './clock.ts';

/** Ways in by which a user's last sign-in is kept. `program`: Basic clients. `mail`: routed by the directory service. */
export const waysIn = ['web', 'program', 'mail'] as const;

/** A way in. */
export type WayIn = (typeof waysIn)[number];

/**
 * How an attempt to sign in ended. `refused`: the answer was no. `failed`: there was no answer, since something could
 * not be asked, the backend was closed or the client left. The last three are those of Basic clients, whose passwords
 * are checked once a minute: they are checks, not sign-ins.
 */
export const countedOutcomes = [
  'signed_in',
  'refused',
  'failed',
  'program_accepted',
  'program_refused',
  'program_failed',
] as const;

/** An outcome that is counted. */
export type CountedOutcome = (typeof countedOutcomes)[number];

/** What attempts are counted by, beside the time. */
export const countedBy = ['backend', 'domain', 'webmail', 'result', 'client'] as const;

/** A property by which attempts are counted. */
type CountedBy = (typeof countedBy)[number];

/** An attempt to sign in that has ended. */
export interface EndedLogin {
  readonly way: 'web' | 'program';
  /** When it ended. */
  readonly atMs: number;
  /** The kind of its result, one of a fixed set. */
  readonly result: string;
  /** The canonical user; undefined if no such user was found. */
  readonly user?: string;
  readonly backend?: string;
  /** The webmail driver of the backend. */
  readonly webmail?: string;
  readonly userAgent?: string;
}

/** When a user last signed in, by way in; epoch milliseconds, to the second. */
export type LastLogin = Readonly<Partial<Record<WayIn, number>>>;

/** The last sign-ins of one user. */
export interface UserLastLogin {
  readonly user: string;
  readonly last: LastLogin;
}

/** Some users with their last sign-ins. */
export interface LastLoginsPage {
  readonly users: readonly UserLastLogin[];
  /** Asks for the next page; undefined on the last one. */
  readonly cursor?: string;
}

/** What one process has counted since its last batch. */
export interface StatisticsBatch {
  /** The process that counted. */
  readonly process: string;
  /** Batches of a process are numbered from 1: a store adds none twice. */
  readonly sequence: number;
  /** When the batch was begun. */
  readonly beganMs: number;
  /** Counts by table and field. A table is `hours:` or `days:` and a UTC day; see {@link countField}. */
  readonly counts: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** Users who signed in, by `web:` or `program:` and a UTC day or month. */
  readonly users: ReadonlyMap<string, ReadonlySet<string>>;
  readonly lastLogins: ReadonlyMap<string, LastLogin>;
}

/**
 * Stores the statistics of all nodes. Every call rejects with a PosternError of source `store` if the store cannot be
 * asked. A batch whose fate is unknown may be added again.
 */
export interface StatisticsStore extends AsyncDisposable {
  /**
   * Adds a batch, but for last sign-ins from before their user was erased; `clock` is the one that they were noted by.
   * What it adds may expire `keptMs` after its day. Resolves with a text that changes with each erasure.
   */
  add(batch: StatisticsBatch, keptMs: number, clock: Clock): Promise<string>;
  /** The counts of each of these tables, by field. */
  counts(tables: readonly string[]): Promise<readonly ReadonlyMap<string, number>[]>;
  /** About how many different users are in these sets together. */
  distinct(sets: readonly string[]): Promise<number>;
  /**
   * Some users with their last sign-ins, from a cursor on; `''` is the first. The answer has none at the end. Rejects
   * with a RangeError for a text that is none.
   */
  lastLogins(cursor: string): Promise<LastLoginsPage>;
  lastLoginsOf(users: readonly string[]): Promise<readonly (LastLogin | undefined)[]>;
  /**
   * Forgets the last sign-ins of a user, those included that nodes have noted and not stored yet. Resolves with whether
   * any were stored.
   */
  erase(user: string, clock: Clock): Promise<boolean>;
  /** When the first batch was begun; undefined if nothing was ever counted. */
  beganMs(): Promise<number | undefined>;
  /** Removes some of what is older than `keptMs`. Called again and again, it removes all of it. */
  sweep(nowMs: number, keptMs: number): Promise<void>;
}

/** What the rows of a table of sign-ins stand for. */
export type LoginsGroupedBy = 'hour' | 'day' | CountedBy;

/** How often attempts ended in each way. */
export type OutcomeCounts = Readonly<Record<CountedOutcome, number>>;

/** A time span of statistics. */
export interface TimeSpan {
  readonly sinceMs: number;
  /** Exclusive. */
  readonly untilMs: number;
}

/** Sign-ins in a period. */
export interface LoginFigures extends TimeSpan {
  /** Rows without any count are left out. `key` is an hour, a day, or the name of what is counted. */
  readonly rows: readonly { readonly key: string; readonly counts: OutcomeCounts }[];
}

/** About how many users signed in in a UTC day or month; `users` is all together. */
export interface DistinctUsers {
  readonly period: string;
  readonly web: number;
  readonly program: number;
  readonly users: number;
}

/** Reads the figures of all nodes. Each call rejects with a PosternError if the store cannot be asked. */
export interface StatisticsReader {
  /**
   * Sign-ins by hour or day in a time zone (UTC if left out), counted by whole hours; by anything else counted by whole
   * UTC days. Rejects with a RangeError for an unknown zone.
   */
  logins(by: LoginsGroupedBy, asked: TimeSpan, zone?: string): Promise<LoginFigures>;
  /** Sign-ins by weekday, Monday first, and hour in a time zone: 7 × 24. Rejects with a RangeError for an unknown zone. */
  week(asked: TimeSpan, zone?: string): Promise<readonly (readonly number[])[]>;
  /** About how many different users signed in on each UTC day and in each month that the period touches. */
  users(
    asked: TimeSpan,
  ): Promise<{ readonly days: readonly DistinctUsers[]; readonly months: readonly DistinctUsers[] }>;
  /**
   * A page of users with their last sign-ins, those left out that are older than what is kept. `''` is the first. Rejects
   * with a RangeError for a cursor that is none.
   */
  lastLogins(cursor: string): Promise<LastLoginsPage>;
  lastLoginsOf(users: readonly string[]): Promise<readonly (LastLogin | undefined)[]>;
  /** Since when sign-ins are known: since the first count, or for as long as they are kept. Undefined before the first. */
  knownSinceMs(): Promise<number | undefined>;
}

/** A value that stands for all further ones, once there are too many. */
export const otherValue = '(other)';

/** The most counts of domains in one table: names in a directory could fill a store. */
export const mostDomainCounts = 6_000;

/** The field of a count: `13|signed_in` in a table of hours, `backend|a|signed_in` in one of days. */
export function countField(...parts: readonly string[]): string {
  return parts.join('|');
}

/** Milliseconds of an hour. */
export const hourMs = 60 * 60 * 1000;

/** Milliseconds of a day. */
export const dayMs = 24 * hourMs;

/** Last sign-ins that could not be stored for so long are dropped. */
export const longestWaitMs = 6 * dayMs;

/** How long a store knows that a user was erased: longer than a node holds what it noted before. */
export const erasureKeptMs = longestWaitMs + dayMs;

/** When the period in the name of a table or a set ends: a UTC day or month. */
export function periodEndMs(name: string): number {
  const period = name.slice(name.indexOf(':') + 1);
  if (period.length > 7) return Date.parse(period) + dayMs;
  const [year = 0, month = 0] = period.split('-').map(Number);
  return Date.UTC(year, month);
}

/** The UTC days that a time span touches, as `2030-01-31`. */
export function daysIn(sinceMs: number, untilMs: number): readonly string[] {
  const days: string[] = [];
  for (let ms = Math.floor(sinceMs / dayMs) * dayMs; ms < untilMs; ms += dayMs) {
    days.push(new Date(ms).toISOString().slice(0, 10));
  }
  return days;
}
