/**
 * Counts what the gateway does for one request, one sign-in and one start: `npm run bench:trace`.
 *
 * Prints the files of src/ that run, with functions, calls and bytes allocated, and writes the sums and the way of a
 * request into docs/performance.md.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { markdownTable, type Table, withMeasured } from './report.ts';
import { type FileCount, traceGateway } from './trace.ts';

const page = fileURLToPath(new URL('../docs/performance.md', import.meta.url));

function sumOf(counts: readonly FileCount[], what: (count: FileCount) => number): number {
  return counts.reduce((sum, count) => sum + what(count), 0);
}

function isComposition({ file }: FileCount): boolean {
  return file === 'src/gateway.ts' || file.startsWith('src/gateway/');
}

/** Whether a file ran. A start also loads files whose functions it does not call. */
function runs({ functions }: FileCount): boolean {
  return functions.length > 0;
}

/** Bytes, rounded to what is stable from run to run. */
function rounded(bytes: number): string {
  return bytes < 100_000 ? `${(bytes / 1000).toFixed(1)} KB` : `${Math.round(bytes / 1000)} KB`;
}

function sums(deeds: readonly (readonly [deed: string, counts: readonly FileCount[]])[]): Table {
  return {
    head: ['what', 'files loaded', 'that run a function', 'of the composition root', 'functions', 'calls', 'allocated'],
    rows: deeds.map(([deed, counts]) => [
      deed,
      String(counts.length),
      String(counts.filter(runs).length),
      String(counts.filter((each) => runs(each) && isComposition(each)).length),
      String(sumOf(counts, ({ functions }) => functions.length)),
      String(sumOf(counts, ({ calls }) => calls)),
      rounded(sumOf(counts, ({ bytes }) => bytes)),
    ]),
  };
}

function byFile(counts: readonly FileCount[]): Table {
  return {
    head: ['file', 'functions', 'calls', 'allocated'],
    rows: counts.map(({ file, functions, calls, bytes }) => [
      `\`${file}\``,
      String(functions.length),
      String(calls),
      rounded(bytes),
    ]),
  };
}

const { start, signIn, warmGet } = await traceGateway();
const deeds = [
  ['a warm GET of a session', warmGet],
  ['a sign-in: the form, and the answer to it', signIn],
  ['a start', start],
] as const;
for (const [deed, counts] of deeds) process.stdout.write(`${deed}\n\n${markdownTable(byFile(counts))}\n\n`);
const summary = markdownTable(sums(deeds));
process.stdout.write(`${summary}\n`);
const counted = `${summary}\n\n${markdownTable(byFile(warmGet))}`;
await writeFile(page, withMeasured(await readFile(page, 'utf8'), counted, 'counted'));
