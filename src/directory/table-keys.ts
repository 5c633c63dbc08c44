import { type LoginName, type LoginNameParser, normaliseDomain, splitLoginName } from '../core/names.ts';
import type { Meaning } from './answers.ts';
import type { Settings } from './settings.ts';

/** A key under which a table may have a user, and whether it stands for users that the table does not name. */
interface TableKey {
  readonly key: string;
  readonly byDefault: boolean;
}

/**
 * How a table has whole domains. `addresses`: as `@domain`. `domains`: also as Postfix's transport(5) does, `domain`,
 * and `.domain` for all below it. `parents`: the same with transport_maps in parent_domain_matches_subdomains, where
 * `domain` stands for all below it, too.
 */
type DomainKeys = 'addresses' | 'domains' | 'parents';

/**
 * The keys of a user in a table, the closest first: `alice@example.org`, then `alice` if that is the default domain,
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

/** One spelling of a table's key, by the rules of login names; undefined if it can be none. */
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

/** A table's settings for keys that stand for many users. */
interface DefaultKeys {
  readonly domains: DomainKeys;
  /** Whether an alias for all names of a domain is followed. */
  readonly followsCatchAll: boolean;
}

/** Reads `parent_domain_matches_subdomains` and `catch_all`. */
export function readDefaultKeys(settings: Settings, meaning: Meaning): DefaultKeys {
  const isParent = settings.flag('parent_domain_matches_subdomains', false);
  const followsCatchAll = settings.flag('catch_all', false);
  if (isParent && meaning !== 'transport')
    settings.problem('parent_domain_matches_subdomains', 'needs answers: transport');
  if (followsCatchAll && meaning !== 'user') settings.problem('catch_all', 'needs answers: user');
  return { domains: meaning !== 'transport' ? 'addresses' : isParent ? 'parents' : 'domains', followsCatchAll };
}

/**
 * Whether a value is the alias of any name at all: a mailbox that takes what is addressed to nobody is no other name of
 * everybody. `@domain` is none: there it is the same user.
 */
export function isCatchAll(value: string, meaning: Meaning): boolean {
  return meaning === 'user' && !value.startsWith('@');
}
