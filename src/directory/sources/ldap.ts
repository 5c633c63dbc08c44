import {
  Client,
  type Entry,
  Filter,
  FilterParser,
  NoSuchObjectError,
  ResultCodeError,
  SizeLimitExceededError,
} from 'ldapts';
import type { z } from 'zod';
import type { Secret } from '../../core/secrets.ts';
import { shortLine } from '../../core/text.ts';
import { leaf, oneOf, textOrNumber, wrappedSecret } from '../../schema/scalars.ts';
import { read, type Reading, shownValue, wrong } from '../../schema/value-parsers.ts';
import {
  type AnswerKeys,
  checkRefusal,
  homeAnswers,
  plainRefusal,
  readAnswerObject,
  refusalSetting,
  valueName,
} from '../answers.ts';
import { ServerFailover } from '../server-failover.ts';
import {
  defineSource,
  fillTemplate,
  oneOrMoreServers,
  parseTemplate,
  sourceSettings,
  type Template,
  tlsFor,
  type TlsSettings,
  tlsSettings,
} from '../settings.ts';
import { badAnswer, couldNotAsk, type SourceAnswer, unknownUser } from '../source.ts';
import type { ValueContext } from '../table-entries.ts';

const ldapServerRemedy = 'write ldap://host or ldaps://host';
const filterRemedy = 'write a filter such as (&(objectClass=inetOrgPerson)(mail=%u))';

/** Result codes that tell to ask another server: busy, unavailable, unwilling. */
const askAnotherCodes = new Set([51, 52, 53]);

/**
 * An LDAP directory: one search per user, whose entry has the home, and may have another name of the user, a reason to
 * refuse, and a role as staff.
 *
 * Bound connections are kept to the first of the servers that answers, one for each search at a time and at most eight;
 * TLS unless it is switched off. Referrals are not followed: references beside a complete search are ignored, and a
 * base that is referred elsewhere as a whole "could not be asked". Values go into the filter through one escaping
 * function (RFC 4515). Several entries, or several values, are a bad answer.
 */
export const driver = defineSource({
  about: 'An LDAP server.',
  settings: sourceSettings({
    servers: oneOrMoreServers(
      leaf({
        what: 'an LDAP server',
        remedy: ldapServerRemedy,
        examples: ['ldaps://ldap.example.org'],
        parse: readLdapServer,
      }),
    ).describe(
      '`ldap://host:port` or `ldaps://host:port`. The one that answered last is asked first, the others if it fails.',
    ),
    tls: oneOf(['starttls', 'none'] as const)
      .prefault('starttls')
      .describe('With `ldap://`: TLS or no connection. `none`: without TLS, for loopback.'),
    ...tlsSettings(),
    bind_dn: textOrNumber('a DN', 'write a DN such as cn=postern,dc=example,dc=org')
      .optional()
      .describe('The DN that searches; anonymous when left out.'),
    bind_password: wrappedSecret().optional().describe('The password of `bind_dn`.'),
    base: textOrNumber('a DN', 'write a DN such as ou=people,dc=example,dc=org').describe(
      'The DN below which users are searched.',
    ),
    scope: oneOf(['sub', 'one', 'base'] as const)
      .prefault('sub')
      .describe('How deep to search below `base`.'),
    filter: leaf({ what: 'a filter', remedy: filterRemedy, examples: ['(mail=%u)'], parse: readFilter }).describe(
      'The filter, with `%u`, `%n`, `%d`, which are escaped as in RFC 4515.',
    ),
    backend_attribute: valueName(
      'The attribute with the home. Left out, or missing in an entry: the user exists, and a later source says where.',
    ),
    user_attribute: valueName('The attribute with the user’s canonical name; without a home it makes an alias.'),
    refuse_attribute: valueName('The attribute with the reason why the user may not sign in.'),
    refuse: refusalSetting('attribute'),
    role_attribute: valueName('The attribute with the role of a member of staff; one value.'),
    answers: homeAnswers(),
  })
    .superRefine(checkRefusal('attribute'))
    .superRefine(checkBinding, { when: () => true }),
  async create(settings, { label, timeoutMs, findHome }) {
    const search = searchOf(settings);
    const { servers } = settings;

    const connections = new ServerFailover({
      servers,
      timeoutMs,
      label: (url) => `${label} ${url.host}`,
      open: await connectorFor(settings),
      isUsable: (held) => held.isUsable(),
      close: (held) => held.close(),
    });
    return {
      ask(name, signal) {
        const filter = fillTemplate(search.filter, name, escapeFilter);
        return connections.use(
          (held) => held.use((client) => searchUser(client, search, filter, { name, findHome })),
          signal,
        );
      },
      [Symbol.asyncDispose]: () => connections[Symbol.asyncDispose](),
    };
  },
});

