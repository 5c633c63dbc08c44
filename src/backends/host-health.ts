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
  /** Why the last bad answer was bad; stays until it is up again. */
  readonly why?: string;
  /** There was no answer at all in time: who tried it would wait for long. */
  readonly hangs?: true;
}

const flapWindowMs = 5 * 60_000;
/** However much a host flaps, it is believed again after so many good checks. */
const maxChecksToRise = 30;
const trialEveryMs = 1_000;

/**
 * Makes up its mind about one service of one host: down after `fall` bad answers in a row, or at once when nothing
 * listens; up again after `rise` good checks. Each further fall within five minutes doubles how many good checks it
 * takes. It begins up: a gateway that starts must not lock out everybody until it has looked.
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
    /** The service counts as up although its last answer was bad. */
    isInDoubt: (): boolean => up && bad > 0,
    /** A good check, or a real request that was answered. Returns whether the mind changed. */
    good(): boolean {
      bad = 0;
      if (up) return false;
      good += 1;
      if (good < neededToRise()) return false;
      turn(true);
      return true;
    },
    /** A bad answer, or none. `sure`: one such answer is enough, as where nothing listens. `hangs`: none in time. */
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

/** Failures that are further apart have nothing to do with one another. */
const rowMs = 60_000;

/**
 * Decides when failed requests in a row take a host down. One mail may break every answer about itself,
 * however often somebody asks for it: only different users who ask for different things tell of the host.
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
    /** A request was answered well. */
    end,
    /** A request was not. `down`: the host is to be left; `look`: it is to be asked whether it serves anything. */
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
    /** Whether requests still fail in a row. */
    goesOn: (): boolean => failures >= fall,
  };
}

/** Counts failures of real requests that follow one another. */
export type FailureRow = ReturnType<typeof createFailureRow>;

/** Whether one real request may find out now what the checks have not yet: one a second for each host that is down. */
export function createTrials(clock: Clock): (host: string) => boolean {
  const last = new Map<string, number>();
  return (host) => {
    const nowMs = clock.nowMs();
    if (nowMs - (last.get(host) ?? Number.NEGATIVE_INFINITY) < trialEveryMs) return false;
    last.set(host, nowMs);
    return true;
  };
}
