import { type Audit, recordIfPossible } from '../core/audit.ts';
import { type Clock, isoTime } from '../core/clock.ts';
import type { HomeLookup } from '../core/directory.ts';
import { PosternError } from '../core/error.ts';
import type { CanonicalUser } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import {
  type ApiAnswer,
  ApiRefusal,
  type ApiRequest,
  type ApiRoute,
  askerOf,
  limitIn,
  networkIn,
  ok,
  reasonIn,
  wordIn,
} from './api-exchange.ts';

/** A penalty that stands; times in milliseconds. */
interface StandingPenalty {
  readonly kind: string;
  readonly user?: string;
  readonly network?: string;
  readonly refusals: number;
  readonly delayMs: number;
  readonly leftMs: number;
  /** Absent if the name of the count was no longer kept when it was lifted. */
  readonly atMs?: number;
}

interface Whose {
  readonly user?: string;
  readonly network?: string;
}

/** Dependencies of the API's operations on penalties. */
export interface ApiPenaltiesDeps {
  /** The penalties of all nodes. Each call rejects if the store cannot be asked. */
  readonly penalties: {
    list(
      filter: Whose & { readonly domains?: readonly string[]; readonly withoutDelay?: boolean },
      limit: number,
      after?: string,
    ): Promise<{ readonly penalties: readonly StandingPenalty[]; readonly next: string | undefined }>;
    liftMatching(filter: Whose): Promise<readonly StandingPenalty[]>;
  };
  /** Returns the canonical user for a typed name. Throws ApiRefusal if it cannot be a user. */
  readonly userNamed: (typed: string | undefined) => CanonicalUser;
  /** Looks up the user's home, for the name that an alias stands for. Rejects if it cannot be found out. */
  readonly lookUp: (user: CanonicalUser) => Promise<HomeLookup>;
  readonly audit: Pick<Audit, 'record'>;
  readonly clock: Clock;
}

const maxListedPenalties = 1000;
const yesNo = ['true', 'false'] as const;

/** Routes that list and lift penalties of all nodes. */
export function penaltyRoutes(deps: ApiPenaltiesDeps): readonly ApiRoute[] {
  const api = new PenaltyRequests(deps);
  return [
    { name: 'listPenalties', method: 'GET', path: '/penalties', handle: (request) => api.list(request) },
    { name: 'liftPenalties', method: 'DELETE', path: '/penalties', handle: (request) => api.lift(request) },
  ];
}

class PenaltyRequests {
  readonly #deps: ApiPenaltiesDeps;

  constructor(deps: ApiPenaltiesDeps) {
    this.#deps = deps;
  }

  async list({ query }: ApiRequest): Promise<ApiAnswer> {
    const limit = limitIn(query, maxListedPenalties);
    const domain = query.get('domain')?.toLowerCase();
    const filter = {
      ...(await this.#filterIn(query)),
      ...defined({ domains: domain === undefined ? undefined : [domain] }),
      withoutDelay: wordIn(query, 'without_delay', yesNo) === 'true',
    };
    const { penalties, next } = await this.#deps.penalties.list(filter, limit, query.get('cursor') ?? undefined);
    return ok({ penalties: penalties.map((penalty) => this.#describe(penalty)), ...defined({ next }) });
  }

  async lift(request: ApiRequest): Promise<ApiAnswer> {
    const filter = await this.#filterIn(request.query);
    const { user, network } = filter;
    const subject = user ?? network;
    if (subject === undefined) throw new ApiRefusal(400, 'name a user or a network, or both');
    const reason = reasonIn(request);
    const lifted = await this.#deps.penalties.liftMatching(filter);
    if (lifted.length === 0) {
      const whose = [user, network].filter((one) => one !== undefined).join(' from ');
      throw new ApiRefusal(404, `there is no penalty of ${whose}: postern penalty list shows those there are`);
    }
    const facts = { ...defined({ network }), lifted: lifted.length, reason };
    await recordIfPossible(this.#deps.audit, { event: 'penalty-lifted', ...askerOf(request), subject, facts });
    return ok({ lifted: lifted.length, penalties: lifted.map((penalty) => this.#describe(penalty)) });
  }

  async #filterIn(query: URLSearchParams): Promise<Whose> {
    networkIn(query);
    const typed = query.get('user');
    const user = typed === null ? undefined : await this.#canonical(this.#deps.userNamed(typed));
    return defined({ user, network: query.get('network') ?? undefined });
  }

  /** Refusals are counted under the user that an alias stands for, and of an unknown name under that name. */
  async #canonical(user: CanonicalUser): Promise<string> {
    try {
      const home = await this.#deps.lookUp(user);
      return home.kind === 'found' || home.kind === 'referred' ? home.user : user;
    } catch (error) {
      // Lifting must be possible while the directory is away: most users are no aliases.
      if (error instanceof PosternError) return user;
      throw error;
    }
  }

  #describe({ kind, user, network, refusals, delayMs, leftMs, atMs }: StandingPenalty) {
    return {
      kind,
      ...defined({ user, network }),
      refusals,
      delay_ms: delayMs,
      ...defined({ last_refusal: atMs === undefined ? undefined : isoTime(atMs) }),
      until: isoTime(this.#deps.clock.nowMs() + leftMs),
    };
  }
}
