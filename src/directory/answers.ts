import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import { PosternError } from '../core/error.ts';
import { type LoginName, splitLoginName } from '../core/names.ts';
import { oneOf, oneOrMore, section, textOrNumber } from '../schema/scalars.ts';
import { shown } from '../schema/value-parsers.ts';
import type { FindHome } from './backend-names.ts';
import { isRecord } from './settings.ts';
import { badAnswer, type SourceAnswer } from './source.ts';

/**
 * How the values of a table are meant. `backend`: a backend's name, or a host, with or without a port. `perdition`: the
 * same, and `user@` may stand before it. `transport`: Postfix's transport(5), `lmtp:inet:[host]:24`. `user`: another
 * name of the user, as in virtual(5).
 */
export const meanings = ['backend', 'perdition', 'transport', 'user'] as const;

/** What a source's values are: backends, hosts, or names to ask for again. */
export type Meaning = (typeof meanings)[number];

/** How values are meant. */
export function answers<const Meanings extends readonly [Meaning, ...Meaning[]]>(words: Meanings) {
  return oneOf(words, 'a meaning of values').describe(
    'How values are meant: `backend` (its name, or a host), `perdition` (`user@` may stand before the host), `transport` ' +
      '(Postfix’s `lmtp:inet:[host]:24`)' +
      (words.some((word) => word === 'user') ? ', `user` (another name of the user).' : '.'),
  );
}

const maxLength = 512;
/** A backend's name or a host; the chain looks it up, so that its syntax need not be finer than this. */
const hostText =
  /^(?:\[(?:ipv6:)?([0-9A-Za-z.:_-]+)\]|([0-9A-Za-z._-]+))(?::(?:\d{1,5}|[A-Za-z][A-Za-z0-9-]{0,31}))?$/i;
