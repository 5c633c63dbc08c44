import type { BackendHost, DriverSettings, SettingProblem } from '../core/backend.ts';
import { pathOf } from '../core/cookie-jar.ts';
import type { Secret } from '../core/secret.ts';
import type { MasterEntry, RequestIdentity, WebmailDriver, WebmailSignIn } from '../core/webmail.ts';
import { browserOf, type ConfiguredParts, strangeAnswer, unavailable, Browser } from './browser.ts';
import {
  type Fields,
  fieldValue,
  type ParsedSettings,
  readSecret,
  readYesOrNo,
  unknownKeys,
} from './driver-settings.ts';
import { headsBear, isByUser } from './form-marks.ts';
import { type Mark, parseMarks } from './form-settings.ts';
import { noMasterEntry } from './master-login.ts';

/**
 * A webmail that takes the user from a request field, because the gateway also knows a secret.
 *
 * The secret goes with every request, so the way to the webmail must be TLS or a network of one's own; and the webmail,
 * or the web server before it, must take these fields from the gateway's addresses only. Throws a TypeError for
 * settings that {@link parseHeaderSettings} refuses.
 */
export function create(parts: ConfiguredParts): WebmailDriver {
  const parsed = parseHeaderSettings(parts.settings);
  if (parsed.kind === 'problems') throw new TypeError('settings of the header driver were not checked');
  const { settings } = parsed;
  const masterEntry = masterEntryOf(settings);
  return {
    ownsCookie,
    masterEntry,
    signIn: async (host, as, signal) => {
      if (as.password === undefined && masterEntry.kind === 'impossible') throw noMasterEntry(host, masterEntry);
      const fields = (): Fields => identityFields(settings, as);
      return enter(new Browser(parts, { host, browser: browserOf(as), ownsCookie, fields, signal }), host);
    },
    // The webmail has no session that would outlive the fields, or one that nothing opens without them.
    signOut: () => Promise.resolve(),
    judge: (request, response) =>
      isByUser(request) && settings.signedOut.some((mark) => headsBear(mark, request.target, response))
        ? 'signed-out'
        : 'alive',
    requestHeaders: (_request, as) => identityFields(settings, as),
    checksNoTokens: true,
  };
}

function masterEntryOf({ passwordField }: HeaderSettings): MasterEntry {
  if (passwordField === undefined) return { kind: 'own-account' };
  return { kind: 'impossible', why: 'the webmail takes the user’s password for IMAP from password_field' };
}

function ownsCookie(): boolean {
  return false;
}

function identityFields(settings: HeaderSettings, as: Pick<RequestIdentity, 'user' | 'password'>): Fields {
  const { userField, secretField, secret, passwordField } = settings;
  const fields: [string, string][] = [
    [userField, fieldValue(as.user)],
    [secretField, secret.reveal()],
  ];
  if (passwordField !== undefined && as.password !== undefined) {
    fields.push([passwordField, fieldValue(as.password.reveal())]);
  }
  return fields;
}

async function enter(visit: Browser, host: BackendHost): Promise<WebmailSignIn> {
  const { landing } = host.webmail;
  const answer = await visit.get(landing);
  if (answer.status >= 500) throw unavailable(host, `${landing} was answered with status ${answer.status}`);
  if (answer.status >= 400) {
    const check = 'check the secret, the names of the fields and the addresses that it trusts';
    throw strangeAnswer(host, `${landing} was answered with status ${answer.status}: ${check}`);
  }
  const location = visit.locationOf(answer, landing);
  // A redirect to itself would be one to a form of the webmail's own only where it did not take the user.
  return visit.signedIn(location === undefined || pathOf(location) === pathOf(landing) ? landing : location);
}

/** Settings of the driver `header`. */
export interface HeaderSettings {
  /** The field that carries the user. */
  readonly userField: string;
  /** The field that carries `secret`. */
  readonly secretField: string;
  /** What the webmail or its web server knows the gateway by. */
  readonly secret: Secret;
  /** The field that carries the password, where the webmail needs it for IMAP. */
  readonly passwordField: string | undefined;
  /** By what the answer to a sign-out is known; each mark is enough. */
  readonly signedOut: readonly Mark[];
}

/** Settings of the driver `basic`. */
export interface BasicSettings {
  readonly masterLogin: boolean;
  readonly signedOut: readonly Mark[];
}

/** Names that carry something else on the way to the webmail. */
const reserved =
  /^(?:host|cookie|connection|content-.*|transfer-encoding|te|trailer|upgrade|expect|authorization|x-forwarded-.*|forwarded|proxy-.*)$/i;

/** Checks the settings of the `header` driver; all problems at once. */
export function parseHeaderSettings(given: DriverSettings): ParsedSettings<HeaderSettings> {
  const known = ['user_field', 'secret_field', 'secret', 'password_field', 'signed_out'];
  const problems: SettingProblem[] = [...unknownKeys(given, known)];
  const userField = fieldName(given, 'user_field', problems);
  const secretField = fieldName(given, 'secret_field', problems) ?? 'X-Postern-Secret';
  const passwordField = fieldName(given, 'password_field', problems);
  const secret = readSecret(given, 'secret', problems);
  if (given['user_field'] === undefined) problems.push({ path: ['user_field'], message: 'is missing' });
  if (given['secret'] === undefined) {
    const message = 'is missing: without it whoever reaches the webmail could name any user';
    problems.push({ path: ['secret'], message });
  }
  const names = [userField, secretField, passwordField].flatMap((name) => name?.toLowerCase() ?? []);
  if (new Set(names).size < names.length) problems.push({ path: ['user_field'], message: 'is the name of two fields' });
  const signedOut = headMarks(given, problems);
  if (userField === undefined || secret === undefined || problems.length > 0) return { kind: 'problems', problems };
  return { kind: 'ok', settings: { userField, secretField, secret, passwordField, signedOut } };
}

/** Checks the settings of the `basic` driver. */
export function parseBasicSettings(given: DriverSettings): ParsedSettings<BasicSettings> {
  const problems: SettingProblem[] = [...unknownKeys(given, ['signed_out', 'master_login'])];
  const signedOut = headMarks(given, problems);
  const masterLogin = readYesOrNo(given, 'master_login', problems);
  return problems.length > 0 ? { kind: 'problems', problems } : { kind: 'ok', settings: { signedOut, masterLogin } };
}

function fieldName(given: DriverSettings, key: string, problems: SettingProblem[]): string | undefined {
  const value = given[key];
  if (value === undefined) return undefined;
  if (typeof value === 'string' && /^[A-Za-z][A-Za-z0-9-]{0,63}$/.test(value) && !reserved.test(value)) return value;
  problems.push({ path: [key], message: 'is not a field name of letters, digits and hyphens, or is used otherwise' });
  return undefined;
}

function headMarks(given: DriverSettings, problems: SettingProblem[]): readonly Mark[] {
  const marks = parseMarks(given['signed_out'], 'signed_out', problems);
  if (marks.some((mark) => mark.text !== undefined || mark.json !== undefined)) {
    const message = 'names a text or JSON: this driver reads no bodies, take status, location or a cookie';
    problems.push({ path: ['signed_out'], message });
  }
  return marks;
}
