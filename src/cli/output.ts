import type { Clock } from '../core/clock.ts';
import type { Environment } from '../config/referenced-files.ts';
import { csvRow } from '../core/text.ts';
import type { CommandEnvironment } from './environment.ts';
import type { ListFormat } from './options.ts';

/** Characters of a cell in a table. A typed name may be very long; JSON shows all of it. */
const longestCell = 60;

/** The meaning of a cell, which a terminal shows in a colour: never the only sign of it. */
type Tone = 'good' | 'warning' | 'bad';

const toneCodes: Readonly<Record<Tone, number>> = { good: 32, warning: 33, bad: 31 };

/** A cell: a text, or what people read and what programs read. `-` says that there is none, in CSV an empty cell. */
export type Cell = string | { readonly shown: string; readonly value: string | number; readonly tone?: Tone };

/** A list that a command prints: as a table, as CSV, or as JSON. */
interface List {
  readonly headings: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  /** The value for `--format json`. */
  readonly body: unknown;
  /** A line below the table, for people. */
  readonly note?: string | undefined;
}

/** Writes a list in the format that was asked for. The columns of CSV are named as the headings, in small letters. */
export function listText(
  { headings, rows, body, note }: List,
  format: ListFormat,
  { colours }: Pick<CommandEnvironment, 'colours'>,
): string {
  if (format === 'json') return json(body);
  if (format === 'table') return `${table(headings, rows, colours)}${note === undefined ? '' : `${note}\n`}`;
  const names = headings.map((heading) => heading.toLowerCase().replace(/[^a-z0-9]+/g, '_'));
  return [names, ...rows.map((row) => row.map(csvValue))].map(csvRow).join('');
}

function csvValue(cell: Cell): string | number {
  const value = typeof cell === 'string' ? cell : cell.value;
  return value === '-' ? '' : value;
}

/**
 * Rows under their headings, in columns; the last column is whole and not padded, a long cell of the others is cut. Signs
 * that would steer a terminal are replaced.
 */
export function table(headings: readonly string[], rows: readonly (readonly Cell[])[], colours = false): string {
  const all = [headings, ...rows].map((row) =>
    row.map((cell, column) => {
      const text = printable(typeof cell === 'string' ? cell : cell.shown);
      const isCut = column < row.length - 1 && text.length > longestCell;
      const tone = typeof cell === 'string' ? undefined : cell.tone;
      return { text: isCut ? `${text.slice(0, longestCell - 1)}…` : text, tone };
    }),
  );
  const widths = headings.map((_, column) => Math.max(...all.map((row) => row[column]?.text.length ?? 0)));
  const lines = all.map((row) => {
    const last = row.findLastIndex(({ text }) => text !== '');
    return row
      .slice(0, last + 1)
      .map(({ text, tone }, column) => {
        const padding = column === last ? '' : ' '.repeat((widths[column] ?? 0) - text.length);
        return `${colours && tone !== undefined ? painted(text, tone) : text}${padding}`;
      })
      .join('  ');
  });
  return `${lines.join('\n')}\n`;
}

/** A text in the colour of its meaning, for a terminal. */
export function painted(text: string, tone: Tone): string {
  return `\u001b[${toneCodes[tone]}m${text}\u001b[39m`;
}

/** Whether a stream gets colours: those of a terminal do, unless the environment says otherwise (no-color.org). */
export function wantsColours(isTerminal: boolean, env: Environment): boolean {
  const isSet = (name: string) => env[name] !== undefined && env[name] !== '';
  if (isSet('NO_COLOR')) return false;
  if (isSet('FORCE_COLOR')) return env['FORCE_COLOR'] !== '0';
  return isTerminal && env['TERM'] !== 'dumb';
}

const stateTones: Readonly<Record<string, Tone>> = { READY: 'good', DRAIN: 'warning', MAINT: 'warning', DOWN: 'bad' };

/** The cell of a state such as READY or `DRAIN 20 %`. */
export function stateCell(state: string): Cell {
  const tone = stateTones[state.split(' ', 1)[0] ?? ''];
  return tone === undefined ? state : { shown: state, value: state, tone };
}

