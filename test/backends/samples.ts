import type { OperatorState, SetState } from '../../src/backends/state-values.ts';

/** A state as an operator sets it. */
export function setState(state: OperatorState, more: Partial<SetState> = {}): SetState {
  return { state, reason: 'new disks', by: 'ops', sinceMs: 1_000, texts: {}, ...more };
}
