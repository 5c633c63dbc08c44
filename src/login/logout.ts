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
 * The use case of signing out: `end` ends the gateway's own session, or replaces it. Then the webmail is told, best
 * effort and within 2 s; it expires sessions by itself. Rejects only as `end` does.
 */
export type Logout = (left: LeftSession, as: SignOutIdentity, end: () => Promise<void>) => Promise<void>;

/** The webmail session to end: its record and cookies. */
export type LeftSession = Pick<LiveSession, 'record' | 'jar'>;

/** Makes the sign-out: the session ends first, then the webmail's own. */
export function createLogout({ homeOf, log }: LogoutDeps): Logout {
  return async ({ record, jar }, as, end) => {
    await end();
    const home = homeOf(record.backend);
    const host = home?.backend.hosts.find(({ name }) => name === record.host);
    if (home === undefined || host === undefined) return;
    try {
      // Sign out even if the client does not wait for the answer.
      await withDeadline({ source: 'webmail', ms: webmailSignOutMs }, neverGone, async (signal) =>
        home.driver.signOut(host, jar, as, signal),
      );
    } catch (error) {
      log.info('webmail-logout-failed', { user: record.user, host: record.host, err: error });
    }
  };
}

/** Ends that the webmail is not told by the browser and does not reach by time. */
const silentEnds: ReadonlySet<EndReason> = new Set(['ended-elsewhere', 'kicked', 'locked', 'too-many']);

/** Signs a session that ended elsewhere out of its webmail, best effort, if this node had its jar open. */
export function createLogoutOfEnded(logout: Logout): (session: LiveSession, reason: EndReason) => void {
  return (session, reason) => {
    // A mailbox that staff opened is always signed out: no webmail session may outlive the permission.
    if (silentEnds.has(reason) || session.record.impersonation !== undefined) leaveWebmail(logout, session);
  };
}

/** Signs out of the webmail of a session that ends or moves, best effort. */
export function leaveWebmail(logout: Logout, left: LeftSession): void {
  const { userAgent, publicOrigin, clientAddress } = left.record;
  void logout(left, { userAgent, publicOrigin, clientAddress }, async () => {});
}
