import type { BackendHost } from '../core/backend.ts';
import { pathOf } from '../core/cookie-jar.ts';
import type { MasterEntry, RequestIdentity, WebmailDriver, WebmailSignIn } from '../core/webmail.ts';
import { headsBear, isByUser } from './form-marks.ts';
import { type Fields, fieldValue } from './header-fields.ts';
import { type HeaderSettings, parseHeaderSettings } from './header-settings.ts';
import { noMasterEntry } from './master-login.ts';
import { browserOf, type ConfiguredParts, strangeAnswer, unavailable, Visit } from './visit.ts';

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
      return enter(new Visit(parts, { host, browser: browserOf(as), ownsCookie, fields, signal }), host);
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

async function enter(visit: Visit, host: BackendHost): Promise<WebmailSignIn> {
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
