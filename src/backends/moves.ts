import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Audit, recordIfPossible } from '../core/audit.ts';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { BackendName, CanonicalUser } from '../core/names.ts';
import { shortLine } from '../core/short-line.ts';
import type { StateReplica } from './state-replica.ts';
import type { Move, MovePhase } from './state-values.ts';

/** A move that an operator asks for. */
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
  readonly audit: Pick<Audit, 'record'>;
  readonly node: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Lets every node hear of a change. */
  readonly settleMs?: number;
}

/** `busy`: a node is at work on a move of this user. */
export type MoveOutcome =
  | { readonly kind: 'moved' | 'failed' | 'waiting' | 'stopped'; readonly move: Move }
  | { readonly kind: 'already-there' }
  | { readonly kind: 'busy'; readonly move: Move };

/** Changes the backend of users while the service runs. Each step is written down before it is taken. */
export interface Moves extends AsyncDisposable {
  /**
   * Moves a user now: holds the user, runs the hook before, switches all nodes, runs the hook after. Asking again for
   * what is done, or was interrupted, does no harm. Rejects when the state store cannot take it.
   */
  move(order: MoveOrder): Promise<MoveOutcome>;
  /** Notes a move that is carried out when the user next signs in. */
  moveAtSignIn(order: MoveOrder): Promise<MoveOutcome>;
  /** Carries out the move that waits for this user's login; undefined if none waits. */
  arrived(user: CanonicalUser): Promise<MoveOutcome | undefined>;
  /** Takes back a move that has not begun, or was interrupted before its switch. */
  stop(user: CanonicalUser): Promise<MoveOutcome | undefined>;
}

const heartbeatMs = 10_000;

/** Makes the moves of one node. Closing it ends the moves that still run here. */
export function createMoves(options: MovesOptions): Moves {
  const { state, node, clock, log, settleMs = 1_200 } = options;
  const ended = new AbortController();
  const running = new Map<CanonicalUser, Promise<MoveOutcome>>();

  async function write(user: CanonicalUser, move: Move, phase: MovePhase, why?: string): Promise<Move> {
    const next = { ...move, phase, phaseAtMs: clock.nowMs(), ...(why === undefined ? {} : { why }) };
    await state.moves.set(user, next);
    tell(user, next);
    if (phase === 'done' || phase === 'failed') auditEnd(user, next);
    return next;
  }

  function tell(user: CanonicalUser, { from, to, phase, by, reason, why }: Move): void {
    log.info('move', { user, from, to, phase, by, reason, why });
  }

  /** No user waits for it. */
  function auditEnd(subject: CanonicalUser, { from, to, phase, by, reason, why }: Move): void {
    const facts = { step: phase, from, to, reason, ...(why === undefined ? {} : { why }) };
    void recordIfPossible(options.audit, { event: 'user-move', actor: by, subject, facts });
  }

  /** Runs a hook while the move says that somebody is at work on it. */
  async function hook(program: string | undefined, user: CanonicalUser, move: Move): Promise<void> {
    if (program === undefined) return;
    const signal = AbortSignal.any([ended.signal, AbortSignal.timeout(options.hooks().timeoutMs)]);
    const beat = setInterval(() => {
      state.moves.set(user, { ...move, phaseAtMs: clock.nowMs() }).catch((error: unknown) => {
        log.warn('move-progress-not-stored', { user, err: error });
      });
    }, heartbeatMs);
    try {
      await options.runHook(program, { user, from: move.from, to: move.to }, signal);
    } finally {
      clearInterval(beat);
    }
  }

  async function carryOut(user: CanonicalUser, begun: Move): Promise<MoveOutcome> {
    const { before, after } = options.hooks();
    let move = begun;
    try {
      if (before !== undefined) await settle();
      await hook(before, user, move);
    } catch (error) {
      const why = `the hook before the move failed (${reasonOf(error)}); ${user} still lives on ${move.from}`;
      return { kind: 'failed', move: await write(user, move, 'failed', why) };
    }
    const { to: backend, reason, by } = move;
    move = await write(user, move, 'switched');
    await state.overrides.set(user, { backend, reason, by, sinceMs: clock.nowMs() });
    if (after !== undefined) {
      move = await write(user, move, 'after');
      try {
        await hook(after, user, move);
      } catch (error) {
        const why = `the hook after the move failed (${reasonOf(error)}); ${user} lives on ${backend}`;
        return { kind: 'failed', move: await write(user, move, 'failed', why) };
      }
    }
    return { kind: 'moved', move: await write(user, move, 'done') };
  }

  /** Until every node holds the user: nobody may change the mailbox while it is carried. */
  async function settle(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, settleMs);
      ended.signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
    });
  }

  async function begin(order: MoveOrder, phase: 'before' | 'waiting'): Promise<MoveOutcome> {
    const { user, ...facts } = order;
    const nowMs = clock.nowMs();
    const move: Move = { ...facts, phase, node, startedAtMs: nowMs, phaseAtMs: nowMs };
    const outcome = await state.moves.change(user, (known) =>
      known !== undefined && isRunning(known, nowMs) ? undefined : move,
    );
    const now = state.moves.get(user);
    if (outcome !== 'written') return now === undefined ? { kind: 'already-there' } : { kind: 'busy', move: now };
    tell(user, move);
    return phase === 'waiting' ? { kind: 'waiting', move } : carryOut(user, move);
  }

  function once(user: CanonicalUser, work: () => Promise<MoveOutcome>): Promise<MoveOutcome> {
    const known = running.get(user);
    if (known !== undefined) return known;
    const flight = work().finally(() => running.delete(user));
    running.set(user, flight);
    return flight;
  }

  /** A move that broke off is taken up again: who was switched already still comes from where it began. */
  function resumed(order: MoveOrder): MoveOrder {
    const known = state.moves.get(order.user);
    const isOpen = known !== undefined && known.to === order.to && known.phase !== 'done' && known.phase !== 'stopped';
    const from = isOpen ? options.backendNamed(known.from) : undefined;
    return from === undefined ? order : { ...order, from };
  }

  return {
    async move(order) {
      const whole = resumed(order);
      if (whole.from === whole.to) return { kind: 'already-there' };
      return once(order.user, () => begin(whole, 'before'));
    },
    async moveAtSignIn(order) {
      return order.from === order.to ? { kind: 'already-there' } : begin(order, 'waiting');
    },
    async arrived(user) {
      const move = state.moves.get(user);
      if (move?.phase !== 'waiting') return undefined;
      return once(user, async () => {
        const begun = { ...move, node, phase: 'before' as const, startedAtMs: clock.nowMs(), phaseAtMs: clock.nowMs() };
        const outcome = await state.moves.change(user, (known) => (known?.phase === 'waiting' ? begun : undefined));
        return outcome === 'written' ? carryOut(user, begun) : { kind: 'busy', move: state.moves.get(user) ?? begun };
      });
    },
    async stop(user) {
      const move = state.moves.get(user);
      if (move === undefined) return undefined;
      if (isRunning(move, clock.nowMs())) return { kind: 'busy', move };
      if (move.phase !== 'waiting' && move.phase !== 'before' && move.phase !== 'failed')
        return { kind: 'stopped', move };
      return { kind: 'stopped', move: await write(user, move, 'stopped') };
    },
    async [Symbol.asyncDispose]() {
      ended.abort();
      await Promise.allSettled(running.values());
    },
  };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The node that carries a move out says so every few seconds; one that was silent for so long is gone. */
