import type { MailConnections } from '../backends/mail-connections.ts';
import { type Audit, recordIfPossible } from '../core/audit.ts';
import { isoTime } from '../core/clock.ts';
import type { HomeLookup } from '../core/directory.ts';
import { type CanonicalUser, isRecordKey, type RecordKey } from '../core/names.ts';
import type { ReadReports } from '../core/node-report.ts';
import { defined } from '../core/objects.ts';
import {
  isSessionMeant,
  type ListedSession,
  mayFilterEnd,
  type PlacedSession,
  sessionKind,
  sessionKinds,
  type SessionPlace,
  shortSessionIds,
} from '../core/session.ts';
import { deviceName } from '../core/text.ts';
import type { ApiBackendsDeps } from './api-backends.ts';
import {
  type ApiAnswer,
  ApiRefusal,
  type ApiRequest,
  type ApiRoute,
  askerOf,
  limitIn,
  networkIn,
  noSuch,
  ok,
  reasonIn,
  wordIn,
} from './api-exchange.ts';

/** Dependencies of the API's operations on sessions. */
export interface ApiSessionsDeps {
  readonly sessions: {
    /** All of them, the newest first, in pages; with `after`, those behind that place. */
    allSessions(after?: SessionPlace): AsyncIterable<readonly PlacedSession[]>;
    sessionsOfUser(user: CanonicalUser): Promise<readonly ListedSession[]>;
    endSessionsOfUser(user: CanonicalUser, reason: 'kicked', options: { readonly by: string }): Promise<number>;
    end(key: RecordKey, reason: 'kicked', by: string): Promise<void>;
  };
  readonly mail: MailConnections;
  readonly backends: ApiBackendsDeps['backends'];
  /** Returns the canonical user for a typed name. Throws ApiRefusal if it cannot be a user. */
  readonly userNamed: (typed: string | undefined) => CanonicalUser;
  /** Looks up the user's home, overrides included. Rejects if it cannot be found out. */
  readonly lookUp: (user: CanonicalUser) => Promise<HomeLookup>;
  readonly reports: { readonly read: ReadReports };
  readonly audit: Pick<Audit, 'record'>;
}

