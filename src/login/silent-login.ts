import { BoundedMap } from '../core/bounded-map.ts';
import type { Clock } from '../core/clock.ts';
import { CookieJar, expiredCookieLines } from '../core/cookie-jar.ts';
import { withDeadline } from '../core/deadline.ts';
import { PosternError } from '../core/error.ts';
import type { Client, SignInIdentity } from '../core/identity.ts';
import type { BackendName, RecordKey } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import type { Place, Relocate, Relocated } from '../core/placement.ts';
import type { LiveSession, SessionRecord, SessionRoute } from '../core/session.ts';
import type { LostAnswer, SilentLogin, SilentLoginOutcome, WebmailDriver } from '../core/webmail.ts';
import type { Home } from './authentication.ts';
import { createBackendLimits, neverGone } from './limits.ts';
import type { LeftSession } from './logout.ts';

/** From the start of the login at the webmail. */
const silentLoginDeadlineMs = 15_000;
/** With the wait for a place: as long as a person waits for a page. */
const silentLoginPatienceMs = 60_000;
const silentLoginIntervalMs = 10_000;
const silentLoginWindowMs = 5 * 60_000;
const silentLoginsPerWindow = 3;
/** All users of a webmail come at once after its restart. */
const silentLoginsPerBackend = { atOnce: 8, waiting: 1000, source: 'webmail' } as const;
/** Sessions with remembered attempts; forgetting the oldest allows that session one attempt more. */
const rememberedSessions = 10_000;

interface SilentLoginDeps {
  readonly homeOf: (backend: BackendName) => Home | undefined;
  readonly clock: Clock;
}

/**
 * Signs a session's user in to the webmail again, on the host of the session, when the webmail has lost its own
 * session. Concurrent requests share one login. At most one per session in 10 s and three in 5 min, so that a webmail
 * that loses every session is not flooded, and eight at a time per backend.
 *
 * The new login replaces all cookies in the session's jar. Cookies that the driver carries are sent along, as the first
 * answer that told of the loss left them. Rejects with source `webmail` if the webmail could not be asked, with
 * ERR_BUSY if too many wait. A session without a password uses a master identity, and is `rejected` if the webmail has
 * none. The login is not aborted when the request that began it is gone: the next one needs it too.
 */
