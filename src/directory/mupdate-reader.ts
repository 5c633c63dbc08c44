/** One response of a MUPDATE server: `tag`, what it is, and its strings. */
export interface MupdateResponse {
  readonly tag: string;
  readonly kind: string;
  readonly strings: readonly string[];
}

const maxResponseBytes = 64 * 1024;
const carriageReturn = 13;
const newline = 10;
const quote = 34;
const backslash = 92;
const space = 32;

/**
 * Takes responses out of what a MUPDATE server sends (RFC 3656): atoms, quoted strings and literals, one response
 * per line. `push` returns the responses that are complete; it throws when something is no response or too long.
 */
export function createMupdateReader(): { push(bytes: Buffer): readonly MupdateResponse[] } {
  let received: Buffer = Buffer.alloc(0);
  return {
    push(bytes) {
      received = received.length === 0 ? bytes : Buffer.concat([received, bytes]);
      const responses: MupdateResponse[] = [];
      let at = 0;
      for (;;) {
        const read = readResponse(received, at);
        if (read === undefined) break;
        responses.push(read.response);
        at = read.end;
      }
      received = received.subarray(at);
      if (received.length > maxResponseBytes) throw new Error('sent a response without end');
      return responses;
    },
  };
}

function readResponse(
  bytes: Buffer,
  from: number,
): { readonly response: MupdateResponse; readonly end: number } | undefined {
  const words: string[] = [];
  let at = from;
  for (;;) {
    while (bytes[at] === space) at += 1;
    const byte = bytes[at];
    if (byte === undefined) return undefined;
    if (byte === newline || byte === carriageReturn) {
      const end = bytes.indexOf(newline, at);
      if (end === -1) return undefined;
      const [tag, kind, ...strings] = words;
      if (tag === undefined || kind === undefined) throw new Error('sent a line that is no response');
      return { response: { tag, kind: kind.toUpperCase(), strings }, end: end + 1 };
    }
    const word = byte === quote ? readQuoted(bytes, at) : readWord(bytes, at);
    if (word === undefined) return undefined;
    words.push(word.text);
    at = word.end;
  }
}

interface Word {
  readonly text: string;
  readonly end: number;
}

function readQuoted(bytes: Buffer, from: number): Word | undefined {
  for (let at = from + 1; at < bytes.length; at += 1) {
    if (bytes[at] === backslash) at += 1;
    else if (bytes[at] === newline) throw new Error('sent a string that is not closed');
    else if (bytes[at] === quote) {
      return { text: bytes.toString('utf8', from + 1, at).replace(/\\(.)/gs, '$1'), end: at + 1 };
    }
  }
  return undefined;
}

/** An atom, or a literal: `{5}` or `{5+}`, the line end, and so many bytes. */
function readWord(bytes: Buffer, from: number): Word | undefined {
  let end = from;
  while (end < bytes.length && bytes[end] !== space && bytes[end] !== newline && bytes[end] !== carriageReturn)
    end += 1;
  if (end === bytes.length) return undefined;
  const text = bytes.toString('utf8', from, end);
  const length = /^\{(\d{1,6})\+?\}$/.exec(text)?.[1];
  if (length === undefined || bytes[end] === space) return { text, end };
  const start = bytes.indexOf(newline, end) + 1;
  if (start === 0 || start + Number(length) > bytes.length) return undefined;
  if (Number(length) > maxResponseBytes) throw new Error('sent a string that is too long');
  return { text: bytes.toString('utf8', start, start + Number(length)), end: start + Number(length) };
}
