import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Audit, recordIfPossible } from '../core/audit.ts';
import type { Clock } from '../core/clock.ts';
import { messageFrom } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { BackendName, CanonicalUser } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import { shortLine } from '../core/text.ts';
import type { MailConnections, MailEnd } from './mail-connections.ts';
import type { StateReplica } from './state-replica.ts';
import type { Move, MovePhase } from './state-values.ts';

/** A move that an operator orders. */
interface MoveOrder {
  readonly user: CanonicalUser;
  readonly from: BackendName;
  readonly to: BackendName;
  readonly reason: string;
  readonly by: string;
}

/** Absolute paths of the programs that run before and after a move, and their time limit. */
export interface MoveHooks {
  readonly before?: string;
  readonly after?: string;
  readonly timeoutMs: number;
}

interface MovesOptions {
  readonly state: Pick<StateReplica, 'moves' | 'overrides'>;
  /** A configured backend by its name. */
  readonly backendNamed: (name: string) => BackendName | undefined;
  readonly hooks: () => MoveHooks;
  readonly runHook: (program: string, facts: HookFacts, signal: AbortSignal) => Promise<void>;
  /** Ends the user's connections to mail servers. */
  readonly mail: Pick<MailConnections, 'end'>;
  readonly audit: Pick<Audit, 'record'>;
  readonly node: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Milliseconds until every node knows of a change. */
  readonly settleMs?: number;
}

/**
 * The result of a call. `busy`: a node carries out a move of this user already. `mail`: the connections to mail servers
 * that were ended after the switch; undefined if there was none, or if no mail proxy is configured.
 */
export type MoveOutcome =
  | { readonly kind: 'moved' | 'failed' | 'waiting' | 'stopped'; readonly move: Move; readonly mail?: MailEnd }
  | { readonly kind: 'already-there' }
  | { readonly kind: 'busy'; readonly move: Move };

/** Changes the backend of users while the service runs. Each step is stored before it is taken. */
export interface Moves extends AsyncDisposable {
  /**
   * Moves a user now: holds the user, runs the hook before, switches all nodes, runs the hook after. It may be repeated
   * after it was done or interrupted. Rejects if the state store cannot take it.
   */
  move(order: MoveOrder): Promise<MoveOutcome>;
  /** Stores a move that is carried out when the user next signs in. */
  moveAtSignIn(order: MoveOrder): Promise<MoveOutcome>;
  /** Carries out the move that waits for this user's login; undefined if none waits. */
  arrived(user: CanonicalUser): Promise<MoveOutcome | undefined>;
  /** Cancels a move that has not begun, or was interrupted before its switch; undefined if the user was never moved. */
  stop(user: CanonicalUser): Promise<MoveOutcome | undefined>;
}

const hookHeartbeatMs = 10_000;

/** Makes the moves of one node. Disposal ends the moves that still run here. */
export function createMoves(deps: MovesOptions): Moves {
  return new UserMoves(deps);
}

/** Longer than other nodes take to learn that a move has begun. */
const settleDefaultMs = 1_200;

class UserMoves implements Moves {
  readonly #deps: MovesOptions;
  readonly #ended = new AbortController();
  readonly #running = new Map<CanonicalUser, Promise<MoveOutcome>>();

  constructor(deps: MovesOptions) {
    this.#deps = deps;
  }

  async move(order: MoveOrder): Promise<MoveOutcome> {
    const whole = this.#resumed(order);
    if (whole.from === whole.to) return { kind: 'already-there' };
    return this.#once(order.user, () => this.#begin(whole, 'before'));
  }

  async moveAtSignIn(order: MoveOrder): Promise<MoveOutcome> {
    return order.from === order.to ? { kind: 'already-there' } : this.#begin(order, 'waiting');
  }

