/** A target and its measured figure: less is better, and `limit` still meets the target. */
export interface Target {
  readonly what: string;
  readonly limit: number;
  readonly measured: number;
  /** The unit behind both numbers; empty for a ratio. */
  readonly unit?: string;
  /** The remark: the ratio of the medians, the spread. */
  readonly besides?: string;
}

/** The results of one part of the suite. */
export interface Section {
  readonly title: string;
  /** The method, in a sentence or two. */
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

/** A number with three significant digits. */
export function significant(value: number): string {
  if (value >= 100) return String(Math.round(value));
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** Replaces the text between the marks of a page, and leaves the rest. `name` is the name in the marks. */
export function withMeasured(page: string, measured: string, name = 'measured'): string {
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from === -1 || to < from) throw new Error(`the page has no place for what was measured: ${begin} … ${end}`);
  return `${page.slice(0, from + begin.length)}\n${measured.trim()}\n${page.slice(to)}`;
}

export function markdownSection({ title, about, table }: Section): string {
  return `### ${title}\n\n${about}\n\n${markdownTable(table)}\n`;
}
