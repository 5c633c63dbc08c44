import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import { PosternError } from '../core/error.ts';
import { defined } from '../core/objects.ts';
import { oneOrMore, section, textOrNumber } from '../schema/scalars.ts';
import { shownValue } from '../schema/value-parsers.ts';
import { isRecord } from './settings.ts';
import { badAnswer, type SourceAnswer } from './source.ts';
import { answers, type Meaning, readValue, type ValueContext } from './table-entries.ts';

/** The names of the values in an answer of several values: home, another name of the user, refusal, staff role. */
export interface AnswerKeys {
  readonly backend: string | undefined;
  readonly user: string | undefined;
  readonly refusal: RefusalRule | undefined;
  readonly role: string | undefined;
  /** The meaning of the value of `backend`. */
  readonly meaning: Meaning;
}

/** How a value says whether the user may sign in. Words are in lower case. */
interface RefusalRule {
  readonly key: string;
  /** Only these words refuse; undefined if the values are yes or no, or the reason. */
  readonly when?: ReadonlySet<string>;
  /** These words mean "try again later". */
  readonly later: ReadonlySet<string>;
}

const refusedWithoutReason = 'This account may not sign in.';
const no = /^(?:no?|f|false|off|0|active|enabled|ok|0000-00-00\b.*)$/i;
const yes = /^(?:y|yes|t|true|on)$/i;
/** Numbers, and times as databases and directories write them: no reasons to show to a user. */
const figures = /^(?:[-+]?\d+(?:\.\d+)?|\d{4}-\d\d-\d\d(?:[T ]\d.*)?|\d{8,14}(?:[.,]\d+)?(?:Z|[-+]\d{4}))$/;

/** The word for a value of an answer: keys of an object, columns of a row, attributes of an entry. */
type ValueNoun = 'key' | 'column' | 'attribute';

/** Schema of `answers` for a source whose answers have several values. */
export function homeAnswers() {
  return answers(['backend', 'perdition', 'transport']).prefault('backend');
}

/** Schema of a setting that names one of the values. */
export function valueName(about: string) {
  return textOrNumber('a name', 'write the name of the value').optional().describe(about);
}

/**
 * Schema of `refuse: { key: NAME, when: […], later: […] }`. The name is required for attributes, since they have no usual
 * names.
 */
export function refusalSetting(what: ValueNoun) {
  const name = textOrNumber('a name', `write refuse: { ${what}: NAME, when: [locked, closed], later: [maintenance] }`);
  return section({
    [what]: (what === 'attribute' ? name : name.prefault('refuse')).describe('The name of the value.'),
    when: refusalWords('Only these words refuse. Left out: a yes or a reason refuses.'),
    later: refusalWords('Words that mean "try again later".'),
  })
    .meta({ title: 'map' })
    .transform((given): RefusalRule => {
      const { [what]: key, when, later } = given;
      return {
        key: typeof key === 'string' ? key : '',
        ...defined({ when: when instanceof Set ? when : undefined }),
        later: later instanceof Set ? later : new Set(),
      };
    })
    .optional()
    .describe(
      `Instead of \`refuse_${what}\`: \`{ ${what}, when: […], later: […] }\`; which words refuse, or mean "try again later".`,
    );
}

function refusalWords(about: string) {
  const word = z.union([z.string(), z.number(), z.boolean()], {
    error: (issue) => `${shownValue(issue.input)} is not a word: write a word, or a list of words`,
  });
  return oneOrMore(word, 'write a word, or a list of words')
    .transform((list): ReadonlySet<string> => new Set(list.map((word) => String(word).trim().toLowerCase())))
    .nullish()
    .describe(about);
}

/** Adds an issue if both settings describe the refusal. */
export function checkRefusal(what: ValueNoun) {
  return (settings: Readonly<Record<string, unknown>>, context: z.core.$RefinementCtx): void => {
    if (settings['refuse'] === undefined || settings[`refuse_${what}`] === undefined) return;
    context.addIssue({ code: 'custom', path: ['refuse'], message: `write this or refuse_${what}, not both` });
  };
}

/** The rule for a value that is a yes, a no or the reason. */
export function plainRefusal(key: string): RefusalRule {
  return { key, later: new Set() };
}