const silentMs = 60_000;

const running: ReadonlySet<MovePhase> = new Set(['before', 'switched', 'after']);

/** Whether a node is at work on the move. */
function isRunning(move: Move, nowMs: number): boolean {
  return running.has(move.phase) && nowMs - move.phaseAtMs < silentMs;
}

/** Whether the user must wait: while the mailbox is being carried, and no longer than somebody does so. */
export function isHolding(move: Move, nowMs: number): boolean {
  return (move.phase === 'before' || move.phase === 'switched') && isRunning(move, nowMs);
}

/** The situation and the remedy, as a sentence. */
export function explainMove(user: string, move: Move, nowMs: number): string {
  const { phase, from, to, node, why } = move;
  const again = `run the same move again: steps that were done do no harm a second time`;
  if (running.has(phase) && !isRunning(move, nowMs)) {
    const where = phase === 'before' ? `still lives on ${from}` : `lives on ${to} already`;
    return `interrupted: the node ${node} went away in the step "${phase}"; ${user} ${where}; ${again}`;
  }
  const words: Readonly<Record<MovePhase, string>> = {
    waiting: `${user} lives on ${from} and is moved to ${to} at the next sign-in`,
    before: `${node} runs the hook before the move; ${user} waits, and still lives on ${from}`,
    switched: `${user} lives on ${to} from now on; the nodes are being told`,
    after: `${user} lives on ${to}; ${node} runs the hook after the move`,
    done: `${user} lives on ${to}`,
    failed: `${why ?? 'it failed'}; ${again}`,
    stopped: `stopped; ${user} lives on ${from}`,
  };
  return words[phase];
}

/** Facts for a hook program: all as POSTERN_USER, POSTERN_FROM and so on, the first three as arguments too. */
export interface HookFacts {
  readonly user: string;
  readonly from: string;
  readonly to: string;
  /** The user as the mail servers of both backends are told the name; the canonical one where left out. */
  readonly fromLogin?: string;
  readonly toLogin?: string;
}

const keptOutput = 2_000;

/**
 * Runs a hook program, without a shell, and ends it at `signal`.
 * Resolves when it ended with 0; rejects with how it ended and the last it said.
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
  // A program would take a name such as --x@example.org for an option.
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
    const why = signal.aborted ? 'took too long and was ended' : error instanceof Error ? error.message : String(error);
    throw new Error(`${program}: ${why}`);
  });
  const { exitCode, signalCode } = child;
  if (exitCode === 0) return;
  const lastLine = said.trim().split('\n').at(-1) ?? '';
  const how = exitCode === null ? `ended by ${signalCode ?? 'a signal'}` : `ended with ${exitCode}`;
  throw new Error(`${program} ${how}${lastLine === '' ? '' : `: ${shortLine(lastLine, 300)}`}`);
}
