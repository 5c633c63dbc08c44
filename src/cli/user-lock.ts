import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { isoTime, systemClock } from '../core/clock.ts';
import { defined } from '../core/objects.ts';
import {
  type ApiReply,
  type AskApi,
  cell,
  mailEndCode,
  mailEndText,
  openApi,
  queryText,
  refusalCode,
  rowsIn,
} from './api-client.ts';
import type { CommandEnvironment } from './environment.ts';
import { whyUnread } from './named-arguments.ts';
import {
  configOption,
  type ExitCode,
  exitCodes,
  type ListFormat,
  listFormatOption,
  reasonOption,
  textsByLanguage,
  textsOption,
  timeFrom,
} from './options.ts';
import { amount, type Cell, createProgress, listText, timeCell } from './output.ts';

interface Whom {
  readonly domain?: string;
  readonly network?: string;
  readonly file?: string;
}

interface LockOptions extends Whom {
  readonly config: string;
  readonly reason: string;
  readonly until?: string;
  readonly text?: readonly string[];
}

interface LockListOptions {
  readonly config: string;
  readonly format: ListFormat;
  readonly kind?: string;
  readonly user?: string;
}

/** A name of the command line or of a file. */
interface Named {
  readonly name: string;
  /** Its line in the file; undefined if it is from the command line. */
  readonly place?: string;
}

/** Names of one kind, which go to the API in parts. */
interface Names {
  readonly field: 'users' | 'domains' | 'networks';
  readonly all: readonly Named[];
}

/** Names of one request, and the bytes that they may have: the API takes 200, and bodies of 64 KiB. */
const namesOfPart = 200;
const mostBytes = 40_000;
/** No name is longer. What is longer is cut, and refused all the same. */
const longestName = 1_100;

/** Adds `lock`, `unlock` and `locks` to `postern user`. */
export function addLocks(user: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  withWhom(user.command('lock').summary('lock users, a domain or a network out, on all nodes within a second'))
    .option('--until <time>', 'the lock lifts itself then: 24h, 7d, or 2030-01-31T06:00:00Z')
    .addOption(textsOption('what those read who are refused, after the right password; give it once per language'))
    .action(async (name: string | undefined, options: LockOptions) => {
      const untilMs = options.until === undefined ? undefined : timeFrom(options.until, systemClock.nowMs());
      if (Number.isNaN(untilMs)) {
        environment.complain(`${options.until} is not a time: write 24h, 7d, or one such as 2030-01-31T06:00:00Z\n`);
        return end(exitCodes.invalid);
      }
      const until = untilMs === undefined ? undefined : isoTime(untilMs);
      const order = { reason: options.reason, texts: textsByLanguage(options.text), ...defined({ until }) };
      end(await change(name, options, { method: 'POST', order }, environment));
    });
  withWhom(user.command('unlock').summary('lift locks, on all nodes within a second')).action(
    async (name: string | undefined, options: LockOptions) => {
      end(await change(name, options, { method: 'DELETE', order: { reason: options.reason } }, environment));
    },
  );
  user
    .command('locks')
    .summary('list who is locked, the latest lock first')
    .option('--user <user>', 'only locks that cover this user')
    .addOption(new Option('--kind <kind>', 'only locks of this kind').choices(['user', 'domain', 'network']))
    .addOption(configOption())
    .addOption(listFormatOption())
    .action(async ({ config, format, kind, user: of }: LockListOptions) => {
      const ask = await openApi(config, environment);
      const reply = await ask('GET', `/locks?${queryText(defined({ kind, user: of }))}`);
      const refused = refusalCode(reply, environment.complain);
      if (refused !== undefined) return end(refused);
      environment.print(locksText(reply, format, environment));
      end(exitCodes.ok);
    });
}

function withWhom(command: Command): Command {
  return command
    .argument('[user]', 'a user name, as typed at sign-in')
    .option('--domain <domain>', 'all users of this domain')
    .option('--network <network>', 'everybody from this address or network, such as 192.0.2.0/24')
    .option('--file <file>', 'users, one on each line; # begins a comment')
    .addOption(reasonOption())
    .addOption(configOption());
}

