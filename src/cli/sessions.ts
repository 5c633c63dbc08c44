import { type Command, Option } from 'commander';
import { defined, isObject } from '../core/objects.ts';
import { sessionKinds } from '../core/session.ts';
import {
  type ApiReply,
  cell,
  mailEndCode,
  mailEndText,
  openApi,
  queryText,
  refusalCode,
  rowsIn,
  unreachedText,
} from './api-client.ts';
import type { CommandEnvironment } from './environment.ts';
import {
  configOption,
  type ExitCode,
  exitCodes,
  type ListFormat,
  listFormatOption,
  reasonOption,
  wholeNumber,
  withExamples,
} from './options.ts';
import { amount, type Cell, listText, table, timeCell } from './output.ts';

/** Which sessions a command is about. */
interface Wanted {
  readonly user?: string;
  readonly backend?: string;
  readonly host?: string;
  readonly address?: string;
  readonly network?: string;
  readonly kind?: string;
}

interface SessionListOptions extends Wanted {
  readonly config: string;
  readonly format: ListFormat;
  readonly limit?: number;
}

interface EndOptions extends Wanted {
  readonly config: string;
  readonly reason: string;
}

/** `postern session`, `who` and `kick`: who is signed in, on all nodes, and ending it. */
export function addSessions(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const { print, complain } = environment;

  /** Prints a reply, or what is wrong with it. */
  function finish(reply: ApiReply, text: () => string): void {
    const refused = refusalCode(reply, complain);
    if (refused === undefined) print(text());
    end(refused ?? exitCodes.ok);
  }

  const parts: SessionCommandParts = { environment, finish, end };
  addSession(program, parts);
  addWho(program, parts);
  addKick(program, parts);
}

interface SessionCommandParts {
  readonly environment: CommandEnvironment;
  /** Prints a reply, or what is wrong with it, and ends the command. */
  readonly finish: (reply: ApiReply, text: () => string) => void;
  readonly end: (code: ExitCode) => void;
}

function addSession(program: Command, parts: SessionCommandParts): void {
  const { environment, finish, end } = parts;
  const session = program.command('session').summary('list and end sessions');
  withSessionFilters(session.command('list').summary('list the sessions of all nodes, the newest first'))
    .option('--user <user>', 'of this user')
    .addOption(limitOption())
    .addOption(configOption())
    .addOption(listFormatOption())
    .action((options: SessionListOptions) => listSessions(options, parts));
  withSessionFilters(session.command('end').summary('end one session, or all that match, on all nodes within a second'))
    .argument('[session]', 'the id from `postern session list`')
    .option('--user <user>', 'of this user')
    .addOption(reasonOption())
    .addOption(configOption())
    .action(async (id: string | undefined, { config, reason, ...wanted }: EndOptions) => {
      if ((id === undefined) === (Object.keys(wanted).length === 0)) {
        environment.complain('say which sessions to end: the id of one, or --user, --backend, --address or the like\n');
        return end(exitCodes.invalid);
      }
      const ask = await openApi(config, environment);
      const which = id === undefined ? `?${queryText(wanted)}` : `/${encodeURIComponent(id)}`;
      const reply = await ask('DELETE', `/sessions${which}`, { reason });
      const { ended, users } = reply.body;
      finish(reply, () =>
        id === undefined ? `Sessions ended: ${cell(ended)}, of ${countOf(users, 'user')}.\n` : 'Ended.\n',
      );
    });
  withExamples(session, [
    ['postern session list --backend a', 'sessions on backend a'],
    ['postern session end 3Qf8aB2x --reason "lost laptop"', 'end this session'],
    ['postern session end --address 192.0.2.7 --reason abused', 'end all sessions from this address'],
  ]);
}

