import { Secret } from '../core/secret.ts';
import type { SettingProblem } from './form-settings.ts';

/** Fields of a request, as a driver adds them. */
export type Fields = readonly (readonly [name: string, value: string])[];

/** HTTP Basic (RFC 7617, charset UTF-8). The user must not hold a colon; a canonical user has none. */
export function basicAuthorization(user: string, password: Secret): readonly [name: string, value: string] {
  return ['Authorization', `Basic ${Buffer.from(`${user}:${password.reveal()}`).toString('base64')}`];
}

/** A text as a field carries it: its UTF-8 bytes, one character each. */
export function fieldValue(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** A secret of the settings. `problems` learns what is wrong; nothing is returned then, or where there is none. */
export function readSecret(
  settings: Readonly<Record<string, unknown>>,
  key: string,
  problems: SettingProblem[],
): Secret | undefined {
  const value = settings[key];
  if (value === undefined) return undefined;
  if (!(value instanceof Secret)) {
    problems.push({ path: [key], message: 'is not a secret: write { file: NAME } or { env: VARIABLE }' });
    return undefined;
  }
  if (/^[\x21-\x7e]{16,1024}$/.test(value.reveal())) return value;
  problems.push({
    path: [key],
    message: 'must be 16 to 1024 visible ASCII characters: make one with openssl rand -base64 32',
  });
  return undefined;
}

/** Keys that nobody reads. */
export function unknownKeys(
  settings: Readonly<Record<string, unknown>>,
  known: readonly string[],
): readonly SettingProblem[] {
  const unknown = Object.keys(settings).filter((key) => !known.includes(key));
  const remedy = known.length === 0 ? 'this driver has no settings' : `write one of ${known.join(', ')}`;
  return unknown.map((key) => ({ path: [key], message: `is not known: ${remedy}` }));
}
