import { createHash, type KeyObject, timingSafeEqual } from 'node:crypto';
import { isObject, parseJson } from '../core/json.ts';
import { openSealedText, sealText } from '../core/sealing.ts';
import { Secret } from '../core/secret.ts';
import type { ParseValue } from '../core/state-store.ts';

/** The second factor of a member of staff, as all nodes know it. By itself it opens nothing. */
export interface Enrolment {
  /** The one-time code that an operator gave out, hashed; undefined once it was used. */
  readonly invitation?: { readonly hash: string; readonly untilMs: number };
  /** A key that waits for its first code, sealed, and the staff session to which it was shown. */
  readonly offer?: { readonly sealedKey: string; readonly session: string; readonly untilMs: number };
  readonly factor?: Factor;
  /** Wrong codes in a row, of whatever kind. */
  readonly failures: number;
  /** Until then no code is looked at. */
  readonly lockedUntilMs: number;
  /** How often it rested since the last right code; undefined for never. */
  readonly rests?: number;
}

/** An enrolled second factor, as the state store keeps it. */
export interface Factor {
  readonly sealedKey: string;
  readonly sinceMs: number;
  /** The newest half minute whose code was used: it and all before are dead. */
  readonly lastStep: number;
  /** Recovery codes that were not used yet, hashed. */
  readonly recovery: readonly string[];
}

/** The enrolment of somebody who never began one. */
export const noEnrolment: Enrolment = { failures: 0, lockedUntilMs: 0 };

/** Without vowels and what looks alike: to be read aloud and typed off paper, and never a word. */
const codeAlphabet = '23456789bcdfghjkmnpqrstvwxyz';
const groups = 4;
const groupLength = 4;

/** A code for one use such as `x7kd-92mp-…`, of 76 random bits. */
export function makeCode(randomBytes: (size: number) => Buffer): string {
  const signs: string[] = [];
  while (signs.length < groups * groupLength) {
    for (const byte of randomBytes(32)) {
      // Whole rounds of the alphabet only: each sign is as likely as any other.
      if (byte < Math.floor(256 / codeAlphabet.length) * codeAlphabet.length)
        signs.push(codeAlphabet.charAt(byte % codeAlphabet.length));
    }
  }
  const text = signs.slice(0, groups * groupLength).join('');
  return text.match(new RegExp(`.{${groupLength}}`, 'g'))?.join('-') ?? text;
}

/** How a code is kept. It is long and random, so that a plain hash cannot be searched; `owner` keeps codes apart. */
export function hashOfCode(owner: string, code: string): string {
  const plain = code.toLowerCase().replace(/[\s-]/g, '');
  return createHash('sha256')
    .update(JSON.stringify([owner, plain]))
    .digest('base64url');
}

/** Whether two hashes are one, in equal time. */
export function isSameHash(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Reads a stored enrolment; undefined if the text has another form. */
export const parseEnrolment: ParseValue<Enrolment> = (text) => {
  const value = parseJson(text);
  return isEnrolment(value) ? value : undefined;
};

function isEnrolment(value: unknown): value is Enrolment {
  if (!isObject(value)) return false;
  const { invitation, offer, factor, failures, lockedUntilMs, rests = 0 } = value;
  return (
    (invitation === undefined || hasForm(invitation, ['hash'], ['untilMs'])) &&
    (offer === undefined || hasForm(offer, ['sealedKey', 'session'], ['untilMs'])) &&
    (factor === undefined || isFactor(factor)) &&
    [failures, lockedUntilMs, rests].every(Number.isSafeInteger)
  );
}

function isFactor(value: unknown): boolean {
  if (!hasForm(value, ['sealedKey'], ['sinceMs', 'lastStep'])) return false;
  const { recovery } = value;
  return Array.isArray(recovery) && recovery.every((hash) => typeof hash === 'string');
}

function hasForm(
  value: unknown,
  texts: readonly string[],
  numbers: readonly string[],
): value is Readonly<Record<string, unknown>> {
  return (
    isObject(value) &&
    texts.every((name) => typeof value[name] === 'string') &&
    numbers.every((name) => Number.isSafeInteger(value[name]))
  );
}

/** One of the server keys that all nodes share, as far as a vault uses it. */
interface VaultKey {
  readonly id: string;
  subkey(purpose: string): KeyObject;
}

/** The server keys of the moment: the promoted one seals, all open. */
export interface VaultKeys {
  readonly promoted: VaultKey;
  find(id: string): VaultKey | undefined;
}

/** Seals what only the gateway may read, and what is kept where others may read it. */
export interface Vault {
  seal(secret: Secret, owner: string): string;
  /** Undefined if it was sealed for another owner, was altered, or its key is gone. */
  open(sealed: string, owner: string): Secret | undefined;
}

const purpose = 'second factor';

/** A vault for second factors. The id of the key stands in front of what it seals. */
export function createVault(keys: () => VaultKeys, randomBytes: (size: number) => Buffer): Vault {
  return {
    seal(secret, owner) {
      const key = keys().promoted;
      return `${key.id}.${sealText(key.subkey(purpose), secret.reveal(), [purpose, owner], randomBytes)}`;
    },
    open(text, owner) {
      const dot = text.indexOf('.');
      const key = keys().find(text.slice(0, dot));
      const opened = key && openSealedText(key.subkey(purpose), text.slice(dot + 1), [purpose, owner]);
      return opened === undefined ? undefined : new Secret(opened);
    },
  };
}