function locksText({ body }: ApiReply, format: ListFormat, environment: CommandEnvironment): string {
  const locks = rowsIn(body['locks']);
  const rows = locks.map(({ kind, name, since, until, by, reason }): readonly Cell[] => [
    cell(kind),
    cell(name),
    timeCell(since),
    timeCell(until),
    cell(by),
    cell(reason),
  ]);
  const note = body['truncated'] === true ? 'There are more: --kind or --user shows some of them.' : undefined;
  const list = { headings: ['KIND', 'LOCKED', 'SINCE', 'UNTIL', 'BY', 'REASON'], rows, body };
  return listText({ ...list, note }, format, environment);
}

/** What is done with the names. */
interface LockCommand {
  readonly method: 'POST' | 'DELETE';
  readonly order: object;
}

/** Locks or unlocks. Of a file, all names are checked before the first is changed. */
async function change(
  name: string | undefined,
  whom: Whom & { readonly config: string },
  order: LockCommand,
  environment: CommandEnvironment,
): Promise<ExitCode> {
  const names = await namesOf(name, whom);
  if (typeof names === 'string') {
    environment.complain(names);
    return exitCodes.invalid;
  }
  const ask = await openApi(whom.config, environment);
  if (whom.file === undefined) return changeOne(names, order, ask, environment);
  return (await refusalOfNames(names, ask, environment)) ?? changeAll(names, order, ask, environment);
}

