import type { Move, MovePhase } from './state-values.ts';

/** The node that carries a move out says so every few seconds; one that was silent for so long is gone. */
const silentMs = 60_000;

const running: ReadonlySet<MovePhase> = new Set(['before', 'switched', 'after']);

/** Whether a node is at work on the move. */
export function isRunning(move: Move, nowMs: number): boolean {
  return running.has(move.phase) && nowMs - move.phaseAtMs < silentMs;
}

/** Whether the user must wait: while the mailbox is being carried, and no longer than somebody does so. */
export function isHolding(move: Move, nowMs: number): boolean {
  return (move.phase === 'before' || move.phase === 'switched') && isRunning(move, nowMs);
}

/** What is the case, and what to do, in words. */
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
