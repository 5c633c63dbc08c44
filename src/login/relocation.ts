import { CookieJar, expiredCookieLines } from '../core/cookie-jar.ts';
import { PosternError } from '../core/error.ts';
import type { Client } from '../core/identity.ts';
import type { BackendName } from '../core/names.ts';
import type { Place, Relocate, Relocated } from '../core/placement.ts';
import type { LiveSession, RecordKey, SessionRecord, SessionRoute } from '../core/session.ts';
import type { WebmailDriver } from '../core/webmail.ts';
import { neverGone, withDeadline } from './deadline.ts';
import { canEnter, identityOf } from './entry.ts';
import type { LeftSession } from './logout.ts';
import { createBackendTurns } from './turns.ts';

const deadlineMs = 15_000;
/** When a host is lost, all of its users come at once. */
const perBackend = { atOnce: 16, waiting: 5000, source: 'webmail' } as const;

type Elsewhere = Extract<Place, { kind: 'elsewhere' }>;

export interface RelocationDeps {
  readonly placeOf: (record: SessionRecord) => Place;
  /** The same, after the host that it named could not be asked. */
  readonly reconsider: (record: SessionRecord) => Promise<Place>;
  readonly driverOf: (backend: BackendName) => WebmailDriver | undefined;
  /** Writes the session's new route and cookies; `elsewhere`: another node was first. */
  readonly reroute: (key: RecordKey, to: SessionRoute, fresh: CookieJar) => Promise<'rerouted' | 'elsewhere' | 'gone'>;
  /** Signs out of the webmail of the backend that a session has left. */
  readonly leave: (left: LeftSession) => void;
}

/**
 * Leads a session to where it belongs: its user is signed in there with the session's own password, then the record is
 * rewritten, once for all nodes. Of another backend's webmail the session is signed out then, best effort, and the cookies
 * that the browser holds of it are taken back. Sixteen at a time per backend; a session without a password
 * is entered by a master identity, and `rejected` where the new webmail cannot be.
 */
export function createRelocation(deps: RelocationDeps): Relocate {
  const inFlight = new Map<RecordKey, Promise<Relocated>>();
  const turnsOf = createBackendTurns(perBackend);

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
      // Of two hosts that are lost together, nobody knew it of the second one.
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
    const outcome = await withDeadline('webmail', deadlineMs, neverGone, (signal) =>
      turnsOf(backend).take(signal, () => driver.signIn(host, as, signal)),
    );
    if (outcome.kind === 'rejected') return outcome;
    const stale = backend === record.backend ? [] : expiredCookieLines(session.jar, publicOrigin.startsWith('https:'));
    // The jar of the session holds the new cookies then.
    const route = { backend, host: host.name, ...(homeSinceMs === undefined ? {} : { homeSinceMs }) };
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
