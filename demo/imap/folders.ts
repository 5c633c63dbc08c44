import { type Argument, itemsOf, textOf } from './command.ts';
import type { ImapConnection } from './connection.ts';
import { fetchAnswer, fetchItems } from './fetch.ts';
import { ImapSyntaxError } from './input.ts';
import { type Folder, folderOf, type StoredMessage } from './mailbox.ts';
import type { Completion } from './server-context.ts';
import { nstring } from './structure.ts';

const noSuchFolder = 'NO [NONEXISTENT] No such folder';
const flagsHere = '\\Seen \\Answered \\Flagged \\Deleted \\Draft';

/** LIST and LSUB reference pattern (RFC 3501, 6.3.8). */
export function list(connection: ImapConnection, verb: 'LIST' | 'LSUB', args: readonly Argument[]): Completion {
  const pattern = textOf(args[0]) + textOf(args[1]);
  if (pattern === '') {
    connection.send(`* ${verb} (\\Noselect) "/" ""`);
    return `OK ${verb} done`;
  }
  const escaped = pattern.replace(/[.+?^${}()|[\]\\/]/g, '\\$&');
  const source = escaped.replaceAll('*', '.*').replaceAll('%', '[^/]*');
  const matches = new RegExp(`^${source}$`, 'i');
  for (const folder of connection.account?.folders ?? []) {
    if (!matches.test(folder.name)) continue;
    connection.send(
      `* ${verb} (\\HasNoChildren${folder.attribute === undefined ? '' : ` ${folder.attribute}`}) "/" ${folder.name}`,
    );
  }
  return `OK ${verb} done`;
}

/** SELECT, or EXAMINE when `readOnly` (RFC 3501, 6.3.1 and 6.3.2). */
export function select(connection: ImapConnection, args: readonly Argument[], readOnly: boolean): Completion {
  connection.selected = undefined;
  const folder = named(connection, args[0]);
  if (folder === undefined) return noSuchFolder;
  const count = folder.messages.length;
  connection.selected = { folder, readOnly, known: count };
  connection.send(`* FLAGS (${flagsHere})`);
  connection.send(`* OK [PERMANENTFLAGS (${readOnly ? '' : flagsHere})] These are kept`);
  connection.send(`* ${count} EXISTS`);
  connection.send('* 0 RECENT');
  const unseen = folder.messages.findIndex((message) => !message.flags.has('\\Seen'));
  if (unseen !== -1) connection.send(`* OK [UNSEEN ${unseen + 1}] The first unseen one`);
  connection.send(`* OK [UIDVALIDITY ${folder.uidValidity}] UIDs are valid`);
  connection.send(`* OK [UIDNEXT ${count + 1}] The next one`);
  return `OK [READ-${readOnly ? 'ONLY' : 'WRITE'}] Opened`;
}

/** STATUS folder (items) (RFC 3501, 6.3.10). */
export function status(connection: ImapConnection, args: readonly Argument[]): Completion {
  const folder = named(connection, args[0]);
  if (folder === undefined) return noSuchFolder;
  const count = folder.messages.length;
  const values = new Map([
    ['MESSAGES', count],
    ['RECENT', 0],
    ['UIDNEXT', count + 1],
    ['UIDVALIDITY', folder.uidValidity],
    ['UNSEEN', folder.messages.filter((message) => !message.flags.has('\\Seen')).length],
  ]);
  const answers = itemsOf(args[1]).map((item) => {
    const name = textOf(item).toUpperCase();
    const value = values.get(name);
    if (value === undefined) throw new ImapSyntaxError(`Unknown item ${nstring(name)}`);
    return `${name} ${value}`;
  });
  connection.send(`* STATUS ${folder.name} (${answers.join(' ')})`);
  return 'OK STATUS done';
}

