import { type Audit, recordIfPossible } from '../core/audit.ts';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { BackendName, CanonicalUser } from '../core/names.ts';
import type { HookFacts } from './hooks.ts';
import { isRunning } from './move-steps.ts';
import type { StateMirror } from './state-mirror.ts';
import type { Move, MovePhase } from './state-values.ts';

/** What an operator asks for. */
interface MoveOrder {
  readonly user: CanonicalUser;
  readonly from: BackendName;
  readonly to: BackendName;
  readonly reason: string;
  readonly by: string;
}

export interface MoveHooks {
  readonly before?: string;
  readonly after?: string;
  readonly timeoutMs: number;
}

export interface MovesOptions {
  readonly state: Pick<StateMirror, 'moves' | 'overrides'>;
  /** A configured backend by its name. */
  readonly backendNamed: (name: string) => BackendName | undefined;
  readonly hooks: () => MoveHooks;
  readonly runHook: (program: string, facts: HookFacts, signal: AbortSignal) => Promise<void>;
  readonly audit: Pick<Audit, 'record'>;
  readonly node: string;
  readonly clock: Clock;
  readonly log: Log;
  /** What every node needs to hear of a change. */
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
  /** Carries out what waits for this user's sign-in; nothing when nothing waits. */
  arrived(user: CanonicalUser): Promise<MoveOutcome | undefined>;
  /** Takes back a move that has not begun, or was interrupted before its switch. */
  stop(user: CanonicalUser): Promise<MoveOutcome | undefined>;
}

const heartbeatMs = 10_000;

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
    log.info({ user, from, to, phase, by, reason, why }, 'move');
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
        log.warn({ user, err: error }, 'the progress of a move could not be noted');
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
