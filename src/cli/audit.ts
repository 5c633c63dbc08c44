import { hostname } from 'node:os';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { auditFiles, fits, listLines, placedTexts } from '../audit/file.ts';
import { parseLine } from '../audit/line.ts';
import { type Verification, verify } from '../audit/verify.ts';
import { loadConfig } from '../config/load.ts';
import {
  auditCsvHead,
  auditCsvRow,
  auditEventNames,
  type AuditFacts,
  type AuditFilter,
  type AuditLine,
} from '../core/audit.ts';
import { isoTime, momentNamed, systemClock } from '../core/clock.ts';
import { silentLog } from '../core/log.ts';
import { readAuditKeys } from '../sessions/keys-file.ts';
import type { CommandEnvironment } from './environment.ts';
import { countLines, whyUnread } from './named-arguments.ts';
import {
  configOption,
  type ExitCode,
  exitCodes,
  exitCodesHelp,
  type Format,
  formatOption,
  type ListFormat,
  listFormatOption,
  wholeNumber,
  withExamples,
} from './options.ts';
import { createProgress, json, jsonLine, table } from './output.ts';

interface FilterOptions {
  readonly event?: string;
  readonly actor?: string;
  readonly subject?: string;
  readonly node?: string;
  readonly since?: number;
  readonly until?: number;
}

interface VerifyCommandOptions {
  readonly config: string;
  readonly format: Format;
  readonly olderRemoved?: true;
  readonly withoutStore?: true;
}

/** `postern audit`: what staff and operators did, and whether anybody changed what was written of it. */
export function addAudit(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const { print } = environment;
  const load = (file: string) => loadConfig(file, { env: environment.env });
  const audit = program
    .command('audit')
    .summary('list, export or verify the record of what staff and operators did')
    .description('Reads the file `audit.file` on this machine, and the files that were rotated out of it.');

  withFilters(audit.command('list').summary('list matching lines, newest first'))
    .addOption(wholeNumber('--limit <number>', 'show at most this many lines').default(50))
    .addOption(configOption())
    .addOption(listFormatOption())
    .action(
      async ({
        config,
        format,
        limit,
        ...wanted
      }: FilterOptions & { config: string; format: ListFormat; limit: number }) => {
        const { file } = (await load(config)).audit;
        // One more than is shown tells whether there are others.
        const found = await listLines(file, auditFilterFrom(wanted), limit + 1);
        const lines = found.slice(0, limit);
        print(format === 'csv' ? auditCsvText(lines) : auditText(lines, format, found.length > limit));
        end(exitCodes.ok);
      },
    );

  withFilters(audit.command('export').summary('write all matching lines, oldest first, for other programs'))
    .addOption(new Option('--format <format>', 'output format').choices(['csv', 'json']).default('csv'))
    .addOption(configOption())
    .action(async ({ config, format, ...wanted }: FilterOptions & { config: string; format: 'csv' | 'json' }) => {
      const { file } = (await load(config)).audit;
      const filter = auditFilterFrom(wanted);
      const write = format === 'csv' ? auditCsv() : auditJsonArray();
      print(write.head);
      for await (const { text } of placedTexts((await auditFiles(file)).toReversed())) {
        const line = parseLine(text)?.said;
        if (line !== undefined && fits(line, filter)) print(write.line(line));
      }
      print(write.foot());
      end(exitCodes.ok);
    });

  addVerify(audit, environment, end);

  withExamples(audit, [
    ['postern audit list --subject alice@example.org', 'everything done to alice, newest first'],
    ['postern audit list --event impersonation-opened --since 2030-01-01', 'mailboxes opened this year'],
    ['postern audit export --actor sam@example.org > sam.csv', 'everything sam did'],
    ['postern audit verify', 'has anybody changed the audit?'],
  ]).addHelpText(
    'after',
    `\nverify: 0 nothing was changed, 1 something was changed, 3 the store did not answer.\n${exitCodesHelp}`,
  );
}

