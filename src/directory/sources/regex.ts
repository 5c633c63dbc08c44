import { RE2JS } from 're2js';
import { openNamedFile } from '../../core/named-files.ts';
import { type LoginName, splitLoginName } from '../../core/names.ts';
import { type EncodingProblem, encodingProblems, whyUtf16 } from '../../core/text.ts';
import { oneOf } from '../../schema/scalars.ts';
import { defineSource, file, sourceSettings } from '../settings.ts';
import { type SourceAnswer, unknownUser } from '../source.ts';
import { answers, catchAll, isCatchAll, meanings, readValue } from '../table-entries.ts';
import { watchFile } from './watched-file.ts';

/**
 * A file of patterns over the whole login name; the first that matches says where the user lives. A changed file is
 * taken over as a whole. Patterns know no users one by one: their answers count as defaults.
 */
export const driver = defineSource({
  about: 'A text file of patterns in the form of Postfix or Perdition.',
  settings: sourceSettings({
    file: file('The file of patterns; a changed file is taken over as a whole.'),
    format: oneOf(['postfix', 'perdition'] as const)
      .prefault('postfix')
      .describe('`postfix`: regexp_table(5) and pcre_table(5). `perdition`: popmap.re.'),
    answers: answers(meanings).optional(),
    catch_all: catchAll(),
  }).superRefine(({ answers, catch_all: followsCatchAll }, context) => {
    if (followsCatchAll && answers !== 'user')
      context.addIssue({ code: 'custom', path: ['catch_all'], message: 'needs answers: user' });
  }),
  async create(settings, deps) {
    const { file, format, catch_all: followsCatchAll } = settings;
    const meaning = settings.answers ?? (format === 'perdition' ? 'perdition' : 'backend');

    const watched = await watchFile({ file, load: (file) => readPatternFile(file, format) }, deps);
    let hasWarned = false;
    /** Whether a name that does not exist in the same domain would get the same answer. */
    const isForAll = (value: string, name: LoginName): boolean =>
      matchPatterns(watched.current, `postern-nobody-0@${splitLoginName(name).domain}`) === value;
    const answerFor = (name: LoginName): SourceAnswer => {
      const value = matchPatterns(watched.current, name);
      if (value !== undefined && !followsCatchAll && isCatchAll(value, meaning) && isForAll(value, name)) {
        if (!hasWarned) deps.log.warn('directory-catch-all-ignored', { source: deps.label, file });
        hasWarned = true;
        return unknownUser;
      }
      return value === undefined
        ? unknownUser
        : readValue(value, meaning, { name, findHome: deps.findHome, byDefault: true });
    };
    return {
      isLocal: true,
      ask: (name) => Promise.resolve(name).then(answerFor),
      [Symbol.asyncDispose]: () => watched[Symbol.asyncDispose](),
    };
  },
});

/** A pattern, and the value or the further rules (`if` … `endif`) if it matches or, negated, does not match. */
interface PatternRule {
  readonly pattern: RE2JS;
  readonly isNegated: boolean;
  readonly leadsTo: string | readonly PatternRule[];
}

/** The dialect of a file of patterns. */
export type PatternFormat = 'postfix' | 'perdition';

const maxRules = 1000;
const postfixForm = /^(!?)\s*([^\s\w!])((?:\\.|(?!\2)[^\\])*)\2([a-zA-Z]*)(?:\s+(.*))?$/s;

/**
 * Reads a file of patterns: Postfix's regexp_table(5) and pcre_table(5) with `if`, `!` and flags, or Perdition's
 * popmap.re. The patterns are RE2's: matching takes time in proportion to the name, whatever the pattern. Patterns that
 * RE2 cannot match (references inside the pattern, lookaround) are refused. Rejects with the place of every problem.
 */
export async function readPatternFile(file: string, format: PatternFormat): Promise<readonly PatternRule[]> {
  const { text, problems: unreadable } = await readPatternText(file);
  if (unreadable.length > 0)
    throw new Error(
      unreadable
        .slice(0, 10)
        .map(({ line, why }) => `${file}:${line}: ${why}`)
        .join('\n'),
    );
  const lines = format === 'postfix' ? postfixLines(text) : perditionLines(text);
  if (lines.length === 0) throw new Error(`${file}: no pattern in this file`);
  if (lines.length > maxRules)
    throw new Error(`${file}: more than ${maxRules} patterns; use a map for a table of users`);
  const problems: string[] = [];
  const rules = format === 'postfix' ? postfixRules(lines, problems) : readEach(lines, problems, perditionRule);
  if (problems.length > 0) throw new Error(problems.map((problem) => `${file}:${problem}`).join('\n'));
  return rules;
}

function postfixRules(lines: readonly PatternLine[], problems: string[]): readonly PatternRule[] {
  const top: PatternRule[] = [];
  const open = [top];
  readEach(lines, problems, (text) => {
    const condition = /^if\s+(.*)$/s.exec(text)?.[1];
    if (condition !== undefined) {
      const inner: PatternRule[] = [];
      open.at(-1)?.push({ ...postfixPattern(condition).rule, leadsTo: inner });
      open.push(inner);
    } else if (!/^endif\b/.test(text)) {
      open.at(-1)?.push(postfixRule(text));
    } else if (open.length > 1) {
      open.pop();
    } else {
      throw new Error('endif without if');
    }
  });
  if (open.length > 1) problems.push(`${lines.at(-1)?.line}: an if has no endif`);
  return top;
}

/** Reads line by line; a line that cannot be read is noted with its number. */
function readEach<T>(lines: readonly PatternLine[], problems: string[], read: (text: string) => T): readonly T[] {
  return lines.flatMap(({ line, text }) => {
    try {
      return [read(text)];
    } catch (error) {
      if (problems.length < 10) problems.push(`${line}: ${error instanceof Error ? error.message : String(error)}`);
      return [];
    }
  });
}

