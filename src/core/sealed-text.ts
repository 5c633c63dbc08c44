import { createCipheriv, createDecipheriv, type KeyObject, randomBytes as systemRandomBytes } from 'node:crypto';

const algorithm = 'aes-256-gcm';
/** Of the form, the first thing that it vouches for. */
const sealVersion = '1';
const nonceBytes = 12;
const tagBytes = 16;

/**
 * Seals a text with AES-256-GCM: `1.`, then nonce, ciphertext and tag in base64url. It opens only for the same `owner`,
 * the parts of which cannot run into one another: JSON quotes them.
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

/** The text that was sealed, or nothing when it was altered, is of another version, or belongs to something else. */
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
    // Node tells a wrong tag by throwing.
    return undefined;
  }
}

function vouchedFor(owner: readonly (string | number)[]): Buffer {
  return Buffer.from(JSON.stringify([sealVersion, ...owner]));
}
