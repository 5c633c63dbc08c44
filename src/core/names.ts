import { domainToASCII } from 'node:url';

/** A login name after normalisation: lower case, with a domain, free of control and format characters. */
export type LoginName = string & { readonly __brand: 'LoginName' };

/** The one spelling of a user: a login name after aliases. Every key, log line and count uses it. */
export type CanonicalUser = LoginName & { readonly __canonical: true };

/** The name of a configured backend. Only the configuration turns it into addresses. */
export type BackendName = string & { readonly __brand: 'BackendName' };

/** How this site writes its users. All of it is optional: without rules a name is only brought into one spelling. */
export interface LoginNameRules {
  /** Put after a name that was typed without a domain. Without it such a name stays as it is. */
  readonly defaultDomain?: string;
  /** Domains that are other names of a domain, for example `example.com` → `example.org`. */
  readonly domainAliases?: Readonly<Record<string, string>>;
  /** Windows domains, as in `EXAMPLE\alice`, and the domain that stands for each: `example` → `example.org`. */
  readonly windowsDomains?: Readonly<Record<string, string>>;
  /** Cuts `+detail` off the local part, for example `+`. */
  readonly detailSeparator?: string;
  /** Characters that no name may hold: the separators of master users, for example `*`. */
  readonly forbiddenCharacters?: string;
}

/** Why a name was refused before anything was asked. For the log; the page has one text for all of them. */
type MalformedWhy = 'empty' | 'too-long' | 'character' | 'forbidden-character' | 'domain';

/** A login name in its canonical form, or why the text cannot be one. */
export type ParsedLoginName =
  | { readonly kind: 'ok'; readonly name: LoginName }
  | { readonly kind: 'malformed'; readonly why: MalformedWhy };

/** Normalises what was typed by the site's rules for login names. */
export type LoginNameParser = (typed: string) => ParsedLoginName;

