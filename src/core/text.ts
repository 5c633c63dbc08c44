import { isUtf8 } from 'node:buffer';

/** Charset of a text that names none. */
const defaultCharset = 'utf-8';
/** Browsers look for a `<meta>` with the charset in this many bytes. */
const metaSearchBytes = 1024;
/** The byte that ends a line. */
export const lineFeedByte = 10;
const commentSign = 35;

/**
 * Returns the charset of a page or a text as browsers choose it: a byte order mark, then `Content-Type`, then a
 * `<meta>` in the first kilobyte, then UTF-8. `start` holds the first bytes, or the first characters if they are
 * decoded already.
 */
export function charsetOf(contentType: string | undefined, start: Uint8Array | string): string {
  const text =
    typeof start === 'string' ? start.slice(0, metaSearchBytes) : latin1Of(start.subarray(0, metaSearchBytes));
  if (text.startsWith('\u00ef\u00bb\u00bf') || text.startsWith('\ufeff')) return defaultCharset;
  const named = /;\s*charset\s*=\s*"?([\w.:-]+)/i.exec(contentType ?? '')?.[1];
  if (named !== undefined) return knownCharset(named) ?? defaultCharset;
  if (!/^\s*(?:text\/html|application\/xhtml\+xml)\b/i.test(contentType ?? 'text/html')) return defaultCharset;
  const meta = /<meta\b[^>]*?\bcharset\s*=\s*["']?\s*([\w.:-]+)/i.exec(text)?.[1];
  const found = meta === undefined ? undefined : knownCharset(meta);
  // A `<meta>` that could be read as ASCII rules out UTF-16.
  return found === undefined || found.startsWith('utf-16') ? defaultCharset : found;
}

/** Returns the name of a charset by one of its labels; undefined for a label that no browser knows. */
export function knownCharset(label: string): string | undefined {
  try {
    return new TextDecoder(label.trim()).encoding;
  } catch {
    return undefined;
  }
}

/** Decodes bytes by a charset label. Throws a RangeError for an unknown label. */
export function decodeText(bytes: Uint8Array, charset: string): string {
  return new TextDecoder(charset).decode(bytes);
}

/**
 * Encodes a text. Characters that the charset lacks become character references, as in forms that browsers send. Throws
 * a RangeError for characters outside ASCII if the charset has several bytes a character and is not UTF-8.
 */
export function encodeText(text: string, charset: string): Buffer {
  if (charset === defaultCharset || charset.startsWith('utf-16') || isAscii(text)) return Buffer.from(text, 'utf8');
  const bytes = singleBytesOf(charset);
  if (bytes === undefined) throw new RangeError(`in ${charset} only ASCII can be written`);
  const written = Array.from(text, (character) => {
    const byte = bytes.get(character);
    return byte === undefined ? `&#${character.codePointAt(0) ?? 0xfffd};` : String.fromCharCode(byte);
  });
  return Buffer.from(written.join(''), 'latin1');
}

/** The byte of each character in a charset of one byte a character; undefined for other charsets. */
function singleBytesOf(charset: string): ReadonlyMap<string, number> | undefined {
  const decoder = new TextDecoder(charset);
  const bytes = new Map<string, number>();
  for (let byte = 0; byte < 256; byte += 1) {
    const character = decoder.decode(Uint8Array.of(byte));
    if (character.length === 1 && character !== '\ufffd') bytes.set(character, byte);
  }
  // The smallest single-byte charsets define just over 200 characters; in the others hardly a byte stands alone.
  return bytes.size > 200 ? bytes : undefined;
}

function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}

function latin1Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/**
 * Explains that a file is UTF-16, by its byte order mark or by zeros in every other byte of its beginning; undefined if
 * it is not.
 */
export function whyUtf16(bytes: Buffer): string | undefined {
  const mark = bytes.toString('hex', 0, 2);
  const start = bytes.subarray(0, 512);
  const zeros = (from: number) => start.filter((byte, at) => at % 2 === from && byte === 0).length;
  const isHalfZero = start.length >= 4 && Math.max(zeros(0), zeros(1)) > start.length / 3;
  if (mark !== 'fffe' && mark !== 'feff' && !isHalfZero) return undefined;
  const name = mark === 'feff' || (mark !== 'fffe' && zeros(0) > zeros(1)) ? 'UTF-16BE' : 'UTF-16LE';
  return `is not UTF-8 text but ${name}: convert it with iconv -f ${name} -t UTF-8`;
}

