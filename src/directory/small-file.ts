import { isUtf8 } from 'node:buffer';
import { open } from 'node:fs/promises';

const maxBytes = 1 << 20;
const newline = 10;
const hash = 35;

/** A file that people write, as text. What is no UTF-8 in it stands there as U+FFFD: see {@link encodingProblems}. */
interface SmallFile {
  readonly text: string;
  /** The lines that are no UTF-8 before a `#` that begins a comment, each as `line: why`. */
  readonly problems: readonly string[];
}

/** Reads a file of at most 1 MiB. Rejects with the file's name and what is wrong when it is larger, or UTF-16. */
export async function readSmallFile(file: string): Promise<SmallFile> {
  await using handle = await open(file);
  const { size } = await handle.stat();
  if (size > maxBytes) throw new Error(`${file}: larger than 1 MiB`);
  const bytes = await handle.readFile();
  const utf16 = whyUtf16(bytes);
  if (utf16 !== undefined) throw new Error(`${file}: ${utf16}`);
  return { text: bytes.toString('utf8').replace(/^\ufeff/, ''), problems: encodingProblems(bytes, 1) };
}

/** What is wrong with a file that is UTF-16: it says so itself, or every other byte of its beginning is zero. */
export function whyUtf16(bytes: Buffer): string | undefined {
  const mark = bytes.toString('hex', 0, 2);
  const start = bytes.subarray(0, 512);
  const zeros = (from: number) => start.filter((byte, at) => at % 2 === from && byte === 0).length;
  const isHalfZero = start.length >= 4 && Math.max(zeros(0), zeros(1)) > start.length / 3;
  if (mark !== 'fffe' && mark !== 'feff' && !isHalfZero) return undefined;
  const name = mark === 'feff' || (mark !== 'fffe' && zeros(0) > zeros(1)) ? 'UTF-16BE' : 'UTF-16LE';
  return `is not UTF-8 text but ${name}: convert it with iconv -f ${name} -t UTF-8`;
}

/**
 * The lines that are no UTF-8, as `line: why`, with the encoding that they seem to have. Comments may be anything.
 * `firstLine` is the number of the line with which the bytes begin.
 */
export function encodingProblems(bytes: Buffer, firstLine: number): readonly string[] {
  if (isUtf8(bytes) && !bytes.includes(0)) return [];
  const problems: string[] = [];
  for (let from = 0, line = firstLine; from < bytes.length; line += 1) {
    const end = bytes.indexOf(newline, from);
    const content = withoutComment(bytes.subarray(from, end === -1 ? bytes.length : end));
    if (content.includes(0)) problems.push(`${line}: is not UTF-8 text: there are zero bytes, as after a crash`);
    else if (!isUtf8(content)) problems.push(`${line}: ${whyNotUtf8(content)}`);
    from = end === -1 ? bytes.length : end + 1;
  }
  return problems;
}

/** The line before a `#` that is its first visible character, or follows white space. */
function withoutComment(line: Buffer): Buffer {
  for (let at = line.indexOf(hash); at !== -1; at = line.indexOf(hash, at + 1)) {
    if (at === 0 || line[at - 1] === 32 || line[at - 1] === 9) return line.subarray(0, at);
  }
  return line;
}

function whyNotUtf8(content: Buffer): string {
  const text = content.toString('utf8');
  const first = content[Buffer.byteLength(text.slice(0, text.indexOf('\ufffd')))] ?? 0;
  // ISO 8859-1 has control characters there, which nobody writes.
  const name = content.some((byte) => byte >= 0x80 && byte < 0xa0) ? 'WINDOWS-1252' : 'ISO-8859-1';
  const character = new TextDecoder('windows-1252').decode(Uint8Array.of(first));
  const which = `byte 0x${first.toString(16)} would be "${character}" in ${name}`;
  return `is not UTF-8 text: ${which}; convert the file with iconv -f ${name} -t UTF-8`;
}
