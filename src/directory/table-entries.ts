import type { z } from 'zod';
import { type LoginName, type LoginNameParser, normaliseDomain, splitLoginName } from '../core/names.ts';
import { oneOf, yesOrNo } from '../schema/scalars.ts';
import { badAnswer, type FindHome, type SourceAnswer } from './source.ts';

/**
 * The meanings that values of a table may have. `backend`: a backend's name, or a host, with or without a port.
 * `perdition`: the same, and `user@` may stand before it. `transport`: Postfix's transport(5), `lmtp:inet:[host]:24`.
 * `user`: another name of the user, as in virtual(5).
 */
export const meanings = ['backend', 'perdition', 'transport', 'user'] as const;

/** The meaning of a source's values: backends, hosts, or names to ask for again. */
export type Meaning = (typeof meanings)[number];

/** Schema of the setting `answers`. */
export function answers<const Meanings extends readonly [Meaning, ...Meaning[]]>(words: Meanings) {
  return oneOf(words, 'a meaning of values').describe(
    'The meaning of values: `backend` (its name, or a host), `perdition` (`user@` may stand before the host), `transport` ' +
      '(Postfix’s `lmtp:inet:[host]:24`)' +
      (words.some((word) => word === 'user') ? ', `user` (the user that this name is an alias of).' : '.'),
  );
}

const maxTableValueLength = 512;
/** A backend's name or a host. The chain looks it up, so that a finer syntax is not needed. */
const hostText =
  /^(?:\[(?:ipv6:)?([0-9A-Za-z.:_-]+)\]|([0-9A-Za-z._-]+))(?::(?:\d{1,5}|[A-Za-z][A-Za-z0-9-]{0,31}))?$/i;
