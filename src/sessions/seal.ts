import type { KeyObject } from 'node:crypto';
import type { BackendName, CanonicalUser } from '../core/names.ts';
import { openSealedText, sealText } from '../core/sealing.ts';
import type { Assist, RecordKey } from '../core/session.ts';
import type { SealPurpose } from './keys.ts';

/** What sealed text belongs to. Text that was moved to another session, user, backend, purpose or time does not open. */
export interface SealedFor {
  readonly key: RecordKey;
  readonly user: CanonicalUser;
  readonly backend: BackendName;
  readonly purpose: SealPurpose;
  /** When the session began and when it ends at the latest: nobody who can write to the store makes it last longer. */
  readonly createdAtMs: number;
  readonly absoluteEndMs: number;
  /** Only of a mailbox that staff opened. */
  readonly assist?: Assist;
}

function ownerOf(belongsTo: SealedFor): readonly (string | number)[] {
  const { key, user, backend, purpose, createdAtMs, absoluteEndMs, assist } = belongsTo;
  const owner = [key, user, backend, purpose, createdAtMs, absoluteEndMs];
  if (assist === undefined) return owner;
  const { actor, staffSession, reason, ticket } = assist;
  return [...owner, actor, staffSession, reason, ticket];
}

/** Whether what was sealed for the one opens for the other. */
export function isSameOwner(one: SealedFor, other: SealedFor): boolean {
  return JSON.stringify(ownerOf(one)) === JSON.stringify(ownerOf(other));
}

/** Seals a text of a session. */
export function seal(
  sealKey: KeyObject,
  plain: string,
  belongsTo: SealedFor,
  randomBytes?: (size: number) => Buffer,
): string {
  return sealText(sealKey, plain, ownerOf(belongsTo), randomBytes);
}

/** The text that was sealed, or nothing when it was altered, is of another version, or belongs to something else. */
export function openSealed(sealKey: KeyObject, sealed: string, belongsTo: SealedFor): string | undefined {
  return openSealedText(sealKey, sealed, ownerOf(belongsTo));
}
