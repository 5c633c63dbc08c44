import { type LoginNameParser, normaliseDomain, splitLoginName } from '../core/login-name.ts';
import type { LoginName } from '../core/names.ts';

/** A key under which a table may have a user, and whether it stands for users that the table does not name. */
export interface TableKey {
  readonly key: string;
  readonly byDefault: boolean;
}

/**
 * The keys of a user in a table, the closest first: `alice@example.org`, then `alice` if that is the default domain,
 * `@example.org`, `*`.
 */
export function tableKeys(name: LoginName, defaultDomain: string | undefined): readonly TableKey[] {
  const { local, domain } = splitLoginName(name);
  const keys: TableKey[] = [{ key: name, byDefault: false }];
  if (domain !== '' && domain === defaultDomain) keys.push({ key: local, byDefault: false });
  if (domain !== '') keys.push({ key: `@${domain}`, byDefault: true });
  keys.push({ key: '*', byDefault: true });
  return keys;
}

/** One spelling of a table's key, by the rules of login names; nothing when it can be none. */
export function foldTableKey(key: string, parse: LoginNameParser): string | undefined {
  if (!key.startsWith('@')) {
    const parsed = parse(key);
    return parsed.kind === 'ok' ? parsed.name : undefined;
  }
  const domain = normaliseDomain(key.slice(1));
  return domain === undefined ? undefined : `@${domain}`;
}
