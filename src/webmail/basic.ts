import type { BackendHost } from '../core/backend.ts';
import type { SignInIdentity } from '../core/identity.ts';
import type { WebmailDriver, WebmailSignIn } from '../core/webmail.ts';
import { section } from '../schema/scalars.ts';
import {
  Browser,
  browserOf,
  type ConfiguredParts,
  createMasterLogins,
  noMasterEntry,
  refusedLogin,
  strangeAnswer,
  webmailUnavailable,
} from './browser.ts';
import { basicAuthField, checkedSettings, masterLogin, type RequestFields } from './driver-settings.ts';
import { headsBear, isByUser } from './form-marks.ts';
import { headMarks } from './form-settings.ts';

const basicNeedsPassword = 'HTTP Basic needs the password, unless master_login is set';

/** One sentence for the configuration reference. */
export const about = 'A webmail behind HTTP Basic.';

/** Settings of the `basic` driver. */
export const settings = section({
  signed_out: headMarks().describe('Marks of the answer to a sign-out; one is enough.'),
  master_login: masterLogin(),
}).meta({ examples: [{}, { master_login: true }] });

/**
 * A webmail behind HTTP Basic: the gateway adds user and password to every request.
 *
 * It needs the password in the session, or `master_login`. Status 401 means that the webmail no longer accepts it.
 * Throws a TypeError for settings that the schema refuses.
 */
export function create(parts: ConfiguredParts): WebmailDriver {
  const { signed_out: signedOut, master_login: declared } = checkedSettings(settings, parts.settings);
  const logins = createMasterLogins(declared, parts.master, basicNeedsPassword);
  const basicOf = (as: Parameters<typeof logins.of>[0]): RequestFields => {
    const login = logins.of(as);
    return login === undefined ? [] : [basicAuthField(login.user, login.password)];
  };
  return {
    ownsCookie,
    masterEntry: logins.masterEntry,
    signIn: async (host, as, signal) => {
      const fields = (): RequestFields => basicOf(as);
      if (fields().length === 0) throw noMasterEntry(host, logins.masterEntry);
      return signIn(new Browser(parts, { host, browser: browserOf(as), ownsCookie, fields, signal }), host, as);
    },
    signOut: () => Promise.resolve(),
    judge: (request, response) => {
      if (isByUser(request) && signedOut.some((mark) => headsBear(mark, request.target, response))) return 'signed-out';
      return response.status === 401 ? 'lost' : 'alive';
    },
    requestHeaders: (_request, as) => basicOf(as),
    checksNoTokens: true,
  };
}

function ownsCookie(): boolean {
  return false;
}

async function signIn(browser: Browser, host: BackendHost, as: SignInIdentity): Promise<WebmailSignIn> {
  const { landing } = host.webmail;
  const answer = await browser.get(landing);
  if (answer.status === 401) return refusedLogin(host, as);
  if (answer.status >= 500) throw webmailUnavailable(host, `${landing} was answered with status ${answer.status}`);
  if (answer.status >= 400) throw strangeAnswer(host, `${landing} was answered with status ${answer.status}`);
  return browser.signedIn(browser.locationOf(answer, landing) ?? landing);
}
