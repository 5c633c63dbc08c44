import type { z } from 'zod';
import type { LoginName } from '../../core/names.ts';
import { leaf, oneOf, textOrNumber, wrappedSecret } from '../../schema/scalars.ts';
import { read, type Reading, wrong } from '../../schema/value-parsers.ts';
import { type AnswerKeys, homeAnswers, plainRefusal, readAnswerObject, refusalSetting, valueName } from '../answers.ts';
import {
  parseTemplate,
  serverAddress,
  oneOrMoreServers,
  type Template,
  type TemplateVariable,
  tlsSettings,
  valueOf,
} from '../settings.ts';
import { badAnswer, type SourceAnswer, unknownUser } from '../source.ts';
import type { ValueContext } from '../table-entries.ts';

/** A query and its parameters: text that a person typed never becomes SQL. */
interface SqlQuery {
  readonly text: string;
  values(name: LoginName): readonly string[];
  read(rows: readonly unknown[], context: ValueContext): SourceAnswer;
}

/** How many connections a source keeps to a database. */
export const databasePoolSize = 8;

/** The settings of a database; each column has a usual name. */
export function databaseSettings(port: number) {
  return {
    servers: oneOrMoreServers(serverAddress(port)).describe(
      '`host`, `host:port` or a socket (`unix:/run/…`). The one that answered last is asked first, the others if it fails.',
    ),
    tls: oneOf(['required', 'none'] as const)
      .prefault('required')
      .describe('`required`: TLS or no connection. `none`: without TLS. A socket needs no TLS.'),
    ...tlsSettings(),
    database: textOrNumber('the name of a database', 'write the name of the database').describe('The database.'),
    user: textOrNumber('a user', 'write the user of the database').describe('The user of the database.'),
    password: wrappedSecret().optional().describe('The password.'),
    query: leaf({ what: 'a query', remedy: queryRemedy, parse: readSqlQuery }).describe(
      'The query. `%u`, `%n`, `%d` become parameters: write them without quotes, and double any other per cent sign.',
    ),
    backend_column: valueName('The column with the home. Default: `backend`.'),
    user_column: valueName('The column with the user’s canonical name. Default: `user`.'),
    refuse_column: valueName('The column that says whether the user is refused. Default: `refuse`.'),
    refuse: refusalSetting('column'),
    role_column: valueName('The column with the role of a member of staff; `role` when left out.'),
    answers: homeAnswers(),
  };
}

const queryRemedy = 'write a query such as SELECT backend FROM users WHERE user = %u';

function readSqlQuery(written: string): Reading<Template> {
  if (written === '') return wrong(`is empty: ${queryRemedy}`);
  const parsed = parseTemplate(written);
  if (typeof parsed === 'string') return wrong(parsed);
  if (hasQuotedVariable(parsed)) return wrong('write %u, %n and %d without quotes: they are parameters');
  return parsed.parts.some((part) => typeof part !== 'string')
    ? read(parsed)
    : wrong('contains no user: write %u, or %n and %d, in place of the name');
}

type QuerySettings = Pick<
  z.output<z.ZodObject<ReturnType<typeof databaseSettings>>>,
  'query' | 'backend_column' | 'user_column' | 'refuse_column' | 'refuse' | 'role_column' | 'answers'
>;

/** Compiles the query of the settings; `placeholder` writes the parameter with a number, from 1. */
export function compileQuery(settings: QuerySettings, placeholder: (number: number) => string): SqlQuery {
  const keys: AnswerKeys = {
    backend: settings.backend_column ?? 'backend',
    user: settings.user_column ?? 'user',
    refusal: settings.refuse ?? plainRefusal(settings.refuse_column ?? 'refuse'),
    role: settings.role_column ?? 'role',
    meaning: settings.answers,
  };
  const variables: TemplateVariable[] = [];
  const text = settings.query.parts.map((part) =>
    typeof part === 'string' ? part : placeholder(variables.push(part)),
  );
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
  if (typeof row !== 'object' || row === null) throw badAnswer('the query returned something other than a row');
  return readAnswerObject({ ...row }, keys, context);
}

function hasQuotedVariable({ parts }: Template): boolean {
  let quote = '';
  for (const part of parts) {
    if (typeof part !== 'string' && quote !== '') return true;
    // SQL doubles a quote inside a string, which closes the string and opens it again.
    for (const character of typeof part === 'string' ? part : '') {
      if (character === quote) quote = '';
      else if (quote === '' && /['"`]/.test(character)) quote = character;
    }
  }
  return false;
}
