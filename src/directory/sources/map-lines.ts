/** Some lines of a text map that belong together. `lines` counts those of the file. */
type LogicalLine =
  | { readonly kind: 'entry'; readonly end: number; readonly lines: number; readonly goesOn: boolean }
  | { readonly kind: 'nothing'; readonly end: number; readonly lines: number; readonly why?: string };

/** The byte that ends a line. */
export const newline = 10;
const carriageReturn = 13;
const space = 32;
const tab = 9;
const hash = 35;
const backslash = 92;

/**
 * Finds the logical line that begins at `from`, which must be the beginning of a line.
 *
 * As in Postfix (postmap(1)), empty lines and lines whose first visible character is `#` are nothing, also in the
 * midst of an entry, and a line that begins with white space continues the entry before. As in Perdition, a final
 * backslash continues the line. An entry includes the comments that follow it.
 */
export function nextLogicalLine(bytes: Buffer, from: number): LogicalLine {
  if (isNothing(bytes, from)) return { kind: 'nothing', end: endOfLine(bytes, from), lines: 1 };
  if (isBlank(bytes[from])) {
    const why = 'begins with white space, but there is no entry before it that it could continue';
    return { kind: 'nothing', end: endOfLine(bytes, from), lines: 1, why };
  }
  let goesOn = false;
  let end = from;
  for (let lines = 0; ; ) {
    const line = end;
    end = endOfLine(bytes, line);
    lines += 1;
    const isContent = !isNothing(bytes, line);
    if (isContent && line !== from) goesOn = true;
    const isJoined = isContent && bytes[end - (bytes[end - 2] === carriageReturn ? 3 : 2)] === backslash;
    if (end >= bytes.length || !(isJoined || isBlank(bytes[end]) || isNothing(bytes, end))) {
      return { kind: 'entry', end, lines, goesOn };
    }
  }
}

/** The value text of a logical line, from behind its key: without comments, continuations joined by one space. */
export function joinValue(text: string): string {
  const parts = text.split('\n').map((line) => {
    const comment = line.search(/(?:^|[ \t])#/);
    return (comment === -1 ? line : line.slice(0, comment)).trim().replace(/\s*\\$/, '');
  });
  return parts.filter((part) => part !== '').join(' ');
}

/** Whether the byte is a space or a tab. */
export function isBlank(byte: number | undefined): boolean {
  return byte === space || byte === tab;
}

/** Whether an empty line or a comment begins here. */
function isNothing(bytes: Buffer, from: number): boolean {
  let at = from;
  while (isBlank(bytes[at])) at += 1;
  const first = bytes[at];
  return first === undefined || first === newline || first === carriageReturn || first === hash;
}

function endOfLine(bytes: Buffer, from: number): number {
  const at = bytes.indexOf(newline, from);
  return at === -1 ? bytes.length : at + 1;
}
