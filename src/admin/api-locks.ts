import {
  type LockChange,
  type LockControl,
  type LockingEnd,
  type LockKind,
  lockKey,
  lockKinds,
  type Locks,
  type LockTarget,
  type StandingLock,
} from '../backends/user-orders.ts';
import { type Audit, type AuditFacts, recordIfPossible } from '../core/audit.ts';
import { type Clock, isoTime } from '../core/clock.ts';
import type { HomeLookup } from '../core/directory.ts';
import { PosternError } from '../core/error.ts';
import { namedNetwork } from '../core/ip-networks.ts';
import { type CanonicalUser, domainOfUsers, type LoginNameRules } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import {
  type ApiAnswer,
  ApiRefusal,
  type ApiRequest,
  type ApiRoute,
  askerOf,
  endTimeIn,
  flagIn,
  limitIn,
  ok,
  reasonIn,
  textsIn,
  wordIn,
} from './api-exchange.ts';

/** Dependencies of the API's operations on locks. */
export interface ApiLocksDeps {
  readonly locks: Pick<Locks, 'all' | 'named' | 'ofUser' | 'ofAddress'>;
  readonly lockControl: LockControl;
  /** Returns the canonical user for a typed name. Throws ApiRefusal if it cannot be a user. */
  readonly userNamed: (typed: string | undefined) => CanonicalUser;
  readonly nameRules: () => LoginNameRules;
  /** Looks up the user's home, for the name that an alias stands for. Rejects if it cannot be found out. */
  readonly lookUp: (user: CanonicalUser) => Promise<HomeLookup>;
  /** Languages of the pages. */
  readonly languages: () => readonly string[];
  readonly audit: Pick<Audit, 'record'>;
  readonly clock: Clock;
}

const maxListedLocks = 1000;
/** Names of one request. A file of names is sent in parts. */
const namesOfRequest = 200;
/** Names that the directory is asked about, and audited, at once. */
const targetsAtOnce = 50;
/** A wider network would lock out the world by a slip of the hand. */
const shortestPrefix = { 4: 8, 6: 16 } as const;
const fields: Readonly<Record<LockKind, string>> = { user: 'users', domain: 'domains', network: 'networks' };

/** A name of a request, and what it names. */
interface NamedTarget extends LockTarget {
  readonly typed: string;
  /** Of a user: whether the directory knows it; `unasked` if it could not be asked. */
  readonly known?: 'yes' | 'no' | 'unasked';
}

/** A name of a request that names nothing. */
interface WrongName {
  readonly typed: string;
  readonly kind: LockKind;
  readonly wrong: string;
}

/** Routes that lock users, domains and networks out, lift that, and list it. */
export function lockRoutes(deps: ApiLocksDeps): readonly ApiRoute[] {
  const api = new LockRequests(deps);
  return [
    { name: 'listLocks', method: 'GET', path: '/locks', ofLocks: true, handle: (request) => api.list(request) },
    { name: 'lock', method: 'POST', path: '/locks', ofLocks: true, handle: (request) => api.lock(request) },
    { name: 'unlock', method: 'DELETE', path: '/locks', ofLocks: true, handle: (request) => api.unlock(request) },
  ];
}

class LockRequests {
  readonly #deps: ApiLocksDeps;

  constructor(deps: ApiLocksDeps) {
    this.#deps = deps;
  }

