import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';

/** One of the server keys that all nodes share, as far as it vouches for texts. */
export interface VouchingKey {
  readonly id: string;
  subkey(purpose: string): KeyObject;
}

/** The server keys of the moment: the promoted one vouches, all verify. */
export interface VouchingKeys {
  readonly promoted: VouchingKey;
  find(id: string): VouchingKey | undefined;
}

/** What a stored text is: part of its key. Text of one kind is none of another. */
type VouchedKind = 'state entry' | 'recent sign-in';

/** What came of a stored text. `foreign-key`: it names a key that is not among these, and nobody can say yet. */
type ReadText =
  | { readonly kind: 'genuine'; readonly keyId: string; readonly text: string }
  | { readonly kind: 'foreign-key'; readonly keyId: string }
  | { readonly kind: 'none' };

const vouchedForm = /^([0-9a-f]{8})\.([\w-]{43})\.(.*)$/s;

/**
 * Vouches for a text: `KEY.MAC.TEXT`, where the MAC is HMAC-SHA-256 over `owner` and the text, the parts of which cannot
 * run into one another: JSON quotes them. Whoever can write to the store can remove such a text, or put an older one of
 * the same owner back, and no more than that.
 */
export function vouchFor(key: VouchingKey, kind: VouchedKind, owner: readonly string[], text: string): string {
  return `${key.id}.${macOf(key, kind, owner, text)}.${text}`;
}

/** Reads a stored text: it is none where it was changed, belongs to another owner, or nobody vouched for it. */
export function readVouched(
  keys: Pick<VouchingKeys, 'find'>,
  kind: VouchedKind,
  owner: readonly string[],
  stored: string,
): ReadText {
  const [, keyId, mac, text] = vouchedForm.exec(stored) ?? [];
  if (keyId === undefined || mac === undefined || text === undefined) return { kind: 'none' };
  const key = keys.find(keyId);
  if (key === undefined) return { kind: 'foreign-key', keyId };
  const isGenuine = timingSafeEqual(Buffer.from(macOf(key, kind, owner, text)), Buffer.from(mac));
  return isGenuine ? { kind: 'genuine', keyId, text } : { kind: 'none' };
}

function macOf(key: VouchingKey, kind: VouchedKind, owner: readonly string[], text: string): string {
  return createHmac('sha256', key.subkey(kind))
    .update(JSON.stringify([...owner, text]))
    .digest('base64url');
}
