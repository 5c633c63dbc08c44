import type { KeyObject } from 'node:crypto';
import type { SavedJar } from '../core/cookie-jar.ts';
import { type BackendName, type CanonicalUser, isRecordKey, isUserKey, type RecordKey } from '../core/names.ts';
import { isObject, parseJson } from '../core/objects.ts';
import { openSealedText, sealText, type Secret } from '../core/secrets.ts';
import {
  type EndReason,
  endReasons,
  type ImpersonationRecord,
  type RegisteredKey,
  type SessionRecord,
  type StaffProof,
  type StoredJar,
} from '../core/session.ts';
import type { SealPurpose } from './key-derivation.ts';

/*
 * The stored form of a session: JSON texts, of which password and cookies are sealed. A store may hold anything, so
 * text of another form is no record.
 */

function areTexts(...values: readonly unknown[]): boolean {
  for (const value of values) if (typeof value !== 'string') return false;
  return true;
}

function isSessionRecord(value: unknown): value is SessionRecord {
  if (!isObject(value)) return false;
  const { userKey, timeZone, createdAtMs, absoluteEndMs, homeSinceMs, impersonation, staff, sealedTimes, ...texts } =
    value;
  const { user, backend, host, clientAddress, userAgent, publicOrigin, sealed } = texts;
  return (
    areTexts(user, backend, host, clientAddress, userAgent, publicOrigin, sealed) &&
    Number.isSafeInteger(createdAtMs) &&
    Number.isSafeInteger(absoluteEndMs) &&
    (homeSinceMs === undefined || Number.isSafeInteger(homeSinceMs)) &&
    (timeZone === undefined || typeof timeZone === 'string') &&
    (sealedTimes === undefined || typeof sealedTimes === 'string') &&
    (impersonation === undefined || isImpersonation(impersonation)) &&
    (staff === undefined || isStaffProof(staff)) &&
    typeof userKey === 'string' &&
    isUserKey(userKey)
  );
}

function isImpersonation(value: unknown): value is ImpersonationRecord {
  if (!isObject(value)) return false;
  const { actor, staffSession, reason, ticket } = value;
  return areTexts(actor, reason, ticket) && typeof staffSession === 'string' && isRecordKey(staffSession);
}

function isStaffProof(value: unknown): value is StaffProof {
  return (
    isObject(value) &&
    (value['step'] === 'password' || value['step'] === 'second-factor') &&
    Number.isSafeInteger(value['provenAtMs']) &&
    (value['linkBy'] === undefined || typeof value['linkBy'] === 'string')
  );
}

function isStoredJar(value: unknown): value is StoredJar {
  return isObject(value) && Number.isSafeInteger(value['version']) && typeof value['sealed'] === 'string';
}

function isRegisteredKey(value: unknown): value is RegisteredKey {
  if (!isObject(value)) return false;
  const { id, fingerprint, promoted, from } = value;
  return areTexts(id, fingerprint, from) && typeof promoted === 'boolean';
}

function isTuple(value: unknown, ...types: readonly string[]): boolean {
  return Array.isArray(value) && value.length === types.length && types.every((type, at) => typeof value[at] === type);
}

function isSavedJar(value: unknown): value is SavedJar {
  if (!isObject(value)) return false;
  const { g, c, k, b } = value;
  return (
    Number.isSafeInteger(g) &&
    Array.isArray(c) &&
    c.every((cookie) => isTuple(cookie, 'string', 'string', 'string', 'number')) &&
    (k === undefined || (Array.isArray(k) && k.every((name) => typeof name === 'string'))) &&
    (b === undefined || (Array.isArray(b) && b.every((pair) => isTuple(pair, 'string', 'string'))))
  );
}

/**
 * The text that a store keeps of a record. `impersonation` is stored as `assist`, the name that it has had from the first
 * version on: nodes of two versions share a store during an upgrade.
 */
export function recordText({ impersonation, ...record }: SessionRecord): string {
  return JSON.stringify({ ...record, assist: impersonation });
}

/** The record in a stored text, or undefined. */
export function parseRecord(text: string): SessionRecord | undefined {
  const value = parseJson(text);
  if (!isObject(value)) return undefined;
  const { assist, ...rest } = value;
  const record = assist === undefined ? rest : { ...rest, impersonation: assist };
  return isSessionRecord(record) ? record : undefined;
}