/** The value for a name, its `$1` replaced by what the pattern captured; undefined if no rule matches. */
export function matchPatterns(rules: readonly PatternRule[], name: string): string | undefined {
  for (const { pattern, isNegated, leadsTo } of rules) {
    const matcher = pattern.matcher(name);
    if (matcher.find() === isNegated) continue;
    if (typeof leadsTo !== 'string') {
      const value = matchPatterns(leadsTo, name);
      if (value !== undefined) return value;
      continue;
    }
    if (isNegated) return leadsTo;
    return leadsTo.replace(/\$(?:\$|(\d)|\{(\d)\}|\((\d)\))/g, (_, ...groups: (string | undefined)[]) => {
      const number = groups.slice(0, 3).find((group) => group !== undefined);
      return number === undefined ? '$' : (matcher.group(Number(number)) ?? '');
    });
  }
  return undefined;
}

function postfixRule(text: string): PatternRule {
  const { rule, value } = postfixPattern(text);
  if (value === undefined || value === '') throw new Error('there is a pattern without a value');
  if (rule.isNegated && /\$[({]?\d/.test(value)) throw new Error('a negated pattern captures nothing to insert');
  checkGroups(rule.pattern, value);
  return { ...rule, leadsTo: value };
}

function postfixPattern(text: string): {
  readonly rule: Omit<PatternRule, 'leadsTo'>;
  readonly value: string | undefined;
} {
  const [whole, negation = '', , source = '', flags = '', value] = postfixForm.exec(text) ?? [];
  if (whole === undefined) throw new Error('write /pattern/flags value');
  return { rule: { pattern: compile(source, postfixFlags(flags)), isNegated: negation === '!' }, value };
}

/** Patterns of Postfix ignore case unless `i` switches that off. */
function postfixFlags(flags: string): number {
  let bits: number = RE2JS.CASE_INSENSITIVE;
  for (const flag of flags) {
    if (flag === 'i') bits ^= RE2JS.CASE_INSENSITIVE;
    else if (flag === 'm') bits ^= RE2JS.MULTILINE;
    else if (flag === 's') bits ^= RE2JS.DOTALL;
    else if (flag !== 'x') throw new Error(`the flag ${flag} is not known here: i, m and s are`);
    else throw new Error('the flag x means two things in Postfix: write the pattern without it');
  }
  return bits;
}

function perditionRule(text: string): PatternRule {
  const { pattern, value } = splitPerditionLine(text);
  const compiled = compile(pattern, 0);
  checkGroups(compiled, value);
  return { pattern: compiled, isNegated: false, leadsTo: value };
}

function compile(source: string, flags: number): RE2JS {
  try {
    return RE2JS.compile(source, flags);
  } catch (error) {
    const why = error instanceof Error ? error.message.replace('error parsing regexp: ', '') : String(error);
    throw new Error(`the pattern cannot be used: ${why}`, { cause: error });
  }
}

function checkGroups(pattern: RE2JS, value: string): void {
  for (const [, a, b, c] of value.replaceAll('$$', '').matchAll(/\$(?:(\d)|\{(\d)\}|\((\d)\))/g)) {
    const number = Number(a ?? b ?? c);
    if (number > pattern.groupCount()) throw new Error(`$${number} has no value: the pattern has no such group`);
  }
}

/** A line of a pattern file, continuations joined, and where it begins. */
interface PatternLine {
  readonly line: number;
  readonly text: string;
}

/**
 * Joins the lines of a Postfix table: empty lines and lines that begin with `#` are skipped, a line that begins with
 * white space continues the one before (regexp_table(5)).
 */
function postfixLines(text: string): readonly PatternLine[] {
  const joined: PatternLine[] = [];
  for (const [index, content] of text.split(/\r?\n/).entries()) {
    if (/^\s*(?:#|$)/.test(content)) continue;
    const before = joined.at(-1);
    if (!/^\s/.test(content)) joined.push({ line: index + 1, text: content.trimEnd() });
    else if (before === undefined)
      throw new Error(`line ${index + 1} begins with white space, but there is no line above to continue`);
    else joined.splice(-1, 1, { ...before, text: `${before.text} ${content.trim()}` });
  }
  return joined;
}

/** Joins the lines of Perdition's popmap.re: a line that ends in a backslash continues in the next. */
function perditionLines(text: string): readonly PatternLine[] {
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
 * literal and disappears, so that `\\.` is a literal full stop in the pattern and `\.` is any character; quotes do the
 * same for the text between them; `#` begins a comment; white space ends the pattern, with a colon before it or not.
 */
function splitPerditionLine(text: string): { readonly pattern: string; readonly value: string } {
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

const maxPatternBytes = 1 << 20;

/** A file of patterns as text, with U+FFFD in the place of bytes that are not UTF-8. */
interface PatternFile {
  readonly text: string;
  /** The lines that are not UTF-8, comments aside. */
  readonly problems: readonly EncodingProblem[];
}

/** Reads a file of at most 1 MiB. Rejects if it is larger, or UTF-16; the error names the file. */
async function readPatternText(file: string): Promise<PatternFile> {
  await using handle = await openNamedFile(file);
  const { size } = await handle.stat();
  if (size > maxPatternBytes) throw new Error(`${file}: larger than 1 MiB`);
  const bytes = await handle.readFile();
  const utf16 = whyUtf16(bytes);
  if (utf16 !== undefined) throw new Error(`${file}: ${utf16}`);
  return { text: bytes.toString('utf8').replace(/^\ufeff/, ''), problems: encodingProblems(bytes, 1) };
}
