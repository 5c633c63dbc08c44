import { z } from 'zod';
import type { DriverSettings } from '../core/backend.ts';
import type { RequestHead } from '../core/http.ts';
import { Secret } from '../core/secrets.ts';
import { parseSettings } from '../schema/issues.ts';
import { secretMeta, secretRemedy, yesOrNo } from '../schema/scalars.ts';

/** The settings for the `create` of a driver. Throws a TypeError if the schema refuses them: check them before. */
export function checkedSettings<T>(schema: z.ZodType<T>, given: DriverSettings): T {
  const parsed = parseSettings(schema, given);
  if (parsed.kind === 'ok') return parsed.settings;
  throw new TypeError(`settings of a webmail driver were not checked: ${parsed.problems[0]?.message}`);
}

/** A secret from a file or the environment. `why` is its purpose, for the message when it is missing. */
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

/** A secret that is shared with the webmail, and is sent in a header field. */
export function sharedSecret(why?: string) {
  return secretSetting(why).refine((secret) => /^[\x21-\x7e]{16,1024}$/.test(secret.reveal()), {
    error: 'must be 16 to 1024 visible ASCII characters: make one with openssl rand -base64 32',
  });
}

/** `master_login`: entry as `user*master`. It is off by default. */
export function masterLogin() {
  return yesOrNo()
    .prefault(false)
    .describe(
      'Sign in as `user*master` if the user’s password is not known; most webmails treat that as another account.',
    );
}

type Texts<Key extends string> = Readonly<Record<Key, string>>;

/** The texts for a webmail's own answers, in the language of the browser. */
export function textsFor<Key extends string>(
  request: RequestHead,
  texts: Readonly<Record<'en' | 'de', Texts<Key>>>,
): Texts<Key> {
  return /^\s*de\b/i.test(request.header('accept-language') ?? '') ? texts.de : texts.en;
}

/** Header fields that a driver adds to a request. */
export type RequestFields = readonly (readonly [name: string, value: string])[];

/** The field of HTTP Basic (RFC 7617, charset UTF-8). The user must not hold a colon; a canonical user has none. */
export function basicAuthField(user: string, password: Secret): readonly [name: string, value: string] {
  return ['Authorization', `Basic ${Buffer.from(`${user}:${password.reveal()}`).toString('base64')}`];
}

/** A text as the value of a field: its UTF-8 bytes, one character each. */
export function utf8FieldValue(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
