import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  type KeyObject,
  randomBytes as systemRandomBytes,
  timingSafeEqual,
} from 'node:crypto';
import { inspect } from 'node:util';

/**
 * A value that must never be printed: a password, a key, the credential of a store.
 *
 * It is wrapped where it is parsed and opened only where it is used. String conversion, JSON and `util.inspect`, and
 * therefore every log and error message, show `[secret]`.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** Returns the wrapped value. Call it as late as possible, and never to build a message. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [inspect.custom](): string {
    return '[secret]';
  }
}

const algorithm = 'aes-256-gcm';
/** Version of the format; the MAC covers it. */
const sealVersion = '1';
const nonceBytes = 12;
const tagBytes = 16;

/**
 * Seals a text with AES-256-GCM: `1.`, then nonce, ciphertext and tag in base64url. It opens only for the same `owner`,
 * whose parts JSON keeps apart.
 *
 * The nonce is random: a key seals far fewer texts than the 2^32 that NIST SP 800-38D allows for one.
 */
export function sealText(
  key: KeyObject,
  plain: string,
  owner: readonly (string | number)[],
  randomBytes: (size: number) => Buffer = systemRandomBytes,
): string {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv(algorithm, key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(vouchedFor(owner));
  const parts = [nonce, cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()];
  return `${sealVersion}.${Buffer.concat(parts).toString('base64url')}`;
}

/** Opens a sealed text; undefined if it was changed, has another version or belongs to another owner. */
export function openSealedText(
  key: KeyObject,
  sealed: string,
  owner: readonly (string | number)[],
): string | undefined {
  if (!sealed.startsWith(`${sealVersion}.`)) return undefined;
  const bytes = Buffer.from(sealed.slice(sealVersion.length + 1), 'base64url');
  if (bytes.length < nonceBytes + tagBytes) return undefined;
  const decipher = createDecipheriv(algorithm, key, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes });
  decipher.setAAD(vouchedFor(owner));
  decipher.setAuthTag(bytes.subarray(-tagBytes));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(nonceBytes, -tagBytes)), decipher.final()]).toString('utf8');
  } catch {
    // Node throws for a wrong tag.
    return undefined;
  }
}

function vouchedFor(owner: readonly (string | number)[]): Buffer {
  return Buffer.from(JSON.stringify([sealVersion, ...owner]));
}

/** A server key, as far as it vouches for texts. */
export interface VouchingKey {
  readonly id: string;
  subkey(purpose: string): KeyObject;
}

/** The current server keys: the promoted one vouches, all verify. */
export interface VouchingKeys {
  readonly promoted: VouchingKey;
  find(id: string): VouchingKey | undefined;
}

/** The kind of a stored text. It is part of the key, so that a text of one kind never passes as another. */
type VouchedKind = 'state entry' | 'recent sign-in';

/**
 * The result of reading a stored text. `foreign-key`: it names an unknown key, so it cannot be judged yet. `none`: it
 * was changed, belongs to another owner, or nobody vouched for it; `text` is what it says without its voucher.
 */
type ReadText =
  | { readonly kind: 'genuine'; readonly keyId: string; readonly text: string }
  | { readonly kind: 'foreign-key'; readonly keyId: string }
  | { readonly kind: 'none'; readonly text: string };

/** A JSON object whose last member is the voucher. 0.1.0 reads such a text as the object that it is. */
const vouchedObject = /^(\{|\{.*,)"vouched":"([0-9a-f]{8})\.([\w-]{43})"\}$/s;
/** Any other text, behind its voucher. */
const vouchedText = /^([0-9a-f]{8})\.([\w-]{43})\.(.*)$/s;

/**
 * Vouches for a text: KEY and MAC, where the MAC is HMAC-SHA-256 over `owner` and the text as a JSON list. They are the
 * last member of a JSON object, and stand as `KEY.MAC.` before another text. Somebody who can write to the store can
 * remove such a text or put back an older one of the same owner, and no more than that.
 */
export function vouchFor(key: VouchingKey, kind: VouchedKind, owner: readonly string[], text: string): string {
  const voucher = `${key.id}.${vouchingMac(key, kind, owner, text)}`;
  if (!/^\{.*\}$/s.test(text)) return `${voucher}.${text}`;
  const members = text.slice(0, -1);
  return `${members}${members === '{' ? '' : ','}"vouched":"${voucher}"}`;
}

/** Reads a stored text and checks its MAC. */
export function readVouched(
  keys: Pick<VouchingKeys, 'find'>,
  kind: VouchedKind,
  owner: readonly string[],
  stored: string,
): ReadText {
  const { text, keyId, mac } = splitVouched(stored);
  if (keyId === undefined || mac === undefined) return { kind: 'none', text };
  const key = keys.find(keyId);
  if (key === undefined) return { kind: 'foreign-key', keyId };
  const isGenuine = timingSafeEqual(Buffer.from(vouchingMac(key, kind, owner, text)), Buffer.from(mac));
  return isGenuine ? { kind: 'genuine', keyId, text } : { kind: 'none', text };
}

function splitVouched(stored: string): { readonly text: string; readonly keyId?: string; readonly mac?: string } {
  const [, members, keyId, mac] = vouchedObject.exec(stored) ?? [];
  if (members !== undefined && keyId !== undefined && mac !== undefined) {
    return { text: `${members === '{' ? '{' : members.slice(0, -1)}}`, keyId, mac };
  }
  const [, behindKeyId, behindMac, text] = vouchedText.exec(stored) ?? [];
  if (behindKeyId === undefined || behindMac === undefined || text === undefined) return { text: stored };
  return { text, keyId: behindKeyId, mac: behindMac };
}

function vouchingMac(key: VouchingKey, kind: VouchedKind, owner: readonly string[], text: string): string {
  return createHmac('sha256', key.subkey(kind))
    .update(JSON.stringify([...owner, text]))
    .digest('base64url');
}

/** What a client of the operators' API may do. `read`: only GET; `lock`: only locks; `operator`: everything. */
export const apiRoles = ['read', 'lock', 'operator'] as const;

/** A token of the operators' API, as the configuration names it. */
export interface ApiToken {
  /** The client's name in the audit. */
  readonly name: string;
  /** Of {@link apiTokenHash}. */
  readonly hash: string;
  readonly role: (typeof apiRoles)[number];
  /** Refused from this time on, in milliseconds since the epoch; never if undefined. */
  readonly expiresMs?: number;
}

/**
 * The hash of a token of the operators' API. One round of SHA-256 is enough, since a token is 256 random bits and no
 * password that could be guessed; a slow hash would let strangers keep the gateway busy.
 */
export function apiTokenHash(token: string): string {
  return `sha256:${createHash('sha256').update(token).digest('base64url')}`;
}

/** Whether a text has the form of such a hash. */
export function isApiTokenHash(text: string): boolean {
  return /^sha256:[\w-]{43}$/.test(text);
}

/** Makes a token of the operators' API. Its beginning tells people, and programs that look for secrets, what it is. */
export function makeApiToken(randomBytes: (size: number) => Buffer = systemRandomBytes): Secret {
  return new Secret(`postern_${randomBytes(32).toString('base64url')}`);
}

/** Whether two hashes are the same. The time that it takes says nothing of where they differ. */
export function isSameTokenHash(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)];
  return left.length === right.length && timingSafeEqual(left, right);
}
