import {
  type Client,
  type Entry,
  Filter,
  FilterParser,
  NoSuchObjectError,
  ResultCodeError,
  SizeLimitExceededError,
} from 'ldapts';
import { shortLine } from '../core/short-line.ts';
import { type AnswerKeys, readAnswerKeys, readAnswerObject } from './answer-object.ts';
import { createFailover } from './failover.ts';
import { readConnecting } from './ldap-connections.ts';
import type { Settings } from './settings.ts';
import { badAnswer, couldNotAsk, type SourceAnswer, type SourceDriver, unknownUser } from './source.ts';
import { fillTemplate, readTemplate, type Template } from './template.ts';
import type { ValueContext } from './value.ts';

/** Result codes by which a server says that another one should be asked: busy, unavailable, unwilling. */
const elsewhere = new Set([51, 52, 53]);

/**
 * An LDAP directory: one search per user, whose entry has the home, and may have another name of the user, a reason to
 * refuse, and a role as staff.
 *
 * Bound connections are kept to the first of the servers that answers, as many as there are searches at once and at
 * most eight; TLS unless it is switched off. Referrals are not followed: references beside a complete search are no
 * answer, and a base that is referred elsewhere as a whole "could not be asked". Values go into the filter through one escaping function (RFC 4515). Several entries,
 * or several values, are a bad answer.
 */
export const driver: SourceDriver = {
  configure(settings) {
    const search = readSearch(settings);
    const connectTo = readConnecting(settings);
    const urls = readUrls(settings);

    return async ({ label, timeoutMs, findHome }) => {
      const connections = createFailover({
        servers: urls,
        timeoutMs,
        label: (url) => `${label} ${url.host}`,
        open: await connectTo(),
        isUsable: (held) => held.isUsable(),
        close: (held) => held.close(),
      });
      return {
        ask(name, signal) {
          const filter = fillTemplate(search.filter, name, escapeFilter);
          return connections.use(
            (held) => held.use((client) => find(client, search, filter, { name, findHome })),
            signal,
          );
        },
        [Symbol.asyncDispose]: () => connections[Symbol.asyncDispose](),
      };
    };
  },
};

/** Escapes a value for a filter (RFC 4515). */
export function escapeFilter(value: string): string {
  return Filter.escape(value);
}

interface Search {
  readonly base: string;
  readonly scope: 'sub' | 'one' | 'base';
  readonly filter: Template;
  /** The attributes that an answer is made of. */
  readonly keys: AnswerKeys;
}

async function find(client: Client, search: Search, filter: string, context: ValueContext): Promise<SourceAnswer> {
  const { base, scope, keys } = search;
  const attributes = [keys.backend, keys.user, keys.refusal?.key, keys.role].filter((name) => name !== undefined);
  try {
    const options = { scope, filter, attributes: ['1.1', ...attributes], sizeLimit: 2 };
    // References to other servers (RFC 4511, 4.5.3) stand beside every answer of an Active Directory's domain root. The
    // search is complete all the same: what this server holds of the base, it has said.
    const { searchEntries } = await client.search(base, options);
    const [entry, ...others] = searchEntries;
    if (others.length > 0) throw badAnswer('the search found more than one entry');
    return entry === undefined ? unknownUser : readAnswerObject(rowOf(entry, attributes), keys, context);
  } catch (error) {
    if (!(error instanceof ResultCodeError) || elsewhere.has(error.code)) throw error;
    if (error instanceof SizeLimitExceededError) throw badAnswer('the search found more than one entry', error);
    const what = error instanceof NoSuchObjectError ? 'there is no such base' : shortLine(error.message);
    throw couldNotAsk(`the search was refused with ${error.code}: ${what}`, error);
  }
}

/** The values of an entry, under the names by which they were asked for: servers may spell an attribute otherwise. */
function rowOf(entry: Entry, attributes: readonly string[]): Readonly<Record<string, unknown>> {
  const values = new Map(Object.entries(entry).map(([name, value]) => [name.toLowerCase(), value]));
  return Object.fromEntries(
    attributes.map((attribute) => {
      const value = values.get(attribute.toLowerCase());
      if (Array.isArray(value) && value.length > 1) throw badAnswer(`the entry has ${attribute} more than once`);
      return [attribute, Array.isArray(value) ? value[0] : value];
    }),
  );
}

function readSearch(settings: Settings): Search {
  const filter = readTemplate(settings, 'filter');
  const sample = filter.parts.map((part) => (typeof part === 'string' ? part : 'x')).join('');
  try {
    FilterParser.parseString(sample);
  } catch {
    if (sample !== '') settings.problem('filter', 'write a filter such as (&(objectClass=inetOrgPerson)(mail=%u))');
  }
  return {
    base: settings.text('base'),
    scope: settings.choice('scope', ['sub', 'one', 'base'], 'sub'),
    filter,
    keys: readAnswerKeys(settings, 'attribute'),
  };
}

function readUrls(settings: Settings): readonly URL[] {
  const texts = settings.list('servers');
  const urls = texts.map((text) => URL.parse(text)).filter((url) => url !== null);
  if (urls.length === 0 || urls.length < texts.length || urls.some(({ protocol }) => !/^ldaps?:$/.test(protocol))) {
    settings.problem('servers', 'write ldap://host or ldaps://host, or a list of them');
  }
  return urls;
}
