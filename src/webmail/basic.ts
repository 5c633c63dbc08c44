import type { BackendHost } from '../core/backend.ts';
import type { WebmailDriver, WebmailSignIn } from '../core/webmail.ts';
import { headsBear, isByUser } from './form-marks.ts';
import { basicAuthorization, type Fields } from './header-fields.ts';
import { parseBasicSettings } from './header-settings.ts';
import { browserOf, type ConfiguredParts, strangeAnswer, unavailable, Visit } from './visit.ts';

/**
 * A webmail behind HTTP Basic: the gateway adds user and password to every request.
 *
 * It needs the password in the session. Status 401 says that the webmail refuses it now. Throws a TypeError for
 * settings that {@link parseBasicSettings} refuses.
 */
export function create(parts: ConfiguredParts): WebmailDriver {
  const parsed = parseBasicSettings(parts.settings);
  if (parsed.kind === 'problems') throw new TypeError('settings of the basic driver were not checked');
  const { signedOut } = parsed.settings;
  return {
    ownsCookie,
    signIn: (host, as, signal) => {
      const fields = (): Fields => [basicAuthorization(as.user, as.password)];
      return signIn(new Visit(parts, { host, browser: browserOf(as), ownsCookie, fields, signal }), host);
    },
    signOut: () => Promise.resolve(),
    judge: (request, response) => {
      if (isByUser(request) && signedOut.some((mark) => headsBear(mark, request.target, response))) return 'signed-out';
      return response.status === 401 ? 'lost' : 'alive';
    },
    requestHeaders: (_request, { user, password }) =>
      password === undefined ? [] : [basicAuthorization(user, password)],
    checksNoTokens: true,
  };
}

function ownsCookie(): boolean {
  return false;
}

async function signIn(visit: Visit, host: BackendHost): Promise<WebmailSignIn> {
  const { landing } = host.webmail;
  const answer = await visit.get(landing);
  if (answer.status === 401) return { kind: 'rejected' };
  if (answer.status >= 500) throw unavailable(host, `${landing} was answered with status ${answer.status}`);
  if (answer.status >= 400) throw strangeAnswer(host, `${landing} was answered with status ${answer.status}`);
  return visit.signedIn(visit.locationOf(answer, landing) ?? landing);
}
