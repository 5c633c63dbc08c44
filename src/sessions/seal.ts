import { createCipheriv, createDecipheriv, randomBytes as systemRandomBytes } from 'node:crypto';
import type { BackendName, CanonicalUser } from '../core/names.ts';
import type { Assist, RecordKey } from '../core/session.ts';
import type { SealPurpose } from './keys.ts';

/** What sealed text belongs to. Text that was moved to another session, user, backend or purpose does not open. */
export interface SealedFor {
  readonly key: RecordKey;
  readonly user: CanonicalUser;
  readonly backend: BackendName;
  readonly purpose: SealPurpose;
  /** Only of a mailbox that staff opened, with its end. */
  readonly assist?: Assist & { readonly absoluteEndMs: number };
}

const algorithm = 'aes-256-gcm';
const version = '1';
const nonceBytes = 12;
const tagBytes = 16;

/** The parts cannot run into one another: JSON quotes them. */
function vouchedFor({ key, user, backend, purpose, assist }: SealedFor): Buffer {
  const parts: (string | number)[] = [version, key, user, backend, purpose];
  if (assist !== undefined) {
    const { actor, staffSession, reason, ticket, absoluteEndMs } = assist;
    parts.push(actor, staffSession, reason, ticket, absoluteEndMs);
  }
  return Buffer.from(JSON.stringify(parts));
}

/**
 * Seals a text with AES-256-GCM: `1.`, then nonce, ciphertext and tag in base64url.
 * The nonce is random: one session writes far fewer texts than the 2^32 that NIST SP 800-38D allows for one key.
 */
export function seal(
  sealKey: Buffer,
  plain: string,
  belongsTo: SealedFor,
  randomBytes: (size: number) => Buffer = systemRandomBytes,
): string {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv(algorithm, sealKey, nonce, { authTagLength: tagBytes });
  cipher.setAAD(vouchedFor(belongsTo));
  const parts = [nonce, cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()];
  return `${version}.${Buffer.concat(parts).toString('base64url')}`;
}

/** The text that was sealed, or nothing when it was altered, is of another version, or belongs to something else. */
export function openSealed(sealKey: Buffer, sealed: string, belongsTo: SealedFor): string | undefined {
  if (!sealed.startsWith(`${version}.`)) return undefined;
  const bytes = Buffer.from(sealed.slice(version.length + 1), 'base64url');
  if (bytes.length < nonceBytes + tagBytes) return undefined;
  const decipher = createDecipheriv(algorithm, sealKey, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes });
  decipher.setAAD(vouchedFor(belongsTo));
  decipher.setAuthTag(bytes.subarray(-tagBytes));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(nonceBytes, -tagBytes)), decipher.final()]).toString('utf8');
  } catch {
    // Node tells a wrong tag by throwing.
    return undefined;
  }
}