const bareIPv6 = /^[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*$/;
/** Transports of Postfix whose "next hop" is empty or a text for the sender. */
const nowhere = /^(?:error|retry|discard)$/i;

/** Targets of aliases(5) that are no users: `|program`, `/file`, `:include:/list`, each also in quotes. */
const noUser = /^["|/:]/;

/** For whom a value was found, and how. */
export interface ValueContext {
  readonly name: LoginName;
  readonly findHome: FindHome;
  /** The fallback for users whom the table does not name. */
  readonly byDefault?: boolean;
}

/**
 * Makes an answer of a table's value; throws {@link badAnswer} when it cannot be one. A list of several users is a
 * distribution list and nobody's other name: the user is unknown to such a table. So is one whose mail goes to a
 * program or a file, or to a next hop that is no backend here.
 */
export function readValue(value: string, meaning: Meaning, context: ValueContext): SourceAnswer {
  const { name, byDefault = false } = context;
  // Not trim(): a line end inside a value is no white space around it.
  const text = value.replace(/^[ \t]+|[ \t]+$/g, '');
  if (text.length > maxLength) throw badAnswer(`a value of ${text.length} characters is no ${meaning}`);
  switch (meaning) {
    case 'user':
      if (/[\s,]/.test(text)) return { kind: 'unknown-user' };
      if (noUser.test(text))
        return { kind: 'unknown-user', why: 'the alias leads to a program, a file or a list, or is quoted' };
      // virtual(5): `@domain` is the same user in another domain. `\alice` is alice, and no alias of hers any more.
      return {
        kind: 'found',
        user: text.startsWith('@') ? splitLoginName(name).local + text : text.replace(/^\\/, ''),
        byDefault,
      };
    case 'backend':
      return { kind: 'found', home: readHost(text), byDefault };
    case 'transport':
      return readTransport(text, context);
    case 'perdition': {
      const at = text.lastIndexOf('@');
      const home = readHost(text.slice(at + 1));
      return at <= 0 ? { kind: 'found', home, byDefault } : { kind: 'found', home, user: text.slice(0, at), byDefault };
    }
    default:
      return meaning satisfies never;
  }
}

/**
 * The home in `transport:nexthop` (transport(5)): the first of the next hops that is a backend here. Both parts may be
 * missing; without a next hop it is the user's domain, and `:` says nothing of where.
 */
function readTransport(text: string, { name, findHome, byDefault = false }: ValueContext): SourceAnswer {
  if (text === '' || /[\r\n\0]/.test(text))
    throw badAnswer('a value is no transport with a next hop, such as lmtp:[host]:24');
  const colon = text.indexOf(':');
  const transport = colon === -1 ? text : text.slice(0, colon);
  const nextHops = colon === -1 ? '' : text.slice(colon + 1).trim();
  if (nowhere.test(transport)) return { kind: 'unknown-user', why: `the transport ${transport} leads nowhere` };
  const { domain } = splitLoginName(name);
  // A text without a colon is the name of a transport; where it is that of a host here, that was meant.
  const hops =
    nextHops !== '' ? nextHops.split(/[\s,]+/) : transport === '' ? [] : [...(colon === -1 ? [text] : []), domain];
  for (const hop of hops) {
    const host = hostIn(hop.replace(/^inet:/i, ''));
    if (host !== undefined && findHome(host) !== undefined) return { kind: 'found', home: host, byDefault };
  }
  return { kind: 'unknown-user', why: 'the next hop is no backend here' };
}

/** The host of `host`, `host:port`, `[host]:port`, `[ipv6:address]` or a bare IPv6 address. */
export function readHost(text: string): string {
  const host = hostIn(text);
  if (host !== undefined) return host;
  const isTransport = /^[a-z][a-z0-9-]*:.*:/i.test(text);
  const remedy = isTransport ? '; if it is a transport of Postfix, write answers: transport' : '';
  throw badAnswer(`a value is neither the name of a backend nor a host${remedy}`);
}

/** As {@link readHost}; undefined for what is none. */
export function hostIn(text: string): string | undefined {
  if (text.length > maxLength) return undefined;
  if (bareIPv6.test(text)) return text;
  const [, bracketed, plain] = hostText.exec(text) ?? [];
  return bracketed ?? plain;
}

/**
 * Under which names an answer of several values has the home, another name of the user, a refusal, and a staff role.
 */
export interface AnswerKeys {
  readonly backend: string | undefined;
  readonly user: string | undefined;
  readonly refusal: Refusal | undefined;
  readonly role: string | undefined;
  /** How the value of `backend` is meant. */
  readonly meaning: Meaning;
}

/** Which value says whether the user may sign in. Words are in lower case. */
interface Refusal {
  readonly key: string;
  /** Only these refuse; undefined where the values are yes or no, or the reason. */
  readonly when?: ReadonlySet<string>;
  /** These mean "try again later". */
  readonly later: ReadonlySet<string>;
}

const withoutReason = 'This account may not sign in.';
const no = /^(?:no?|f|false|off|0|active|enabled|ok|0000-00-00\b.*)$/i;
const yes = /^(?:y|yes|t|true|on)$/i;
/** Numbers, and times as databases and directories write them: they are nothing to show to a user. */
const figures = /^(?:[-+]?\d+(?:\.\d+)?|\d{4}-\d\d-\d\d(?:[T ]\d.*)?|\d{8,14}(?:[.,]\d+)?(?:Z|[-+]\d{4}))$/;

/** What the values of an answer are called: keys of an object, columns of a row, attributes of an entry. */
type Named = 'key' | 'column' | 'attribute';

/** How the value that has the home is meant. */
export function homeAnswers() {
  return answers(['backend', 'perdition', 'transport']).prefault('backend');
}

/** Under which name an answer has one of its values. */
export function valueName(about: string) {
  return textOrNumber('a name', 'write the name of the value').optional().describe(about);
}

/** `refuse: { key: NAME, when: […], later: […] }`. Attributes have no usual names: theirs is required. */
export function refusal(what: Named) {
  const name = textOrNumber('a name', `write refuse: { ${what}: NAME, when: [locked, closed], later: [maintenance] }`);
  return section({
    [what]: (what === 'attribute' ? name : name.prefault('refuse')).describe('The name of the value.'),
    when: words('Only these words refuse; left out: a yes, or a reason.'),
    later: words('Words that mean "try again later".'),
  })
    .meta({ title: 'map' })
    .transform((given): Refusal => {
      const { [what]: key, when, later } = given;
      return {
        key: typeof key === 'string' ? key : '',
        ...(when instanceof Set ? { when } : {}),
        later: later instanceof Set ? later : new Set(),
      };
    })
    .optional()
    .describe(
      `Instead of \`refuse_${what}\`: \`{ ${what}, when: […], later: […] }\`; which words refuse, or mean "later".`,
    );
}

function words(about: string) {
  const word = z.union([z.string(), z.number(), z.boolean()], {
    error: (issue) => `${shown(issue.input)} is not a word: write a word, or a list of words`,
  });
  return oneOrMore(word, 'write a word, or a list of words')
    .transform((list): ReadonlySet<string> => new Set(list.map((word) => String(word).trim().toLowerCase())))
    .nullish()
    .describe(about);
}

/** Notes a refusal that is described twice. */
export function checkRefusal(what: Named) {
  return (settings: Readonly<Record<string, unknown>>, context: z.core.$RefinementCtx): void => {
    if (settings['refuse'] === undefined || settings[`refuse_${what}`] === undefined) return;
    context.addIssue({ code: 'custom', path: ['refuse'], message: `write this or refuse_${what}, not both` });
  };
}

/** A refusal by one value, which is a yes, a no or the reason. */
export function plainRefusal(key: string): Refusal {
  return { key, later: new Set() };
}

/**
 * Makes an answer of an object, a row or an entry. A refusal wins: its value is the reason, or yes or no in the ways of
 * SQL, LDAP and Dovecot's `nologin`, or one of the words that `refuse` lists. Without a home it says that the user
 * exists, or is another. Throws {@link badAnswer} when a value is not a text.
 */
export function readAnswerObject(
  answer: Readonly<Record<string, unknown>>,
  keys: AnswerKeys,
  context: ValueContext,
): SourceAnswer {
  const text = (key: string | undefined): string | undefined =>
    key !== undefined && Object.hasOwn(answer, key) ? textOf(answer[key], key) : undefined;
  if (keys.refusal !== undefined) {
    const refused = judge(text(keys.refusal.key), keys.refusal);
    if (refused !== undefined) return { ...refused, ...whereabouts() };
  }
  const found = readHome();
  if (found.kind !== 'found') return found;
  const role = text(keys.role);
  return { ...found, ...(role === undefined ? {} : { role: readRole(role) }) };

  function readHome(): SourceAnswer {
    const home = text(keys.backend);
    const user = text(keys.user);
    const found = home === undefined ? { kind: 'found' as const } : readValue(home, keys.meaning, context);
    return found.kind !== 'found' || user === undefined ? found : { ...found, user };
  }

  /** A refused user stays refused, whatever the home says. */
  function whereabouts(): { readonly home?: string; readonly user?: string } {
    try {
      const found = readHome();
      if (found.kind !== 'found') return {};
      const { home, user } = found;
      return { ...(home === undefined ? {} : { home }), ...(user === undefined ? {} : { user }) };
    } catch (error) {
      if (error instanceof PosternError) return {};
      throw error;
    }
  }
}

function judge(
  text: string | undefined,
  { when, later }: Refusal,
): { readonly kind: 'refused'; readonly reason: string } | { readonly kind: 'later' } | undefined {
  if (text === undefined) return undefined;
  const word = text.toLowerCase();
  if (later.has(word)) return { kind: 'later' };
  if (when !== undefined) return when.has(word) ? { kind: 'refused', reason: withoutReason } : undefined;
  if (no.test(text)) return undefined;
  return { kind: 'refused', reason: yes.test(text) || figures.test(text) ? withoutReason : text };
}

/**
 * The text of a value of any type that databases and directories have; undefined for NULL and for what is blank, as a
 * `char(n)` that is padded. Bytes are text where they can be, and else a number, as a `bit(1)`.
 */
function textOf(value: unknown, key: string): string | undefined {
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
  // MariaDB's 0000-00-00 is no date: nothing happened yet.
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? undefined : value.toISOString();
  if (value instanceof Uint8Array) return textOfBytes(Buffer.from(value), key);
  throw badAnswer(`${key} of the answer is ${isRecord(value) ? 'an object' : 'a list'}, and not a text`);
}

/** Not trim(): a line end inside a value is no white space around it. */
function withoutPadding(text: string): string | undefined {
  return text.replace(/^[ \t]+|[ \t\0]+$/g, '') || undefined;
}

function textOfBytes(bytes: Buffer, key: string): string | undefined {
  const text = withoutPadding(bytes.toString('utf8'));
  if (bytes.length === 0 || (text !== undefined && isUtf8(bytes) && !/\p{Cc}/u.test(text))) return text;
  if (bytes.length <= 8) return String(BigInt(`0x${bytes.toString('hex')}`));
  if (text === undefined) return undefined;
  throw badAnswer(`${key} of the answer is binary, and not a text`);
}

/** The name of a role as staff; throws {@link badAnswer} for what can be none. */
export function readRole(text: string): string {
  if (/^[^\p{C}]{1,64}$/u.test(text)) return text;
  throw badAnswer('a role is longer than 64 characters or holds control characters');
}