  async arrived(user: CanonicalUser): Promise<MoveOutcome | undefined> {
    const move = this.#deps.state.moves.get(user);
    if (move?.phase !== 'waiting') return undefined;
    return this.#once(user, async () => {
      const begun = {
        ...move,
        node: this.#deps.node,
        phase: 'before' as const,
        startedAtMs: this.#deps.clock.nowMs(),
        phaseAtMs: this.#deps.clock.nowMs(),
      };
      const outcome = await this.#deps.state.moves.change(user, (known) =>
        known?.phase === 'waiting' ? begun : undefined,
      );
      return outcome === 'written'
        ? this.#carryOut(user, begun)
        : { kind: 'busy', move: this.#deps.state.moves.get(user) ?? begun };
    });
  }

  async stop(user: CanonicalUser): Promise<MoveOutcome | undefined> {
    const move = this.#deps.state.moves.get(user);
    if (move === undefined) return undefined;
    if (isRunning(move, this.#deps.clock.nowMs())) return { kind: 'busy', move };
    if (move.phase !== 'waiting' && move.phase !== 'before' && move.phase !== 'failed')
      return { kind: 'stopped', move };
    return { kind: 'stopped', move: await this.#write(user, move, 'stopped') };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await Promise.allSettled(this.#running.values());
  }

  async #write(user: CanonicalUser, move: Move, phase: MovePhase, why?: string): Promise<Move> {
    const next = { ...move, phase, phaseAtMs: this.#deps.clock.nowMs(), ...defined({ why }) };
    await this.#deps.state.moves.set(user, next);
    this.#logPhase(user, next);
    if (phase === 'done' || phase === 'failed') this.#auditEnd(user, next);
    return next;
  }

  #logPhase(user: CanonicalUser, { from, to, phase, by, reason, why }: Move): void {
    this.#deps.log.info('move', { user, from, to, phase, by, reason, why });
  }

  /** Records the end of a move in the audit. Nobody waits for it. */
  #auditEnd(subject: CanonicalUser, { from, to, phase, by, reason, why }: Move): void {
    const facts = { step: phase, from, to, reason, ...defined({ why }) };
    void recordIfPossible(this.#deps.audit, { event: 'user-move', actor: by, subject, facts });
  }

  /** Runs a hook and meanwhile refreshes the time of the move, so that other nodes see that it goes on. */
  async #hook(program: string | undefined, user: CanonicalUser, move: Move): Promise<void> {
    if (program === undefined) return;
    const signal = AbortSignal.any([this.#ended.signal, AbortSignal.timeout(this.#deps.hooks().timeoutMs)]);
    const beat = setInterval(() => {
      this.#deps.state.moves.set(user, { ...move, phaseAtMs: this.#deps.clock.nowMs() }).catch((error: unknown) => {
        this.#deps.log.warn('move-progress-not-stored', { user, err: error });
      });
    }, hookHeartbeatMs);
    try {
      await this.#deps.runHook(program, { user, from: move.from, to: move.to }, signal);
    } finally {
      clearInterval(beat);
    }
  }

  async #carryOut(user: CanonicalUser, begun: Move): Promise<MoveOutcome> {
    const { before, after } = this.#deps.hooks();
    let move = begun;
    try {
      if (before !== undefined) {
        await this.#settle();
        // An open connection would go on changing the mailbox that is copied.
        await this.#endMail(user, move);
      }
      await this.#hook(before, user, move);
    } catch (error) {
      const why = `the hook before the move failed (${messageFrom(error)}); ${user} still lives on ${move.from}`;
      return { kind: 'failed', move: await this.#write(user, move, 'failed', why) };
    }
    const { to: backend, reason, by } = move;
    move = await this.#write(user, move, 'switched');
    await this.#deps.state.overrides.set(user, { backend, reason, by, sinceMs: this.#deps.clock.nowMs() });
    if (after === undefined) {
      move = await this.#write(user, move, 'done');
      return { kind: 'moved', move, ...defined({ mail: await this.#endMail(user, move) }) };
    }
    move = await this.#write(user, move, 'after');
    // Nobody is held any more: who comes back is led to the new backend.
    const ending = this.#endMail(user, move);
    let why: string | undefined;
    try {
      await this.#hook(after, user, move);
    } catch (error) {
      why = `the hook after the move failed (${messageFrom(error)}); ${user} lives on ${backend}`;
    }
    move = await this.#write(user, move, why === undefined ? 'done' : 'failed', why);
    return { kind: why === undefined ? 'moved' : 'failed', move, ...defined({ mail: await ending }) };
  }

  #endMail(user: CanonicalUser, { by, reason }: Move): Promise<MailEnd | undefined> {
    return this.#deps.mail.end([{ kind: 'user', name: user }], { by, reason, occasion: 'move' });
  }

  /** Waits until every node holds the user: the mailbox must not change while it is copied. */
  async #settle(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#deps.settleMs ?? settleDefaultMs);
      this.#ended.signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
    });
  }

  async #begin(order: MoveOrder, phase: 'before' | 'waiting'): Promise<MoveOutcome> {
    const { user, ...facts } = order;
    const nowMs = this.#deps.clock.nowMs();
    const move: Move = { ...facts, phase, node: this.#deps.node, startedAtMs: nowMs, phaseAtMs: nowMs };
    const outcome = await this.#deps.state.moves.change(user, (known) =>
      known !== undefined && isRunning(known, nowMs) ? undefined : move,
    );
    const now = this.#deps.state.moves.get(user);
    if (outcome !== 'written') return now === undefined ? { kind: 'already-there' } : { kind: 'busy', move: now };
    this.#logPhase(user, move);
    return phase === 'waiting' ? { kind: 'waiting', move } : this.#carryOut(user, move);
  }

  #once(user: CanonicalUser, work: () => Promise<MoveOutcome>): Promise<MoveOutcome> {
    const known = this.#running.get(user);
    if (known !== undefined) return known;
    const flight = work().finally(() => this.#running.delete(user));
    this.#running.set(user, flight);
    return flight;
  }

  /** Continues an interrupted move: a user who was switched already still has the first backend as origin. */
  #resumed(order: MoveOrder): MoveOrder {
    const known = this.#deps.state.moves.get(order.user);
    const isOpen = known !== undefined && known.to === order.to && known.phase !== 'done' && known.phase !== 'stopped';
    const from = isOpen ? this.#deps.backendNamed(known.from) : undefined;
    return from === undefined ? order : { ...order, from };
  }
}

