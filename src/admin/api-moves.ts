import { explainMove, type MoveOutcome, type Moves } from '../backends/moves.ts';
import type { StateReplica } from '../backends/state-replica.ts';
import { type Move, movePhases } from '../backends/state-values.ts';
import type { Locks } from '../backends/user-orders.ts';
import { type Audit, type AuditFacts, recordIfPossible } from '../core/audit.ts';
import { type Clock, isoTime } from '../core/clock.ts';
import type { HomeLookup } from '../core/directory.ts';
import type { BackendName, CanonicalUser } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import {
  type ApiAnswer,
  ApiRefusal,
  type ApiRequest,
  type ApiRoute,
  askerOf,
  flagIn,
  noSuch,
  ok,
  reasonIn,
  textIn,
  wordIn,
} from './api-exchange.ts';
import { describeLock } from './api-locks.ts';
import { type ApiSessionsDeps, describeSessions } from './api-sessions.ts';

/** Dependencies of the API's operations on moves and overrides. */
export interface ApiMovesDeps extends Pick<ApiSessionsDeps, 'userNamed' | 'sessions' | 'backends' | 'mail'> {
  readonly moves: Pick<Moves, 'move' | 'moveAtSignIn' | 'stop'>;
  readonly state: Pick<StateReplica, 'moves' | 'overrides'>;
  readonly locks: Pick<Locks, 'ofUser'>;
  readonly backendNamed: (name: string) => BackendName | undefined;
  /** Looks up the user's home, overrides included. Rejects if it cannot be found out. */
  readonly lookUp: (user: CanonicalUser) => Promise<HomeLookup>;
  /** Paths of the programs that a move would run. */
  readonly hooks: () => { readonly before?: string; readonly after?: string };
  readonly audit: Pick<Audit, 'record'>;
  readonly clock: Clock;
}

/** Routes for the homes of users and for moves. */
export function moveRoutes(deps: ApiMovesDeps): readonly ApiRoute[] {
  const api = new UserRequests(deps);
  return [
    { name: 'showUser', method: 'GET', path: '/users/{user}', handle: (request) => api.showUser(request) },
    { name: 'moveUser', method: 'POST', path: '/users/{user}/move', handle: (request) => api.moveUser(request) },
    { name: 'stopMove', method: 'DELETE', path: '/users/{user}/move', handle: (request) => api.stopMove(request) },
    { name: 'listMoves', method: 'GET', path: '/moves', handle: (request) => api.listMoves(request) },
  ];
}

class UserRequests {
  readonly #deps: ApiMovesDeps;

  constructor(deps: ApiMovesDeps) {
    this.#deps = deps;
  }

  async showUser({ path }: ApiRequest): Promise<ApiAnswer> {
    const home = await this.#homeOf(this.#deps.userNamed(path['user']));
    const { user, backend } = home;
    const move = this.#deps.state.moves.get(user);
    const lock = this.#deps.locks.ofUser(user);
    const [listed, mail] = await Promise.all([this.#deps.sessions.sessionsOfUser(user), this.#deps.mail.list(user)]);
    return ok({
      user,
      backend,
      overridden: this.#deps.state.overrides.get(user)?.backend === backend,
      ...defined({
        move: move === undefined ? undefined : this.#describe(user, move),
        lock: lock === undefined ? undefined : describeLock(lock),
      }),
      sessions: describeSessions(listed.toReversed()),
      ...defined({ mail }),
    });
  }

  async moveUser(request: ApiRequest): Promise<ApiAnswer> {
    const to = this.#deps.backendNamed(textIn(request.body, 'to'));
    if (to === undefined) throw noSuch('there is no backend', String(request.body['to']), this.#deps.backends().keys());
    const reason = reasonIn(request);
    const { user, backend: from } = await this.#homeOf(this.#deps.userNamed(request.path['user']));
    const order = { user, from, to, reason, by: request.by };
    if (flagIn(request.body, 'dry_run')) return ok({ outcome: 'planned', user, from, to, ...this.#deps.hooks() });
    const isLater = flagIn(request.body, 'at_sign_in');
    await this.#record(request, user, { step: isLater ? 'ordered for the next sign-in' : 'ordered', from, to, reason });
    return this.#answerOf(user, await (isLater ? this.#deps.moves.moveAtSignIn(order) : this.#deps.moves.move(order)));
  }

  async stopMove(request: ApiRequest): Promise<ApiAnswer> {
    const user = this.#deps.userNamed(request.path['user']);
    const reason = reasonIn(request);
    const outcome = await this.#deps.moves.stop(user);
    if (outcome === undefined) throw new ApiRefusal(404, `${user} was never moved`);
    if (outcome.kind === 'stopped') await this.#record(request, user, { step: 'stopped', reason });
    return this.#answerOf(user, outcome);
  }

  async listMoves({ query }: ApiRequest): Promise<ApiAnswer> {
    const phase = wordIn(query, 'phase', movePhases);
    const all = [...this.#deps.state.moves.all()].filter(([, move]) => phase === undefined || move.phase === phase);
    return ok({ moves: all.map(([user, move]) => this.#describe(user, move)) });
  }

  #describe(user: string, move: Move) {
    const { startedAtMs, phaseAtMs, ...rest } = move;
    const times = { started: isoTime(startedAtMs), phase_since: isoTime(phaseAtMs) };
    return { user, ...rest, ...times, explanation: explainMove(user, move, this.#deps.clock.nowMs()) };
  }

  async #homeOf(user: CanonicalUser): Promise<{ user: CanonicalUser; backend: BackendName }> {
    const home = await this.#deps.lookUp(user);
    if (home.kind === 'found') return home;
    if (home.kind === 'refused') throw new ApiRefusal(409, `${user} may not sign in: ${home.reason}`);
    if (home.kind === 'referred')
      throw new ApiRefusal(
        409,
        `${user} has not signed in lately: only ${home.server.name} knows the home, at sign-in`,
      );
    throw new ApiRefusal(404, `no source of the directory knows ${user}`);
  }

  #answerOf(user: CanonicalUser, outcome: MoveOutcome): ApiAnswer {
    if (outcome.kind === 'already-there') return ok({ user, outcome: 'already-there' });
    const status = outcome.kind === 'busy' ? 409 : outcome.kind === 'failed' ? 502 : 200;
    const mail = 'mail' in outcome ? outcome.mail : undefined;
    return { status, body: { outcome: outcome.kind, ...this.#describe(user, outcome.move), ...defined({ mail }) } };
  }

  #record(request: ApiRequest, subject: string, facts: AuditFacts): Promise<void> {
    return recordIfPossible(this.#deps.audit, { event: 'user-move', ...askerOf(request), subject, facts });
  }
}