export function createSilentLogin(deps: SilentLoginDeps): SilentLogin {
  const inFlight = new Map<RecordKey, Promise<SilentLoginOutcome>>();
  const attempts = createSilentLoginCounts(deps.clock);
  const turnsOf = createBackendLimits(silentLoginsPerBackend);

  async function attempt(
    session: LiveSession,
    client: Client,
    publicOrigin: string,
    lost: LostAnswer | undefined,
  ): Promise<SilentLoginOutcome> {
    const { record } = session;
    const home = deps.homeOf(record.backend);
    const host = home?.backend.hosts.find(({ name }) => name === record.host);
    if (home === undefined || host === undefined) throw noSuchHost(record.host);
    if (!canEnter(session, home.driver)) return { kind: 'rejected' };
    const carried = carriedCookies(session, home.driver, lost, deps.clock.nowMs());
    const as = { ...identityOf(session, client, publicOrigin), ...defined({ carried }) };
    let begun = false;
    const outcome = await withDeadline({ source: 'webmail', ms: silentLoginPatienceMs }, neverGone, (waiting) =>
      turnsOf(record.backend).take(waiting, () => {
        begun = true;
        return withDeadline({ source: 'webmail', ms: silentLoginDeadlineMs }, waiting, (signal) =>
          home.driver.signIn(host, as, signal),
        );
      }),
    ).catch((error: unknown) => {
      // An attempt that only waited did not reach the webmail.
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

/** The cookies that a browser would hold after the answer, of the names that the driver carries. */
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

interface SilentLoginCounts {
  /** Whether this session may sign in silently now; if so, it counts. */
  admit(key: RecordKey): boolean;
  /** The last attempt does not count after all. */
  takeBack(key: RecordKey): void;
}

function createSilentLoginCounts(clock: Clock): SilentLoginCounts {
  const times = new BoundedMap<RecordKey, readonly number[]>(rememberedSessions);
  return {
    admit(key) {
      const nowMs = clock.nowMs();
      const recent = (times.get(key) ?? []).filter((at) => nowMs - at < silentLoginWindowMs);
      const last = recent.at(-1);
      if (recent.length >= silentLoginsPerWindow || (last !== undefined && nowMs - last < silentLoginIntervalMs))
        return false;
      times.set(key, [...recent, nowMs]);
      return true;
    },
    takeBack: (key) => void times.set(key, (times.get(key) ?? []).slice(0, -1)),
  };
}

function noSuchHost(host: string): PosternError {
  const message = `the host ${host} of the session is not configured any more`;
  return new PosternError('ERR_WEBMAIL_UNAVAILABLE', message, { source: 'webmail', retryable: false });
}

type Entering = Pick<LiveSession, 'record' | 'password'>;

/** Whether a session can sign in to a webmail: by its password, or by a master identity. */
function canEnter({ password }: Pick<Entering, 'password'>, { masterEntry }: WebmailDriver): boolean {
  return password !== undefined || masterEntry.kind !== 'impossible';
}

/** The identity with which a session's user is signed in to the webmail again. */
function identityOf({ record, password }: Entering, client: Client, publicOrigin: string): SignInIdentity {
  const { user, timeZone, impersonation } = record;
  return { user, password, client, timeZone, publicOrigin, ...defined({ actor: impersonation?.actor }) };
}

const relocationDeadlineMs = 15_000;
/** All users of a host come at once when it is lost. */
const relocationsPerBackend = { atOnce: 16, waiting: 5000, source: 'webmail' } as const;

type Elsewhere = Extract<Place, { kind: 'elsewhere' }>;

interface RelocationDeps {
  readonly placeOf: (record: SessionRecord) => Place;
  /** The place again, after the host of the first answer could not be asked. */
  readonly reconsider: (record: SessionRecord) => Promise<Place>;
  readonly driverOf: (backend: BackendName) => WebmailDriver | undefined;
  /** Writes the session's new route and cookies; `elsewhere`: another node was first. */
  readonly reroute: (key: RecordKey, to: SessionRoute, fresh: CookieJar) => Promise<'rerouted' | 'elsewhere' | 'gone'>;
  /** Signs out of the webmail of the backend that a session has left. */
  readonly leave: (left: LeftSession) => void;
}

/**
 * Moves a session to its new place: signs the user in there with the session's own password, then rewrites the record,
 * once for all nodes. If the backend changed, the old webmail is signed out, best effort, and its cookies in the
 * browser expire. Sixteen at a time per backend. A session without a password uses a master identity, and is `rejected`
 * if the new webmail has none.
 */
export function createRelocation(deps: RelocationDeps): Relocate {
  const inFlight = new Map<RecordKey, Promise<Relocated>>();
  const turnsOf = createBackendLimits(relocationsPerBackend);

  async function relocate(session: LiveSession, client: Client, publicOrigin: string): Promise<Relocated> {
    const place = deps.placeOf(session.record);
    if (place.kind === 'closed') return place;
    if (place.kind === 'here') {
      return { kind: 'relocated', landing: place.host.webmail.landing, browserCookies: [] };
    }
    try {
      return await leadTo(place, session, { client, publicOrigin });
    } catch (error) {
      if (!(error instanceof PosternError) || error.code !== 'ERR_WEBMAIL_UNAVAILABLE') throw error;
      // Two hosts may be lost together, the second one unnoticed so far.
      const other = await deps.reconsider(session.record);
      if (other.kind !== 'elsewhere' || other.host.name === place.host.name) throw error;
      return leadTo(other, session, { client, publicOrigin });
    }
  }

  async function leadTo(
    { backend, host, homeSinceMs }: Elsewhere,
    session: LiveSession,
    { client, publicOrigin }: { readonly client: Client; readonly publicOrigin: string },
  ): Promise<Relocated> {
    const { record } = session;
    const driver = deps.driverOf(backend);
    if (driver === undefined) throw noSuchBackend(backend);
    if (!canEnter(session, driver)) return { kind: 'rejected' };
    const as = identityOf(session, client, publicOrigin);
    const outcome = await withDeadline({ source: 'webmail', ms: relocationDeadlineMs }, neverGone, (signal) =>
      turnsOf(backend).take(signal, () => driver.signIn(host, as, signal)),
    );
    if (outcome.kind === 'rejected') return outcome;
    const stale = backend === record.backend ? [] : expiredCookieLines(session.jar, publicOrigin.startsWith('https:'));
    // After the reroute the jar of the session holds the new cookies.
    const route = { backend, host: host.name, ...defined({ homeSinceMs }) };
    const left = { record, jar: new CookieJar(() => true) };
    left.jar.renew(session.jar);
    const written = await deps.reroute(session.key, route, outcome.jar);
    if (written === 'gone') return { kind: 'ended' };
    if (written === 'rerouted' && backend !== record.backend) deps.leave(left);
    const fresh = written === 'rerouted' ? outcome.browserCookies : [];
    return { kind: 'relocated', landing: outcome.landing, browserCookies: [...stale, ...fresh] };
  }

  return (session, client, publicOrigin) => {
    const running = inFlight.get(session.key);
    if (running !== undefined) return running;
    const flight = relocate(session, client, publicOrigin).finally(() => inFlight.delete(session.key));
    inFlight.set(session.key, flight);
    return flight;
  };
}

function noSuchBackend(backend: string): PosternError {
  const message = `the backend ${backend} is not configured any more`;
  return new PosternError('ERR_WEBMAIL_UNAVAILABLE', message, { source: 'webmail', retryable: false });
}
