import { CookieJar } from '../core/cookie-jar.ts';
import type { Clock } from '../core/clock.ts';
import type { Client } from '../core/identity.ts';
import type { BackendName } from '../core/names.ts';
import type { LiveSession, RecordKey } from '../core/session.ts';
import type { LostAnswer, SilentSignIn, SilentSignInOutcome, WebmailDriver } from '../core/webmail.ts';
import { PosternError } from '../core/error.ts';
import { neverGone, withDeadline } from './deadline.ts';
import { canEnter, identityOf } from './entry.ts';
import type { Home } from './authentication.ts';
import { createBackendTurns } from './turns.ts';

/** From its turn on. */
const deadlineMs = 15_000;
/** Its turn included: as long as a person waits for a page. */
const patienceMs = 60_000;
const pauseMs = 10_000;
const windowMs = 5 * 60_000;
const perWindow = 3;
/** When a webmail was restarted, all of its users come at once. */
const perBackend = { atOnce: 8, waiting: 1000, source: 'webmail' } as const;
/** Sessions whose last attempts are remembered; forgetting the oldest only allows it one attempt more. */
const maxRemembered = 10_000;

export interface SilentSignInDeps {
  readonly homeOf: (backend: BackendName) => Home | undefined;
  readonly clock: Clock;
}

/**
 * Signs a session's user in to the webmail once more, on the host of the session, when the webmail has lost its own
 * session: requests that find it lost at the same time share one sign-in. At most one per session in 10 s and three in
 * 5 min, so that a webmail that forgets everybody is not hammered, and eight at a time per backend.
 *
 * A fresh sign-in takes the place of all cookies in the session's jar; those that the driver carries go along with it, as
 * the answer left them that told of the loss, of several the first. Rejects with source `webmail`: the webmail could
 * not be asked, ERR_BUSY when too many wait. A session without a password is entered by a master identity, and
 * `rejected` where the webmail cannot be. It is not aborted when the request that began it is gone: the next one needs it too.
 */
export function createSilentSignIn(deps: SilentSignInDeps): SilentSignIn {
  const inFlight = new Map<RecordKey, Promise<SilentSignInOutcome>>();
  const attempts = createAttempts(deps.clock);
  const turnsOf = createBackendTurns(perBackend);

  async function attempt(
    session: LiveSession,
    client: Client,
    publicOrigin: string,
    lost: LostAnswer | undefined,
  ): Promise<SilentSignInOutcome> {
    const { record } = session;
    const home = deps.homeOf(record.backend);
    const host = home?.backend.hosts.find(({ name }) => name === record.host);
    if (home === undefined || host === undefined) throw noSuchHost(record.host);
    if (!canEnter(session, home.driver)) return { kind: 'rejected' };
    const carried = carriedCookies(session, home.driver, lost, deps.clock.nowMs());
    const as = { ...identityOf(session, client, publicOrigin), ...(carried === undefined ? {} : { carried }) };
    let begun = false;
    const outcome = await withDeadline('webmail', patienceMs, neverGone, (waiting) =>
      turnsOf(record.backend).take(waiting, () => {
        begun = true;
        return withDeadline('webmail', deadlineMs, waiting, (signal) => home.driver.signIn(host, as, signal));
      }),
    ).catch((error: unknown) => {
      // Who only waited has not hammered anybody.
      if (!begun) attempts.takeBack(session.key);
      throw error;
    });
    if (outcome.kind === 'rejected') return outcome;
    session.jar.renew(outcome.jar);
    session.saveJar();
    return { kind: 'signed-in', landing: outcome.landing, browserCookies: outcome.browserCookies };
  }

  return (session, client, publicOrigin, lost) => {
    const running = inFlight.get(session.key);
    if (running !== undefined) return running;
    if (!attempts.admit(session.key)) return Promise.resolve({ kind: 'too-often' });
    const flight = attempt(session, client, publicOrigin, lost).finally(() => inFlight.delete(session.key));
    inFlight.set(session.key, flight);
    return flight;
  };
}

/** What a browser would hold after the answer, of the names that the driver carries. */
function carriedCookies(
  { record, jar }: LiveSession,
  driver: WebmailDriver,
  lost: LostAnswer | undefined,
  nowMs: number,
): CookieJar | undefined {
  if (lost === undefined || lost.host !== record.host || driver.carriesCookie === undefined) return undefined;
  const after = new CookieJar((name) => driver.ownsCookie(name));
  after.renew(jar);
  for (const line of lost.setCookies) after.absorb(line, lost.target, nowMs);
  return after.pick((name) => driver.carriesCookie?.(name) === true);
}

interface Attempts {
  /** Whether this session may sign in silently now; if so, it counts. */
  admit(key: RecordKey): boolean;
  /** The last one does not count after all. */
  takeBack(key: RecordKey): void;
}

function createAttempts(clock: Clock): Attempts {
  const times = new Map<RecordKey, readonly number[]>();
  return {
    admit(key) {
      const nowMs = clock.nowMs();
      const recent = (times.get(key) ?? []).filter((at) => nowMs - at < windowMs);
      const last = recent.at(-1);
      if (recent.length >= perWindow || (last !== undefined && nowMs - last < pauseMs)) return false;
      times.delete(key);
      times.set(key, [...recent, nowMs]);
      const [oldest] = times.keys();
      if (times.size > maxRemembered && oldest !== undefined) times.delete(oldest);
      return true;
    },
    takeBack: (key) => void times.set(key, (times.get(key) ?? []).slice(0, -1)),
  };
}

function noSuchHost(host: string): PosternError {
  const message = `the host ${host} of the session is not configured any more`;
  return new PosternError('ERR_WEBMAIL_UNAVAILABLE', message, { source: 'webmail', retryable: false });
}
