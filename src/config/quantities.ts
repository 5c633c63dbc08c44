import { parseDuration } from '../core/duration.ts';
import { type Reading, read, wrong } from './reading.ts';

const durationUnits: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['min', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);
const sizeUnits: ReadonlyMap<string, number> = new Map([
  ['B', 1],
  ['KiB', 1024],
  ['MiB', 1024 * 1024],
  ['GiB', 1024 * 1024 * 1024],
]);
const quantity = /^(\d{1,12})(?:\.(\d{1,3}))? ?([A-Za-z]*)$/;

export const durationRemedy = 'write a number and a unit, such as 500ms, 3s, 10 min or 12h';
export const sizeRemedy = 'write a number and a unit, such as 512 B, 16 KiB or 1 MiB';

/** Milliseconds: `3s`, `10 min`, `1.5 h`; units are ms, s, min, h and d. A bare number is refused. */
export function readDuration(text: string): Reading<number> {
  const ms = parseDuration(text);
  return ms === undefined
    ? wrong(`${JSON.stringify(text)} is not a duration of at most 24 days: ${durationRemedy}`)
    : read(ms);
}

/** Bytes: `512 B`, `16 KiB`, `1 MiB`; units are B, KiB, MiB and GiB. A bare number is refused. */
export function readSize(text: string): Reading<number> {
  const bytes = parseQuantity(text, sizeUnits);
  if (bytes === undefined) return wrong(`${JSON.stringify(text)} is not a size: ${sizeRemedy}`);
  return read(bytes);
}

/** The shortest way to write a duration: what {@link readDuration} reads back as the same number. */
export function formatDuration(ms: number): string {
  return formatQuantity(ms, durationUnits);
}

/** The shortest way to write a size: what {@link readSize} reads back as the same number. */
export function formatSize(bytes: number): string {
  return formatQuantity(bytes, sizeUnits);
}

function parseQuantity(text: string, units: ReadonlyMap<string, number>): number | undefined {
  const [, whole = '', fraction = '0', unit = ''] = quantity.exec(text.trim()) ?? [];
  const factor = units.get(unit);
  if (whole === '' || factor === undefined) return undefined;
  const value = Number(`${whole}.${fraction}`) * factor;
  return Number.isSafeInteger(Math.round(value)) ? Math.round(value) : undefined;
}

function formatQuantity(value: number, units: ReadonlyMap<string, number>): string {
  let best = `${value}`;
  for (const [unit, factor] of units) {
    if (value % factor === 0 && (value !== 0 || factor === 1)) best = `${value / factor} ${unit}`;
  }
  return best;
}