/** A line that is not UTF-8. */
export interface EncodingProblem {
  readonly line: number;
  readonly why: string;
}

/**
 * Finds the lines that are not UTF-8, with the encoding that they seem to have. Comments (`#`) may hold any bytes.
 * `firstLine` is the number of the line with which the bytes begin.
 */
export function encodingProblems(bytes: Buffer, firstLine: number): readonly EncodingProblem[] {
  if (isUtf8(bytes) && !bytes.includes(0)) return [];
  const problems: EncodingProblem[] = [];
  for (let from = 0, line = firstLine; from < bytes.length; line += 1) {
    const end = bytes.indexOf(lineFeedByte, from);
    const content = withoutComment(bytes.subarray(from, end === -1 ? bytes.length : end));
    if (content.includes(0))
      problems.push({ line, why: 'is not UTF-8 text: it contains zero bytes, as after a crash' });
    else if (!isUtf8(content)) problems.push({ line, why: whyNotUtf8(content) });
    from = end === -1 ? bytes.length : end + 1;
  }
  return problems;
}

/** The line before a `#` that is its first visible character, or follows white space. */
function withoutComment(line: Buffer): Buffer {
  for (let at = line.indexOf(commentSign); at !== -1; at = line.indexOf(commentSign, at + 1)) {
    if (at === 0 || line[at - 1] === 32 || line[at - 1] === 9) return line.subarray(0, at);
  }
  return line;
}

function whyNotUtf8(content: Buffer): string {
  const text = content.toString('utf8');
  const first = content[Buffer.byteLength(text.slice(0, text.indexOf('\ufffd')))] ?? 0;
  // ISO 8859-1 has control characters in this range, which no text contains.
  const name = content.some((byte) => byte >= 0x80 && byte < 0xa0) ? 'WINDOWS-1252' : 'ISO-8859-1';
  const character = new TextDecoder('windows-1252').decode(Uint8Array.of(first));
  const which = `byte 0x${first.toString(16)} would be "${character}" in ${name}`;
  return `is not UTF-8 text: ${which}; convert the file with iconv -f ${name} -t UTF-8`;
}

/** Turns another program's output into one line of printable characters. */
export function oneLine(text: string): string {
  return text.replace(/[\p{C}\p{Z}\ufffd]+/gu, ' ').trim();
}

/** Cuts such a line to `most` characters: enough for an operator to recognise it, too short to carry a mail. */
export function shortLine(text: string, most = 200): string {
  const line = oneLine(text.slice(0, 4 * most));
  return line.length > most ? `${line.slice(0, most)}…` : line;
}

/** Quotes such a short line, for use in a sentence. */
export function quoted(text: string, most?: number): string {
  return JSON.stringify(shortLine(text, most));
}

/**
 * Formats a row of CSV with its line end (RFC 4180). A cell that a spreadsheet would take for a formula gets an
 * apostrophe in front (OWASP, CSV injection): it may hold what a user or a client sent. Numbers are no formulas.
 */
export function csvRow(cells: readonly (string | number)[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`;
}

function csvCell(text: string | number): string {
  if (typeof text === 'number') return String(text);
  const harmless = /^\s*[=+\-@＝＋－＠]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

/** Families of browsers by a mark in their User-Agent; the first that fits counts. */
export const browserFamilies: readonly (readonly [name: string, mark: RegExp])[] = [
  ['Edge', /\bEdg(?:e|A|iOS)?\//],
  ['Opera', /\bOPR\//],
  ['Samsung Internet', /\bSamsungBrowser\//],
  ['Firefox', /\b(?:Firefox|FxiOS)\//],
  ['Chrome', /\b(?:Chrome|CriOS|Chromium)\//],
  ['Safari', /\bSafari\//],
];

const systems: readonly (readonly [name: string, mark: RegExp])[] = [
  ['iPhone', /\biPhone\b/],
  ['iPad', /\biPad\b/],
  ['Android', /\bAndroid\b/],
  ['Windows', /\bWindows\b/],
  ['macOS', /\bMac OS X\b|\bMacintosh\b/],
  ['ChromeOS', /\bCrOS\b/],
  ['Linux', /\bLinux\b/],
];

/** The everyday name of a User-Agent's device, such as `Firefox, Windows`; undefined if it is unknown. */
export function deviceName(userAgent: string): string | undefined {
  const known = [browserFamilies, systems].flatMap((list) => list.find(([, mark]) => mark.test(userAgent))?.[0] ?? []);
  return known.length === 0 ? undefined : known.join(', ');
}