/** `postern audit verify`. */
function addVerify(audit: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  audit
    .command('verify')
    .summary('check whether any line was edited, deleted, reordered, cut off or added')
    .argument(
      '[files...]',
      'verify these files instead of this machine’s, oldest first; a whole missing chain goes unnoticed then',
    )
    .option('--older-removed', 'accept that older files were removed on purpose, as rotation does')
    .option('--without-store', 'do not ask the state store: lines that are missing at the end go unnoticed then')
    .addOption(configOption())
    .addOption(formatOption())
    .action(async (files: string[], options: VerifyCommandOptions) => {
      const unread = await whyUnread(...files);
      if (unread !== undefined) {
        environment.complain(unread);
        return end(exitCodes.invalid);
      }
      const config = await loadConfig(options.config, { env: environment.env });
      const { file } = config.audit;
      const { readAuditAnchors } = await environment.loadGateway();
      const keys = await readAuditKeys(config.sessions.keysFile);
      const names = files.length > 0 ? files : (await auditFiles(file)).toReversed();
      const total = environment.progress === undefined ? undefined : await countLines(...names);
      const progress = createProgress(environment, systemClock, { noun: 'lines', total });
      const found = await verify(
        counted(placedTexts(names), (lines) => progress.count(lines)),
        {
          keyOf: (id) => keys.get(id),
          anchors: options.withoutStore === true ? [] : await readAuditAnchors(config, silentLog),
          belongsHere: (anchor) => files.length === 0 && anchor.node === hostname() && anchor.file === file,
          olderRemoved: options.olderRemoved === true,
        },
      );
      progress.end();
      environment.print(options.format === 'json' ? json(found) : inWords(found));
      end(found.findings.length === 0 ? exitCodes.ok : exitCodes.no);
    });
}

/** Tells how many items have been taken. */
async function* counted<Item>(items: AsyncIterable<Item>, tell: (count: number) => void): AsyncGenerator<Item> {
  let count = 0;
  for await (const item of items) {
    yield item;
    count += 1;
    tell(count);
  }
}

function withFilters(command: Command): Command {
  return command
    .option('--event <name>', 'such as backend-state', eventName)
    .option('--actor <name>', 'who did it')
    .option('--subject <name>', 'to whom or what it was done')
    .option('--node <name>', 'on which node')
    .option('--since <time>', 'since this time, such as 2030-01-31 or 2030-01-31T06:00:00Z', parseTime)
    .option('--until <time>', 'before this time', parseTime);
}

function auditFilterFrom({ since, until, ...texts }: FilterOptions): AuditFilter {
  return {
    ...texts,
    ...(since === undefined ? {} : { sinceMs: since }),
    ...(until === undefined ? {} : { untilMs: until }),
  };
}

function eventName(text: string): string {
  if (auditEventNames.some((name) => name === text)) return text;
  throw new InvalidArgumentError(`Write one of ${auditEventNames.join(', ')}.`);
}

function parseTime(text: string): number {
  const ms = momentNamed(text);
  if (Number.isNaN(ms)) throw new InvalidArgumentError('Write a time such as 2030-01-31 or 2030-01-31T06:00:00Z.');
  return ms;
}

function inWords({ lines, chains, findings, notes }: Verification): string {
  const found = findings.map(({ damage, place, chain, sequence, explanation }) => {
    const where = place === undefined ? 'nowhere' : `${place.file}:${place.number}`;
    const which = chain === undefined ? '' : `, chain ${chain}${sequence === undefined ? '' : ` line ${sequence}`}`;
    return `${where}: ${damage.toUpperCase()}${which}: ${explanation}`;
  });
  const where = chains === 1 ? 'one chain' : `${chains} chains`;
  const sum = `${lines} lines in ${where}: ${findings.length === 0 ? 'nothing was changed' : 'this audit was changed'}.`;
  return [...found, ...notes.map((note) => `note: ${note}`), sum, ''].join('\n');
}

/** Writes lines one after another, because there may be more than fit into memory. */
interface LineWriter {
  readonly head: string;
  line(line: AuditLine): string;
  foot(): string;
}

/** Converts a line for JSON, with the time in ISO 8601. */
function auditJson({ timeMs, ...line }: AuditLine): object {
  return { time: isoTime(timeMs), ...line };
}

/** Writes one JSON list. */
function auditJsonArray(): LineWriter {
  let separator = '';
  return {
    head: '[',
    line(line) {
      const text = `${separator}\n${jsonLine(auditJson(line))}`;
      separator = ',';
      return text;
    },
    foot: () => '\n]\n',
  };
}

function auditCsv(): LineWriter {
  return { head: auditCsvHead, line: auditCsvRow, foot: () => '' };
}

function auditCsvText(lines: readonly AuditLine[]): string {
  return `${auditCsvHead}${lines.map(auditCsvRow).join('')}`;
}

/** Makes a table for a terminal, or JSON. */
function auditText(lines: readonly AuditLine[], format: Format, isCut: boolean): string {
  if (format === 'json') return json(lines.map(auditJson));
  const rows = lines.map(({ timeMs, event, actor, subject = '-', address = '-', facts = {} }) => [
    isoTime(timeMs),
    event,
    actor,
    subject,
    address,
    entryInWords(facts),
  ]);
  const note = isCut ? `The newest ${lines.length}; --limit shows more.\n` : '';
  return `${table(['TIME', 'EVENT', 'ACTOR', 'SUBJECT', 'FROM', 'FACTS'], rows)}${note}`;
}

function entryInWords(facts: AuditFacts): string {
  return Object.entries(facts)
    .map(([name, value]) => `${name}: ${String(value)}`)
    .join('; ');
}
