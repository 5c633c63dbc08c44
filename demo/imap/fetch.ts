import type { Argument } from './command.ts';
import { ImapSyntaxError } from './input.ts';
import type { StoredMessage } from './mailbox.ts';
import { isMultipart, type MimePart } from './mime.ts';
import { envelopeOf, nstring, structureOf } from './structure.ts';

const macros: Readonly<Record<string, string>> = {
  ALL: 'FLAGS INTERNALDATE RFC822.SIZE ENVELOPE',
  FAST: 'FLAGS INTERNALDATE RFC822.SIZE',
  FULL: 'FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY',
};
const older: Readonly<Record<string, string>> = {
  RFC822: 'BODY[]',
  'RFC822.HEADER': 'BODY.PEEK[HEADER]',
  'RFC822.TEXT': 'BODY[TEXT]',
};
const bodyItem = /^BODY(?<peek>\.PEEK)?\[(?<section>[^\]]*)\](?:<(?<from>\d+)\.(?<count>\d+)>)?$/i;

/** The answer of a FETCH for one message, and whether it marks the message as seen. */
export interface Fetched {
  readonly chunks: readonly (string | Buffer)[];
  readonly marksSeen: boolean;
}

/** The items of a FETCH command with macros replaced. */
export function fetchItems(items: readonly Argument[]): readonly string[] {
  return items.flatMap((item) => {
    if (item.kind !== 'atom') throw new ImapSyntaxError('FETCH takes names of items');
    const name = item.text.toUpperCase();
    return macros[name]?.split(' ') ?? [item.text];
  });
}

/** The answer to a FETCH of these items, as the inside of its parentheses (RFC 3501, 6.4.5 and 7.4.2). */
export function fetchAnswer(message: StoredMessage, items: readonly string[]): Fetched {
  const chunks: (string | Buffer)[] = [];
  let marksSeen = false;
  for (const item of items) {
    const upper = item.toUpperCase();
    const section = bodyItem.exec(older[upper] ?? item)?.groups;
    if (chunks.length > 0) chunks.push(' ');
    if (section === undefined) {
      chunks.push(`${upper} ${attribute(message, upper)}`);
      continue;
    }
    if (section['peek'] === undefined) marksSeen = true;
    const text = section['section'] ?? '';
    const whole = sectionOf(message.mime(), message.source, text);
    const from = Number(section['from'] ?? 0);
    const bytes = section['count'] === undefined ? whole : whole?.subarray(from, from + Number(section['count']));
    const label =
      older[upper] === undefined ? `BODY[${text}]${section['from'] === undefined ? '' : `<${from}>`}` : upper;
    if (bytes === undefined) chunks.push(`${label} NIL`);
    else chunks.push(`${label} {${bytes.length}}\r\n`, bytes);
  }
  return { chunks, marksSeen };
}

function attribute(message: StoredMessage, name: string): string {
  switch (name) {
    case 'UID':
      return String(message.uid);
    case 'FLAGS':
      return `(${[...message.flags].join(' ')})`;
    case 'INTERNALDATE':
      return `"${internalDate(message.receivedAt)}"`;
    case 'RFC822.SIZE':
      return String(message.source.length);
    case 'ENVELOPE':
      return envelopeOf(message.mime());
    case 'BODY':
      return structureOf(message.mime(), false);
    case 'BODYSTRUCTURE':
      return structureOf(message.mime(), true);
    default:
      throw new ImapSyntaxError(`Unknown item ${nstring(name)}`);
  }
}

/** The bytes of a section such as `1.2.MIME` or `HEADER.FIELDS (From)`; undefined if there is no such part. */
function sectionOf(root: MimePart, source: Buffer, section: string): Buffer | undefined {
  const { path = '', what = '' } = /^(?<path>(?:\d+(?:\.\d+)*)?)\.?(?<what>.*)$/s.exec(section)?.groups ?? {};
  const part = partAt(root, path);
  if (part === undefined) return undefined;
  const [name = '', ...rest] = what.split(' ');
  if (name === '') return path === '' ? source : part.body;
  if (name.toUpperCase() === 'MIME') return part.header;
  // HEADER and TEXT of a numbered part mean the message inside it.
  const message = path === '' ? part : embedded(part);
  switch (name.toUpperCase()) {
    case 'HEADER':
      return message?.header;
    case 'TEXT':
      return message?.body;
    case 'HEADER.FIELDS':
      return message && chosenFields(message.header, rest.join(' '), true);
    case 'HEADER.FIELDS.NOT':
      return message && chosenFields(message.header, rest.join(' '), false);
    default:
      throw new ImapSyntaxError(`Unknown section ${nstring(name)}`);
  }
}

function partAt(root: MimePart, path: string): MimePart | undefined {
  let part: MimePart | undefined = root;
  for (const number of path === '' ? [] : path.split('.').map(Number)) {
    if (part === undefined) return undefined;
    const message: MimePart | undefined = embedded(part) ?? (part === root ? root : undefined);
    if (isMultipart(part)) part = part.children[number - 1];
    else if (message !== undefined && isMultipart(message)) part = message.children[number - 1];
    else part = number === 1 ? message : undefined; // part 1 of what has no parts is its body (RFC 3501, 6.4.5)
  }
  return part;
}

function embedded(part: MimePart): MimePart | undefined {
  return part.type.value === 'message/rfc822' ? part.children[0] : undefined;
}

function chosenFields(header: Buffer, list: string, wanted: boolean): Buffer {
  const names = new Set(list.replace(/[()"]/g, ' ').toLowerCase().split(/\s+/).filter(Boolean));
  const fields = header
    .toString('latin1')
    .split(/\r\n(?![ \t])/)
    .filter(Boolean);
  const kept = fields.filter((field) => names.has((field.split(':')[0] ?? '').trim().toLowerCase()) === wanted);
  return Buffer.from([...kept, '', ''].join('\r\n'), 'latin1');
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;

function internalDate(at: Date): string {
  const time = [at.getUTCHours(), at.getUTCMinutes(), at.getUTCSeconds()].map(two).join(':');
  return `${two(at.getUTCDate())}-${months[at.getUTCMonth()] ?? ''}-${at.getUTCFullYear()} ${time} +0000`;
}

function two(number: number): string {
  return String(number).padStart(2, '0');
}
