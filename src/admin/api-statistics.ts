import { type Audit, recordIfPossible } from '../core/audit.ts';
import { isoTime } from '../core/clock.ts';
import type { HomeLookup } from '../core/directory.ts';
import { PosternError } from '../core/error.ts';
import type { CanonicalUser } from '../core/names.ts';
import {
  countedBy,
  type LastLogin,
  type LastLoginsPage,
  type StatisticsReader,
  type TimeSpan,
  type UserLastLogin,
  waysIn,
} from '../core/statistics.ts';
import {
  type ApiAnswer,
  ApiRefusal,
  type ApiRequest,
  type ApiRoute,
  askerOf,
  ok,
  reasonIn,
  timeIn,
  wordIn,
} from './api-exchange.ts';

/** Dependencies of the API's operations on statistics. */
export interface ApiStatisticsDeps {
  readonly statistics: {
    figures(): Promise<StatisticsReader>;
    erase(user: string): Promise<boolean>;
  };
  /** Returns the canonical user for a typed name. Throws ApiRefusal if it cannot be a user. */
  readonly userNamed: (typed: string | undefined) => CanonicalUser;
  /** Asks the directory. Rejects if it cannot be asked. */
  readonly lookUp: (user: CanonicalUser) => Promise<HomeLookup>;
  readonly audit: Pick<Audit, 'record'>;
  readonly clock: { readonly nowMs: () => number };
}

const groupings = ['hour', 'day', ...countedBy] as const;
const defaultSpanMs = 30 * 24 * 60 * 60 * 1000;
/** Standard error of the number of distinct users, as a share. */
const distinctError = 0.0081;
const mostNames = 2_000;
/** An answer has at least this many users, unless it took as many pages of the store. */
const usersShown = 1_000;
const mostPages = 10;
/** Names that the directory is asked about at once. */
const lookupsAtOnce = 16;

/** Other places that hold something of a user, for whoever erases one. */
const elsewhere = [
  'audit: what staff and operators did to the user; its lines are chained and cannot be erased (postern audit list --subject)',
  'log: sign-ins and requests, for as long as your log files and their servers keep them',
  'sessions: those that are open (postern kick ends them)',
  'state: a move, a home or a notice of the user, if there is one (postern explain)',
  'support: the latest 20 sign-ins, for 30 days at most, if support is configured',
  'penalties: keyed hashes of the name, for 15 minutes at most',
  'statistics: counts and sketches of distinct users, from which no name can be read or erased, and for 7 days a keyed hash of the name, so that no node stores an older sign-in',
  'backups of the store',
] as const;

/** Routes of the statistics of all nodes. */
export function statisticsRoutes(deps: ApiStatisticsDeps): readonly ApiRoute[] {
  const api = new StatisticsRequests(deps);
  return [
    { name: 'countLogins', method: 'GET', path: '/statistics/logins', handle: (request) => api.logins(request) },
    { name: 'countLoginsOfWeek', method: 'GET', path: '/statistics/week', handle: (request) => api.week(request) },
    { name: 'countUsers', method: 'GET', path: '/statistics/users', handle: (request) => api.users(request) },
    { name: 'listLastLogins', method: 'GET', path: '/statistics/last', handle: (request) => api.last(request) },
    {
      name: 'findLastLogins',
      method: 'POST',
      path: '/statistics/last',
      onlyReads: true,
      handle: (request) => api.find(request),
    },
    {
      name: 'eraseStatistics',
      method: 'DELETE',
      path: '/users/{user}/statistics',
      handle: (request) => api.erase(request),
    },
  ];
}

class StatisticsRequests {
  readonly #deps: ApiStatisticsDeps;

  constructor(deps: ApiStatisticsDeps) {
    this.#deps = deps;
  }

