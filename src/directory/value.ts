import { splitLoginName } from '../core/login-name.ts';
import type { LoginName } from '../core/names.ts';
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
const hostText = /^(?:\[([0-9A-Za-z.:_-]+)\]|([0-9A-Za-z._-]+))(?::(?:\d{1,5}|[a-z][a-z0-9-]{0,31}))?$/;
const bareIPv6 = /^[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*$/;

/**
 * Makes an answer of a table's value; throws {@link badAnswer} when it cannot be one. A list of several users is a
 * distribution list and nobody's other name: the user is unknown to such a table.
 */
export function readValue(value: string, meaning: Meaning, name: LoginName, byDefault = false): SourceAnswer {
  // Not trim(): a line end inside a value is no white space around it.
  const text = value.replace(/^[ \t]+|[ \t]+$/g, '');
  if (text.length > maxLength) throw badAnswer(`a value of ${text.length} characters is no ${meaning}`);
  switch (meaning) {
    case 'user':
      if (/[\s,]/.test(text)) return { kind: 'unknown-user' };
      // virtual(5): `@domain` is the same user in another domain.
      return { kind: 'found', user: text.startsWith('@') ? splitLoginName(name).local + text : text, byDefault };
    case 'backend':
      return { kind: 'found', home: readHost(text), byDefault };
    case 'transport': {
      const nextHop = /^[a-z0-9-]*:(?:inet:)?(.+)$/i.exec(text)?.[1];
      if (nextHop === undefined) throw badAnswer('a value is no transport with a next hop, such as lmtp:[host]:24');
      return { kind: 'found', home: readHost(nextHop), byDefault };
    }
    case 'perdition': {
      const at = text.lastIndexOf('@');
      const home = readHost(text.slice(at + 1));
      return at <= 0 ? { kind: 'found', home, byDefault } : { kind: 'found', home, user: text.slice(0, at), byDefault };
    }
    default:
      return meaning satisfies never;
  }
}

/** The host of `host`, `host:port`, `[host]:port` or a bare IPv6 address. */
export function readHost(text: string): string {
  if (bareIPv6.test(text)) return text;
  const [, bracketed, plain] = hostText.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || text.length > maxLength)
    throw badAnswer('a value is neither the name of a backend nor a host');
  return host;
}
