import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Clock } from '../core/clock.ts';

/** How long a form may stay open, and its cookie lives. */
export const formLifetimeMs = 2 * 60 * 60 * 1000;

/**
 * Whose page made a request, as far as the browser says: Sec-Fetch-Site decides where it is sent, else Origin, for
 * browsers leave Sec-Fetch-Site out over plain http. Nobody's page can act through a client that sends neither: there
 * the token alone decides.
 */
export function requestInitiator(headers: IncomingHttpHeaders, origin: string): 'own' | 'foreign' | 'unknown' {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin' ? 'own' : 'foreign';
  if (headers.origin !== undefined) return headers.origin === origin ? 'own' : 'foreign';
  return 'unknown';
}

/**
 * Makes and checks the tokens of our forms: a time and an HMAC over it and what the form is bound to.
 *
 * Nothing is stored, so every node knows every node's tokens. `keys` gives the shared keys: the first signs, all
 * verify.
 */
export interface FormTokens {
  issue(boundTo: string): string;
  check(token: unknown, boundTo: string): boolean;
  /** Whether it bears the time of a form that is not too old. Proves nothing: anybody can write such a text. */
  isRecent(token: unknown): boolean;
  /** A lasting mark of what it is bound to, which only the gateway can make or read. */
  mark(boundTo: string): string;
  isMark(mark: string, boundTo: string): boolean;
}

export function createFormTokens(keys: () => readonly KeyObject[], clock: Clock): FormTokens {
  function partsOf(token: unknown): { readonly issued: string; readonly mac: string } | undefined {
    const [, issued, mac] = (typeof token === 'string' && /^([0-9a-z]{1,11})\.([\w-]{43})$/.exec(token)) || [];
    if (issued === undefined || mac === undefined) return undefined;
    const ageMs = clock.nowMs() - Number.parseInt(issued, 36);
    // The clocks of two nodes may differ by a little.
    return ageMs > formLifetimeMs || ageMs < -60_000 ? undefined : { issued, mac };
  }

  function signingKey(): KeyObject {
    const [key] = keys();
    if (key === undefined) throw new TypeError('there is no key to sign forms with');
    return key;
  }

  return {
    issue(boundTo) {
      const issued = clock.nowMs().toString(36);
      return `${issued}.${sign(signingKey(), issued, boundTo)}`;
    },
    check(token, boundTo) {
      const parts = partsOf(token);
      if (parts === undefined) return false;
      const { issued, mac } = parts;
      return keys().some((key) => timingSafeEqual(Buffer.from(sign(key, issued, boundTo)), Buffer.from(mac)));
    },
    isRecent: (token) => partsOf(token) !== undefined,
    mark: (boundTo) => sign(signingKey(), 'mark', boundTo),
    isMark: (mark, boundTo) => keys().some((key) => sign(key, 'mark', boundTo) === mark),
  };
}

function sign(key: KeyObject, issued: string, boundTo: string): string {
  return createHmac('sha256', key)
    .update(JSON.stringify(['form', issued, boundTo]))
    .digest('base64url');
}
