/** One goal and what was measured of it: less is better, and `limit` is still good. */
export interface Target {
  readonly what: string;
  readonly limit: number;
  readonly measured: number;
  /** Behind both numbers: nothing for a ratio. */
  readonly unit?: string;
  /** What stands beside it: the ratio of the medians, the spread. */
  readonly besides?: string;
}

/** What one part of the suite has found. */
export interface Section {
  readonly title: string;
  /** What was done, in a sentence or two. */
  readonly about: string;
  readonly table: Table;
  readonly targets: readonly Target[];
}

export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function markdownTable({ head, rows }: Table): string {
  const rule = `|${head.map((_cell, i) => (i === 0 ? ' --- |' : ' ---: |')).join('')}`;
  return [tableRow(head), rule, ...rows.map(tableRow)].join('\n');
}

function tableRow(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

/** The table of all targets, met or not. */
export function targetTable(targets: readonly Target[]): Table {
  const rows = targets.map(({ what, limit, measured, unit = '', besides = '' }) => [
    what,
    `≤ ${limit}${unit}`,
    `${significant(measured)}${unit}`,
    measured <= limit ? 'met' : '**not met**',
    besides,
  ]);
  return { head: ['target', 'at most', 'measured', '', 'beside it'], rows };
}

/** A number as a person reads it: three digits that count. */
export function significant(value: number): string {
  if (value >= 100) return String(Math.round(value));
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** Puts measured text between the marks of a page, and leaves the rest of it alone. `name`: what the marks say. */
export function withMeasured(page: string, measured: string, name = 'measured'): string {
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from === -1 || to < from) throw new Error(`the page has no place for what was measured: ${begin} … ${end}`);
  return `${page.slice(0, from + begin.length)}\n${measured.trim()}\n${page.slice(to)}`;
}

export function markdownSection({ title, about, table }: Section): string {
  return `### ${title}\n\n${about}\n\n${markdownTable(table)}\n`;
}
