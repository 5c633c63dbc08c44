import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { RecordKey } from '../core/session.ts';

/** A server key as the sessions of staff use it. */
export interface StaffKey {
  readonly id: string;
  subkey(purpose: string): KeyObject;
  recordKeyOf(id: string): RecordKey;
}

/** The server keys of the moment: the promoted one signs, all verify. */
export interface StaffKeys {
  readonly promoted: StaffKey;
  find(id: string): StaffKey | undefined;
}

const secureName = '__Host-postern-staff';
const plainName = 'postern-staff';

/** The name of a staff session's cookie. The prefix makes browsers refuse it from anyone but this host. */
function staffCookieName(secure: boolean): string {
  return secure ? secureName : plainName;
}

/** A Set-Cookie line; without a value one that removes the cookie. No page of another site can make a browser send it. */
export function staffCookieLine(value: string | undefined, secure: boolean): string {
  const expires = value === undefined ? '; Expires=Thu, 01 Jan 1970 00:00:00 GMT' : '';
  return `${staffCookieName(secure)}=${value ?? ''}; Path=/; HttpOnly${secure ? '; Secure' : ''}; SameSite=Strict${expires}`;
}

/** A fresh cookie value and the name of its record. */
export function makeStaffCookie(
  { promoted }: StaffKeys,
  randomBytes: (size: number) => Buffer,
): { readonly value: string; readonly key: RecordKey } {
  const id = randomBytes(32).toString('base64url');
  return { value: `${promoted.id}.${id}.${signatureOf(promoted, id)}`, key: recordKeyOf(promoted, id) };
}

/** The name of the record to which a Cookie field leads; nothing for none, a forged one, or two. */
export function readStaffCookie(keys: StaffKeys, field: string | undefined, secure: boolean): RecordKey | undefined {
  const prefix = `${staffCookieName(secure)}=`;
  const values = (field ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(prefix));
  const [only = ''] = values;
  const [, keyId = '', id = '', signature = ''] =
    /^([0-9a-f]{8})\.([\w-]{43})\.([\w-]{43})$/.exec(only.slice(prefix.length)) ?? [];
  const key = keys.find(keyId);
  if (values.length !== 1 || key === undefined) return undefined;
  const isGenuine = timingSafeEqual(Buffer.from(signature), Buffer.from(signatureOf(key, id)));
  return isGenuine ? recordKeyOf(key, id) : undefined;
}

/** No id of a webmail session holds a blank: the two kinds never share a name. */
function recordKeyOf(key: StaffKey, id: string): RecordKey {
  return key.recordKeyOf(`staff ${id}`);
}

function signatureOf(key: StaffKey, id: string): string {
  return createHmac('sha256', key.subkey('staff cookie')).update(id).digest('base64url');
}
