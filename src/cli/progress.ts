import type { Clock } from '../core/clock.ts';
import type { Surroundings } from './surroundings.ts';

const everyMs = 200;

/** Counts users on the terminal of who waits, a few times a second; says nothing where nobody watches. */
export function createProgress({ progress }: Pick<Surroundings, 'progress'>, clock: Clock) {
  const startedMs = clock.nowMs();
  let shownMs = startedMs;
  return {
    count(users: number): void {
      const nowMs = clock.nowMs();
      if (progress === undefined || nowMs - shownMs < everyMs) return;
      shownMs = nowMs;
      const perSecond = Math.round((users * 1000) / (nowMs - startedMs));
      progress(`${users.toLocaleString('en')} users, ${perSecond.toLocaleString('en')} a second`);
    },
    /** Takes away what is shown. */
    end(): void {
      if (shownMs !== startedMs) progress?.('');
    },
  };
}
