import { withDeadline } from '../core/deadline.ts';
import type { Log } from '../core/log.ts';
import type { BackendName } from '../core/names.ts';
import type { EndReason, LiveSession } from '../core/session.ts';
import type { SignOutIdentity } from '../core/webmail.ts';
import type { Home } from './authentication.ts';
import { neverGone } from './limits.ts';

const webmailSignOutMs = 2_000;

/** Dependencies of createLogout. */
export interface LogoutDeps {
  readonly homeOf: (backend: BackendName) => Home | undefined;
  readonly log: Log;
}

/**
 * The use case of signing out: `end` ends the gateway's own session, or puts another in its place; then the webmail is
 * told, best effort and within 2 s, for it forgets by itself what it was not told. Rejects only as `end` does.
 */
export type Logout = (left: LeftSession, as: SignOutIdentity, end: () => Promise<void>) => Promise<void>;

/** The webmail session that is left: where it is, and its cookies. */
export type LeftSession = Pick<LiveSession, 'record' | 'jar'>;

/** Makes the sign-out: the session ends first, then the webmail's own. */
export function createLogout({ homeOf, log }: LogoutDeps): Logout {
  return async ({ record, jar }, as, end) => {
    await end();
    const home = homeOf(record.backend);
    const host = home?.backend.hosts.find(({ name }) => name === record.host);
    if (home === undefined || host === undefined) return;
    try {
      // A client that does not wait for the answer is signed out all the same.
      await withDeadline({ source: 'webmail', ms: webmailSignOutMs }, neverGone, async (signal) =>
        home.driver.signOut(host, jar, as, signal),
      );
    } catch (error) {
      log.info('webmail-logout-failed', { user: record.user, host: record.host, err: error });
    }
  };
}

/**
 * Ends of which the webmail would hear nothing else: the browser's own sign-out tells it, and time ends it there too.
 */
const silentEnds: ReadonlySet<EndReason> = new Set(['ended-elsewhere', 'kicked', 'too-many']);

/**
 * Signs a session that was ended from elsewhere out of its webmail, best effort, where this node had its jar open.
 */
export function createLogoutOfEnded(logout: Logout): (session: LiveSession, reason: EndReason) => void {
  return (session, reason) => {
    // What staff opened is always signed out: no webmail session must outlive the permission.
    if (silentEnds.has(reason) || session.record.impersonation !== undefined) leaveWebmail(logout, session);
  };
}

/** Signs a session out of the webmail that it had, best effort, while the gateway's own ends or goes on elsewhere. */
export function leaveWebmail(logout: Logout, left: LeftSession): void {
  const { userAgent, publicOrigin, clientAddress } = left.record;
  void logout(left, { userAgent, publicOrigin, clientAddress }, async () => {});
}
