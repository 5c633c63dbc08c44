import type { Command } from 'commander';
import { loadConfig } from '../config/load.ts';
import { systemClock } from '../core/clock.ts';
import { silentLog } from '../core/log.ts';
import { createLoginNameParser } from '../core/names.ts';
import { csvRow } from '../core/text.ts';
import type { CommandEnvironment, OpenDirectory } from './environment.ts';
import {
  answerCode,
  configOption,
  type ExitCode,
  exitCodes,
  exitCodesHelp,
  type ListFormat,
  listFormatOption,
  withExamples,
} from './options.ts';
import { amount, createProgress, jsonLine, listText, printable } from './output.ts';

/** The result for one user. `source` is the one that decided, by its position and type. */
interface LookupRow {
  readonly typed: string;
  readonly answer: 'found' | 'unknown' | 'refused' | 'malformed' | 'could-not-ask';
  readonly backend?: string;
  readonly source?: string;
  readonly user?: string;
  readonly why?: string;
}

/** How many are asked for at once, and how many characters are printed at once. */
const parallelLookups = 64;
const chunk = 64 * 1024;

/** `postern lookup`: where users live, as the gateway would find it out at their sign-in. */
export function addLookup(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const command = program
    .command('lookup')
    .summary('show which backend a user is on')
    .description(
      'Asks the directory as a sign-in would: normalises the name, follows aliases, and asks the sources in order.',
    )
    .argument('<user...>', 'user names, as typed at sign-in; - reads them from standard input, one per line')
    .addOption(configOption())
    .addOption(listFormatOption())
    .action(async (users: string[], { config: file, format }: { config: string; format: ListFormat }) => {
      const config = await loadConfig(file, { env: environment.env, checksDrivers: true });
      const { buildDirectory } = await environment.loadGateway();
      await using directory = await buildDirectory(config, silentLog);
      const parse = createLoginNameParser(config.directory.nameRules);
      const all = inOrder(usersFrom(users, environment.lines), parallelLookups, (user) =>
        lookUp(user, parse, directory),
      );
      if (users.includes('-')) {
        const total = await totalOf(users, environment);
        return end(await stream(all, { format, total }, environment));
      }
      const found: LookupRow[] = [];
      for await (const one of all) found.push(one);
      environment.print(listText({ headings, rows: found.map(lookupCells), body: found }, format, environment));
      end(worst(found.map(answerCode)));
    });
  withExamples(command, [
    ['postern lookup -c postern.yaml alice@example.org', 'backend, answering source and canonical name'],
    ['postern lookup --format json alice bob', 'the same for a script'],
    ['postern lookup - < users.txt > homes.tsv', 'a million users: one tab-separated line each, in the same order'],
    ['postern lookup --format json - < users.txt', 'the same, with one JSON object per line'],
  ]).addHelpText(
    'after',
    `\n0: all found; 1: one is unknown or may not sign in; 3: a source did not answer for one.\n${exitCodesHelp}`,
  );
}

async function lookUp(
  typed: string,
  parse: ReturnType<typeof createLoginNameParser>,
  directory: OpenDirectory,
): Promise<LookupRow> {
  const parsed = parse(typed);
  if (parsed.kind === 'malformed') return { typed, answer: 'malformed', why: parsed.why };
  const { steps, outcome } = await directory.explain(parsed.name, new AbortController().signal);
  const last = steps.findLast((step) => step.outcome.kind === outcome.kind)?.source;
  const source = last === undefined ? {} : { source: last };
  if (outcome.kind === 'found') {
    return { typed, answer: 'found', backend: outcome.backend, ...source, user: outcome.user };
  }
  if (outcome.kind === 'unknown-user') return { typed, answer: 'unknown', user: parsed.name };
  const notFound = { typed, ...source, user: parsed.name };
  if (outcome.kind === 'refused') return { ...notFound, answer: 'refused', why: outcome.reason };
  const why =
    outcome.kind === 'referred' ? `${outcome.server.name} names the backend, but only at sign-in` : outcome.why;
  return { ...notFound, answer: 'could-not-ask', why };
}

const headings = ['USER', 'BACKEND', 'SOURCE', 'CANONICAL USER', 'ANSWER'];

function lookupCells({ typed, backend = '-', source = '-', user = '-', answer, why }: LookupRow): readonly string[] {
  return [typed, backend, source, user, why === undefined ? answer : `${answer}: ${why}`];
}

/** Prints each result as it comes, so that a million lines need no memory. */
async function stream(
  all: AsyncIterable<LookupRow>,
  { format, total }: { readonly format: ListFormat; readonly total: number | undefined },
  environment: CommandEnvironment,
): Promise<ExitCode> {
  const progress = createProgress(environment, systemClock, { total });
  let code: ExitCode = exitCodes.ok;
  let users = 0;
  const counts = new Map<LookupRow['answer'], number>();
  let waiting = '';
  for await (const found of all) {
    waiting += streamLine(found, format);
    code = worst([code, answerCode(found)]);
    users += 1;
    counts.set(found.answer, (counts.get(found.answer) ?? 0) + 1);
    progress.count(users);
    // One write per line would take longer than the lookups.
    if (waiting.length < chunk) continue;
    environment.print(waiting);
    waiting = '';
  }
  progress.end();
  environment.print(waiting);
  const sums = [...counts].map(([answer, count]) => `, ${amount(count)} ${answer}`);
  progress.total(`${amount(users)} users${sums.join('')}`);
  return code;
}

/** A line of a stream: an object, a row of CSV, or cells between tabs. A tab can only be part of what was typed. */
function streamLine(row: LookupRow, format: ListFormat): string {
  if (format === 'json') return `${jsonLine(row)}\n`;
  const cells = lookupCells(row);
  if (format === 'csv') return csvRow(cells.map((cell) => (cell === '-' ? '' : cell)));
  return `${cells.map((cell) => printable(cell.replaceAll('\t', ' '))).join('\t')}\n`;
}

function worst(codes: readonly ExitCode[]): ExitCode {
  return codes.reduce((worse, code) => (code > worse ? code : worse), exitCodes.ok);
}

/** How many users these words name, for the progress; undefined if nobody knows, or nobody looks. */
export async function totalOf(
  words: readonly string[],
  { progress, lineCount }: Pick<CommandEnvironment, 'progress' | 'lineCount'>,
): Promise<number | undefined> {
  if (progress === undefined || !words.includes('-')) return words.length;
  const lines = await lineCount?.();
  return lines === undefined ? undefined : words.filter((word) => word !== '-').length + lines;
}

/** Yields the users on the command line; for `-` those on standard input, one per line. */
export async function* usersFrom(
  words: readonly string[],
  lines: () => AsyncIterable<string>,
): AsyncGenerator<string, void, undefined> {
  for (const word of words) {
    if (word !== '-') yield word;
    else for await (const line of lines()) if (line.trim() !== '') yield line;
  }
}

/**
 * Works on at most `atOnce` items at a time and yields the results in the order of the items. It takes an item only
 * when there is room for it, so that a million of them need no memory.
 */
export async function* inOrder<Item, Outcome>(
  items: AsyncIterable<Item> | Iterable<Item>,
  atOnce: number,
  work: (item: Item) => Promise<Outcome>,
): AsyncGenerator<Outcome, void, undefined> {
  const running: Promise<Outcome>[] = [];
  for await (const item of items) {
    const one = work(item);
    // Another item may fail before this result is awaited.
    one.catch(() => {});
    running.push(one);
    const [oldest] = running.length < atOnce ? [] : running.splice(0, 1);
    if (oldest !== undefined) yield oldest;
  }
  for (const one of running) yield one;
}