const units: readonly (readonly [name: string, ms: number, from: number])[] = [
  ['days', 86_400_000, 2 * 86_400_000],
  ['h', 3_600_000, 3_600_000],
  ['min', 60_000, 60_000],
  ['s', 1_000, 2_000],
];
/** Times that lie further away are shown as a date. */
const datedMs = 14 * 86_400_000;

/** A time as people say it: `3 min ago`, `in 20 min`, or a date if it is far away. */
export function relativeTime(ms: number, nowMs: number): string {
  const distanceMs = Math.abs(nowMs - ms);
  if (distanceMs > datedMs) return new Date(ms).toISOString().slice(0, 10);
  const span = spanText(distanceMs);
  if (span === undefined) return 'now';
  return ms > nowMs ? `in ${span}` : `${span} ago`;
}

/** A length of time in its largest unit; undefined if it is shorter than two seconds. */
function spanText(ms: number): string | undefined {
  const unit = units.find(([, , from]) => ms >= from);
  return unit === undefined ? undefined : `${Math.floor(ms / unit[1])} ${unit[0]}`;
}

/** The cell of a time in ISO 8601: people read how long ago it was, programs the time. */
export function timeCell(iso: unknown, nowMs = Date.now()): Cell {
  const ms = typeof iso === 'string' ? Date.parse(iso) : Number.NaN;
  return typeof iso !== 'string' || Number.isNaN(ms) ? '-' : { shown: relativeTime(ms, nowMs), value: iso };
}

/** Replaces characters that move the cursor, colour the screen or change the text direction. */
export function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '\ufffd');
}

/** One JSON value on lines of its own, for `--format json`. No character of it steers a terminal. */
export function json(value: unknown): string {
  return `${steeringNothing(JSON.stringify(value, null, 2))}\n`;
}

/** One JSON value as a part of a line, for lists that are written piece by piece. No character of it steers a terminal. */
export function jsonLine(value: unknown): string {
  return steeringNothing(JSON.stringify(value));
}

/** JSON escapes the control characters below space only. */
function steeringNothing(text: string): string {
  return text.replace(/[\u007f-\u009f]/g, (sign) => `\\u00${sign.charCodeAt(0).toString(16)}`);
}

const progressMs = 200;

interface ProgressOptions {
  /** What is counted; users if left out. */
  readonly noun?: string;
  /** How many there are; undefined if nobody knows. */
  readonly total?: number | undefined;
}

/**
 * Shows on the terminal how much of long work is done, with the time that is left, a few times a second, and what it adds
 * up to; does nothing without a terminal. All long work uses it.
 */
export function createProgress(
  { progress }: Pick<CommandEnvironment, 'progress'>,
  clock: Clock,
  { noun = 'users', total }: ProgressOptions = {},
) {
  const startedMs = clock.nowMs();
  let shownMs = startedMs;
  return {
    count(done: number): void {
      const nowMs = clock.nowMs();
      if (progress === undefined || nowMs - shownMs < progressMs) return;
      shownMs = nowMs;
      const perMs = done / (nowMs - startedMs);
      const rate = perMs < 0.002 ? `${amount(perMs * 60_000)} a minute` : `${amount(perMs * 1_000)} a second`;
      const of = total === undefined ? '' : ` of ${amount(total)}`;
      const left = total === undefined || perMs === 0 ? undefined : spanText((total - done) / perMs);
      progress(`${amount(done)}${of} ${noun}, ${rate}${left === undefined ? '' : `, ${left} left`}`);
    },
    /** Removes the progress line. */
    end(): void {
      if (shownMs !== startedMs) progress?.('');
    },
    /** Says what the work adds up to, and how long it took; only on a terminal, where somebody waited for it. */
    total(text: string): void {
      const took = spanText(clock.nowMs() - startedMs);
      progress?.(`${text}${took === undefined ? '' : `, in ${took}`}.\n`);
    },
  };
}

/** A whole number with separators of thousands. */
export function amount(count: number): string {
  return Math.round(count).toLocaleString('en');
}