  async list({ query }: ApiRequest): Promise<ApiAnswer> {
    const limit = limitIn(query, maxListedLocks);
    const kind = wordIn(query, 'kind', lockKinds);
    const typed = query.get('user');
    const user = typed === null ? undefined : (await this.#userNamed(typed)).name;
    const matches = (lock: StandingLock): boolean =>
      (kind === undefined || lock.kind === kind) && (user === undefined || isCovering(lock, user));
    const found = [...this.#deps.locks.all()].filter(matches).toSorted((a, b) => b.sinceMs - a.sinceMs);
    return ok({ locks: found.slice(0, limit).map(describeLock), truncated: found.length > limit });
  }

  async lock(request: ApiRequest): Promise<ApiAnswer> {
    const { body } = request;
    const named = await this.#namesIn(body);
    if (flagIn(body, 'dry_run')) return ok({ names: named.map(describeName) });
    const reason = reasonIn(request);
    const untilMs = endTimeIn(body, 'until', this.#deps.clock.nowMs());
    const texts = textsIn(body, 'texts', this.#deps.languages());
    const targets = rightNames(named);
    const end = await this.#deps.lockControl.lock(targets, { reason, by: request.by, texts, ...defined({ untilMs }) });
    const until = untilMs === undefined ? undefined : isoTime(untilMs);
    await this.#record('user-lock', request, targets, { reason, ...defined({ until }) });
    return ok({ names: named.map(describeName), ended: end.ended, ...describeChange(end) });
  }

  async unlock(request: ApiRequest): Promise<ApiAnswer> {
    const reason = reasonIn(request);
    const targets = rightNames(await this.#namesIn(request.body)).map((target) => this.#asLocked(target));
    const change = await this.#deps.lockControl.unlock(targets, request.by);
    const lifted = new Set(change.before.map(lockKey));
    const [only, ...others] = targets;
    if (lifted.size === 0 && only !== undefined && others.length === 0) throw this.#notLocked(only);
    await this.#record('user-unlock', request, change.before, { reason });
    return ok({
      lifted: change.before.map(({ kind, name }) => ({ kind, name })),
      not_locked: targets.filter((target) => !lifted.has(lockKey(target))).map(({ kind, name }) => ({ kind, name })),
      still_locked: targets.flatMap(({ kind, name }) => {
        const lock = kind === 'user' ? this.#deps.locks.ofUser(name) : undefined;
        return lock === undefined ? [] : [{ name, by_lock_of: lock.name }];
      }),
      ...describeChange(change),
    });
  }

  /** Reads the names of a request, and asks the directory for those that aliases stand for. */
  async #namesIn(body: ApiRequest['body']): Promise<readonly (NamedTarget | WrongName)[]> {
    const typed = lockKinds.flatMap((kind) => listIn(body, fields[kind]).map((name) => ({ kind, name })));
    if (typed.length === 0 || typed.length > namesOfRequest) {
      throw new ApiRefusal(400, `name 1 to ${namesOfRequest} users, domains or networks, as lists of texts`);
    }
    const named: (NamedTarget | WrongName)[] = [];
    for (let from = 0; from < typed.length; from += targetsAtOnce) {
      named.push(...(await Promise.all(typed.slice(from, from + targetsAtOnce).map((one) => this.#nameOf(one)))));
    }
    return named;
  }

  async #nameOf({ kind, name: typed }: LockTarget): Promise<NamedTarget | WrongName> {
    try {
      if (kind === 'user') return await this.#userNamed(typed);
      if (kind === 'network') return networkNamed(typed);
      const name = domainOfUsers(typed.trim().replace(/^@/, ''), this.#deps.nameRules());
      return name === undefined ? { typed, kind, wrong: `${shown(typed)} is not a domain` } : { typed, kind, name };
    } catch (error) {
      if (error instanceof ApiRefusal) return { typed, kind, wrong: error.message };
      throw error;
    }
  }

  async #userNamed(typed: string): Promise<NamedTarget> {
    const name = this.#deps.userNamed(typed);
    const found = { typed, kind: 'user', name } as const;
    try {
      const home = await this.#deps.lookUp(name);
      if (home.kind === 'unknown-user') return { ...found, known: 'no' };
      return { ...found, known: 'yes', name: 'user' in home ? home.user : (home.at?.user ?? name) };
    } catch (error) {
      // Whoever must be locked out now cannot wait for the directory, and most names are no aliases.
      if (error instanceof PosternError) return { ...found, known: 'unasked' };
      throw error;
    }
  }

  /** A name that was locked before it became an alias is still locked under itself. */
  #asLocked(target: NamedTarget): LockTarget {
    if (target.kind !== 'user' || this.#deps.locks.named(target) !== undefined) return target;
    const typed = { kind: 'user', name: this.#deps.userNamed(target.typed) } as const;
    return this.#deps.locks.named(typed) === undefined ? target : typed;
  }

  #notLocked({ kind, name }: LockTarget): ApiRefusal {
    const wider = kind === 'user' ? this.#deps.locks.ofUser(name) : undefined;
    const remedy =
      wider === undefined ? 'postern user locks shows who is' : `it is the domain ${wider.name} that is: unlock that`;
    return new ApiRefusal(404, `${name} is not locked: ${remedy}`);
  }

  async #record(
    event: 'user-lock' | 'user-unlock',
    request: ApiRequest,
    targets: readonly LockTarget[],
    facts: AuditFacts,
  ): Promise<void> {
    for (let from = 0; from < targets.length; from += targetsAtOnce) {
      const some = targets.slice(from, from + targetsAtOnce).map(({ kind, name: subject }) => {
        const line = { event, ...askerOf(request), subject, facts: { kind, ...facts } };
        return recordIfPossible(this.#deps.audit, line);
      });
      await Promise.all(some);
    }
  }
}

/** Returns the targets. Throws ApiRefusal with the first names that name nothing: then nothing is changed. */
function rightNames(named: readonly (NamedTarget | WrongName)[]): readonly NamedTarget[] {
  const wrong = named.flatMap((one) => ('wrong' in one ? [one.wrong] : []));
  if (wrong.length === 0) return named.flatMap((one) => ('wrong' in one ? [] : [one]));
  const more = wrong.length > 3 ? `; and ${wrong.length - 3} more` : '';
  throw new ApiRefusal(400, `${wrong.slice(0, 3).join('; ')}${more}: nothing was changed`);
}

function networkNamed(typed: string): NamedTarget | WrongName {
  const wrong = (why: string): WrongName => ({ typed, kind: 'network', wrong: why });
  const network = namedNetwork(typed);
  if (network === undefined) return wrong(`${shown(typed)} is neither an address nor a network such as 192.0.2.0/24`);
  const shortest = shortestPrefix[network.family];
  if (network.prefix >= shortest) return { typed, kind: 'network', name: network.name };
  return wrong(`${network.name} is too wide to lock: name networks of /${shortest} or longer`);
}

function listIn(body: ApiRequest['body'], field: string): readonly string[] {
  const value = body[field] ?? [];
  if (!Array.isArray(value)) throw new ApiRefusal(400, `${field} is not a list of texts`);
  return value.map((name: unknown) => {
    if (typeof name !== 'string') throw new ApiRefusal(400, `${field} is not a list of texts`);
    return name;
  });
}

function isCovering({ kind, name }: StandingLock, user: string): boolean {
  if (kind === 'user') return name === user;
  return kind === 'domain' && user.endsWith(`@${name}`);
}

/** A name in quotation marks, not too long to read. */
function shown(typed: string): string {
  return JSON.stringify(typed.length > 100 ? `${typed.slice(0, 100)}…` : typed);
}

function describeName(one: NamedTarget | WrongName) {
  const { typed, kind } = one;
  return { typed, kind, ...('wrong' in one ? { wrong: one.wrong } : defined({ name: one.name, known: one.known })) };
}

/** Describes a lock for operators. */
export function describeLock({ kind, name, reason, by, sinceMs, untilMs, texts }: StandingLock) {
  const until = untilMs === undefined ? undefined : isoTime(untilMs);
  return { kind, name, reason, by, since: isoTime(sinceMs), ...defined({ until }), texts };
}

function describeChange({ nodes, unreached, ...more }: LockChange & Partial<LockingEnd>) {
  return { nodes, unreached, ...defined({ unlisted: more.unlisted, mail: more.mail }) };
}