function addWho(program: Command, parts: SessionCommandParts): void {
  const { environment, end } = parts;
  const who = program.command('who').summary('show who is signed in, or the backend and sessions of one user');
  withSessionFilters(who)
    .argument('[user]', 'a user name, as typed at sign-in; everybody without one')
    .addOption(limitOption())
    .addOption(configOption())
    .addOption(listFormatOption())
    .action(async (user: string | undefined, options: SessionListOptions) => {
      const { config, format, limit, ...wanted } = options;
      if (user === undefined) return listSessions(options, parts);
      if (limit !== undefined || Object.keys(wanted).length > 0) return listSessions({ ...options, user }, parts);
      const ask = await openApi(config, environment);
      const reply = await ask('GET', `/users/${encodeURIComponent(user)}`);
      const refused = refusalCode(reply, environment.complain);
      if (refused !== undefined) return end(refused);
      environment.print(describeUser(reply.body, format, environment));
      const { mail } = reply.body;
      const missing = unreachedText(isObject(mail) ? mail['unreached'] : []);
      environment.complain(missing);
      end(missing === '' ? exitCodes.ok : exitCodes.unavailable);
    });
  withExamples(who, [
    ['postern who alice@example.org', 'backend, move if there is one, and sessions'],
    ['postern who --network 192.0.2.0/24', 'everybody who is signed in from there'],
    ['postern who --kind opened', 'mailboxes that staff have open now'],
  ]);
}

/** The options that select sessions, but for the user. */
function withSessionFilters(command: Command): Command {
  return command
    .option('--backend <name>', 'on this backend')
    .option('--host <name>', 'on this host')
    .option('--address <address>', 'from this client address')
    .option('--network <network>', 'from this network, such as 192.0.2.0/24')
    .addOption(
      new Option('--kind <kind>', 'users, the console, or mailboxes that staff opened').choices([...sessionKinds]),
    );
}

function limitOption(): Option {
  return wholeNumber('--limit <number>', 'show at most so many (default: 1000; all as CSV)');
}

const pageLimit = 1000;

/**
 * Lists sessions page by page. CSV is written as the pages come, so that neither the gateway nor the command ever holds
 * all sessions of a large site.
 */
async function listSessions(
  { config, format, limit: asked, ...wanted }: SessionListOptions,
  { environment, end }: SessionCommandParts,
): Promise<void> {
  const limit = asked ?? (format === 'csv' ? Number.POSITIVE_INFINITY : pageLimit);
  const ask = await openApi(config, environment);
  const sessions: ShownSession[] = [];
  let count = 0;
  let cursor: string | undefined;
  do {
    const page = { ...wanted, limit: Math.min(limit - count, pageLimit), ...defined({ cursor }) };
    const reply = await ask('GET', `/sessions?${queryText(page)}`);
    const refused = refusalCode(reply, environment.complain);
    if (refused !== undefined) return end(refused);
    const rows = rowsIn(reply.body['sessions']);
    if (format === 'csv') {
      const text = listText(sessionList(rows), 'csv', environment);
      environment.print(count === 0 ? text : text.slice(text.indexOf('\n') + 1));
    } else sessions.push(...rows);
    count += rows.length;
    const { next } = reply.body;
    cursor = typeof next === 'string' ? next : undefined;
  } while (cursor !== undefined && count < limit);
  const isCut = cursor !== undefined;
  if (format === 'csv') return end(exitCodes.ok);
  const users = new Set(sessions.map((session) => session['user'])).size;
  const more = isCut ? `; there are more: --limit ${limit * 10} shows them, --format csv all` : '';
  const note = `${countOf(count, 'session')} of ${countOf(users, 'user')}${more}`;
  environment.print(
    listText({ ...sessionList(sessions), body: { sessions, truncated: isCut }, note }, format, environment),
  );
  end(exitCodes.ok);
}

function countOf(count: unknown, noun: string): string {
  return `${amount(Number(count))} ${noun}${count === 1 ? '' : 's'}`;
}

