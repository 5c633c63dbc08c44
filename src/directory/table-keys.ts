import type { z } from 'zod';
import { type LoginName, type LoginNameParser, normaliseDomain, splitLoginName } from '../core/names.ts';
import { yesOrNo } from '../schema/scalars.ts';
import { answers, type Meaning, meanings } from './answers.ts';

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

/** The settings of a table of users: how its values are meant, and which keys stand for many. */
export function tableSettings() {
  return {
    answers: answers(meanings).prefault('backend'),
    parent_domain_matches_subdomains: yesOrNo()
      .prefault(false)
      .describe('With `answers: transport`: a domain stands for all below it, too, as in Postfix.'),
    catch_all: catchAll(),
  };
}

/** Whether an alias for all names of a domain is followed. */
export function catchAll() {
  return yesOrNo().prefault(false).describe('With `answers: user`: follow an alias for any name at all, as mail does.');
}

interface TableSettings {
  readonly answers: Meaning;
  readonly parent_domain_matches_subdomains: boolean;
  readonly catch_all: boolean;
}

/** Notes settings of a table that have no meaning beside its `answers`. */
export function checkTable(settings: TableSettings, context: z.core.$RefinementCtx): void {
  if (settings.parent_domain_matches_subdomains && settings.answers !== 'transport') {
    const message = 'needs answers: transport';
    context.addIssue({ code: 'custom', path: ['parent_domain_matches_subdomains'], message });
  }
  if (settings.catch_all && settings.answers !== 'user')
    context.addIssue({ code: 'custom', path: ['catch_all'], message: 'needs answers: user' });
}

/** How a table with these settings has whole domains. */
export function domainKeysOf({ answers, parent_domain_matches_subdomains: isParent }: TableSettings): DomainKeys {
  return answers !== 'transport' ? 'addresses' : isParent ? 'parents' : 'domains';
}

/**
 * Whether a value is the alias of any name at all: a mailbox that takes what is addressed to nobody is no other name of
 * everybody. `@domain` is none: there it is the same user.
 */
export function isCatchAll(value: string, meaning: Meaning): boolean {
  return meaning === 'user' && !value.startsWith('@');
}
