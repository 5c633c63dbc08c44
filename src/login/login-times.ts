import type { Clock } from '../core/clock.ts';

/** The parts of a login, in their order. */
export type LoginPhase = 'form' | 'store' | 'directory' | 'penalty' | 'imap' | 'webmail';

/** Measures one login. It is in the phase `form` from the request's arrival until `enter` names another. */
export interface LoginTimes {
  readonly phase: LoginPhase;
  enter(phase: LoginPhase): void;
  /** Milliseconds since the request arrived, without those of the penalty. */
  workedMs(): number;
  /** Milliseconds of each phase that was entered, the present one until now. */
  phasesMs(): Partial<Record<LoginPhase, number>>;
}

export function createLoginTimes(clock: Clock, arrivedAtMs: number): LoginTimes {
  const done: Partial<Record<LoginPhase, number>> = {};
  let phase: LoginPhase = 'form';
  let enteredAtMs = arrivedAtMs;
  const phasesMs = () => ({ ...done, [phase]: (done[phase] ?? 0) + clock.nowMs() - enteredAtMs });
  return {
    get phase() {
      return phase;
    },
    enter(next) {
      Object.assign(done, phasesMs());
      phase = next;
      enteredAtMs = clock.nowMs();
    },
    phasesMs,
    workedMs: () => clock.nowMs() - arrivedAtMs - (phasesMs().penalty ?? 0),
  };
}
