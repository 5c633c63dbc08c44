import {
  Client,
  type Entry,
  Filter,
  FilterParser,
  NoSuchObjectError,
  ResultCodeError,
  SizeLimitExceededError,
} from 'ldapts';
import type { Secret } from '../../core/secret.ts';
import { shortLine } from '../../core/short-line.ts';
import { type AnswerKeys, readAnswerKeys, readAnswerObject, type ValueContext } from '../answers.ts';
import { createFailover } from '../server-failover.ts';
import { fillTemplate, readTemplate, readTls, type Settings, type Template } from '../settings.ts';
import { badAnswer, couldNotAsk, type SourceAnswer, type SourceDriver, unknownUser } from '../source.ts';

/** Result codes by which a server says that another one should be asked: busy, unavailable, unwilling. */
const elsewhere = new Set([51, 52, 53]);

/**
 * An LDAP directory: one search per user, whose entry has the home, and may have another name of the user, a reason to
 * refuse, and a role as staff.
 *
 * Bound connections are kept to the first of the servers that answers, as many as there are searches at once and at
 * most eight; TLS unless it is switched off. Referrals are not followed: references beside a complete search are no
 * answer, and a base that is referred elsewhere as a whole "could not be asked". Values go into the filter through one
 * escaping function (RFC 4515). Several entries, or several values, are a bad answer.
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

/** Bound connections to one server, over which searches are spread. */
interface LdapConnections {
  /** Whether one of them can still be searched on. */
  isUsable(): boolean;
  /** Runs on the connection that has the fewest searches under way. Rejects when none is left. */
  use<T>(search: (client: Client) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

const most = 8;

/**
 * The identity and the way to connect: the returned function reads what it needs and makes the one that connects to a
 * server, within `shareMs` for each step.
 */
function readConnecting(settings: Settings) {
  const bindDn = settings.optionalText('bind_dn') ?? '';
  const password: Secret | undefined = settings.secret('bind_password');
  const isPlain = settings.choice('tls', ['starttls', 'none'], 'starttls') === 'none';
  const tls = readTls(settings);
  if (bindDn !== '' && password === undefined) settings.problem('bind_password', 'is required with bind_dn');

  return async () => {
    const tlsFor = await tls.load();
    return (url: URL, shareMs: number): Promise<LdapConnections> =>
      openConnections(async () => {
        const options = tlsFor(url.hostname.replace(/^\[|\]$/g, ''));
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
  };
}

/**
 * Opens the first connection. Another one is opened beside, while searches go on, whenever none is free: nobody waits
 * for it, and a server that takes no more of them does its work with those it has.
 */
async function openConnections(connect: () => Promise<Client>): Promise<LdapConnections> {
  const underWay = new Map([[await connect(), 0]]);
  let growing: Promise<void> | undefined;
  let isClosed = false;

  function leastBusy(): readonly [client: Client, searches: number] | undefined {
    let best: readonly [Client, number] | undefined;
    for (const [client, searches] of underWay) {
      // Unbound, it would connect again by itself and search as nobody, who may be shown nothing.
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
      // There is at least one other, and the next search that finds none free tries again.
    } finally {
      growing = undefined;
    }
  }

  return {
    isUsable: () => leastBusy() !== undefined,
    async use(search) {
      const [client, searches] = leastBusy() ?? [];
      if (client === undefined || searches === undefined) throw new Error('the connection is closed');
      if (searches > 0 && underWay.size < most) growing ??= grow();
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
