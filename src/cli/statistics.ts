import { type Command, Option } from 'commander';
import { countedBy, countedOutcomes } from '../core/statistics.ts';
import { csvRow } from '../core/text.ts';
import { type ApiReply, cell, openApi, refusalCode, rowsIn } from './api-client.ts';
import type { CommandEnvironment } from './environment.ts';
import { LastLoginList } from './last-logins.ts';
import { whyUnread } from './named-arguments.ts';
import {
  configOption,
  type ExitCode,
  exitCodes,
  exitCodesHelp,
  type ListFormat,
  listFormatOption,
  reasonOption,
  withExamples,
} from './options.ts';
import { json, table } from './output.ts';

interface SpanOptions {
  readonly config: string;
  readonly format: ListFormat;
  readonly since?: string;
  readonly until?: string;
}

interface LastOptions {
  readonly config: string;
  readonly format: ListFormat;
  readonly before?: string;
  readonly user?: string;
  readonly never?: string;
}

interface StatisticsCommandParts {
  readonly environment: CommandEnvironment;
  readonly end: (code: ExitCode) => void;
}

/** `postern stats`: how many sign in, with what, and when each user did last. */
export function addStatistics(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const stats = program
    .command('stats')
    .summary('count sign-ins of all nodes, and find users who no longer sign in')
    .description('Asks the running gateway. Times without a zone are UTC.');
  const parts = { environment, end };
  addLogins(stats, parts);
  addUsers(stats, parts);
  addLast(stats, parts);
  addErase(stats, parts);
  withExamples(stats, [
    ['postern stats logins --by webmail --since 2026-11-01', 'which webmail is used'],
    ['postern stats users --since 2026-11-01', 'how many users a day and a month'],
    ['postern stats last --before 2025-11-30', 'who has not signed in since then'],
    ['postern stats last --never users.txt', 'who of this list never signed in'],
    ['postern stats erase alice@example.org --reason "asked to be forgotten"', 'forget when alice signed in'],
  ]).addHelpText('after', `\n${exitCodesHelp}`);
}

function withSpan(command: Command): Command {
  return command
    .option('--since <time>', 'since this time, such as 2030-01-31; 30 days before the end unless given')
    .option('--until <time>', 'before this time; now unless given');
}

function addLogins(stats: Command, { environment, end }: StatisticsCommandParts): void {
  const by = new Option('--by <what>', 'count by').choices(['hour', 'day', ...countedBy]).default('day');
  withSpan(stats.command('logins').summary('count sign-ins, and password checks of DAV and ActiveSync programs'))
    .addOption(by)
    .option('--zone <name>', 'time zone of hours and days, such as Europe/Berlin', 'UTC')
    .addOption(configOption())
    .addOption(listFormatOption())
    .action(async ({ config, format, ...asked }: SpanOptions & { by: string; zone: string }) => {
      const ask = await openApi(config, environment);
      const reply = await ask('GET', `/statistics/logins?${new URLSearchParams(asked).toString()}`);
      finish(reply, environment, end, () => {
        const { since, until, rows } = reply.body;
        const named = asked.by.toUpperCase();
        const zoned = asked.by === 'hour' || asked.by === 'day' ? `${named} (${asked.zone})` : named;
        const shown = rowsIn(rows).map((row) => [asked.by, ...countedOutcomes].map((name) => cell(row[name])));
        const headings = ['SIGNED IN', 'REFUSED', 'FAILED', 'PROGRAMS', 'PROGRAMS REFUSED', 'PROGRAMS FAILED'];
        if (format === 'json') return json(reply.body);
        if (format === 'csv') return csv([[asked.by, ...countedOutcomes], ...shown]);
        return `${table([zoned, ...headings], shown)}Counted: ${cell(since)} to ${cell(until)}.\n`;
      });
    });
}

function addUsers(stats: Command, { environment, end }: StatisticsCommandParts): void {
  withSpan(stats.command('users').summary('estimate how many different users signed in, by UTC day and month'))
    .addOption(configOption())
    .addOption(listFormatOption())
    .action(async ({ config, format, ...asked }: SpanOptions) => {
      const ask = await openApi(config, environment);
      const reply = await ask('GET', `/statistics/users?${new URLSearchParams({ ...asked }).toString()}`);
      finish(reply, environment, end, () => {
        const { months, days, standard_error: error } = reply.body;
        const columns = ['period', 'users', 'web', 'program'];
        const shown = [...rowsIn(days), ...rowsIn(months)].map((row) => columns.map((name) => cell(row[name])));
        if (format === 'json') return json(reply.body);
        if (format === 'csv') return csv([columns, ...shown]);
        const percent = (Number(error) * 100).toFixed(2);
        const note = `Estimates: two of three are off by at most ${percent} %. USERS counts who used web, programs or both once.`;
        return `${table(['DAY OR MONTH (UTC)', 'USERS', 'WEB', 'PROGRAMS'], shown)}${note}\n`;
      });
    });
}

function addLast(stats: Command, { environment, end }: StatisticsCommandParts): void {
  stats
    .command('last')
    .summary('list users with their last sign-ins: by web, by a program, and mail routed')
    .option('--before <time>', 'only users who have not signed in since this time, in any of these ways')
    .option('--user <user>', 'only this user')
    .option(
      '--never <file>',
      'of the names in this file, one a line, those who have never signed in; - reads them from standard input',
    )
    .addOption(configOption())
    .addOption(listFormatOption())
    .action(async ({ config, format, ...wanted }: LastOptions) => {
      if (Object.keys(wanted).length > 1) {
        environment.complain('give only one of --before, --user and --never\n');
        return end(exitCodes.invalid);
      }
      const ask = await openApi(config, environment);
      const listing = new LastLoginList(ask, environment, format);
      if (wanted.user !== undefined) return end(await listing.ofUser(wanted.user));
      if (wanted.never === undefined) return end(await listing.before(wanted.before));
      const unread = wanted.never === '-' ? undefined : await whyUnread(wanted.never);
      if (unread !== undefined) {
        environment.complain(unread);
        return end(exitCodes.invalid);
      }
      return end(await listing.never(wanted.never));
    });
}

function addErase(stats: Command, { environment, end }: StatisticsCommandParts): void {
  stats
    .command('erase')
    .summary('forget when a user last signed in, and say what else holds data of a user')
    .argument('<user>', 'a user name, as typed at sign-in')
    .addOption(reasonOption())
    .addOption(configOption())
    .action(async (user: string, { config, reason }: { config: string; reason: string }) => {
      const ask = await openApi(config, environment);
      const reply = await ask('DELETE', `/users/${encodeURIComponent(user)}/statistics`, { reason });
      finish(reply, environment, end, () => {
        const { user: whom, erased, elsewhere } = reply.body;
        const others = Array.isArray(elsewhere) ? elsewhere.map((place) => `- ${cell(place)}\n`).join('') : '';
        const done = erased === true ? 'erased' : 'there were none';
        return `Last sign-ins of ${cell(whom)}: ${done}. A new sign-in is noted again.\nNot erased by this command:\n${others}`;
      });
    });
}

function finish(
  reply: ApiReply,
  { print, complain }: CommandEnvironment,
  end: (code: ExitCode) => void,
  text: () => string,
): void {
  const refused = refusalCode(reply, complain);
  if (refused === undefined) print(text());
  end(refused ?? exitCodes.ok);
}

function csv(rows: readonly (readonly string[])[]): string {
  return rows.map(csvRow).join('');
}