const bareIPv6 = /^[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*$/;
/** Transports of Postfix whose "next hop" is empty or a text for the sender. */
const transportsToNowhere = /^(?:error|retry|discard)$/i;

/** Beginnings of aliases(5) targets that are no users: `|program`, `/file`, `:include:/list`, each also in quotes. */
const noUserTarget = /^["|/:]/;

/** The user whose value is read, and how the value was found. */
export interface ValueContext {
  readonly name: LoginName;
  readonly findHome: FindHome;
  /** The value is a default for users whom the table does not name. */
  readonly byDefault?: boolean;
}

/**
 * Turns a table's value into an answer; throws {@link badAnswer} if it cannot be one. A list of several users is a
 * distribution list and no alias: the user is unknown to such a table. A user is unknown, too, if the mail goes to a
 * program or a file, or to a next hop that is not a backend here.
 */
export function readValue(value: string, meaning: Meaning, context: ValueContext): SourceAnswer {
  const { name, byDefault = false } = context;
  // Not trim(): that would also drop line ends, which belong to a value.
  const text = value.replace(/^[ \t]+|[ \t]+$/g, '');
  if (text.length > maxTableValueLength) throw badAnswer(`a value of ${text.length} characters is no ${meaning}`);
  switch (meaning) {
    case 'user':
      if (/[\s,]/.test(text)) return { kind: 'unknown-user' };
      if (noUserTarget.test(text))
        return { kind: 'unknown-user', why: 'the alias leads to a program, a file or a list, or is quoted' };
      // virtual(5): `@domain` is the same user in another domain. `\alice` is alice without further aliases.
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
 * Reads `transport:nexthop` (transport(5)): the home is the first of the next hops that is a backend here. Both parts
 * may be missing: without a next hop it is the user's domain, and a lone `:` names no place.
 */
function readTransport(text: string, { name, findHome, byDefault = false }: ValueContext): SourceAnswer {
  if (text === '' || /[\r\n\0]/.test(text))
    throw badAnswer('a value is not a transport with a next hop, such as lmtp:[host]:24');
  const colon = text.indexOf(':');
  const transport = colon === -1 ? text : text.slice(0, colon);
  const nextHops = colon === -1 ? '' : text.slice(colon + 1).trim();
  if (transportsToNowhere.test(transport))
    return { kind: 'unknown-user', why: `the transport ${transport} leads nowhere` };
  const { domain } = splitLoginName(name);
  // A text without a colon is the name of a transport, or else of a host here.
  const hops =
    nextHops !== '' ? nextHops.split(/[\s,]+/) : transport === '' ? [] : [...(colon === -1 ? [text] : []), domain];
  for (const hop of hops) {
    const host = hostIn(hop.replace(/^inet:/i, ''));
    if (host !== undefined && findHome(host) !== undefined) return { kind: 'found', home: host, byDefault };
  }
  return { kind: 'unknown-user', why: 'the next hop is not a backend' };
}

/** Reads the host of `host`, `host:port`, `[host]:port`, `[ipv6:address]` or a bare IPv6 address; throws {@link badAnswer}. */
export function readHost(text: string): string {
  const host = hostIn(text);
  if (host !== undefined) return host;
  const isTransport = /^[a-z][a-z0-9-]*:.*:/i.test(text);
  const remedy = isTransport ? '; if it is a transport of Postfix, write answers: transport' : '';
  throw badAnswer(`a value is neither the name of a backend nor a host${remedy}`);
}

/** Like {@link readHost}, but undefined if the text is none of these. */
export function hostIn(text: string): string | undefined {
  if (text.length > maxTableValueLength) return undefined;
  if (bareIPv6.test(text)) return text;
  const [, inBrackets, plain] = hostText.exec(text) ?? [];
  return inBrackets ?? plain;
}

/** A key under which a table may have a user. */
interface TableKey {
  readonly key: string;
  /** Whether the key stands for users whom the table does not name. */
  readonly byDefault: boolean;
}

/**
 * How a table writes whole domains. `addresses`: as `@domain`. `domains`: also like Postfix's transport(5), `domain`,
 * and `.domain` for all below it. `parents`: like `domains`, but with transport_maps in
 * parent_domain_matches_subdomains, where `domain` stands for all below it, too.
 */
type DomainKeys = 'addresses' | 'domains' | 'parents';

/**
 * The keys of a user in a table, the closest first: `alice@example.org`, then `alice` if the domain is the default one,
 * `@example.org`, the domains if the table has them, `*`.
 */
export function tableKeys(
  name: LoginName,
  defaultDomain: string | undefined,
  domains: DomainKeys = 'addresses',
): readonly TableKey[] {
  const { local, domain } = splitLoginName(name);
  const keys: TableKey[] = [{ key: name, byDefault: false }];
  if (domain !== '' && domain === defaultDomain) keys.push({ key: local, byDefault: false });
  if (domain !== '') keys.push({ key: `@${domain}`, byDefault: true });
  if (domain !== '' && domains !== 'addresses') {
    keys.push({ key: domain, byDefault: true });
    for (let dot = domain.indexOf('.'); dot !== -1; dot = domain.indexOf('.', dot + 1)) {
      keys.push({ key: domain.slice(domains === 'parents' ? dot + 1 : dot), byDefault: true });
    }
  }
  keys.push({ key: '*', byDefault: true });
  return keys;
}

/** The one spelling of a table's key, by the rules of login names; undefined if it cannot be a key. */
export function foldTableKey(
  key: string,
  parse: LoginNameParser,
  domains: DomainKeys = 'addresses',
): string | undefined {
  if (domains !== 'addresses' && !key.includes('@')) {
    const domain = normaliseDomain(key.replace(/^\./, ''));
    if (domain !== undefined) return key.startsWith('.') ? `.${domain}` : domain;
  }
  if (!key.startsWith('@')) {
    const parsed = parse(key);
    return parsed.kind === 'ok' ? parsed.name : undefined;
  }
  const domain = normaliseDomain(key.slice(1));
  return domain === undefined ? undefined : `@${domain}`;
}

/** The settings of a table of users: how its values are meant, and which keys stand for many. */
export function tableSettings() {
  return {
    answers: answers(meanings).prefault('backend'),
    parent_domain_matches_subdomains: yesOrNo()
      .prefault(false)
      .describe('With `answers: transport`: a domain stands for all domains below it, too, as in Postfix.'),
    catch_all: catchAll(),
  };
}

/** Schema of the setting `catch_all`: whether an alias for all names of a domain is followed. */
export function catchAll() {
  return yesOrNo().prefault(false).describe('With `answers: user`: follow an alias for any name, as mail does.');
}

interface TableSettings {
  readonly answers: Meaning;
  readonly parent_domain_matches_subdomains: boolean;
  readonly catch_all: boolean;
}

/** Adds an issue for each setting of a table that its `answers` leaves without a meaning. */
export function checkTable(settings: TableSettings, context: z.core.$RefinementCtx): void {
  if (settings.parent_domain_matches_subdomains && settings.answers !== 'transport') {
    const message = 'needs answers: transport';
    context.addIssue({ code: 'custom', path: ['parent_domain_matches_subdomains'], message });
  }
  if (settings.catch_all && settings.answers !== 'user')
    context.addIssue({ code: 'custom', path: ['catch_all'], message: 'needs answers: user' });
}

/** How a table with these settings writes whole domains. */
export function domainKeysOf({ answers, parent_domain_matches_subdomains: isParent }: TableSettings): DomainKeys {
  return answers !== 'transport' ? 'addresses' : isParent ? 'parents' : 'domains';
}

/**
 * Whether a default value is an alias for any name at all. A mailbox that takes mail for unknown names is not an alias
 * of every user. `@domain` is harmless: it is the same user in another domain.
 */
export function isCatchAll(value: string, meaning: Meaning): boolean {
  return meaning === 'user' && !value.startsWith('@');
}