const maxListedSessions = 1000;
const filters = ['user', 'backend', 'host', 'address', 'network', 'kind'] as const;
/** Users whose sessions are ended, and then audited, at once. */
const usersEndedAtOnce = 50;

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
    const limit = limitIn(query, maxListedSessions);
    const after = placeIn(query);
    // One more than shown tells whether there are more.
    const found = await this.#list(query, limit + 1, after);
    if (found.length === 0 && after === undefined) this.#refuseUnknown(query);
    const shown = found.slice(0, limit);
    const last = found.length > limit ? shown.at(-1)?.place : undefined;
    return ok({
      sessions: describeSessions(shown),
      truncated: found.length > limit,
      ...defined({ next: last === undefined ? undefined : `${last.at}.${last.rank}.${last.key}` }),
    });
  }

  async endSessions(request: ApiRequest): Promise<ApiAnswer> {
    const { query } = request;
    const unknown = [...query.keys()].find((name) => !filters.some((one) => one === name));
    // A filter that is misspelt must not end what it would have spared.
    if (unknown !== undefined)
      throw new ApiRefusal(400, `there is no filter ${unknown}: there are ${filters.join(', ')}`);
    const wanted = filters.flatMap((name) => (query.has(name) ? [[name, query.get(name) ?? ''] as const] : []));
    if (wanted.length === 0) throw new ApiRefusal(400, `name at least one of ${filters.join(', ')}`);
    const reason = reasonIn(request);
    const [backend, host, kind] = ['backend', 'host', 'kind'].map((name) => query.get(name) ?? undefined);
    const listed = await this.#list(query, Number.POSITIVE_INFINITY);
    const found = listed.filter(({ record }) => mayFilterEnd({ backend, host, kind }, record));
    if (found.length === 0) this.#refuseUnknown(query);
    const byUser = [...Map.groupBy(found, ({ record }) => record.user)];
    for (let from = 0; from < byUser.length; from += usersEndedAtOnce) {
      const some = byUser.slice(from, from + usersEndedAtOnce);
      const keys = some.flatMap(([, sessions]) => sessions.map(({ key }) => key));
      await Promise.all(keys.map((key) => this.#deps.sessions.end(key, 'kicked', request.by)));
      await Promise.all(
        some.map(([subject, sessions]) => {
          const facts = { ...Object.fromEntries(wanted), ended: sessions.length, reason };
          return recordIfPossible(this.#deps.audit, { event: 'session-end', ...askerOf(request), subject, facts });
        }),
      );
    }
    return ok({ ended: found.length, users: byUser.length });
  }

  async endSession(request: ApiRequest): Promise<ApiAnswer> {
    const reason = reasonIn(request);
    const { key, record } = await this.#sessionMeant(request.path['session'] ?? '');
    await this.#deps.sessions.end(key, 'kicked', request.by);
    const { user } = record;
    const facts = { ended: 1, reason };
    await recordIfPossible(this.#deps.audit, { event: 'session-end', ...askerOf(request), subject: user, facts });
    return ok({ ended: 1, user, id: key });
  }

  async endSessionsOfUser(request: ApiRequest): Promise<ApiAnswer> {
    const user = this.#deps.userNamed(request.path['user']);
    const reason = reasonIn(request);
    const ended = await this.#deps.sessions.endSessionsOfUser(user, 'kicked', { by: request.by });
    const order = { by: request.by, occasion: 'kick', reason, ...defined({ address: request.address }) } as const;
    const mail = await this.#deps.mail.end([{ kind: 'user', name: user }], order);
    // A name that nobody has is a slip of the operator, who must not believe that somebody was signed out.
    const isNobodys = ended === 0 && (mail === undefined || mail.ended + mail.left === 0);
    if (isNobodys && (await this.#deps.lookUp(user)).kind === 'unknown-user') {
      throw new ApiRefusal(404, `no source of the directory knows ${user}, and no session has that name`);
    }
    const facts = { ended, reason };
    await recordIfPossible(this.#deps.audit, { event: 'session-end', ...askerOf(request), subject: user, facts });
    return ok({ user, ended, ...defined({ nodes: await this.#nodesThatLive(), mail }) });
  }

  /** How many nodes report themselves; undefined if the store cannot be asked. */
  async #nodesThatLive(): Promise<number | undefined> {
    return this.#deps.reports.read().then(
      (reports) => reports.length,
      () => undefined,
    );
  }

  /** The one session that a text means. Throws ApiRefusal if there is none, or more than one. */
  async #sessionMeant(text: string): Promise<ListedSession> {
    const meant: ListedSession[] = [];
    for await (const page of this.#deps.sessions.allSessions()) {
      meant.push(...page.filter(({ key }) => isSessionMeant(key, text)));
    }
    const [only, ...others] = meant;
    if (only === undefined) {
      throw new ApiRefusal(404, 'there is no such session: postern session list shows those that are open');
    }
    if (others.length === 0) return only;
    const ids = shortSessionIds(meant.map(({ key }) => key));
    const shown = meant.slice(0, 10).map(({ key, record }) => `${ids.get(key)} of ${record.user}`);
    throw new ApiRefusal(409, `${text} begins the ids of ${meant.length} sessions: write ${shown.join(', or ')}`);
  }

  /** A name that is no backend is a slip, unless sessions are left on one that has gone from the configuration. */
  #refuseUnknown(query: URLSearchParams): void {
    const name = query.get('backend');
    const backends = this.#deps.backends();
    if (name !== null && !backends.has(name)) throw noSuch('there is no backend', name, backends.keys());
  }

  /** Returns sessions that match every filter, the newest first, at most `most`. */
  async #list(query: URLSearchParams, most: number, after?: SessionPlace): Promise<readonly PlacedSession[]> {
    const user = query.has('user') ? this.#deps.userNamed(query.get('user') ?? '') : undefined;
    const kind = wordIn(query, 'kind', sessionKinds);
    const isInNetwork = networkIn(query);
    const matches = ({ record }: ListedSession) =>
      (user === undefined || record.user === user) &&
      (kind === undefined || sessionKind(record) === kind) &&
      ['backend', 'host'].every((name) => !query.has(name) || query.get(name) === Reflect.get(record, name)) &&
      (!query.has('address') || query.get('address') === record.clientAddress) &&
      (isInNetwork === undefined || isInNetwork(record.clientAddress));
    const found: PlacedSession[] = [];
    const all = user === undefined ? this.#deps.sessions.allSessions(after) : [await this.#ofUser(user, after)];
    for await (const page of all) {
      found.push(...page.filter(matches));
      if (found.length >= most) break;
    }
    return found.slice(0, most);
  }

  async #ofUser(user: CanonicalUser, after: SessionPlace | undefined): Promise<readonly PlacedSession[]> {
    const listed = await this.#deps.sessions.sessionsOfUser(user);
    return listed
      .map((session) => ({ ...session, place: { at: session.record.createdAtMs, key: session.key, rank: 0 } }))
      .toSorted((a, b) => b.place.at - a.place.at || (b.key < a.key ? -1 : 1))
      .filter(({ place: { at, key } }) => after === undefined || at < after.at || (at === after.at && key < after.key));
  }
}

/** The place that `cursor` names, the `next` of the page before; undefined if it is missing. Throws ApiRefusal else. */
function placeIn(query: URLSearchParams): SessionPlace | undefined {
  const cursor = query.get('cursor');
  if (cursor === null) return undefined;
  const [, at, rank, key = ''] = /^(\d{1,16})\.(\d{1,9})\.([\w-]+)$/.exec(cursor) ?? [];
  if (!isRecordKey(key)) throw new ApiRefusal(400, 'cursor is not the next of a page');
  return { at: Number(at), rank: Number(rank), key };
}

/** Describes sessions for operators; the descriptions can open no mailbox. */
export function describeSessions(sessions: readonly ListedSession[]) {
  const ids = shortSessionIds(sessions.map(({ key }) => key));
  return sessions.map((session) => ({ short_id: ids.get(session.key), ...describeSession(session) }));
}

function describeSession({ key, record, lastUseMs }: ListedSession) {
  const { user, backend, host, clientAddress: address, userAgent, createdAtMs, absoluteEndMs, impersonation } = record;
  const opened = impersonation === undefined ? {} : { opened_by: impersonation.actor, until: isoTime(absoluteEndMs) };
  return {
    id: key,
    kind: sessionKind(record),
    ...opened,
    user,
    backend,
    host,
    address,
    user_agent: userAgent,
    ...defined({ browser: deviceName(userAgent) }),
    since: isoTime(createdAtMs),
    last_use: isoTime(Math.max(lastUseMs, createdAtMs)),
  };
}
