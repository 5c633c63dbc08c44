import { Secret } from '../core/secret.ts';

/** Name and password as they were sent. */
export interface BasicCredentials {
  readonly user: string;
  readonly password: Secret;
}

const form = /^basic +([A-Za-z0-9+/]+={0,2})$/i;
/** Enough for the longest name and password, in base64. */
const maxLength = 4096;

/**
 * The credentials in an Authorization field (RFC 7617); nothing when it is of another scheme or malformed.
 *
 * UTF-8, as the challenge asks for; bytes that are none are taken as Latin-1, which older clients send.
 */
export function parseBasic(field: string): BasicCredentials | undefined {
  if (field.length > maxLength) return undefined;
  const encoded = form.exec(field)?.[1];
  if (encoded === undefined) return undefined;
  const bytes = Buffer.from(encoded, 'base64');
  const utf8 = bytes.toString('utf8');
  const text = utf8.includes('\ufffd') ? bytes.toString('latin1') : utf8;
  const colon = text.indexOf(':');
  return colon === -1 ? undefined : { user: text.slice(0, colon), password: new Secret(text.slice(colon + 1)) };
}

/** The field that gives them to a backend. */
export function basicField(user: string, password: Secret): string {
  return `Basic ${Buffer.from(`${user}:${password.reveal()}`).toString('base64')}`;
}
