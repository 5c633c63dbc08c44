import { type LoginName, splitLoginName } from '../core/names.ts';
import type { FindHome } from './homes.ts';
import type { Settings } from './settings.ts';
import { badAnswer, type SourceAnswer } from './source.ts';

/**
 * How the values of a table are meant. `backend`: a backend's name, or a host, with or without a port. `perdition`: the
 * same, and `user@` may stand before it. `transport`: Postfix's transport(5), `lmtp:inet:[host]:24`. `user`: another
 * name of the user, as in virtual(5).
 */
const meanings = ['backend', 'perdition', 'transport', 'user'] as const;
export type Meaning = (typeof meanings)[number];

export function readMeaning(settings: Settings, otherwise: Meaning = 'backend'): Meaning {
  return settings.choice('answers', meanings, otherwise);
}

const maxLength = 512;
/** A backend's name or a host; the chain looks it up, so that its syntax need not be finer than this. */
const hostText =
  /^(?:\[(?:ipv6:)?([0-9A-Za-z.:_-]+)\]|([0-9A-Za-z._-]+))(?::(?:\d{1,5}|[A-Za-z][A-Za-z0-9-]{0,31}))?$/i;
const bareIPv6 = /^[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*$/;
/** Transports of Postfix whose "next hop" is a text for the sender, or nothing. */
const nowhere = /^(?:error|retry|discard)$/i;

/** Targets of aliases(5) that are no users: `|program`, `/file`, `:include:/list`, each also in quotes. */
const noUser = /^["|/:]/;

/** For whom a value was found, and how. */
export interface ValueContext {
  readonly name: LoginName;
  readonly findHome: FindHome;
  /** It stands for users that the table does not name. */
  readonly byDefault?: boolean;
}

/**
 * Makes an answer of a table's value; throws {@link badAnswer} when it cannot be one. A list of several users is a
 * distribution list and nobody's other name: the user is unknown to such a table. So is one whose mail goes to a
 * program or a file, or to a next hop that is no backend here.
 */
export function readValue(value: string, meaning: Meaning, context: ValueContext): SourceAnswer {
  const { name, byDefault = false } = context;
  // Not trim(): a line end inside a value is no white space around it.
  const text = value.replace(/^[ \t]+|[ \t]+$/g, '');
  if (text.length > maxLength) throw badAnswer(`a value of ${text.length} characters is no ${meaning}`);
  switch (meaning) {
    case 'user':
      if (/[\s,]/.test(text)) return { kind: 'unknown-user' };
      if (noUser.test(text))
        return { kind: 'unknown-user', why: 'the alias leads to a program, a file or a list, or is quoted' };
      // virtual(5): `@domain` is the same user in another domain. `\alice` is alice, and no alias of hers any more.
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
 * The home in `transport:nexthop` (transport(5)): the first of the next hops that is a backend here. Both parts may be
 * missing; without a next hop it is the user's domain, and `:` says nothing of where.
 */
function readTransport(text: string, { name, findHome, byDefault = false }: ValueContext): SourceAnswer {
  if (text === '' || /[\r\n\0]/.test(text))
    throw badAnswer('a value is no transport with a next hop, such as lmtp:[host]:24');
  const colon = text.indexOf(':');
  const transport = colon === -1 ? text : text.slice(0, colon);
  const nextHops = colon === -1 ? '' : text.slice(colon + 1).trim();
  if (nowhere.test(transport)) return { kind: 'unknown-user', why: `the transport ${transport} leads nowhere` };
  const { domain } = splitLoginName(name);
  // A text without a colon is the name of a transport; where it is that of a host here, that was meant.
  const hops =
    nextHops !== '' ? nextHops.split(/[\s,]+/) : transport === '' ? [] : [...(colon === -1 ? [text] : []), domain];
  for (const hop of hops) {
    const host = hostIn(hop.replace(/^inet:/i, ''));
    if (host !== undefined && findHome(host) !== undefined) return { kind: 'found', home: host, byDefault };
  }
  return { kind: 'unknown-user', why: 'the next hop is no backend here' };
}

/** The host of `host`, `host:port`, `[host]:port`, `[ipv6:address]` or a bare IPv6 address. */
export function readHost(text: string): string {
  const host = hostIn(text);
  if (host !== undefined) return host;
  const isTransport = /^[a-z][a-z0-9-]*:.*:/i.test(text);
  const remedy = isTransport ? '; if it is a transport of Postfix, write answers: transport' : '';
  throw badAnswer(`a value is neither the name of a backend nor a host${remedy}`);
}

/** As {@link readHost}; undefined for what is none. */
export function hostIn(text: string): string | undefined {
  if (text.length > maxLength) return undefined;
  if (bareIPv6.test(text)) return text;
  const [, bracketed, plain] = hostText.exec(text) ?? [];
  return bracketed ?? plain;
}