/** APPEND folder [(flags)] [date] literal (RFC 3501, 6.3.11). */
export function append(connection: ImapConnection, args: readonly Argument[]): Completion {
  const folder = named(connection, args[0]);
  const message = args.at(-1);
  if (args.length < 2 || message?.kind !== 'string') throw new ImapSyntaxError('APPEND ends with a literal');
  if (folder === undefined) return 'NO [TRYCREATE] No such folder';
  const flags = args.slice(1, -1).find((argument) => argument.kind === 'list');
  const date = args.slice(1, -1).find((argument) => argument.kind === 'string');
  const at = date === undefined ? Date.now() : Date.parse(textOf(date).replace(/^\s*(\d+)-(\w+)-(\d+)/, '$1 $2 $3'));
  if (Number.isNaN(at)) throw new ImapSyntaxError('Unknown date');
  const kept = folder.append(Buffer.from(message.bytes), flags === undefined ? [] : flagNames(flags), new Date(at));
  return `OK [APPENDUID ${folder.uidValidity} ${kept.uid}] Kept`;
}

/** FETCH and UID FETCH set items (RFC 3501, 6.4.5). */
export async function fetch(
  connection: ImapConnection,
  args: readonly Argument[],
  byUid: boolean,
): Promise<Completion> {
  const asked = fetchItems(itemsOf(args[1]));
  const items = byUid && !asked.some((item) => item.toUpperCase() === 'UID') ? ['UID', ...asked] : asked;
  for (const [number, message] of chosen(connection, args[0], byUid)) {
    const { chunks, marksSeen } = fetchAnswer(message, items);
    const nowSeen = marksSeen && connection.selected?.readOnly === false && !message.flags.has('\\Seen');
    if (nowSeen) message.setFlags([...message.flags, '\\Seen']);
    const news = nowSeen ? ` FLAGS (${[...message.flags].join(' ')})` : '';
    connection.send(`* ${number} FETCH (`, ...chunks, `${news})`);
    await connection.flushed();
  }
  return 'OK FETCH done';
}

/** STORE and UID STORE set flags (RFC 3501, 6.4.6). */
export function store(connection: ImapConnection, args: readonly Argument[], byUid: boolean): Completion {
  if (connection.selected?.readOnly !== false) return 'NO The folder was opened read-only';
  const { sign, silent } = /^(?<sign>[+-]?)FLAGS(?<silent>\.SILENT)?$/i.exec(textOf(args[1]))?.groups ?? {};
  if (sign === undefined) throw new ImapSyntaxError('STORE takes FLAGS, +FLAGS or -FLAGS');
  const names = args.slice(2).flatMap(flagNames);
  for (const [number, message] of chosen(connection, args[0], byUid)) {
    const kept = [...message.flags].filter((flag) => sign !== '' && !names.includes(flag));
    message.setFlags(sign === '-' ? kept : [...kept, ...names]);
    const uid = byUid ? `UID ${message.uid} ` : '';
    if (silent === undefined) connection.send(`* ${number} FETCH (${uid}FLAGS (${[...message.flags].join(' ')}))`);
  }
  return 'OK STORE done';
}

function named(connection: ImapConnection, name: Argument | undefined): Folder | undefined {
  return connection.account === undefined ? undefined : folderOf(connection.account, textOf(name));
}

function flagNames(argument: Argument): readonly string[] {
  const known = new Map(flagsHere.split(' ').map((flag) => [flag.toLowerCase(), flag]));
  return itemsOf(argument).map((item) => known.get(textOf(item).toLowerCase()) ?? textOf(item));
}

/** The messages of a sequence set with their sequence numbers; `*` is the last one (RFC 3501, 9: seq-range). */
function chosen(
  connection: ImapConnection,
  set: Argument | undefined,
  byUid: boolean,
): readonly (readonly [number, StoredMessage])[] {
  const messages = connection.selected?.folder.messages.slice(0, connection.selected.known) ?? [];
  const last = messages.length;
  const ranges = textOf(set)
    .split(',')
    .map((range) => {
      if (!/^(?:\d{1,10}|\*)(?::(?:\d{1,10}|\*))?$/.test(range)) throw new ImapSyntaxError('Unknown sequence set');
      const ends = range.split(':').map((end) => (end === '*' ? last : Number(end)));
      return { from: Math.min(...ends), to: Math.max(...ends) };
    });
  return messages.flatMap((message, index) => {
    const number = byUid ? message.uid : index + 1;
    return ranges.some(({ from, to }) => number >= from && number <= to) ? [[index + 1, message] as const] : [];
  });
}
