import type { SavedJar } from '../core/cookie-jar.ts';
import { isObject, parseJson } from '../core/json.ts';
import {
  type ImpersonationRecord,
  type EndReason,
  endReasons,
  isRecordKey,
  isUserKey,
  type RegisteredKey,
  type SessionRecord,
  type StaffProof,
  type StoredJar,
} from '../core/session.ts';

/*
 * What a store keeps is read like anything that comes from outside: text that has another form is no record.
 */

function isSessionRecord(value: unknown): value is SessionRecord {
  if (!isObject(value)) return false;
  const { userKey, timeZone, createdAtMs, absoluteEndMs, homeSinceMs, impersonation, staff, ...texts } = value;
  const { user, backend, host, clientAddress, userAgent, publicOrigin, sealed } = texts;
  return (
    [user, backend, host, clientAddress, userAgent, publicOrigin, sealed].every((text) => typeof text === 'string') &&
    [createdAtMs, absoluteEndMs].every(Number.isSafeInteger) &&
    (homeSinceMs === undefined || Number.isSafeInteger(homeSinceMs)) &&
    (timeZone === undefined || typeof timeZone === 'string') &&
    (impersonation === undefined || isImpersonation(impersonation)) &&
    (staff === undefined || isStaffProof(staff)) &&
    typeof userKey === 'string' &&
    isUserKey(userKey)
  );
}

function isImpersonation(value: unknown): value is ImpersonationRecord {
  if (!isObject(value)) return false;
  const { actor, staffSession, reason, ticket } = value;
  return (
    [actor, reason, ticket].every((text) => typeof text === 'string') &&
    typeof staffSession === 'string' &&
    isRecordKey(staffSession)
  );
}

function isStaffProof(value: unknown): value is StaffProof {
  return (
    isObject(value) &&
    (value['step'] === 'password' || value['step'] === 'second-factor') &&
    Number.isSafeInteger(value['provenAtMs'])
  );
}

function isStoredJar(value: unknown): value is StoredJar {
  return isObject(value) && Number.isSafeInteger(value['version']) && typeof value['sealed'] === 'string';
}

function isRegisteredKey(value: unknown): value is RegisteredKey {
  if (!isObject(value)) return false;
  const { id, fingerprint, promoted, from } = value;
  return [id, fingerprint, from].every((text) => typeof text === 'string') && typeof promoted === 'boolean';
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

/** The cookies in a jar's opened text, or undefined. */
export function parseSavedJar(text: string): SavedJar | undefined {
  const value = parseJson(text);
  return isSavedJar(value) ? value : undefined;
}

/** A server key's registration in a stored text, or undefined. */
export function parseRegisteredKey(text: string): RegisteredKey | undefined {
  const value = parseJson(text);
  return isRegisteredKey(value) ? value : undefined;
}

/** The reason on a tombstone; of another version's reason only that the session ended. */
export function parseEndReason(text: string): EndReason {
  return endReasons.find((reason) => reason === text) ?? 'signed-out';
}