/**
 * Turns an object, a row or an entry into an answer. A refusal wins: its value is the reason, or yes or no as SQL, LDAP
 * and Dovecot's `nologin` write them, or one of the words that `refuse` lists. An answer without a home says that the
 * user exists, or has another name. Throws {@link badAnswer} if a value is not a text.
 */
export function readAnswerObject(
  answer: Readonly<Record<string, unknown>>,
  keys: AnswerKeys,
  context: ValueContext,
): SourceAnswer {
  const text = (key: string | undefined): string | undefined =>
    key !== undefined && Object.hasOwn(answer, key) ? textOfValue(answer[key], key) : undefined;
  if (keys.refusal !== undefined) {
    const refused = judgeRefusal(text(keys.refusal.key), keys.refusal);
    if (refused !== undefined) return { ...refused, ...homeOfRefused() };
  }
  const found = readHome();
  if (found.kind !== 'found') return found;
  const role = text(keys.role);
  return role === undefined ? found : { ...found, role: readRole(role) };

  function readHome(): SourceAnswer {
    const home = text(keys.backend);
    const user = text(keys.user);
    const found = home === undefined ? { kind: 'found' as const } : readValue(home, keys.meaning, context);
    return found.kind !== 'found' || user === undefined ? found : { ...found, user };
  }

  /** Where a refused user lives; a home that cannot be read refuses the user all the same. */
  function homeOfRefused(): { readonly home?: string; readonly user?: string } {
    try {
      const found = readHome();
      if (found.kind !== 'found') return {};
      const { home, user } = found;
      return defined({ home, user });
    } catch (error) {
      if (error instanceof PosternError) return {};
      throw error;
    }
  }
}

function judgeRefusal(
  text: string | undefined,
  { when, later }: RefusalRule,
): { readonly kind: 'refused'; readonly reason: string } | { readonly kind: 'later' } | undefined {
  if (text === undefined) return undefined;
  const word = text.toLowerCase();
  if (later.has(word)) return { kind: 'later' };
  if (when !== undefined) return when.has(word) ? { kind: 'refused', reason: refusedWithoutReason } : undefined;
  if (no.test(text)) return undefined;
  return { kind: 'refused', reason: yes.test(text) || figures.test(text) ? refusedWithoutReason : text };
}

/**
 * The text of a value of any type that databases and directories have; undefined for NULL and for a blank value, such as
 * a padded `char(n)`. Bytes are text if they can be, else a number, such as a `bit(1)`.
 */
function textOfValue(value: unknown, key: string): string | undefined {
  switch (typeof value) {
    case 'string':
      return withoutPadding(value);
    case 'number':
    case 'bigint':
    case 'boolean':
      return String(value);
    default:
      if (value === undefined || value === null) return undefined;
  }
  // MariaDB's 0000-00-00 is not a date: the event has not happened yet.
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? undefined : value.toISOString();
  if (value instanceof Uint8Array) return textOfBytes(Buffer.from(value), key);
  throw badAnswer(`${key} of the answer is ${isRecord(value) ? 'an object' : 'a list'}, not a text`);
}

/** Not trim(): that would also drop line ends, which belong to a value. Undefined if only padding is left. */
function withoutPadding(text: string): string | undefined {
  return text.replace(/^[ \t]+|[ \t\0]+$/g, '') || undefined;
}

function textOfBytes(bytes: Buffer, key: string): string | undefined {
  const text = withoutPadding(bytes.toString('utf8'));
  if (bytes.length === 0 || (text !== undefined && isUtf8(bytes) && !/\p{Cc}/u.test(text))) return text;
  if (bytes.length <= 8) return String(BigInt(`0x${bytes.toString('hex')}`));
  if (text === undefined) return undefined;
  throw badAnswer(`${key} of the answer is binary, not a text`);
}

/** Reads the name of a role as staff; throws {@link badAnswer} if the text cannot be one. */
export function readRole(text: string): string {
  if (/^[^\p{C}]{1,64}$/u.test(text)) return text;
  throw badAnswer('a role is longer than 64 characters or holds control characters');
}
