import { createHash, createHmac, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';
import { type CanonicalUser, isRecordKey, isUserKey, type RecordKey, type UserKey } from '../core/names.ts';

/** The purpose of sealed text, part of its key and of its authenticated data. */
export type SealPurpose = 'credentials' | 'jar';

/**
 * One of the secrets that all nodes share, and the keys derived from it.
 *
 * The 32 bytes themselves are never used: each purpose has a subkey of its own (HKDF-SHA256, RFC 5869), so that a
 * weakness in one use opens no other.
 */
export interface ServerKey {
  /** Eight hexadecimal digits; stands in each cookie. */
  readonly id: string;
  /** Tells two keys apart, and reveals neither. */
  readonly fingerprint: string;
  /** A subkey for a purpose of another part, such as `form token`. The same purpose gives the same 32 bytes. */
  subkey(purpose: string): KeyObject;
  /** The store's name for the session with this id. */
  recordKeyOf(id: string): RecordKey;
  /** The name of a user's index. */
  userKeyOf(user: CanonicalUser): UserKey;
  /** The key that seals the secrets of one session: derived from the cookie's secret as well as the server's. */
  sealKeyOf(cookieSecret: string, purpose: SealPurpose): KeyObject;
}

/** The keys in use: the promoted key seals and signs, all open and verify. A ring is never changed, only replaced. */
export interface KeyRing {
  readonly promoted: ServerKey;
  /** The promoted one first. */
  readonly all: readonly ServerKey[];
  find(id: string): ServerKey | undefined;
}

const derivedBytes = 32;

/** Returns a key object: Node handles bytes five times as slowly, and a log cannot print a key object. */
function derive(secret: Buffer, info: string): KeyObject {
  const derived = hkdfSync('sha256', createSecretKey(secret), 'postern', info, derivedBytes);
  return createSecretKey(Buffer.from(derived));
}

/** Derives all of a key's uses from its 32 random bytes. */
export function createServerKey(id: string, secret: Buffer): ServerKey {
  const subkeys = new Map<string, KeyObject>();
  const subkey = (purpose: string): KeyObject => {
    const known = subkeys.get(purpose);
    if (known !== undefined) return known;
    const fresh = derive(secret, `subkey ${purpose}`);
    subkeys.set(purpose, fresh);
    return fresh;
  };
  const sealHalf = subkey('seal').export();
  const keyedHash = (purpose: string, text: string): string =>
    createHmac('sha256', subkey(purpose)).update(text).digest('base64url');
  return {
    id,
    fingerprint: createHash('sha256').update(subkey('fingerprint').export()).digest('hex').slice(0, 16),
    subkey,
    recordKeyOf(sessionId) {
      const key = keyedHash('record key', sessionId);
      if (!isRecordKey(key)) throw new TypeError('a keyed hash has 43 characters');
      return key;
    },
    userKeyOf(user) {
      const key = keyedHash('user key', user);
      if (!isUserKey(key)) throw new TypeError('a keyed hash has 43 characters');
      return key;
    },
    sealKeyOf(cookieSecret, purpose) {
      return derive(Buffer.concat([sealHalf, Buffer.from(cookieSecret, 'base64url')]), `seal ${purpose}`);
    },
  };
}

/** Makes a ring of keys; throws a TypeError if `promotedId` is the id of none of them. */
export function createKeyRing(keys: readonly ServerKey[], promotedId: string): KeyRing {
  const byId = new Map(keys.map((key) => [key.id, key]));
  const promoted = byId.get(promotedId);
  if (promoted === undefined) throw new TypeError('the promoted key is not among the keys');
  return {
    promoted,
    all: [promoted, ...keys.filter((key) => key !== promoted)],
    find: (id) => byId.get(id),
  };
}