/** The jar in a stored text, still sealed, or undefined. */
export function parseStoredJar(text: string): StoredJar | undefined {
  const value = parseJson(text);
  return isStoredJar(value) ? value : undefined;
}

/** The cookies in the opened text of a jar, or undefined. */
export function parseSavedJar(text: string): SavedJar | undefined {
  const value = parseJson(text);
  return isSavedJar(value) ? value : undefined;
}

/** The registration of a server key in a stored text, or undefined. */
export function parseRegisteredKey(text: string): RegisteredKey | undefined {
  const value = parseJson(text);
  return isRegisteredKey(value) ? value : undefined;
}

/** The reason on a tombstone; `signed-out` for a reason of another version, which says only that the session ended. */
export function parseEndReason(text: string): EndReason {
  return endReasons.find((reason) => reason === text) ?? 'signed-out';
}

/** The owner of sealed text. Text that was moved to another session, user, backend or purpose does not open. */
export interface SealedFor {
  readonly key: RecordKey;
  readonly user: CanonicalUser;
  readonly backend: BackendName;
  readonly purpose: SealPurpose;
  /** Start and latest end of the session, in milliseconds, which `sealTimes` vouches for. */
  readonly createdAtMs: number;
  readonly absoluteEndMs: number;
  /** Set if staff opened the mailbox. */
  readonly impersonation?: ImpersonationRecord;
}

/** The owner of what is sealed in a session's stored form. */
export function sealedFor(
  key: RecordKey,
  record: Pick<SessionRecord, 'user' | 'backend' | 'createdAtMs' | 'absoluteEndMs' | 'impersonation'>,
  purpose: SealPurpose,
): SealedFor {
  const { user, backend, createdAtMs, absoluteEndMs, impersonation } = record;
  const owner = { key, user, backend, purpose, createdAtMs, absoluteEndMs };
  return impersonation === undefined ? owner : { ...owner, impersonation };
}

function ownerOf(belongsTo: SealedFor): readonly (string | number)[] {
  const { key, user, backend, purpose, absoluteEndMs, impersonation } = belongsTo;
  const owner = [key, user, backend, purpose];
  if (impersonation === undefined) return owner;
  const { actor, staffSession, reason, ticket } = impersonation;
  return [...owner, actor, staffSession, reason, ticket, absoluteEndMs];
}

/** Whether what was sealed for the one opens for the other. */
export function isSameOwner(one: SealedFor, other: SealedFor): boolean {
  const parts = (owner: SealedFor) => JSON.stringify([ownerOf(owner), timesOf(owner)]);
  return parts(one) === parts(other);
}

function timesOf({ key, createdAtMs, absoluteEndMs }: SealedFor): readonly (string | number)[] {
  return [key, 'times', createdAtMs, absoluteEndMs];
}

/**
 * Vouches for start and latest end of a session: whoever can write to the store cannot make it last longer. This is a
 * text of its own, because 0.1.0 opens the password without it: nodes of both versions share a store during an upgrade.
 */
export function sealTimes(sealKey: KeyObject, belongsTo: SealedFor, randomBytes?: (size: number) => Buffer): string {
  return sealText(sealKey, '', timesOf(belongsTo), randomBytes);
}

/** Whether the text vouches for these times of this session. */
export function areTimesSealed(sealKey: KeyObject, sealed: string, belongsTo: SealedFor): boolean {
  return openSealedText(sealKey, sealed, timesOf(belongsTo)) === '';
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

/**
 * Seals a password, or an empty text if there is none. The seal vouches for the owner of the session: without one,
 * whoever can write to the store could give the session to another user.
 */
export function sealPassword(
  sealKey: KeyObject,
  password: Secret | undefined,
  belongsTo: SealedFor,
  randomBytes?: (size: number) => Buffer,
): string {
  return seal(sealKey, password?.reveal() ?? '', belongsTo, randomBytes);
}

/** The text that was sealed, or undefined if it was altered, is of another version, or belongs to another owner. */
export function openSealed(sealKey: KeyObject, sealed: string, belongsTo: SealedFor): string | undefined {
  return openSealedText(sealKey, sealed, ownerOf(belongsTo));
}
