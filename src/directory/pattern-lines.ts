/** A line of a pattern file, continuations joined, and where it begins. */
export interface PatternLine {
  readonly line: number;
  readonly text: string;
}

/**
 * Joins the lines of a Postfix table: empty lines and lines that begin with `#` are nothing, a line that begins with
 * white space continues the one before (regexp_table(5)).
 */
export function postfixLines(text: string): readonly PatternLine[] {
  const joined: PatternLine[] = [];
  for (const [index, content] of text.split(/\r?\n/).entries()) {
    if (/^\s*(?:#|$)/.test(content)) continue;
    const before = joined.at(-1);
    if (!/^\s/.test(content)) joined.push({ line: index + 1, text: content.trimEnd() });
    else if (before === undefined) throw new Error(`line ${index + 1} begins with white space, but continues nothing`);
    else joined.splice(-1, 1, { ...before, text: `${before.text} ${content.trim()}` });
  }
  return joined;
}

/** Joins the lines of Perdition's popmap.re: a line that ends in a backslash goes on. */
export function perditionLines(text: string): readonly PatternLine[] {
  const joined: PatternLine[] = [];
  let goesOn = false;
  for (const [index, content] of text.split(/\r?\n/).entries()) {
    const before = joined.at(-1);
    const part = content.replace(/\\$/, '');
    if (goesOn && before !== undefined) joined.splice(-1, 1, { ...before, text: before.text + part });
    else joined.push({ line: index + 1, text: part });
    goesOn = part !== content;
  }
  return joined.filter(({ text }) => !/^\s*(?:#|$)/.test(text));
}

/**
 * Splits a line of popmap.re into pattern and value, as Perdition 2.2 does: a backslash makes the next character
 * literal and is gone, so that `\\.` is a literal full stop in the pattern and `\.` is any character; quotes do the
 * same for what is between them; `#` begins a comment; white space ends the pattern, with a colon before it or not.
 */
export function splitPerditionLine(text: string): { readonly pattern: string; readonly value: string } {
  let pattern: string | undefined;
  let part = '';
  let quote = '';
  const characters = Array.from(text.trim());
  for (let at = 0; at < characters.length; at += 1) {
    const character = characters[at] ?? '';
    if (character === '\\' && quote !== "'") part += characters[(at += 1)] ?? '';
    else if (character === quote) quote = '';
    else if (quote !== '') part += character;
    else if (character === "'" || character === '"') quote = character;
    else if (character === '#') break;
    else if (pattern === undefined && /\s/.test(character)) {
      pattern = part;
      part = '';
    } else part += character;
  }
  if (quote !== '') throw new Error(`a quote ${quote} is not closed`);
  const value = part.trim().replace(/^:\s+/, '');
  if (pattern === undefined || value === '') throw new Error('there is a pattern without a value');
  return { pattern: pattern.replace(/:$/, ''), value };
}
