import { createHash } from 'node:crypto';
import { domainToASCII } from 'node:url';

/** A login name after normalisation: lower case, with a domain, free of control and format characters. */
export type LoginName = string & { readonly __brand: 'LoginName' };

/** The one spelling of a user: a login name after aliases. Every key, log line and count uses it. */
export type CanonicalUser = LoginName & { readonly __canonical: true };

/** The name of a configured backend. Only the configuration turns it into addresses. */
export type BackendName = string & { readonly __brand: 'BackendName' };

/** The site's rules for login names. All are optional: without them a name is only brought into one spelling. */
export interface LoginNameRules {
  /** Appended to a name without a domain. If undefined, such a name stays as it is. */
  readonly defaultDomain?: string;
  /** Domains that are other names of a domain, for example `example.com` → `example.org`. */
  readonly domainAliases?: Readonly<Record<string, string>>;
  /** Windows domains, as in `EXAMPLE\alice`, and the domain that stands for each: `example` → `example.org`. */
  readonly windowsDomains?: Readonly<Record<string, string>>;
  /** Separator of a detail that is cut off the local part, for example `+` of `alice+lists`. */
  readonly detailSeparator?: string;
  /** Characters that no name may contain: the separators of master users, for example `*`. */
  readonly forbiddenCharacters?: string;
}

/** Why a name was refused before any server was asked. For the log; the page has one text for all of them. */
type MalformedWhy = 'empty' | 'too-long' | 'character' | 'forbidden-character' | 'domain';

/** A login name in its canonical form, or why the text cannot be one. */
export type ParsedLoginName =
  | { readonly kind: 'ok'; readonly name: LoginName }
  | { readonly kind: 'malformed'; readonly why: MalformedWhy };

/** Normalises what was typed by the site's rules for login names. */
export type LoginNameParser = (typed: string) => ParsedLoginName;

