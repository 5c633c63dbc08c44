import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { momentNamed, systemClock } from '../core/clock.ts';
import { waysIn } from '../core/statistics.ts';
import { csvRow } from '../core/text.ts';
import { type ApiReply, type AskApi, cell, refusalCode, rowsIn } from './api-client.ts';
import type { CommandEnvironment } from './environment.ts';
import { countLines } from './named-arguments.ts';
import { type ExitCode, exitCodes, type ListFormat } from './options.ts';
import { createProgress, jsonLine, printable } from './output.ts';

/** Bytes of names in one question, well below what the API takes. */
const bytesAsked = 48_000;
const namesAsked = 1_000;

interface NamedLine {
  readonly name: string;
  readonly line: number;
}

interface AskedNames {
  readonly names: readonly NamedLine[];
  readonly reply: Promise<ApiReply>;
}

/** The names of a list, as many at once as one question takes. Empty lines and comments name nobody. */
async function* questionsIn(lines: AsyncIterable<string>): AsyncIterable<readonly NamedLine[]> {
  let names: NamedLine[] = [];
  let bytes = 0;
  let line = 0;
  for await (const text of lines) {
    line += 1;
    const name = text.trim();
    if (name === '' || name.startsWith('#')) continue;
    names.push({ name, line });
    bytes += Buffer.byteLength(JSON.stringify(name)) + 1;
    if (names.length < namesAsked && bytes < bytesAsked) continue;
    yield names;
    [names, bytes] = [[], 0];
  }
  if (names.length > 0) yield names;
}

/** Writes users with their last sign-ins page by page, since there may be more than fit into memory. */
export class LastLoginList {
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
    const texts = file === '-' ? lines() : createInterface({ input: createReadStream(file) });
    let before: AskedNames | undefined;
    let asked = 0;
    for await (const names of questionsIn(texts)) {
      const reply = this.#ask('POST', '/statistics/last', { users: names.map(({ name }) => name) });
      // If the answer before it ends the command, nobody waits for this one.
      reply.catch(() => {});
      // The gateway looks these up while the answer before is written.
      if (before !== undefined && !(await this.#tell(before))) return this.#code;
      before = { names, reply };
      asked += names.length;
      this.#progress.count(asked);
    }
    if (before !== undefined && !(await this.#tell(before))) return this.#code;
    this.#progress.end();
    return this.#end();
  }

  async #tell({ names, reply: asked }: AskedNames): Promise<boolean> {
    const reply = await asked;
    this.#progress.end();
    if (this.#isRefused(reply)) return false;
    const rows = rowsIn(reply.body['users']);
    for (const [index, { found }] of rows.entries()) {
      if (found === 'signed-in' || found === 'never') continue;
      const { name = '', line = 0 } = names[index] ?? {};
      this.#environment.complain(`line ${line}: ${printable(name)}: ${notSignedIn(found)}\n`);
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
    if (this.#format === 'csv') this.#environment.print(csvRow(['user', ...waysIn]));
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
      return `${this.#written + index === 0 ? '' : ','}\n${jsonLine(facts)}`;
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
