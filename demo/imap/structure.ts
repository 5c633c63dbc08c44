import { fieldOf, isMultipart, type MimePart, type ParameterisedValue } from './mime.ts';

/** An IMAP nstring: NIL, quoted where it may be, else a literal. The text holds one byte per character. */
export function nstring(text: string | undefined): string {
  if (text === undefined) return 'NIL';
  if (/^[\x20-\x7e]*$/.test(text)) return `"${text.replace(/["\\]/g, '\\$&')}"`;
  return `{${text.length}}\r\n${text}`;
}

/** ENVELOPE of RFC 3501, 7.4.2. */
export function envelopeOf(part: MimePart): string {
  const field = (name: string): string | undefined => fieldOf(part.fields, name);
  const from = addresses(field('from'));
  return `(${[
    nstring(field('date')),
    nstring(field('subject')),
    from,
    field('sender') === undefined ? from : addresses(field('sender')),
    field('reply-to') === undefined ? from : addresses(field('reply-to')),
    addresses(field('to')),
    addresses(field('cc')),
    addresses(field('bcc')),
    nstring(field('in-reply-to')),
    nstring(field('message-id')),
  ].join(' ')})`;
}

/** BODYSTRUCTURE, or BODY when `extended` is false, of RFC 3501, 7.4.2. */
export function structureOf(part: MimePart, extended: boolean): string {
  const [type = 'text', subtype = 'plain'] = part.type.value.split('/');
  const disposition = part.disposition;
  const extension = [
    disposition === undefined ? 'NIL' : `(${nstring(disposition.value)} ${parameters(disposition)})`,
    'NIL', // language
    'NIL', // location
  ];
  if (isMultipart(part)) {
    const inside = part.children.map((child) => structureOf(child, extended)).join('');
    const tail = extended ? [parameters(part.type), ...extension] : [];
    return `(${[`${inside} ${nstring(subtype)}`, ...tail].join(' ')})`;
  }
  const [message] = part.children;
  const leaf = [
    nstring(type),
    nstring(subtype),
    parameters(part.type),
    nstring(fieldOf(part.fields, 'content-id')),
    nstring(fieldOf(part.fields, 'content-description')),
    nstring(part.encoding),
    String(part.body.length),
  ];
  if (message !== undefined) leaf.push(envelopeOf(message), structureOf(message, extended));
  if (message !== undefined || type === 'text') leaf.push(String(linesOf(part.body)));
  if (extended) leaf.push('NIL', ...extension);
  return `(${leaf.join(' ')})`;
}

function parameters(value: ParameterisedValue): string {
  if (value.parameters.length === 0) return 'NIL';
  return `(${value.parameters.map(([name, text]) => `${nstring(name)} ${nstring(text)}`).join(' ')})`;
}

function linesOf(body: Buffer): number {
  let lines = 0;
  for (let at = body.indexOf(0x0a); at !== -1; at = body.indexOf(0x0a, at + 1)) lines += 1;
  return lines;
}

/** Addresses as `(name NIL mailbox host)`. Groups and routes are not supported. */
function addresses(field: string | undefined): string {
  const each = (field ?? '').match(/(?:"(?:[^"\\]|\\.)*"|<[^>]*>|[^",<])+/g) ?? [];
  const known = each.flatMap((text) => {
    const opens = text.lastIndexOf('<');
    const closes = text.indexOf('>', opens);
    const address = (opens === -1 ? text : text.slice(opens + 1, closes === -1 ? undefined : closes)).trim();
    const at = address.lastIndexOf('@');
    if (at < 1) return [];
    const name = opens === -1 ? '' : unquoted(text.slice(0, opens).trim());
    const shown = name === '' ? 'NIL' : nstring(name);
    return [`(${shown} NIL ${nstring(address.slice(0, at))} ${nstring(address.slice(at + 1))})`];
  });
  return known.length === 0 ? 'NIL' : `(${known.join('')})`;
}

function unquoted(name: string): string {
  if (!name.startsWith('"') || !name.endsWith('"') || name.length < 2) return name;
  return name.slice(1, -1).replace(/\\(.)/g, '$1');
}
