import type { z } from 'zod';
import type { BackendHost } from '../core/backend.ts';
import { pathOf } from '../core/cookie-jar.ts';
import type { Secret } from '../core/secrets.ts';
import type { MasterEntry, RequestIdentity, WebmailDriver, WebmailSignIn } from '../core/webmail.ts';
import { leaf, section } from '../schema/scalars.ts';
import { read, shownValue, wrong } from '../schema/value-parsers.ts';
import {
  Browser,
  browserOf,
  type ConfiguredParts,
  noMasterEntry,
  strangeAnswer,
  webmailUnavailable,
} from './browser.ts';
import { checkedSettings, type RequestFields, sharedSecret, utf8FieldValue } from './driver-settings.ts';
import { headsBear, isByUser } from './form-marks.ts';
import { headMarks, type Mark } from './form-settings.ts';

/**
 * A webmail that takes the user from a request field, because the gateway proves itself by a secret in another.
 *
 * Every request carries the secret, so the connection to the webmail must be TLS or a private network. The webmail, or
 * the web server in front of it, must accept these fields from the gateway's addresses only. Throws a TypeError for
 * settings that the schema refuses.
 */
export function create(parts: ConfiguredParts): WebmailDriver {
  const checked = checkedSettings(settings, parts.settings);
  const masterEntry = headerMasterEntry(checked);
  return {
    ownsCookie,
    masterEntry,
    signIn: async (host, as, signal) => {
      if (as.password === undefined && masterEntry.kind === 'impossible') throw noMasterEntry(host, masterEntry);
      const fields = (): RequestFields => userFields(checked, as);
      return enter(new Browser(parts, { host, browser: browserOf(as), ownsCookie, fields, signal }), host);
    },
    // A session of the webmail, if there is one, opens nothing without the fields.
    signOut: () => Promise.resolve(),
    judge: (request, response) =>
      isByUser(request) && checked.signedOut.some((mark) => headsBear(mark, request.target, response))
        ? 'signed-out'
        : 'alive',
    requestHeaders: (_request, as) => userFields(checked, as),
    checksNoTokens: true,
  };
}

function headerMasterEntry({ passwordField }: HeaderSettings): MasterEntry {
  if (passwordField === undefined) return { kind: 'own-account' };
  return { kind: 'impossible', why: 'the webmail needs the user’s password for IMAP in password_field' };
}

function ownsCookie(): boolean {
  return false;
}

function userFields(settings: HeaderSettings, as: Pick<RequestIdentity, 'user' | 'password'>): RequestFields {
  const { userField, secretField, secret, passwordField } = settings;
  const fields: [string, string][] = [
    [userField, utf8FieldValue(as.user)],
    [secretField, secret.reveal()],
  ];
  if (passwordField !== undefined && as.password !== undefined) {
    fields.push([passwordField, utf8FieldValue(as.password.reveal())]);
  }
  return fields;
}

async function enter(browser: Browser, host: BackendHost): Promise<WebmailSignIn> {
  const { landing } = host.webmail;
  const answer = await browser.get(landing);
  if (answer.status >= 500) throw webmailUnavailable(host, `${landing} was answered with status ${answer.status}`);
  if (answer.status >= 400) {
    const check = 'check the secret, the field names and the addresses that the webmail trusts';
    throw strangeAnswer(host, `${landing} was answered with status ${answer.status}: ${check}`);
  }
  const location = browser.locationOf(answer, landing);
  // A redirect to the landing page itself would loop: the user lands there directly.
  return browser.signedIn(location === undefined || pathOf(location) === pathOf(landing) ? landing : location);
}

/** Settings of the driver `header`. */
export interface HeaderSettings {
  /** The request field with the user name. */
  readonly userField: string;
  /** The request field with `secret`. */
  readonly secretField: string;
  /** The secret by which the webmail or its web server recognises the gateway. */
  readonly secret: Secret;
  /** The field that carries the password, if the webmail needs it for IMAP. */
  readonly passwordField: string | undefined;
  /** Marks of the answer to a sign-out; one is enough. */
  readonly signedOut: readonly Mark[];
}

/** Field names that already have a meaning on the way to the webmail. */
const reserved =
  /^(?:host|cookie|connection|content-.*|transfer-encoding|te|trailer|upgrade|expect|authorization|x-forwarded-.*|forwarded|proxy-.*)$/i;

/** One sentence for the configuration reference. */
export const about = 'A webmail that trusts a request field with the user name.';

/** Settings of the `header` driver. */
export const settings: z.ZodType<HeaderSettings> = section({
  user_field: fieldNameSetting().describe('The request field with the user name.'),
  secret_field: fieldNameSetting().prefault('X-Postern-Secret').describe('The request field with `secret`.'),
  secret: sharedSecret('without it, anybody who reaches the webmail could sign in as any user').describe(
    'The secret by which the webmail or its web server recognises the gateway.',
  ),
  password_field: fieldNameSetting()
    .optional()
    .describe('The request field with the password, if the webmail needs it for IMAP.'),
  signed_out: headMarks().describe('Marks of the answer to a sign-out; one is enough.'),
})
  .superRefine(({ user_field, secret_field, password_field }, context) => {
    const names = [user_field, secret_field, password_field].flatMap((name) => name?.toLowerCase() ?? []);
    if (new Set(names).size === names.length) return;
    context.addIssue({ code: 'custom', path: ['user_field'], message: 'names two fields' });
  })
  .transform((given) => ({
    userField: given.user_field,
    secretField: given.secret_field,
    secret: given.secret,
    passwordField: given.password_field,
    signedOut: given.signed_out,
  }))
  .meta({ examples: [{ user_field: 'X-Remote-User', secret: { file: 'header-secret' } }] });

function fieldNameSetting() {
  const remedy = 'write a name of letters, digits and hyphens that has no other use';
  return leaf({
    what: 'a field name',
    remedy,
    examples: ['X-Remote-User'],
    parse: (written) =>
      /^[A-Za-z][A-Za-z0-9-]{0,63}$/.test(written) && !reserved.test(written)
        ? read(written)
        : wrong(`${shownValue(written)} is not a usable field name: ${remedy}`),
  });
}
