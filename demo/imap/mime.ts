/** A message or a part of one, as offsets into the bytes it was parsed from (RFC 2045, RFC 2046). */
export interface MimePart {
  /** The header with the empty line after it. */
  readonly header: Buffer;
  readonly body: Buffer;
  /** Name in lower case and unfolded value, in order. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly type: ParameterisedValue;
  readonly disposition: ParameterisedValue | undefined;
  readonly encoding: string;
  /** The parts of a multipart, or the one message inside a `message/rfc822`. */
  readonly children: readonly MimePart[];
}

/** A value such as `text/plain; charset=utf-8`: the value in lower case, parameters in order. */
export interface ParameterisedValue {
  readonly value: string;
  readonly parameters: readonly (readonly [name: string, value: string])[];
}

const maxDepth = 10;
const fallbackType = 'text/plain; charset=us-ascii';

/** Parses a message. It never fails: a message without MIME is one text part. */
export function parseMime(source: Buffer, depth = 0): MimePart {
  const bodyAt = findBody(source);
  const header = source.subarray(0, bodyAt);
  const body = source.subarray(bodyAt);
  const fields = parseFields(header);
  const type = parseValue(fieldOf(fields, 'content-type') ?? fallbackType);
  const disposition = fieldOf(fields, 'content-disposition');
  return {
    header,
    body,
    fields,
    type,
    disposition: disposition === undefined ? undefined : parseValue(disposition),
    encoding: (fieldOf(fields, 'content-transfer-encoding') ?? '7bit').trim().toLowerCase(),
    children: depth < maxDepth ? parseChildren(type, body, depth) : [],
  };
}

/** The first field of this name (in lower case); undefined if there is none. */
export function fieldOf(fields: MimePart['fields'], name: string): string | undefined {
  return fields.find(([found]) => found === name)?.[1];
}

/** Whether the part is a multipart with at least one part inside. */
export function isMultipart(part: MimePart): boolean {
  return part.type.value.startsWith('multipart/') && part.children.length > 0;
}

function findBody(source: Buffer): number {
  if (source.subarray(0, 2).equals(Buffer.from('\r\n'))) return 2;
  const end = source.indexOf('\r\n\r\n');
  return end === -1 ? source.length : end + 4;
}

function parseFields(header: Buffer): MimePart['fields'] {
  const unfolded = header.toString('latin1').replace(/\r\n(?=[ \t])/g, '');
  return unfolded.split('\r\n').flatMap((line) => {
    const colon = line.indexOf(':');
    return colon < 1 ? [] : [[line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()] as const];
  });
}

function parseValue(text: string): ParameterisedValue {
  const value = (text.split(';')[0] ?? '').trim().toLowerCase();
  const parameters: (readonly [string, string])[] = [];
  for (const [, name = '', quoted, plain = ''] of text.matchAll(
    /;\s*([^=\s;]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))/g,
  )) {
    parameters.push([name.toLowerCase(), quoted === undefined ? plain : quoted.replace(/\\(.)/g, '$1')]);
  }
  return { value, parameters };
}

function parseChildren(type: ParameterisedValue, body: Buffer, depth: number): readonly MimePart[] {
  if (type.value === 'message/rfc822') return [parseMime(body, depth + 1)];
  const boundary = type.parameters.find(([name]) => name === 'boundary')?.[1];
  if (!type.value.startsWith('multipart/') || boundary === undefined || boundary === '') return [];
  return splitAtBoundary(body, boundary).map((part) => parseMime(part, depth + 1));
}

/** Removes the line end before a delimiter, which belongs to the delimiter (RFC 2046, 5.1.1). */
function splitAtBoundary(body: Buffer, boundary: string): readonly Buffer[] {
  const delimiter = Buffer.from(`--${boundary}`, 'latin1');
  const parts: Buffer[] = [];
  let partAt = -1;
  for (let at = body.indexOf(delimiter); at !== -1; at = body.indexOf(delimiter, at + 1)) {
    if (at > 0 && body[at - 1] !== 0x0a) continue;
    const lineEnd = body.indexOf(0x0a, at);
    const rest = body.toString('latin1', at + delimiter.length, lineEnd === -1 ? body.length : lineEnd);
    if (!/^(?:--)?[ \t]*\r?$/.test(rest)) continue;
    if (partAt !== -1) parts.push(body.subarray(partAt, Math.max(partAt, at - 2)));
    if (rest.startsWith('--') || lineEnd === -1) return parts;
    partAt = lineEnd + 1;
  }
  if (partAt !== -1) parts.push(body.subarray(partAt));
  return parts;
}
