import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { RecordKey } from '../core/names.ts';
import type { KeyRing, ServerKey } from './key-derivation.ts';

const secureCookieName = '__Host-postern';
const plainCookieName = 'postern';

/** The names of the gateway's own cookies: none of them ever reaches a backend, and no backend may set one. */
export const ownCookieNames: ReadonlySet<string> = new Set([
  secureCookieName,
  plainCookieName,
  `${secureCookieName}-form`,
  `${plainCookieName}-form`,
  `${secureCookieName}-last`,
  `${plainCookieName}-last`,
  `${secureCookieName}-staff`,
  `${plainCookieName}-staff`,
]);

/** The name of the session cookie under a public URL. The prefix makes browsers refuse it from anyone but this host. */
export function sessionCookieName(secure: boolean): string {
  return secure ? secureCookieName : plainCookieName;
}

/** The flags of the session cookie. No expiry: it lives as long as the browser's own session. */
export function sessionCookieFlags(secure: boolean) {
  return { path: '/', httpOnly: true, secure, sameSite: 'lax' } as const;
}

/** A Set-Cookie line that removes the session cookie. Without its flags the browser would ignore it. */
export function clearedSessionCookie(secure: boolean): string {
  const flags = `Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly${secure ? '; Secure' : ''}; SameSite=Lax`;
  return `${sessionCookieName(secure)}=; ${flags}`;
}

/** A Cookie field, taken apart. */
export interface CookieField {
  /** The session cookie's value as it was sent; undefined if there is none, or if somebody planted a second one. */
  readonly own: string | undefined;
  /** The other pairs, byte for byte; empty when there are none. */
  readonly rest: string;
}

/**
 * Takes the gateway's own cookies out of a Cookie field.
 * `acceptPlain` says whether the name without prefix counts: only for requests that came by plain HTTP.
 */
export function readCookieField(field: string | undefined, acceptPlain: boolean): CookieField {
  if (field === undefined || field === '') return { own: undefined, rest: '' };
  const rest: string[] = [];
  const secure: string[] = [];
  const plain: string[] = [];
  for (const piece of field.split(';')) {
    const pair = withoutBlanks(piece);
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = withoutBlanks(equals === -1 ? pair : pair.slice(0, equals));
    if (!ownCookieNames.has(name)) rest.push(pair);
    else if (name === secureCookieName) secure.push(withoutBlanks(pair.slice(equals + 1)));
    else if (name === plainCookieName) plain.push(withoutBlanks(pair.slice(equals + 1)));
  }
  // A browser with both has visited both schemes; a cookie with the prefix cannot have been planted.
  const own = secure.length > 0 || !acceptPlain ? secure : plain;
  return { own: own.length === 1 ? own[0] : undefined, rest: rest.join('; ') };
}

/** The field without any session cookie: what our own pages see of a request with two of them. */
export function withoutSessionCookies(field: string): string {
  const kept = field.split(';').filter((piece) => {
    const name = withoutBlanks(piece.split('=', 1)[0] ?? '');
    return name !== secureCookieName && name !== plainCookieName;
  });
  return withoutBlanks(kept.join(';'));
}

/** Not `trim`, which takes a no-break space for a blank: in a cookie it is a byte like any other. */
function withoutBlanks(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, '');
}

/** The content of a genuine session cookie. */
export interface SessionCookie {
  readonly serverKey: ServerKey;
  readonly key: RecordKey;
  /** 256 bits that only the cookie holds: half of what opens the session's credentials. */
  readonly secret: string;
}

/** `foreign-key`: well formed, and signed under a server key that is not in the ring. */
export type CookieVerdict =
  | { readonly kind: 'genuine'; readonly cookie: SessionCookie }
  | { readonly kind: 'foreign-key'; readonly id: string }
  | { readonly kind: 'forged' };

const forged: CookieVerdict = { kind: 'forged' };
const randomPart = '[A-Za-z0-9_-]{43}';
const sessionIdText = new RegExp(`^([0-9a-f]{8})\\.(${randomPart})\\.(${randomPart})$`);
const signedText = new RegExp(`^s:([0-9a-f]{8}\\.${randomPart}\\.${randomPart})\\.([A-Za-z0-9+/]{43})$`);

/** The key that express-session signs with: the subkey of the key whose id stands in the value. */
export function signatureKey(serverKey: ServerKey): KeyObject {
  return serverKey.subkey('cookie signature');
}

/** A fresh value for the cookie, before it is signed: key id, session id and secret. */
export function makeSessionId(serverKey: ServerKey, randomBytes: (size: number) => Buffer): string {
  return [serverKey.id, randomBytes(32).toString('base64url'), randomBytes(32).toString('base64url')].join('.');
}

/** Reads an unsigned value, as express-session hands it around; undefined if it has another form or a foreign key. */
export function parseSessionId(ring: KeyRing, sessionId: string): SessionCookie | undefined {
  const [, keyId = '', id = '', secret = ''] = sessionIdText.exec(sessionId) ?? [];
  const serverKey = ring.find(keyId);
  if (serverKey === undefined) return undefined;
  // A copy: a session keeps it, and a part of a text keeps the whole text.
  return { serverKey, key: serverKey.recordKeyOf(id), secret: Buffer.from(secret, 'latin1').toString('latin1') };
}

/** Verifies the value that a browser sent: percent-encoded `s:<value>.<HMAC>`, as express-session writes it. */
export function verifySessionCookie(ring: KeyRing, sent: string): CookieVerdict {
  let text: string;
  try {
    text = decodeURIComponent(sent);
  } catch {
    // The value is not percent-encoding.
    return forged;
  }
  const [, value = '', signature = ''] = signedText.exec(text) ?? [];
  if (value === '') return forged;
  const cookie = parseSessionId(ring, value);
  if (cookie === undefined) return { kind: 'foreign-key', id: value.slice(0, value.indexOf('.')) };
  // cookie-signature, of express-session, writes base64 without padding. Both texts have 43 characters.
  const expected = createHmac('sha256', signatureKey(cookie.serverKey)).update(value).digest('base64').slice(0, 43);
  return timingSafeEqual(Buffer.from(expected), Buffer.from(signature)) ? { kind: 'genuine', cookie } : forged;
}