/** Time without a sign of the node that carries out a move, after which that node counts as gone. */
const nodeGoneMs = 60_000;

const running: ReadonlySet<MovePhase> = new Set(['before', 'switched', 'after']);

/** Whether a node is carrying out the move. */
function isRunning(move: Move, nowMs: number): boolean {
  return running.has(move.phase) && nowMs - move.phaseAtMs < nodeGoneMs;
}

/** Whether the user must wait: while the mailbox is copied, and only as long as a node carries out the move. */
export function isHolding(move: Move, nowMs: number): boolean {
  return (move.phase === 'before' || move.phase === 'switched') && isRunning(move, nowMs);
}

/** Explains the state of a move, with the remedy, in one sentence. */
export function explainMove(user: string, move: Move, nowMs: number): string {
  const { phase, from, to, node, why } = move;
  const again = `run the same move again; repeating a step does no harm`;
  if (running.has(phase) && !isRunning(move, nowMs)) {
    const where = phase === 'before' ? `still lives on ${from}` : `lives on ${to} already`;
    return `interrupted: node ${node} died in the step "${phase}"; ${user} ${where}; ${again}`;
  }
  const words: Readonly<Record<MovePhase, string>> = {
    waiting: `${user} lives on ${from} and is moved to ${to} at the next sign-in`,
    before: `${node} runs the hook before the move; ${user} waits, and still lives on ${from}`,
    switched: `${user} lives on ${to} from now on; nodes are being notified`,
    after: `${user} lives on ${to}; ${node} runs the hook after the move`,
    done: `${user} lives on ${to}`,
    failed: `${why ?? 'it failed'}; ${again}`,
    stopped: `stopped; ${user} lives on ${from}`,
  };
  return words[phase];
}

/** Facts for a hook program, as POSTERN_USER, POSTERN_FROM and so on; the first three are arguments, too. */
export interface HookFacts {
  readonly user: string;
  readonly from: string;
  readonly to: string;
  /** Name of the user on the mail servers of each backend; the canonical user when left out. */
  readonly fromLogin?: string;
  readonly toLogin?: string;
}

const keptOutput = 2_000;

/**
 * Runs a hook program without a shell, and ends it at `signal`. Resolves when it ended with 0; rejects with its exit
 * status and its last line of output.
 */
export async function runHook(program: string, facts: HookFacts, signal: AbortSignal): Promise<void> {
  const { user, from, to, fromLogin = user, toLogin = user } = facts;
  const env = {
    PATH: process.env['PATH'] ?? '',
    POSTERN_USER: user,
    POSTERN_FROM: from,
    POSTERN_TO: to,
    POSTERN_FROM_LOGIN: fromLogin,
    POSTERN_TO_LOGIN: toLogin,
  };
  // A program would read a name such as --x@example.org as an option.
  const args = [...(user.startsWith('-') ? ['--'] : []), user, from, to];
  const child = spawn(program, args, {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
    killSignal: 'SIGTERM',
  });
  let said = '';
  const keep = (chunk: Buffer): void => {
    said = (said + chunk.toString('utf8')).slice(-keptOutput);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  await once(child, 'close').catch((error: unknown) => {
    const why = signal.aborted ? 'took too long and was stopped' : messageFrom(error);
    throw new Error(`${program}: ${why}`);
  });
  const { exitCode, signalCode } = child;
  if (exitCode === 0) return;
  const lastLine = said.trim().split('\n').at(-1) ?? '';
  const how = exitCode === null ? `ended by ${signalCode ?? 'a signal'}` : `ended with ${exitCode}`;
  throw new Error(`${program} ${how}${lastLine === '' ? '' : `: ${shortLine(lastLine, 300)}`}`);
}
