import type { Backend, BackendHost, MailPorts } from '../core/backend.ts';
import type { DeliveryMap, DirectorySource } from '../core/directory.ts';
import {
  type BackendName,
  type CanonicalUser,
  domainOfUsers,
  type LoginNameParser,
  type LoginNameRules,
  splitLoginName,
} from '../core/names.ts';
import type { Placement } from '../core/placement.ts';
import { referredOnly } from './mail-routes.ts';

interface DeliveryDeps {
  readonly parseName: LoginNameParser;
  readonly directory: Pick<DirectorySource, 'lookup'>;
  readonly backends: ReadonlyMap<BackendName, Backend>;
  readonly placement: Pick<Placement, 'forSignIn' | 'activeHost'>;
  readonly nameRules: LoginNameRules;
  readonly service: {
    readonly ports: MailPorts;
    /** Mail domains of users, without aliases; undefined for all that the rules for names have. */
    readonly deliveryDomains?: readonly string[];
    /** Characters that begin the detail of an address. */
    readonly recipientDelimiter: string;
  };
}

/** For which addresses there are answers, and with which port. */
interface DeliverySettings extends Omit<DeliveryDeps, 'nameRules' | 'service'> {
  readonly domains: ReadonlySet<string | undefined>;
  readonly delimiters: string;
  readonly lmtpPort: number;
}

/**
 * What Postfix hears of a key. `foreign`: it is no address of the site's domains, so that no source was asked. `refused`:
 * the user is known and may not sign in, but no source names the home.
 */
export type DeliveryAnswer =
  | { readonly kind: 'found'; readonly value: string }
  | { readonly kind: 'unknown-user' | 'foreign' | 'closed' | 'refused' };

/** Answers for a key of a map. Rejects with a PosternError if it cannot be found out, which is never an answer. */
export type AskDelivery = (map: DeliveryMap, key: string, signal: AbortSignal) => Promise<DeliveryAnswer>;

/** The most that a key may have of UTF-8. An address has at most 254. */
const maxKeyBytes = 512;

/**
 * Answers the maps of Postfix, so that mail is delivered where its user reads it. Who may not sign in still gets mail:
 * refusals are about passwords.
 */
export function createDelivery({ nameRules, service, ...parts }: DeliveryDeps): AskDelivery {
  const { defaultDomain, domainAliases = {}, detailSeparator = '' } = nameRules;
  const known = [...(defaultDomain === undefined ? [] : [defaultDomain]), ...Object.values(domainAliases)];
  const deps = {
    ...parts,
    // The default domain may be an alias itself.
    domains: new Set((service.deliveryDomains ?? known).map((domain) => domainOfUsers(domain, nameRules))),
    delimiters: service.recipientDelimiter + detailSeparator,
    lmtpPort: service.ports.lmtp,
  };
  return async (map, key, signal) => {
    const address = readAddress(key, map, deps);
    if (address === undefined) return { kind: 'foreign' };
    const home = await deps.directory.lookup(address, signal);
    if (home.kind === 'referred') throw referredOnly(home.server.name);
    if (home.kind === 'unknown-user') return home;
    const at = home.kind === 'found' ? home : home.at;
    if (at === undefined) return { kind: 'refused' };
    if (map === 'users') return { kind: 'found', value: at.user };
    if (map === 'aliases') {
      // Postfix asks in lower case. An alias of itself would be none.
      return at.user === key.toLowerCase() ? { kind: 'unknown-user' } : { kind: 'found', value: at.user };
    }
    return nexthopOf(at, deps);
  };
}

/**
 * The user that a key of Postfix means; undefined if it is no address of the site: Postfix also asks for `domain`,
 * `.domain`, `@domain`, `user` and `*`.
 */
function readAddress(key: string, map: DeliveryMap, { parseName, domains, delimiters }: DeliverySettings) {
  const at = key.lastIndexOf('@');
  if (at < 1 || Buffer.byteLength(key) > maxKeyBytes) return undefined;
  const detailAt = beginOfDetail(key.slice(0, at), delimiters);
  // Postfix itself asks again without the detail, and adds it to the alias.
  if (detailAt !== -1 && map === 'aliases') return undefined;
  const plain = key.slice(0, detailAt === -1 ? at : detailAt);
  const parsed = parseName(`${plain}${key.slice(at)}`);
  if (parsed.kind === 'malformed') return undefined;
  return domains.has(splitLoginName(parsed.name).domain) ? parsed.name : undefined;
}

/** Where the detail of a local part begins, as for Postfix: at the first delimiter, but not at the first character. */
function beginOfDetail(local: string, delimiters: string): number {
  for (let at = 1; at < local.length; at += 1) if (delimiters.includes(local.charAt(at))) return at;
  return -1;
}

function nexthopOf(
  { user, backend: name }: { readonly user: CanonicalUser; readonly backend: BackendName },
  { backends, placement, lmtpPort }: DeliverySettings,
): DeliveryAnswer {
  const backend = backends.get(name);
  if (backend === undefined) throw new TypeError('the directory answered with a backend that is not configured');
  const place = placement.forSignIn(backend, user);
  if (place.kind === 'here') return { kind: 'found', value: lmtpAt(place.host, backend, lmtpPort) };
  const { kind } = place.closure;
  if (kind === 'maintenance' || kind === 'moving') return { kind: 'closed' };
  // Neither a webmail that is down nor a drain keeps mail away. A mail server that is down lets Postfix wait.
  return { kind: 'found', value: lmtpAt(placement.activeHost(backend), backend, lmtpPort) };
}

/** A transport with its next hop. Brackets: Postfix is to look up no MX record. */
function lmtpAt({ imap }: BackendHost, { mailPorts }: Backend, lmtpPort: number): string {
  return `lmtp:inet:[${imap.hostname}]:${mailPorts?.lmtp ?? lmtpPort}`;
}
