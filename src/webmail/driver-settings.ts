import { z } from 'zod';
import type { DriverSettings, SettingProblem } from '../core/backend.ts';
import type { RequestHead } from '../core/http.ts';
import { Secret } from '../core/secret.ts';
import { problemsIn } from '../schema/issues.ts';
import { secretMeta, secretRemedy, yesOrNo } from '../schema/scalars.ts';

/** The result of checking a driver's settings; all problems at once. */
type ParsedSettings<T> =
  | { readonly kind: 'ok'; readonly settings: T }
  | { readonly kind: 'problems'; readonly problems: readonly SettingProblem[] };

/** Checks settings against the schema of their driver; all problems at once. */
export function parseSettings<T>(schema: z.ZodType<T>, given: DriverSettings): ParsedSettings<T> {
  // `null` is what YAML makes of a key without a value: it counts as left out.
  const written = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null));
  const parsed = schema.safeParse(written);
  if (parsed.success) return { kind: 'ok', settings: parsed.data };
  return { kind: 'problems', problems: problemsIn(parsed.error.issues) };
}

/** The settings of a driver that is made. Throws a TypeError if they were not checked before. */
export function checkedSettings<T>(schema: z.ZodType<T>, given: DriverSettings): T {
  const parsed = parseSettings(schema, given);
  if (parsed.kind === 'ok') return parsed.settings;
  throw new TypeError(`settings of a webmail driver were not checked: ${parsed.problems[0]?.message}`);
}

/** A secret from a file or the environment. `why` says what it is for, where it is missing. */
export function secretSetting(why = secretRemedy) {
  return z
    .unknown()
    .transform((value, context): Secret => {
      if (value instanceof Secret) return value;
      const message = value === undefined ? `is missing: ${why}` : `is not a secret: ${secretRemedy}`;
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    })
    .meta(secretMeta);
}

/** A secret that is shared with the webmail, and goes in a field of a request. */
export function sharedSecret(why?: string) {
  return secretSetting(why).refine((secret) => /^[\x21-\x7e]{16,1024}$/.test(secret.reveal()), {
    error: 'must be 16 to 1024 visible ASCII characters: make one with openssl rand -base64 32',
  });
}

/** `master_login`: entry as `user*master`, in force only where somebody wrote it. */
export function masterLogin() {
  return yesOrNo()
    .prefault(false)
    .describe(
      'Enter as `user*master` where there is no password of the user; most webmails take that for another account.',
    );
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
export type RequestFields = readonly (readonly [name: string, value: string])[];

/** HTTP Basic (RFC 7617, charset UTF-8). The user must not hold a colon; a canonical user has none. */
export function basicAuthorization(user: string, password: Secret): readonly [name: string, value: string] {
  return ['Authorization', `Basic ${Buffer.from(`${user}:${password.reveal()}`).toString('base64')}`];
}

/** A text as a field carries it: its UTF-8 bytes, one character each. */
export function utf8FieldValue(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