/** Escapes a value for a filter (RFC 4515). */
export function escapeFilter(value: string): string {
  return Filter.escape(value);
}

/** The search that finds a user. */
interface Search {
  readonly base: string;
  readonly scope: 'sub' | 'one' | 'base';
  readonly filter: Template;
  /** The attributes of an answer. */
  readonly keys: AnswerKeys;
}

async function searchUser(
  client: Client,
  search: Search,
  filter: string,
  context: ValueContext,
): Promise<SourceAnswer> {
  const { base, scope, keys } = search;
  const attributes = [keys.backend, keys.user, keys.refusal?.key, keys.role].filter((name) => name !== undefined);
  try {
    const options = { scope, filter, attributes: ['1.1', ...attributes], sizeLimit: 2 };
    // Every answer for an Active Directory's domain root has references to other servers (RFC 4511, 4.5.3). The search
    // is complete all the same: this server has returned all that it holds of the base.
    const { searchEntries } = await client.search(base, options);
    const [entry, ...others] = searchEntries;
    if (others.length > 0) throw badAnswer('the search found more than one entry');
    return entry === undefined ? unknownUser : readAnswerObject(rowOf(entry, attributes), keys, context);
  } catch (error) {
    if (!(error instanceof ResultCodeError) || askAnotherCodes.has(error.code)) throw error;
    if (error instanceof SizeLimitExceededError) throw badAnswer('the search found more than one entry', error);
    const what = error instanceof NoSuchObjectError ? 'the base does not exist' : shortLine(error.message);
    throw couldNotAsk(`the search was refused with ${error.code}: ${what}`, error);
  }
}

/** The values of an entry under the names that were asked for: servers may spell an attribute otherwise. */
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

function checkBinding({ bind_dn, bind_password }: ConnectSettings, context: z.core.$RefinementCtx): void {
  if (bind_dn === undefined || bind_password !== undefined) return;
  const message = 'is missing: bind_dn needs one; write { file: NAME }';
  context.addIssue({ code: 'custom', path: ['bind_password'], message });
}

function readLdapServer(written: string): Reading<URL> {
  const url = URL.parse(written);
  if (url === null || !/^ldaps?:$/.test(url.protocol)) {
    return wrong(`${shownValue(written)} is not an LDAP server: ${ldapServerRemedy}`);
  }
  return read(url);
}

function readFilter(written: string): Reading<Template> {
  if (written === '') return wrong(`is empty: ${filterRemedy}`);
  const template = parseTemplate(written);
  if (typeof template === 'string') return wrong(template);
  try {
    FilterParser.parseString(template.parts.map((part) => (typeof part === 'string' ? part : 'x')).join(''));
    return read(template);
  } catch {
    return wrong(`${shownValue(written)} is not a filter: ${filterRemedy}`);
  }
}

