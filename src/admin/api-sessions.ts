import { type Audit, recordIfPossible } from '../core/audit.ts';
import { isoTime } from '../core/clock.ts';
import type { CanonicalUser, RecordKey } from '../core/names.ts';
import type { ListedSession } from '../core/session.ts';
import type { ApiBackendsDeps } from './api-backends.ts';
import {
  type ApiAnswer,
  ApiRefusal,
  type ApiRequest,
  type ApiRoute,
  askerOf,
  noSuch,
  ok,
  reasonIn,
} from './api-exchange.ts';

/** Dependencies of the API's operations on sessions. */
export interface ApiSessionsDeps {
  readonly sessions: {
    allSessions(): AsyncIterable<readonly ListedSession[]>;
    sessionsOfUser(user: CanonicalUser): Promise<readonly ListedSession[]>;
    endSessionsOfUser(user: CanonicalUser, reason: 'kicked', options: { readonly by: string }): Promise<number>;
    end(key: RecordKey, reason: 'kicked', by: string): Promise<void>;
  };
  readonly backends: ApiBackendsDeps['backends'];
  /** Returns the canonical user for a typed name. Throws ApiRefusal if it cannot be a user. */
  readonly userNamed: (typed: string | undefined) => CanonicalUser;
  readonly audit: Pick<Audit, 'record'>;
}

const maxListedSessions = 1000;
const filters = ['user', 'backend', 'host', 'address'] as const;

/** Routes that list and end sessions of all nodes. */
export function sessionRoutes(deps: ApiSessionsDeps): readonly ApiRoute[] {
  const api = new SessionRequests(deps);
  return [
    { name: 'listSessions', method: 'GET', path: '/sessions', handle: (request) => api.listSessions(request) },
    { name: 'endSessions', method: 'DELETE', path: '/sessions', handle: (request) => api.endSessions(request) },
    { name: 'endSession', method: 'DELETE', path: '/sessions/{session}', handle: (request) => api.endSession(request) },
    {
      name: 'endSessionsOfUser',
      method: 'DELETE',
      path: '/users/{user}/sessions',
      handle: (request) => api.endSessionsOfUser(request),
    },
  ];
}

class SessionRequests {
  readonly #deps: ApiSessionsDeps;

  constructor(deps: ApiSessionsDeps) {
    this.#deps = deps;
  }

  async listSessions({ query }: ApiRequest): Promise<ApiAnswer> {
    const found = await this.#list(query, maxListedSessions);
    if (found.length === 0) this.#refuseUnknown(query);
    const shown = found.slice(0, maxListedSessions).map(describeSession);
    return ok({ sessions: shown, truncated: found.length > maxListedSessions });
  }

  async endSessions(request: ApiRequest): Promise<ApiAnswer> {
    const { query } = request;
    const wanted = filters.flatMap((name) => (query.has(name) ? [[name, query.get(name) ?? ''] as const] : []));
    if (wanted.length === 0) throw new ApiRefusal(400, `name at least one of ${filters.join(', ')}`);
    const reason = reasonIn(request);
    // All are found before the first one ends: a list that shrinks meanwhile would skip some on its next page.
    const found = await this.#list(query);
    if (found.length === 0) this.#refuseUnknown(query);
    for (const { key } of found) await this.#deps.sessions.end(key, 'kicked', request.by);
    const facts = { ...Object.fromEntries(wanted), ended: found.length, reason };
    await recordIfPossible(this.#deps.audit, { event: 'session-end', ...askerOf(request), facts });
    return ok({ ended: found.length });
  }

  async endSession(request: ApiRequest): Promise<ApiAnswer> {
    const reason = reasonIn(request);
    const session = await this.#find(({ key }) => key === request.path['session']);
    if (session === undefined)
      throw new ApiRefusal(404, 'there is no such session: postern session list shows those that are open');
    await this.#deps.sessions.end(session.key, 'kicked', request.by);
    const { user: subject } = session.record;
    const facts = { ended: 1, reason };
    await recordIfPossible(this.#deps.audit, { event: 'session-end', ...askerOf(request), subject, facts });
    return ok({ ended: 1 });
  }

  async endSessionsOfUser(request: ApiRequest): Promise<ApiAnswer> {
    const user = this.#deps.userNamed(request.path['user']);
    const reason = reasonIn(request);
    const ended = await this.#deps.sessions.endSessionsOfUser(user, 'kicked', { by: request.by });
    const facts = { ended, reason };
    await recordIfPossible(this.#deps.audit, { event: 'session-end', ...askerOf(request), subject: user, facts });
    return ok({ user, ended });
  }

  async #find(wanted: (session: ListedSession) => boolean): Promise<ListedSession | undefined> {
    for await (const page of this.#deps.sessions.allSessions()) {
      const found = page.find(wanted);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** A name that is no backend is a slip, unless sessions are left on one that has gone from the configuration. */
  #refuseUnknown(query: URLSearchParams): void {
    const name = query.get('backend');
    const backends = this.#deps.backends();
    if (name !== null && !backends.has(name)) throw noSuch('there is no backend', name, backends.keys());
  }

  /** Returns sessions that match every filter; at least `most` + 1 if there are more than `most`. */
  async #list(query: URLSearchParams, most = Number.POSITIVE_INFINITY) {
    const user = query.has('user') ? this.#deps.userNamed(query.get('user') ?? '') : undefined;
    const matches = ({ record }: ListedSession) =>
      (user === undefined || record.user === user) &&
      ['backend', 'host'].every((name) => !query.has(name) || query.get(name) === Reflect.get(record, name)) &&
      (!query.has('address') || query.get('address') === record.clientAddress);
    if (user !== undefined) return (await this.#deps.sessions.sessionsOfUser(user)).filter(matches);
    const found: ListedSession[] = [];
    for await (const page of this.#deps.sessions.allSessions()) {
      found.push(...page.filter(matches));
      if (found.length > most) break;
    }
    return found;
  }
}

/** Describes a session for operators; the description cannot open a mailbox. */
export function describeSession({ key, record, lastUseMs }: ListedSession) {
  const { user, backend, host, clientAddress: address, userAgent: user_agent, createdAtMs } = record;
  const lastMs = Math.max(lastUseMs, createdAtMs);
  return { id: key, user, backend, host, address, user_agent, since: isoTime(createdAtMs), last_use: isoTime(lastMs) };
}
