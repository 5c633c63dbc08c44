import { type LastLogin, type WayIn, waysIn } from '../../core/statistics.ts';

/** The marks that an erased user may have: keyed hashes of the name, one per open server key, the promoted one's first. */
export type MarksOf = (user: string) => readonly string[];

/**
 * Leaves out last sign-ins that were noted before their user was erased. `erasedAtMs` says when that was, by the clock
 * that noted them. What lies in the future of that clock was noted before it was set back, nobody knows when.
 */
export function notErased(
  lastLogins: Iterable<readonly [string, LastLogin]>,
  erasedAtMs: (user: string) => number | undefined,
  nowMs: number,
): readonly (readonly [string, LastLogin])[] {
  const left: (readonly [string, LastLogin])[] = [];
  for (const [user, last] of lastLogins) {
    const erasedMs = erasedAtMs(user);
    const kept = erasedMs === undefined ? last : timesBetween(last, erasedMs, nowMs);
    if (Object.keys(kept).length > 0) left.push([user, kept]);
  }
  return left;
}

function timesBetween(last: LastLogin, afterMs: number, nowMs: number): LastLogin {
  const kept: Partial<Record<WayIn, number>> = {};
  for (const way of waysIn) {
    const ms = last[way] ?? 0;
    if (ms > afterMs && ms <= nowMs) kept[way] = ms;
  }
  return kept;
}

/** Erasures that one process knows of a Redis: marks, each with its moment, microseconds of the clock of that server. */
export class KnownErasures {
  readonly #marksOf: MarksOf;
  readonly #moments = new Map<string, number>();
  #latest = '0';
  /** The clock of the server less that of this process, in microseconds; too small rather than too large. */
  #aheadUs = 0;

  constructor(marksOf: MarksOf) {
    this.#marksOf = marksOf;
  }

  /** The moment of the latest erasure; 0 if there is none. */
  get latest(): string {
    return this.#latest;
  }

  /** Takes what a server has told: its time, the moment of its latest erasure, then mark and moment of each new one. */
  adopt([time = '', latest = '0', ...erasures]: readonly string[], nowMs: number): void {
    // The marks have expired, or the server has lost them.
    if (Number(latest) < Number(this.#latest)) this.#moments.clear();
    this.#latest = latest;
    this.#aheadUs = Number(time) - nowMs * 1_000;
    for (let at = 0; at + 1 < erasures.length; at += 2) this.#moments.set(erasures[at] ?? '', Number(erasures[at + 1]));
  }

  /** When a user was erased, by the clock of this process; undefined if that did not happen lately. */
  readonly erasedAtMs = (user: string): number | undefined => {
    if (this.#moments.size === 0) return undefined;
    const moments = this.#marksOf(user).flatMap((mark) => this.#moments.get(mark) ?? []);
    return moments.length === 0 ? undefined : (Math.max(...moments) - this.#aheadUs) / 1_000;
  };
}