const maxNameBytes = 254;
/** Control, format, private, unassigned, surrogate, white space and invisible characters, and broken UTF-8. */
const unwanted = /[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\ufffd]/u;
const domainCharacters = /^[\p{L}\p{M}\p{N}._\-\u3002]+$/u;
const asciiDomain = /^(?=.{1,253}$)(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*$/;

/**
 * Makes the parser of login names, for what a person typed and for aliases that a source answered.
 *
 * A name becomes lower case, half width and composed (RFC 8265, UsernameCaseMapped, but each code point by itself, so
 * that a sigma does not depend on its place); the domain takes its ASCII form (IDNA). Parsing a result gives the same
 * result. White space around the name is dropped. White space inside it and invisible characters are refused. Throws a
 * TypeError if the rules name an impossible domain or an alias of an alias: check them with {@link normaliseDomain}.
 */
export function createLoginNameParser(rules: LoginNameRules): LoginNameParser {
  const defaultDomain = rules.defaultDomain === undefined ? undefined : ruleDomain(rules.defaultDomain);
  const aliases = new Map(
    Object.entries(rules.domainAliases ?? {}).map(([alias, domain]) => [ruleDomain(alias), ruleDomain(domain)]),
  );
  for (const domain of aliases.values()) {
    // Otherwise parsing a result again could give another name.
    if (aliases.has(domain)) throw new TypeError(`a domain alias must not lead to another alias: ${domain}`);
  }
  const windows = new Map(
    Object.entries(rules.windowsDomains ?? {}).map(([name, domain]) => [name.toLowerCase(), ruleDomain(domain)]),
  );
  const separator = rules.detailSeparator ?? '';
  const forbidden = Array.from(rules.forbiddenCharacters ?? '');

  return (typed) => {
    // Normalising costs time, and a text that is far too long cannot become a name.
    if (typed.length > 4 * maxNameBytes) return malformedName('too-long');
    const text = withoutWindowsDomain(foldCase(typed.trim()), windows);
    if (unwanted.test(text)) return malformedName('character');
    if (forbidden.some((character) => text.includes(character))) return malformedName('forbidden-character');

    const at = text.lastIndexOf('@');
    const local = withoutDetail(at === -1 ? text : text.slice(0, at), separator);
    if (local === '') return malformedName('empty');
    if (local.includes('@')) return malformedName('character');
    const domain = at === -1 ? defaultDomain : normaliseDomain(text.slice(at + 1));
    if (domain === undefined) return at === -1 ? accept(local) : malformedName('domain');
    return accept(`${local}@${aliases.get(domain) ?? domain}`);
  };
}

/** Returns the one spelling of a domain: lower case, ASCII, no final dot; undefined if the text is not a domain. */
export function normaliseDomain(text: string): string | undefined {
  const domain = foldCase(text).replace(/\.$/, '');
  if (!domainCharacters.test(domain)) return undefined;
  const ascii = domainToASCII(domain);
  // The URL parser reads 0x7f.1 as an address: what was ASCII must come back as it went in.
  if (/^[\0-\x7f]+$/.test(domain) && ascii !== domain) return undefined;
  return asciiDomain.test(ascii) ? ascii : undefined;
}

/** Returns the domain in the names of its users, with an alias replaced; undefined if the text is not a domain. */
export function domainOfUsers(text: string, { domainAliases = {} }: LoginNameRules): string | undefined {
  const domain = normaliseDomain(text);
  const behind = Object.entries(domainAliases).find(([alias]) => normaliseDomain(alias) === domain)?.[1];
  return behind === undefined ? domain : normaliseDomain(behind);
}

/** Splits a login name into its two halves; `domain` is empty for a name without one. */
export function splitLoginName(name: LoginName): { readonly local: string; readonly domain: string } {
  const at = name.lastIndexOf('@');
  return at === -1 ? { local: name, domain: '' } : { local: name.slice(0, at), domain: name.slice(at + 1) };
}

/**
 * Returns a user's name for one server, by a template with `%u` (the whole name), `%n` (without the domain), `%d` (the
 * domain) and `%%`, as in Dovecot. It is for that server alone; everything else uses the canonical user.
 */
export function nameForServer(user: CanonicalUser, template = '%u'): CanonicalUser {
  if (template === '%u') return user;
  const { local, domain } = splitLoginName(user);
  const parts: Readonly<Record<string, string>> = { u: user, n: local, d: domain };
  return canonicalUser(template.replace(/%([und%])/g, (_all, key: string) => parts[key] ?? '%'));
}

/**
 * Takes a text as a canonical user: one that the gateway stored, or that an operator wrote in the configuration. Throws
 * a TypeError if the text is empty or contains white space or control characters.
 */
export function canonicalUser(text: string): CanonicalUser {
  if (!isCanonicalUser(text)) throw new TypeError(`not a user: ${JSON.stringify(text)}`);
  return text;
}

/** Whether a text from outside, such as a key of the state store, can be a canonical user. */
export function isCanonicalUser(text: string): text is CanonicalUser {
  return /^[^\s\p{C}]+$/u.test(text);
}

function accept(text: string): ParsedLoginName {
  return isLoginName(text) ? { kind: 'ok', name: text } : malformedName('too-long');
}

function isLoginName(text: string): text is LoginName {
  return Buffer.byteLength(text) <= maxNameBytes;
}

function malformedName(why: MalformedWhy): ParsedLoginName {
  return { kind: 'malformed', why };
}

/** Turns `example\alice` into `alice@example.org` if a rule says so; a name with its own domain keeps that. */
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

/** The name of a session's record in the store: a keyed hash of the id that the cookie carries. */
export type RecordKey = string & { readonly __brand: 'RecordKey' };

/** The name of a user's index in the store: a keyed hash of the canonical user. */
export type UserKey = string & { readonly __brand: 'UserKey' };

const keyedHashText = /^[\w-]{43}$/;

/** Whether a text has the form of a record's name. */
export function isRecordKey(text: string): text is RecordKey {
  return keyedHashText.test(text);
}

/** Whether a text has the form of a user index's name. */
export function isUserKey(text: string): text is UserKey {
  return keyedHashText.test(text);
}

/** Crockford's alphabet, whose characters are not confused when read out. */
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** A new reference id such as `7K3F-9QXM`: 40 bits, shown to the user and written to the log. */
export function newReference(randomBytes: (size: number) => Uint8Array): string {
  let reference = '';
  for (const byte of randomBytes(8).subarray(0, 8)) {
    if (reference.length === 4) reference += '-';
    reference += alphabet.charAt(byte & 31);
  }
  return reference;
}

/** The id of a request, and the reference that its pages show, which follows from it. */
export interface RequestIds {
  readonly requestId: string;
  readonly reference: string;
}

/** The ids of a request for log lines and pages: a person can read out the reference, but not a proxy's id. */
export function requestIdsOf({ requestId }: { readonly requestId: string }): RequestIds {
  return { requestId, reference: newReference(() => createHash('sha256').update(requestId).digest()) };
}

/** Characters of a short session id. */
export const shortSessionIdChars = 8;

/**
 * The short form of a session's name, which log, lists and console show: the beginning of its keyed hash, without
 * hyphens that a command would take for an option.
 */
export function shortSessionId(key: RecordKey): string {
  return key.replace(/^-+/, '').slice(0, shortSessionIdChars);
}

/** The part of a session's record that its lines in the log tell of. */
interface LoggedRecord {
  readonly user: CanonicalUser;
  readonly backend: BackendName;
  readonly host: string;
  readonly clientAddress: string;
  readonly staff?: { readonly step: string };
  readonly impersonation?: { readonly actor: CanonicalUser };
}

/**
 * Who has a session, and from where, as its lines in the log say. Undefined for staff before their second factor: they
 * are not signed in.
 */
export function sessionFacts(key: RecordKey, record: LoggedRecord) {
  if (record.staff?.step === 'password') return undefined;
  const { user, clientAddress: client, impersonation, backend, host } = record;
  const actor = impersonation === undefined ? {} : { actor: impersonation.actor };
  return {
    session: shortSessionId(key),
    user,
    kind: impersonation !== undefined ? 'opened' : record.staff === undefined ? 'user' : 'console',
    ...actor,
    client,
    backend,
    host,
  };
}