  async logins({ query }: ApiRequest): Promise<ApiAnswer> {
    const by = wordIn(query, 'by', groupings) ?? 'day';
    const zone = zoneIn(query);
    const figures = await this.#deps.statistics.figures();
    const { rows, ...span } = await figures.logins(by, this.#spanIn(query), zone);
    return ok({ by, zone, ...describeSpan(span), rows: rows.map(({ key, counts }) => ({ [by]: key, ...counts })) });
  }

  async week({ query }: ApiRequest): Promise<ApiAnswer> {
    const zone = zoneIn(query);
    const span = this.#spanIn(query);
    const figures = await this.#deps.statistics.figures();
    return ok({ zone, ...describeSpan(span), counts: await figures.week(span, zone) });
  }

  async users({ query }: ApiRequest): Promise<ApiAnswer> {
    const span = this.#spanIn(query);
    const figures = await this.#deps.statistics.figures();
    return ok({ ...describeSpan(span), standard_error: distinctError, ...(await figures.users(span)) });
  }

  /** Lists a page of users. With `before`, those who have not signed in since, in any way that is known. */
  async last({ query }: ApiRequest): Promise<ApiAnswer> {
    const beforeMs = timeIn(Object.fromEntries(query), 'before') ?? Number.POSITIVE_INFINITY;
    const figures = await this.#deps.statistics.figures();
    const knownSinceMs = await figures.knownSinceMs();
    const shown: UserLastLogin[] = [];
    let cursor: string | undefined = query.get('cursor') ?? '';
    // Few may be inactive: then an answer has those of several pages.
    for (let pages = 0; cursor !== undefined && pages < mostPages && shown.length < usersShown; pages += 1) {
      const page: LastLoginsPage = await figures.lastLogins(cursor).catch((error: unknown) => {
        throw error instanceof RangeError ? new ApiRefusal(400, 'cursor is not the cursor of a page') : error;
      });
      for (const one of page.users) if (latestOf(one.last) < beforeMs) shown.push(one);
      ({ cursor } = page);
    }
    return ok({
      ...describeKnown(knownSinceMs),
      users: shown.map(describeLast),
      ...(cursor === undefined ? {} : { cursor }),
    });
  }

  /** Tells of each name when it signed in last, or that it never did, or that it is nobody. */
  async find({ body }: ApiRequest): Promise<ApiAnswer> {
    const names = body['users'];
    if (!Array.isArray(names) || names.length > mostNames || !names.every((name) => typeof name === 'string'))
      throw new ApiRefusal(400, `users is not a list of at most ${mostNames} names`);
    const figures = await this.#deps.statistics.figures();
    const parsed = names.map((name) => this.#parsed(name));
    const known = await figures.lastLoginsOf(parsed.flatMap((one) => (one === undefined ? [] : [one])));
    const lasts = new Map(parsed.flatMap((one) => one ?? []).map((user, index) => [user, known[index]] as const));
    const answers: object[] = [];
    for (let at = 0; at < names.length; at += lookupsAtOnce) {
      const some = names.slice(at, at + lookupsAtOnce);
      answers.push(
        ...(await Promise.all(some.map((name, index) => this.#answerFor(name, parsed[at + index], lasts, figures)))),
      );
    }
    return ok({ ...describeKnown(await figures.knownSinceMs()), users: answers });
  }

  async erase(request: ApiRequest): Promise<ApiAnswer> {
    const reason = reasonIn(request);
    const user = await this.#behind(this.#deps.userNamed(request.path['user']));
    const erased = await this.#deps.statistics.erase(user);
    const facts = { erased, reason };
    await recordIfPossible(this.#deps.audit, { event: 'statistics-erased', ...askerOf(request), subject: user, facts });
    return ok({ user, erased, elsewhere });
  }

  /** The user behind an alias. One who is gone, or whom the directory cannot be asked about, is taken as named. */
  async #behind(user: CanonicalUser): Promise<CanonicalUser> {
    try {
      const home = await this.#deps.lookUp(user);
      return home.kind === 'found' ? home.user : user;
    } catch (error) {
      if (error instanceof PosternError) return user;
      throw error;
    }
  }

  #parsed(typed: string): CanonicalUser | undefined {
    try {
      return this.#deps.userNamed(typed);
    } catch (error) {
      if (error instanceof ApiRefusal) return undefined;
      throw error;
    }
  }

  /** Only names that never signed in are looked up: they may be aliases of users who did, or nobody. */
  async #answerFor(
    name: string,
    user: CanonicalUser | undefined,
    lasts: ReadonlyMap<string, LastLogin | undefined>,
    figures: StatisticsReader,
  ): Promise<object> {
    if (user === undefined) return { name, found: 'malformed' };
    const last = lasts.get(user);
    if (last !== undefined) return { name, found: 'signed-in', ...describeLast({ user, last }) };
    try {
      const home = await this.#deps.lookUp(user);
      if (home.kind === 'unknown-user') return { name, user, found: 'unknown-user' };
      if (home.kind !== 'found' || home.user === user) return { name, user, found: 'never' };
      const [behind] = await figures.lastLoginsOf([home.user]);
      if (behind === undefined) return { name, user: home.user, found: 'never' };
      return { name, found: 'signed-in', ...describeLast({ user: home.user, last: behind }) };
    } catch (error) {
      if (!(error instanceof PosternError) || error.source === 'store') throw error;
      return { name, user, found: 'could-not-ask' };
    }
  }

  #spanIn(query: URLSearchParams): TimeSpan {
    const asked = Object.fromEntries(query);
    const untilMs = timeIn(asked, 'until') ?? this.#deps.clock.nowMs();
    const sinceMs = timeIn(asked, 'since') ?? untilMs - defaultSpanMs;
    if (sinceMs < untilMs) return { sinceMs, untilMs };
    throw new ApiRefusal(400, 'since is not before until, which is now unless given');
  }
}

function zoneIn(query: URLSearchParams): string {
  const zone = query.get('zone') ?? 'UTC';
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone;
  } catch {
    throw new ApiRefusal(400, 'zone is not a time zone: write one such as Europe/Berlin');
  }
}

function describeSpan({ sinceMs, untilMs }: TimeSpan) {
  return { since: isoTime(sinceMs), until: isoTime(untilMs) };
}

function describeKnown(sinceMs: number | undefined): object {
  return sinceMs === undefined ? {} : { known_since: isoTime(sinceMs) };
}

function latestOf({ web = 0, program = 0, mail = 0 }: LastLogin): number {
  return Math.max(web, program, mail);
}

function describeLast({ user, last }: UserLastLogin): object {
  const described: Record<string, string> = { user };
  for (const way of waysIn) {
    const ms = last[way];
    if (ms !== undefined) described[way] = isoTime(ms);
  }
  return described;
}
