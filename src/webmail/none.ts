import { CookieJar } from '../core/cookie-jar.ts';
import type { WebmailDriver } from '../core/webmail.ts';

/** Signs in to nothing and only routes: for backends whose web server needs no session of its own. */
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
