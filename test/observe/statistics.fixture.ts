import { type Log, silentLog } from '../../src/core/log.ts';
import { dayMs, type StatisticsBatch } from '../../src/core/statistics.ts';
import { StatisticsCollector } from '../../src/observe/statistics/collector.ts';

/** How long tests keep statistics. */
export const keptMs = 400 * dayMs;
/** The first moment of a UTC day a fortnight ago: what is older than the retention would expire at once. */
export const startMs = Math.floor(Date.now() / dayMs) * dayMs - 14 * dayMs;

let nodes = 0;

/** As by two server keys, the second of which is promoted no longer. */
export const marksOf = (user: string): readonly string[] => [`new ${user.length} ${user}`, `old ${user}`];

/** A clock that a test sets. */
export interface TestClock {
  nowMs: () => number;
  atMs: number;
}

/** A clock that stands until a test moves it. */
export function clockAt(ms: number): TestClock {
  const clock: TestClock = { atMs: ms, nowMs: () => clock.atMs };
  return clock;
}

/** A node, or a process of one, whose counts go to a store. */
export function nodeOf(store: (batch: StatisticsBatch) => Promise<string>, clock: TestClock, log: Log = silentLog) {
  return new StatisticsCollector({
    clock,
    log,
    process: `test-${(nodes += 1)}`,
    collect: () => undefined,
    store,
    settings: () => ({ enabled: true, lastLogins: true, flushMs: 3_600_000 }),
  });
}

/** The time as the API writes it. */
export function iso(ms: number): string {
  return new Date(ms).toISOString();
}