function addKick(program: Command, { environment, end }: SessionCommandParts): void {
  const kick = program
    .command('kick')
    .summary('end all sessions of a user on all nodes within a second, and the mail connections')
    .argument('<user>', 'a user name, as typed at sign-in')
    .addOption(reasonOption())
    .addOption(configOption())
    .action(async (user: string, { config, reason }: { config: string; reason: string }) => {
      const ask = await openApi(config, environment);
      const reply = await ask('DELETE', `/users/${encodeURIComponent(user)}/sessions`, { reason });
      const { complain, print } = environment;
      const refused = refusalCode(reply, complain);
      if (refused !== undefined) return end(refused);
      const { user: ofWhom, ended, nodes, mail } = reply.body;
      const where = nodes === undefined ? '' : nodes === 1 ? ', on the only node' : `, on all ${cell(nodes)} nodes`;
      if (ended === 0) print(`${cell(ofWhom)} has no open sessions.\n`);
      else print(`Sessions of ${cell(ofWhom)} ended: ${cell(ended)}${where}.\n`);
      print(mailEndText(mail));
      if (ended !== 0) print(`Sign-in is open again at once; to keep ${cell(ofWhom)} out: postern user lock\n`);
      end(mailEndCode(mail, complain));
    });
  withExamples(kick, [['postern kick alice@example.org --reason "account abused"', 'alice must sign in again']]);
}

type ShownSession = Readonly<Record<string, unknown>>;

function sessionList(sessions: readonly ShownSession[]) {
  const rows = sessions.map((session): readonly Cell[] => {
    const {
      id,
      short_id: short,
      user,
      kind,
      host,
      address,
      since,
      last_use: last,
      browser,
      user_agent: program,
    } = session;
    return [
      { shown: cell(short), value: cell(id) },
      cell(user),
      {
        shown: kindShown(session),
        value: kind === 'opened' ? `${cell(kind)} by ${cell(session['opened_by'])}` : cell(kind),
      },
      cell(host),
      cell(address),
      timeCell(since),
      timeCell(last),
      { shown: cell(browser ?? program), value: cell(program) },
    ];
  });
  return {
    headings: ['SESSION', 'USER', 'KIND', 'HOST', 'ADDRESS', 'SINCE', 'LAST USE', 'BROWSER'],
    rows,
    body: sessions,
  };
}

/** A mail connection among the sessions. Mail servers do not say since when it is open. */
function mailRow(user: unknown, { proxy, service, address }: ShownSession): readonly Cell[] {
  return ['', cell(user), 'mail', cell(proxy), cell(address), '', '', cell(service)];
}

/** What a session is: `opened by sam@example.org until 15:04` is a mailbox that staff opened. */
function kindShown({ kind, opened_by: actor, until }: ShownSession): string {
  return kind === 'opened' ? `opened by ${cell(actor)} until ${minuteOf(until)}` : cell(kind);
}

/** The hour and minute of a time of the API, in UTC. */
function minuteOf(time: unknown): string {
  return cell(time).slice(11, 16);
}

function describeUser(body: ShownSession, format: ListFormat, environment: CommandEnvironment): string {
  const { user, backend, overridden, move, lock } = body;
  const sessions = sessionList(rowsIn(body['sessions']));
  const mail = isObject(body['mail']) ? rowsIn(body['mail']['connections']) : [];
  const list = { ...sessions, rows: [...sessions.rows, ...mail.map((one) => mailRow(user, one))] };
  if (format !== 'table') return listText({ ...list, body }, format, environment);
  const how = overridden === true ? ' (moved there by an operator; the directory may differ)' : '';
  const moved = isObject(move) ? `Move: ${cell(move['explanation'])}.\n` : '';
  const locked = isObject(lock) ? `${lockedWords(lock)}\n` : '';
  return `${cell(user)} lives on ${cell(backend)}${how}.\n${locked}${moved}${table(list.headings, list.rows, environment.colours)}`;
}

function lockedWords({ kind, name, by, since, until, reason }: ShownSession): string {
  const whose = kind === 'user' ? '' : `, with all of ${cell(name)}`;
  const end = until === undefined ? '' : ` until ${cell(until)}`;
  return `Locked${whose}${end}, by ${cell(by)} since ${cell(since)}: ${cell(reason)}`;
}
