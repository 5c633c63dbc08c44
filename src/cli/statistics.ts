import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { type Command, Option } from 'commander';
import { momentNamed, systemClock } from '../core/clock.ts';
import { countedBy, countedOutcomes, waysIn } from '../core/statistics.ts';
import { csvRow } from '../core/text.ts';
import { type ApiReply, type AskApi, cell, openApi, refusalCode, rowsIn } from './api-client.ts';
import type { CommandEnvironment } from './environment.ts';
import { countLines, whyUnread } from './named-arguments.ts';
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
import { createProgress, json, table } from './output.ts';

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
      const listing = new Listing(ask, environment, format);
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

/** Bytes of names in one question, well below what the API takes. */
const bytesAsked = 32_000;
const namesAsked = 1_000;

/** Writes users page by page, since there may be more than fit into memory. */
class Listing {
  readonly #ask: AskApi;
  readonly #environment: CommandEnvironment;
  readonly #format: ListFormat;
  #progress: ReturnType<typeof createProgress>;
  #hasBegun = false;
  #written = 0;
  #knownSince: unknown;
  #code: ExitCode = exitCodes.ok;

  constructor(ask: AskApi, environment: CommandEnvironment, format: ListFormat) {
    this.#ask = ask;
    this.#environment = environment;
    this.#format = format;
    this.#progress = createProgress(environment, systemClock);
  }

  async before(time: string | undefined): Promise<ExitCode> {
    if (time !== undefined && momentNamed(time) > systemClock.nowMs())
      this.#environment.complain(`${time} is in the future: the list has users who are active\n`);
    const page = (cursor: string): Promise<ApiReply> => {
      const query = new URLSearchParams({ cursor, ...(time === undefined ? {} : { before: time }) });
      return this.#ask('GET', `/statistics/last?${query.toString()}`);
    };
    for (let asked: Promise<ApiReply> | undefined = page(''); asked !== undefined; ) {
      const reply: ApiReply = await asked;
      if (this.#isRefused(reply)) return this.#code;
      const { cursor, users } = reply.body;
      // The gateway reads the next page while this one is written.
      asked = typeof cursor === 'string' ? page(cursor) : undefined;
      this.#write(rowsIn(users));
      this.#progress.count(this.#written);
    }
    this.#progress.end();
    return this.#end();
  }

  async ofUser(name: string): Promise<ExitCode> {
    const reply = await this.#ask('POST', '/statistics/last', { users: [name] });
    if (this.#isRefused(reply)) return this.#code;
    const rows = rowsIn(reply.body['users']);
    const [row] = rows;
    if (row !== undefined && row['found'] !== 'signed-in') {
      this.#environment.complain(`${name}: ${notSignedIn(row['found'])}\n`);
      return row['found'] === 'could-not-ask' ? exitCodes.unavailable : exitCodes.no;
    }
    this.#write(rows);
    return this.#end();
  }

  /** Lists users of a file who never signed in. Lines that name nobody are told, and so not taken for inactive users. */
  async never(file: string): Promise<ExitCode> {
    const { progress: isShown, lineCount, lines } = this.#environment;
    const count = file === '-' ? lineCount : () => countLines(file);
    const total = isShown === undefined ? undefined : await count?.();
    this.#progress = createProgress(this.#environment, systemClock, { noun: 'names', total });
    let names: { readonly name: string; readonly line: number }[] = [];
    let bytes = 0;
    let line = 0;
    let asked = 0;
    for await (const text of file === '-' ? lines() : createInterface({ input: createReadStream(file) })) {
      line += 1;
      const name = text.trim();
      if (name === '' || name.startsWith('#')) continue;
      names.push({ name, line });
      bytes += JSON.stringify(name).length * 3;
      if (names.length < namesAsked && bytes < bytesAsked) continue;
      if (!(await this.#askOf(names))) return this.#code;
      asked += names.length;
      this.#progress.count(asked);
      [names, bytes] = [[], 0];
    }
    if (names.length > 0 && !(await this.#askOf(names))) return this.#code;
    this.#progress.end();
    return this.#end();
  }

  async #askOf(names: readonly { readonly name: string; readonly line: number }[]): Promise<boolean> {
    const reply = await this.#ask('POST', '/statistics/last', { users: names.map(({ name }) => name) });
    this.#progress.end();
    if (this.#isRefused(reply)) return false;
    const rows = rowsIn(reply.body['users']);
    for (const [index, { found }] of rows.entries()) {
      if (found === 'signed-in' || found === 'never') continue;
      const { name = '', line = 0 } = names[index] ?? {};
      this.#environment.complain(`line ${line}: ${name}: ${notSignedIn(found)}\n`);
      this.#code = found === 'could-not-ask' ? exitCodes.unavailable : this.#code;
    }
    this.#write(rows.filter(({ found }) => found === 'never'));
    return true;
  }

  #isRefused(reply: ApiReply): boolean {
    if (reply.status >= 400) this.#progress.end();
    const refused = refusalCode(reply, this.#environment.complain);
    if (refused !== undefined) this.#code = refused;
    this.#knownSince = reply.body['known_since'] ?? this.#knownSince;
    return refused !== undefined;
  }

  /** Before the first answer there is nothing to head: it may be a refusal. */
  #begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    if (this.#format === 'json') this.#environment.print('[');
    if (this.#format === 'csv') this.#environment.print(csv([['user', ...waysIn]]));
    if (this.#format === 'table')
      this.#environment.print(alignedRow(['LAST WEB (UTC)', 'LAST PROGRAM', 'MAIL ROUTED', 'USER']));
  }

  #write(rows: readonly Readonly<Record<string, unknown>>[]): void {
    this.#begin();
    const texts = rows.map((row, index) => {
      if (this.#format === 'csv')
        return csvRow([cell(row['user']), ...timesIn(row).map((time) => (typeof time === 'string' ? time : ''))]);
      if (this.#format === 'table') return alignedRow([...timesIn(row).map(minuteOrDash), cell(row['user'])]);
      const { found: _, name: __, ...facts } = row;
      return `${this.#written + index === 0 ? '' : ','}\n${JSON.stringify(facts)}`;
    });
    this.#written += rows.length;
    if (texts.length > 0) this.#environment.print(texts.join(''));
  }

  /** Says what the list does not know: a user without an entry may have signed in before. */
  #end(): ExitCode {
    this.#begin();
    if (this.#format === 'json') this.#environment.print('\n]\n');
    const users = `${this.#written.toLocaleString('en')} ${this.#written === 1 ? 'user' : 'users'}`;
    const known =
      this.#knownSince === undefined
        ? 'no sign-in was counted yet: nothing is known'
        : `sign-ins are known since ${cell(this.#knownSince)}`;
    this.#environment.complain(`${users}; ${known}.\n`);
    return this.#code;
  }
}

function timesIn(row: Readonly<Record<string, unknown>>): readonly unknown[] {
  return waysIn.map((way) => row[way]);
}

/** A row in columns of fixed width, so that pages align. */
function alignedRow(cells: readonly string[]): string {
  return `${cells.map((text, index) => (index === cells.length - 1 ? text : text.padEnd(16))).join('  ')}\n`;
}

/** A time of the API to the minute. */
function minuteOrDash(time: unknown): string {
  return cell(time).slice(0, 16).replace('T', ' ');
}

function notSignedIn(found: unknown): string {
  if (found === 'malformed') return 'cannot be a user name';
  if (found === 'unknown-user') return 'no such user in the directory';
  if (found === 'could-not-ask') return 'the directory did not answer: ask again later';
  return 'has never signed in, as far as is known';
}