/** The names that the command line asks for, or what is wrong with it or with the file. */
async function namesOf(name: string | undefined, { domain, network, file }: Whom): Promise<Names | string> {
  const given = [name, domain, network, file].filter((one) => one !== undefined);
  if (given.length !== 1) return 'Name one of these: a user, --domain DOMAIN, --network NETWORK, or --file FILE.\n';
  if (domain !== undefined) return { field: 'domains', all: [{ name: domain }] };
  if (network !== undefined) return { field: 'networks', all: [{ name: network }] };
  if (name !== undefined) return { field: 'users', all: [{ name }] };
  const unread = await whyUnread(file ?? '');
  if (unread !== undefined) return unread;
  const lines = (await readFile(file ?? '', 'utf8')).replace(/^\ufeff/, '').split(/\r\n|\r|\n/);
  const all = lines.flatMap((line, index) => {
    const text = line.replace(/#.*/, '').trim();
    return text === '' ? [] : [{ name: text.slice(0, longestName), place: `${file}:${index + 1}` }];
  });
  return all.length === 0 ? `${file} names no user: write one on each line\n` : { field: 'users', all };
}

async function changeOne(
  { field, all }: Names,
  { method, order }: LockCommand,
  ask: AskApi,
  { print, complain }: CommandEnvironment,
): Promise<ExitCode> {
  const reply = await ask(method, '/locks', { ...order, [field]: all.map(({ name }) => name) });
  const refused = refusalCode(reply, complain);
  if (refused !== undefined) return refused;
  const { body } = reply;
  const [named] = rowsIn(body[method === 'POST' ? 'names' : 'lifted']);
  const name = cell(named?.['name']);
  if (method === 'DELETE') print(`${name} is unlocked${whereText(body)}.\n`);
  else print(`${name} is locked${whereText(body)}. Sessions ended: ${cell(body['ended'])}.\n`);
  print(mailEndText(body['mail']));
  for (const remark of remarksOn(body)) print(remark);
  return unreachedCode(body, complain);
}

/** Prints what cannot be a user, each with its line, and returns the exit code; undefined if all can. */
async function refusalOfNames(
  { field, all }: Names,
  ask: AskApi,
  environment: CommandEnvironment,
): Promise<ExitCode | undefined> {
  const { print, complain } = environment;
  const progress = createProgress(environment, systemClock, { total: all.length, noun: 'names checked' });
  let [done, wrong, unknown, unasked] = [0, 0, 0, 0];
  for (const part of partsOf(all)) {
    const reply = await ask('POST', '/locks', { [field]: part.map(({ name }) => name), dry_run: true });
    progress.count((done += part.length));
    const refused = refusalCode(reply, complain);
    if (refused !== undefined) return refused;
    for (const [index, named] of rowsIn(reply.body['names']).entries()) {
      const place = part[index]?.place ?? '';
      if (named['wrong'] !== undefined) {
        wrong += 1;
        complain(`${place}: ${cell(named['wrong'])}\n`);
      } else if (named['known'] === 'no') {
        unknown += 1;
        print(`${place}: no source of the directory knows ${cell(named['name'])}\n`);
      } else if (named['known'] === 'unasked') unasked += 1;
    }
  }
  progress.end();
  if (wrong > 0) {
    complain(`${amount(wrong)} of ${amount(all.length)} lines name no user; nothing was changed\n`);
    return exitCodes.invalid;
  }
  if (unknown > 0) print(`Names that the directory does not know: ${amount(unknown)}. They are not left out.\n`);
  if (unasked > 0) print(`Names that the directory could not be asked about: ${amount(unasked)}.\n`);
  return undefined;
}

async function changeAll(
  { field, all }: Names,
  { method, order }: LockCommand,
  ask: AskApi,
  environment: CommandEnvironment,
): Promise<ExitCode> {
  const { print, complain, signals } = environment;
  const progress = createProgress(environment, systemClock, { total: all.length });
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort();
  signals.on('SIGINT', interrupt);
  let [done, changed, ended] = [0, 0, 0];
  let last: ApiReply['body'] = {};
  let code: ExitCode = exitCodes.ok;
  try {
    for (const part of partsOf(all)) {
      if (interrupted.signal.aborted) break;
      const reply = await ask(method, '/locks', { ...order, [field]: part.map(({ name }) => name) });
      // A part of one name that is not locked is no failure of the whole.
      const refused = method === 'DELETE' && reply.status === 404 ? undefined : refusalCode(reply, complain);
      if (refused !== undefined) {
        code = refused;
        break;
      }
      done += part.length;
      last = reply.body;
      changed += rowsIn(last[method === 'POST' ? 'names' : 'lifted']).length;
      ended += Number(last['ended'] ?? 0);
      progress.count(done);
      code = Math.max(code, unreachedCode(last, complain)) === exitCodes.ok ? exitCodes.ok : exitCodes.unavailable;
    }
  } finally {
    signals.off('SIGINT', interrupt);
    progress.end();
  }
  if (method === 'DELETE') print(`Unlocked: ${amount(changed)}; not locked before: ${amount(done - changed)}.\n`);
  else print(`Locked: ${amount(changed)}${whereText(last)}. Sessions ended: ${amount(ended)}.\n`);
  if (done === all.length) return code;
  complain(`Stopped after ${amount(done)} of ${amount(all.length)}. Run the same command again to continue.\n`);
  return code === exitCodes.ok ? exitCodes.no : code;
}

/** The names in parts of a request's size. */
function* partsOf(all: readonly Named[]): Iterable<readonly Named[]> {
  let part: Named[] = [];
  let bytes = 0;
  for (const one of all) {
    const more = Buffer.byteLength(JSON.stringify(one.name));
    if (part.length === namesOfPart || bytes + more > mostBytes) {
      yield part;
      [part, bytes] = [[], 0];
    }
    part.push(one);
    bytes += more;
  }
  if (part.length > 0) yield part;
}

function whereText({ nodes, unreached }: ApiReply['body']): string {
  const count = Number(nodes ?? 0);
  const missing = rowsIn(unreached).length;
  if (count === 0) return '';
  if (missing > 0) return ` on ${Math.max(count - missing, 1)} of ${Math.max(count, missing + 1)} nodes`;
  return count === 1 ? ', on the only node' : `, on all ${count} nodes`;
}

function remarksOn(body: ApiReply['body']): readonly string[] {
  const [named] = rowsIn(body['names']);
  const name = cell(named?.['name']);
  return [
    ...(named?.['known'] === 'no' ? [`No source of the directory knows ${name}: the lock waits for the user.\n`] : []),
    ...(named?.['known'] === 'unasked'
      ? [`The directory could not be asked about ${name}: if that is an alias, lock the user, too.\n`]
      : []),
    ...rowsIn(body['still_locked']).map(
      (one) => `${cell(one['name'])} is still locked out, by the lock of ${cell(one['by_lock_of'])}.\n`,
    ),
  ];
}

/** Says which nodes may not know yet, and what could not be ended. */
function unreachedCode(body: ApiReply['body'], complain: (text: string) => void): ExitCode {
  const missing = rowsIn(body['unreached']);
  for (const { name, why } of missing) {
    complain(`Not reached: ${cell(name)}: ${cell(why)}. It follows as soon as it reads the state store.\n`);
  }
  const mailCode = mailEndCode(body['mail'], complain);
  if (body['unlisted'] === undefined) return missing.length === 0 ? mailCode : exitCodes.unavailable;
  complain(
    `Sessions that no node has in memory could not be listed: ${cell(body['unlisted'])}. They end at their next use.\n`,
  );
  return exitCodes.unavailable;
}
