import { CookieJar } from '../../src/core/cookie-jar.ts';
import type { CanonicalUser } from '../../src/core/names.ts';
import { Secret } from '../../src/core/secrets.ts';
import { signEntry } from '../../src/webmail/roundcube/entry.ts';

export const key = 'a-key-that-is-long-enough-for-it';

export interface Ask {
  readonly method?: string;
  readonly fields?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The user for whom the gateway signs; undefined for no signature. */
  readonly user?: string;
  readonly actor?: string;
  readonly signedWith?: string;
  readonly signedFor?: { readonly method: string; readonly target: string };
  readonly clockMs?: number;
}

export interface Seen {
  readonly status: number;
  readonly session: string | null;
  readonly refused: string | null;
  readonly location: string | null;
  readonly text: string;
}

/** Asks as the gateway does: with the cookies of one session, signed for each request, following no redirect. */
export function createAsking(origin: string, session = 'session-1') {
  let jar = new CookieJar(() => true);
  return {
    forgetCookies: () => {
      jar = new CookieJar(() => true);
    },
    ask: async (target: string, ask: Ask = {}): Promise<Seen> => {
      const method = ask.method ?? (ask.body === undefined ? 'GET' : 'POST');
      const cookie = jar.header(target, Date.now());
      const response = await fetch(origin + target, {
        method,
        redirect: 'manual',
        headers: {
          ...(cookie === '' ? {} : { cookie }),
          ...(ask.user === undefined ? {} : { 'x-postern-entry': entryFor(method, target, session, ask) }),
          ...(ask.body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
          ...ask.fields,
        },
        ...(ask.body === undefined ? {} : { body: ask.body }),
      });
      for (const line of response.headers.getSetCookie()) jar.absorb(line, target, Date.now());
      return {
        status: response.status,
        session: response.headers.get('x-postern-session'),
        refused: response.headers.get('x-postern-refused'),
        location: response.headers.get('location'),
        text: await response.text(),
      };
    },
  };
}

function entryFor(method: string, target: string, session: string, ask: Ask): string {
  const { user = '', actor, signedWith = key, signedFor = { method, target }, clockMs = Date.now() } = ask;
  const as = { user: canonical(user), timeZone: 'Europe/Berlin', session };
  const acting = actor === undefined ? as : { ...as, actor: canonical(actor) };
  return signEntry(new Secret(signedWith), signedFor, acting, { nowMs: () => clockMs });
}

export function canonical(user: string): CanonicalUser {
  return user as CanonicalUser;
}
