import { createHash, type KeyObject, timingSafeEqual } from 'node:crypto';
import { isObject, parseJson } from '../core/objects.ts';
import { openSealedText, sealText, Secret } from '../core/secrets.ts';
import type { ParseValue } from '../core/state-store.ts';

/** The state of a staff member's second factor, which all nodes share. On its own it opens nothing. */
export interface Enrolment {
  /** The one-time code that an operator gave out, hashed; undefined after it was used. */
  readonly invitation?: { readonly hash: string; readonly untilMs: number };
  /** A sealed key that waits for its first code, and the staff session to which it was shown. */
  readonly offer?: { readonly sealedKey: string; readonly session: string; readonly untilMs: number };
  readonly factor?: Factor;
  /** The number of consecutive wrong codes of any kind. */
  readonly failures: number;
  /** No code is checked before this time; milliseconds since the epoch. */
  readonly lockedUntilMs: number;
  /** The number of lockouts since the last right code; undefined for none. */
  readonly rests?: number;
}

/** An enrolled second factor, as the state store keeps it. */
export interface Factor {
  readonly sealedKey: string;
  readonly sinceMs: number;
  /** The newest half minute whose code was used; its code and all earlier ones are invalid. */
  readonly lastStep: number;
  /** The unused recovery codes, hashed. */
  readonly recovery: readonly string[];
}

/** The state of a user who never enrolled. */
export const noEnrolment: Enrolment = { failures: 0, lockedUntilMs: 0 };

/** No vowels, so that no code is a word, and no lookalikes: codes are read aloud and typed from paper. */
const codeAlphabet = '23456789bcdfghjkmnpqrstvwxyz';
const groups = 4;
const groupLength = 4;

/** A code for one use such as `x7kd-92mp-…`, with 76 random bits. */
export function makeCode(randomBytes: (size: number) => Buffer): string {
  const signs: string[] = [];
  while (signs.length < groups * groupLength) {
    for (const byte of randomBytes(32)) {
      // Larger bytes are skipped, so that each character is equally likely.
      if (byte < Math.floor(256 / codeAlphabet.length) * codeAlphabet.length)
        signs.push(codeAlphabet.charAt(byte % codeAlphabet.length));
    }
  }
  const text = signs.slice(0, groups * groupLength).join('');
  return text.match(new RegExp(`.{${groupLength}}`, 'g'))?.join('-') ?? text;
}

/** The hash under which a code is stored. A code is long and random, so a plain hash cannot be searched. */
export function hashOfCode(owner: string, code: string): string {
  const plain = code.toLowerCase().replace(/[\s-]/g, '');
  return createHash('sha256')
    .update(JSON.stringify([owner, plain]))
    .digest('base64url');
}

/** Whether two hashes are equal, in constant time. */
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

/** The part of a server key that a vault uses. */
interface VaultKey {
  readonly id: string;
  subkey(purpose: string): KeyObject;
}

/** The current server keys: the promoted key seals, and all open. */
export interface VaultKeys {
  readonly promoted: VaultKey;
  find(id: string): VaultKey | undefined;
}

/** Seals secrets that are stored where others can read them. */
export interface Vault {
  seal(secret: Secret, owner: string): string;
  /** The secret; undefined if it was sealed for another owner, was altered, or its key is gone. */
  open(sealed: string, owner: string): Secret | undefined;
}

const purpose = 'second factor';

/** Creates a vault for second factors. A sealed text starts with the id of its key. */
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
