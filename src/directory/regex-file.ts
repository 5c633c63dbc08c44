import { RE2JS } from 're2js';
import { type PatternLine, perditionLines, postfixLines, splitPerditionLine } from './pattern-lines.ts';
import { readSmallFile } from './small-file.ts';

/** A pattern and what follows when it matches (or, negated, does not): a value, or further rules (`if` … `endif`). */
export interface PatternRule {
  readonly pattern: RE2JS;
  readonly isNegated: boolean;
  readonly leadsTo: string | readonly PatternRule[];
}

export type PatternFormat = 'postfix' | 'perdition';

const maxRules = 1000;
const postfixForm = /^(!?)\s*([^\s\w!])((?:\\.|(?!\2)[^\\])*)\2([a-zA-Z]*)(?:\s+(.*))?$/s;

/**
 * Reads a file of patterns: Postfix's regexp_table(5) and pcre_table(5) with `if`, `!` and flags, or Perdition's
 * popmap.re. The patterns are RE2's: matching takes time in proportion to the name, whatever the pattern, and what
 * cannot be matched so (references inside the pattern, lookaround) is refused here. Rejects with every place.
 */
export async function readPatternFile(file: string, format: PatternFormat): Promise<readonly PatternRule[]> {
  const { text, problems: unreadable } = await readSmallFile(file);
  if (unreadable.length > 0)
    throw new Error(
      unreadable
        .slice(0, 10)
        .map(({ line, why }) => `${file}:${line}: ${why}`)
        .join('\n'),
    );
  const lines = format === 'postfix' ? postfixLines(text) : perditionLines(text);
  if (lines.length === 0) throw new Error(`${file}: there is no pattern in this file`);
  if (lines.length > maxRules) throw new Error(`${file}: more than ${maxRules} patterns; a table of users is a map`);
  const problems: string[] = [];
  const rules = format === 'postfix' ? postfixRules(lines, problems) : each(lines, problems, perditionRule);
  if (problems.length > 0) throw new Error(problems.map((problem) => `${file}:${problem}`).join('\n'));
  return rules;
}

function postfixRules(lines: readonly PatternLine[], problems: string[]): readonly PatternRule[] {
  const top: PatternRule[] = [];
  const open = [top];
  each(lines, problems, (text) => {
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

/** Reads line by line; what is wrong with a line is noted with its number. */
function each<T>(lines: readonly PatternLine[], problems: string[], read: (text: string) => T): readonly T[] {
  return lines.flatMap(({ line, text }) => {
    try {
      return [read(text)];
    } catch (error) {
      if (problems.length < 10) problems.push(`${line}: ${error instanceof Error ? error.message : String(error)}`);
      return [];
    }
  });
}

/** The value for a name, its `$1` replaced by what the pattern captured; nothing when no rule matches. */
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
    if (number > pattern.groupCount()) throw new Error(`$${number} stands for nothing: the pattern has no such group`);
  }
}
