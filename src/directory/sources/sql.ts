import type { LoginName } from '../../core/names.ts';
import { type AnswerKeys, readAnswerKeys, readAnswerObject, type ValueContext } from '../answers.ts';
import { parseTemplate, type Settings, type Template, type TemplateVariable, valueOf } from '../settings.ts';
import { badAnswer, type SourceAnswer, unknownUser } from '../source.ts';

/** A query with its values apart: nothing that a person typed ever becomes SQL. */
interface SqlQuery {
  readonly text: string;
  values(name: LoginName): readonly string[];
  read(rows: readonly unknown[], context: ValueContext): SourceAnswer;
}

/**
 * Reads `query`, whose `%u`, `%n` and `%d` become parameters, and the names of its columns. `placeholder` writes the
 * parameter of a number from 1.
 */
export function readQuery(settings: Settings, placeholder: (number: number) => string): SqlQuery {
  const source = settings.text('query');
  const keys = readAnswerKeys(settings, 'column');
  const template = parseTemplate(source);
  if (typeof template === 'string') settings.problem('query', template);
  else if (hasQuotedVariable(template))
    settings.problem('query', 'write %u, %n and %d without quotes: they are parameters');
  else if (source !== '' && !template.parts.some((part) => typeof part !== 'string')) {
    settings.problem('query', 'asks for no user: write %u, or %n and %d, where the name belongs');
  }
  const parts = typeof template === 'string' ? [] : template.parts;
  const variables: TemplateVariable[] = [];
  const text = parts.map((part) => {
    if (typeof part === 'string') return part;
    return placeholder(variables.push(part));
  });
  return {
    text: text.join(''),
    values: (name) => variables.map((variable) => valueOf(variable, name)),
    read: (rows, context) => readRows(rows, keys, context),
  };
}

function readRows(rows: readonly unknown[], keys: AnswerKeys, context: ValueContext): SourceAnswer {
  const [row, ...others] = rows;
  if (row === undefined) return unknownUser;
  if (others.length > 0) throw badAnswer('the query found more than one row');
  if (typeof row !== 'object' || row === null) throw badAnswer('the query found something that is no row');
  return readAnswerObject({ ...row }, keys, context);
}

function hasQuotedVariable({ parts }: Template): boolean {
  let quote = '';
  for (const part of parts) {
    if (typeof part !== 'string' && quote !== '') return true;
    // A quote inside a string is doubled in SQL: it closes the string and opens it again.
    for (const character of typeof part === 'string' ? part : '') {
      if (character === quote) quote = '';
      else if (quote === '' && /['"`]/.test(character)) quote = character;
    }
  }
  return false;
}
