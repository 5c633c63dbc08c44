import type { Log } from '../core/log.ts';
import type { BackendName } from '../core/names.ts';
import type { LiveSession } from '../core/session.ts';
import type { SignOutIdentity } from '../core/webmail.ts';
import { withDeadline } from './deadline.ts';
import type { Home } from './login.ts';

const webmailSignOutMs = 2_000;

export interface LogoutDeps {
  readonly homeOf: (backend: BackendName) => Home | undefined;
  readonly log: Log;
}

/**
 * The use case of signing out: `end` ends the gateway's own session, or puts another in its place; then the webmail is
 * told, best effort and within 2 s, for it forgets by itself what it was not told. Rejects only as `end` does.
 */
export type Logout = (session: LiveSession, as: SignOutIdentity, end: () => Promise<void>) => Promise<void>;

export function createLogout({ homeOf, log }: LogoutDeps): Logout {
  return async ({ record, jar }, as, end) => {
    await end();
    const home = homeOf(record.backend);
    const host = home?.backend.hosts.find(({ name }) => name === record.host);
    if (home === undefined || host === undefined) return;
    try {
      await withDeadline('webmail', webmailSignOutMs, neverGone, async (signal) =>
        home.driver.signOut(host, jar, as, signal),
      );
    } catch (error) {
      log.info({ user: record.user, host: record.host, err: error }, 'the sign-out did not reach the webmail');
    }
  };
}

/** Who does not wait for the answer has signed out all the same. */
const neverGone = new AbortController().signal;
