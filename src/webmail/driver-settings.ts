import type { DriverSettings, SettingProblem } from '../core/backend.ts';
import type { RequestHead } from '../core/http.ts';
import { Secret } from '../core/secret.ts';

/** The result of checking a driver's settings; all problems at once. */
export type ParsedSettings<T> =
  | { readonly kind: 'ok'; readonly settings: T }
  | { readonly kind: 'problems'; readonly problems: readonly SettingProblem[] };

/** A secret of the settings. `problems` learns what is wrong; nothing is returned then, or where there is none. */
export function readSecret(settings: DriverSettings, key: string, problems: SettingProblem[]): Secret | undefined {
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

/** A setting that is in force only where somebody wrote it, such as `master_login`: entry as `user*master`. */
export function readYesOrNo(settings: DriverSettings, key: string, problems: SettingProblem[]): boolean {
  const value = settings[key] ?? false;
  if (typeof value === 'boolean') return value;
  problems.push({ path: [key], message: 'is not a yes or no: write true or false' });
  return false;
}

/** Keys that nobody reads. */
export function unknownKeys(settings: DriverSettings, known: readonly string[]): readonly SettingProblem[] {
  const unknown = Object.keys(settings).filter((key) => !known.includes(key));
  const remedy = known.length === 0 ? 'this driver has no settings' : `write one of ${known.join(', ')}`;
  return unknown.map((key) => ({ path: [key], message: `is not known: ${remedy}` }));
}

type Texts<Key extends string> = Readonly<Record<Key, string>>;

/** In the language of the browser, the texts that stand in a webmail's own answers. */
export function textsFor<Key extends string>(
  request: RequestHead,
  texts: Readonly<Record<'en' | 'de', Texts<Key>>>,
): Texts<Key> {
  return /^\s*de\b/i.test(request.header('accept-language') ?? '') ? texts.de : texts.en;
}

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