interface SearchSettings extends Pick<Search, 'base' | 'scope' | 'filter'> {
  readonly backend_attribute?: string | undefined;
  readonly user_attribute?: string | undefined;
  readonly refuse_attribute?: string | undefined;
  readonly refuse?: AnswerKeys['refusal'];
  readonly role_attribute?: string | undefined;
  readonly answers: AnswerKeys['meaning'];
}

function searchOf({ base, scope, filter, ...settings }: SearchSettings): Search {
  const { refuse_attribute: reason } = settings;
  const keys: AnswerKeys = {
    backend: settings.backend_attribute,
    user: settings.user_attribute,
    refusal: settings.refuse ?? (reason === undefined ? undefined : plainRefusal(reason)),
    role: settings.role_attribute,
    meaning: settings.answers,
  };
  return { base, scope, filter, keys };
}

/** Bound connections to one server, over which searches are spread. */
interface LdapConnections {
  /** Whether one of them can still be searched on. */
  isUsable(): boolean;
  /** Runs on the connection that has the fewest searches under way. Rejects when none is left. */
  use<T>(search: (client: Client) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

const maxSearchConnections = 8;

interface ConnectSettings extends TlsSettings {
  readonly tls: 'starttls' | 'none';
  readonly bind_dn?: string | undefined;
  readonly bind_password?: Secret | undefined;
}

/** Makes the function that connects to a server; each step may take `shareMs`. Reads the file of authorities. */
async function connectorFor(settings: ConnectSettings) {
  const { bind_dn: bindDn = '', bind_password: password } = settings;
  const isPlain = settings.tls === 'none';
  const tlsOf = await tlsFor(settings);
  return (url: URL, shareMs: number): Promise<LdapConnections> =>
    openConnections(async () => {
      const options = tlsOf(url.hostname.replace(/^\[|\]$/g, ''));
      const client = new Client({
        url: `${url.protocol}//${url.host}`,
        timeout: shareMs,
        connectTimeout: shareMs,
        ...(url.protocol === 'ldaps:' ? { tlsOptions: options } : {}),
      });
      try {
        if (url.protocol === 'ldap:' && !isPlain) await client.startTLS(options);
        await client.bind(bindDn, password?.reveal() ?? '');
        return client;
      } catch (error) {
        await client.unbind().catch(() => {});
        throw error;
      }
    });
}

/**
 * Opens the first connection. Whenever none is free, one more is opened while searches go on. No search waits for it: a
 * server that accepts no more connections serves those that it has.
 */
async function openConnections(connect: () => Promise<Client>): Promise<LdapConnections> {
  const underWay = new Map([[await connect(), 0]]);
  let growing: Promise<void> | undefined;
  let isClosed = false;

  function leastBusy(): readonly [client: Client, searches: number] | undefined {
    let best: readonly [Client, number] | undefined;
    for (const [client, searches] of underWay) {
      // Unbound, the client would connect again by itself and search anonymously, which may find nothing.
      if (!client.isConnected || !client.isBound) underWay.delete(client);
      else if (best === undefined || searches < best[1]) best = [client, searches];
    }
    return best;
  }

  async function grow(): Promise<void> {
    try {
      const client = await connect();
      if (isClosed) await client.unbind();
      else underWay.set(client, 0);
    } catch {
      // Searches go on over the others; the next one that finds none free tries again.
    } finally {
      growing = undefined;
    }
  }

  return {
    isUsable: () => leastBusy() !== undefined,
    async use(search) {
      const [client, searches] = leastBusy() ?? [];
      if (client === undefined || searches === undefined) throw new Error('the connection is closed');
      if (searches > 0 && underWay.size < maxSearchConnections) growing ??= grow();
      underWay.set(client, searches + 1);
      try {
        return await search(client);
      } finally {
        const others = underWay.get(client);
        if (others !== undefined) underWay.set(client, others - 1);
      }
    },
    async close() {
      isClosed = true;
      await Promise.all([growing, ...[...underWay.keys()].map((client) => client.unbind())]);
    },
  };
}