const maxBytes = 254;
/** Control, format, private, unassigned, surrogates, white space, what renders as nothing, and broken UTF-8. */
const unwanted = /[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\ufffd]/u;
const domainCharacters = /^[\p{L}\p{M}\p{N}._\-\u3002]+$/u;
const asciiDomain = /^(?=.{1,253}$)(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*$/;

/**
 * Makes the one function that turns what a person typed, or an alias that a source answered, into a login name.
 *
 * Lower case, half width and composed (RFC 8265, UsernameCaseMapped, but each code point by itself, so that a sigma
 * does not depend on its place); the domain in its ASCII form (IDNA). The result of parsing a result is the same
 * result. White space around the name is dropped; inside it is refused, as is everything that cannot be seen. Throws a
 * TypeError when the rules themselves name an impossible domain or chain aliases: check them with
 * {@link normaliseDomain}.
 */
export function createLoginNameParser(rules: LoginNameRules): LoginNameParser {
  const defaultDomain = rules.defaultDomain === undefined ? undefined : ruleDomain(rules.defaultDomain);
  const aliases = new Map(
    Object.entries(rules.domainAliases ?? {}).map(([alias, domain]) => [ruleDomain(alias), ruleDomain(domain)]),
  );
  for (const domain of aliases.values()) {
    // Otherwise the result of parsing a result could be another name.
    if (aliases.has(domain)) throw new TypeError(`a domain alias must not lead to another alias: ${domain}`);
  }
  const windows = new Map(
    Object.entries(rules.windowsDomains ?? {}).map(([name, domain]) => [name.toLowerCase(), ruleDomain(domain)]),
  );
  const separator = rules.detailSeparator ?? '';
  const forbidden = Array.from(rules.forbiddenCharacters ?? '');

  return (typed) => {
    // What is far too long is not worth normalising.
    if (typed.length > 4 * maxBytes) return malformed('too-long');
    const text = withoutWindowsDomain(foldCase(typed.trim()), windows);
    if (unwanted.test(text)) return malformed('character');
    if (forbidden.some((character) => text.includes(character))) return malformed('forbidden-character');

    const at = text.lastIndexOf('@');
    const local = withoutDetail(at === -1 ? text : text.slice(0, at), separator);
    if (local === '') return malformed('empty');
    if (local.includes('@')) return malformed('character');
    const domain = at === -1 ? defaultDomain : normaliseDomain(text.slice(at + 1));
    if (domain === undefined) return at === -1 ? accept(local) : malformed('domain');
    return accept(`${local}@${aliases.get(domain) ?? domain}`);
  };
}

/** A domain in its one spelling: lower case, ASCII, no final dot; undefined if it cannot be one. */
export function normaliseDomain(text: string): string | undefined {
  const domain = foldCase(text).replace(/\.$/, '');
  if (!domainCharacters.test(domain)) return undefined;
  const ascii = domainToASCII(domain);
  // The URL parser reads 0x7f.1 as an address: what was ASCII must come back as it went in.
  if (/^[\0-\x7f]+$/.test(domain) && ascii !== domain) return undefined;
  return asciiDomain.test(ascii) ? ascii : undefined;
}

/** The domain under which its users are known: an alias replaced. Undefined when the text cannot be a domain. */
export function domainOfUsers(text: string, { domainAliases = {} }: LoginNameRules): string | undefined {
  const domain = normaliseDomain(text);
  const behind = Object.entries(domainAliases).find(([alias]) => normaliseDomain(alias) === domain)?.[1];
  return behind === undefined ? domain : normaliseDomain(behind);
}

/** A login name in its two halves; `domain` is empty for a name without one. */
export function splitLoginName(name: LoginName): { readonly local: string; readonly domain: string } {
  const at = name.lastIndexOf('@');
  return at === -1 ? { local: name, domain: '' } : { local: name.slice(0, at), domain: name.slice(at + 1) };
}

/**
 * A user's name as a server behind wants it: a template with `%u` (the whole name), `%n` (without the domain), `%d`
 * (the domain) and `%%`, as in Dovecot; the whole name where there is none.
 */
export function nameForServer(user: CanonicalUser, template = '%u'): CanonicalUser {
  if (template === '%u') return user;
  const { local, domain } = splitLoginName(user);
  const parts: Readonly<Record<string, string>> = { u: user, n: local, d: domain };
  return canonicalUser(template.replace(/%([und%])/g, (_all, key: string) => parts[key] ?? '%'));
}

/**
 * Takes a text for a canonical user that this gateway wrote down, or that an operator wrote as one. Throws a TypeError
 * for an empty text and for one with white space or control characters: no user has such a name.
 */
export function canonicalUser(text: string): CanonicalUser {
  if (!isCanonicalUser(text)) throw new TypeError(`not a user: ${JSON.stringify(text)}`);
  return text;
}

function isCanonicalUser(text: string): text is CanonicalUser {
  return /^[^\s\p{C}]+$/u.test(text);
}

function accept(text: string): ParsedLoginName {
  return isLoginName(text) ? { kind: 'ok', name: text } : malformed('too-long');
}

function isLoginName(text: string): text is LoginName {
  return Buffer.byteLength(text) <= maxBytes;
}

function malformed(why: MalformedWhy): ParsedLoginName {
  return { kind: 'malformed', why };
}

/** `example\alice` as `alice@example.org`, where a rule says so; a name with a domain of its own keeps that. */
function withoutWindowsDomain(text: string, windows: ReadonlyMap<string, string>): string {
  const at = text.indexOf('\\');
  const domain = at === -1 ? undefined : windows.get(text.slice(0, at));
  if (domain === undefined) return text;
  const name = text.slice(at + 1);
  return name === '' || name.includes('@') ? name : `${name}@${domain}`;
}

function withoutDetail(local: string, separator: string): string {
  const at = separator === '' ? -1 : local.indexOf(separator);
  return at <= 0 ? local : local.slice(0, at);
}

function ruleDomain(text: string): string {
  const domain = normaliseDomain(text);
  if (domain === undefined) throw new TypeError(`not a domain name: ${JSON.stringify(text)}`);
  return domain;
}

function foldCase(text: string): string {
  if (/^[\0-\x7f]*$/.test(text)) return text.toLowerCase();
  const halfWidth = text.replace(/[\uff01-\uffee]/g, (character) => character.normalize('NFKC'));
  return Array.from(halfWidth.normalize('NFC'), (codePoint) => codePoint.toLowerCase())
    .join('')
    .normalize('NFC');
}
