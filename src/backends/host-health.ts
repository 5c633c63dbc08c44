import type { Clock } from '../core/clock.ts';
import type { AskedFor } from '../core/placement.ts';

/** Thresholds of one service: `fall` failures in a row take it down, `rise` successes bring it back. */
interface HostHealthOptions {
  readonly fall: number;
  readonly rise: number;
  readonly clock: Clock;
}

/** The state of one service of one host. */
export interface HealthReport {
  readonly up: boolean;
  readonly sinceMs: number;
  /** Why the last answer was bad; kept until the service is up again. */
  readonly why?: string;
  /** Set if there was no answer in time: a request would wait for long. */
  readonly hangs?: true;
}

const flapWindowMs = 5 * 60_000;
/** Good checks after which a host is up again, however often it flapped. */
const maxChecksToRise = 30;
const trialEveryMs = 1_000;

/**
 * Decides whether one service of one host is up. It is down after `fall` bad answers in a row, or at once if nothing
 * listens, and up again after `rise` good checks. Each further fall within five minutes doubles the number of good
 * checks. It begins up: a gateway that starts must not lock everybody out before its first check.
 */
export function createHostHealth({ fall, rise, clock }: HostHealthOptions) {
  let up = true;
  let sinceMs = clock.nowMs();
  let why: string | undefined;
  let hangs = false;
  let bad = 0;
  let good = 0;
  let falls: number[] = [];

  function turn(to: boolean): void {
    up = to;
    sinceMs = clock.nowMs();
    bad = 0;
    good = 0;
    falls = falls.filter((at) => sinceMs - at < flapWindowMs);
    if (to) {
      why = undefined;
      hangs = false;
    } else falls.push(sinceMs);
  }

  function neededToRise(): number {
    return Math.min(rise * 2 ** Math.max(falls.length - 1, 0), Math.max(maxChecksToRise, rise));
  }

  return {
    report: (): HealthReport => ({
      up,
      sinceMs,
      ...(why === undefined ? {} : { why }),
      ...(hangs ? { hangs } : {}),
    }),
    isUp: (): boolean => up,
    /** Whether the service counts as up although its last answer was bad. */
    isInDoubt: (): boolean => up && bad > 0,
    /** Notes a good check, or a real request that was answered. Returns whether the state changed. */
    good(): boolean {
      bad = 0;
      if (up) return false;
      good += 1;
      if (good < neededToRise()) return false;
      turn(true);
      return true;
    },
    /** Notes a bad answer. `sure`: one is enough, as if nothing listens. `hangs`: there was none in time. */
    bad(reason: string, how?: 'sure' | 'hangs'): boolean {
      why = reason;
      hangs = how === 'hangs';
      good = 0;
      if (!up) return false;
      bad += 1;
      if (bad < fall && how !== 'sure') return false;
      turn(false);
      return true;
    },
  };
}

/** The up or down state of one service of one host, with its counters. */
export type HostHealth = ReturnType<typeof createHostHealth>;

/** Failures that are further apart do not count as a row. */
const rowMs = 60_000;

/**
 * Decides when failed requests in a row take a host down. One broken mail fails every request for it, however often a
 * user repeats that: only different users and different targets are evidence against the host.
 */
export function createFailureRow({ fall, clock }: Pick<HostHealthOptions, 'fall' | 'clock'>) {
  let failures = 0;
  let lastMs = 0;
  let first: AskedFor | undefined;
  let hasOtherUser = false;
  let hasOtherTarget = false;

  function end(): void {
    failures = 0;
    first = undefined;
    hasOtherUser = false;
    hasOtherTarget = false;
  }

  return {
    /** Notes a request that was answered well. */
    end,
    /** Notes a failed request. `down`: take the host down; `look`: check whether its landing page still works. */
    add(asked: AskedFor): 'down' | 'look' | undefined {
      const nowMs = clock.nowMs();
      if (nowMs - lastMs > rowMs) end();
      lastMs = nowMs;
      failures += 1;
      first ??= asked;
      hasOtherUser ||= asked.user !== first.user;
      hasOtherTarget ||= asked.target !== first.target;
      if (failures < fall) return undefined;
      if (hasOtherUser && hasOtherTarget) return 'down';
      return failures % fall === 0 ? 'look' : undefined;
    },
    /** Whether the last requests failed in a row. */
    goesOn: (): boolean => failures >= fall,
  };
}

/** Counts failures of real requests that follow one another. */
export type FailureRow = ReturnType<typeof createFailureRow>;

/** Allows one real request a second to try a host that is down, before the next check does. */
export function createTrials(clock: Clock): (host: string) => boolean {
  const last = new Map<string, number>();
  return (host) => {
    const nowMs = clock.nowMs();
    if (nowMs - (last.get(host) ?? Number.NEGATIVE_INFINITY) < trialEveryMs) return false;
    last.set(host, nowMs);
    return true;
  };
}
