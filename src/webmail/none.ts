import { CookieJar } from '../core/cookie-jar.ts';
import type { WebmailDriver } from '../core/webmail.ts';
import { section } from '../schema/scalars.ts';

/** One sentence for the configuration reference. */
export const about = 'No sign-in to the webmail: requests are only routed.';

/** This driver has no settings. */
export const settings = section({}, 'empty');

/** Only routes requests and signs in nowhere: for backends whose web server needs no session of its own. */
export function create(): WebmailDriver {
  return {
    ownsCookie: () => false,
    masterEntry: { kind: 'own-account' },
    signIn: (host) =>
      Promise.resolve({
        kind: 'signed-in',
        jar: new CookieJar(() => false),
        browserCookies: [],
        landing: host.webmail.landing,
      }),
    signOut: () => Promise.resolve(),
    judge: () => 'alive',
  };
}
