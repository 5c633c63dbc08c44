import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';

/** Logs a warning, unless the same cause was warned of with the same detail within the last minute. */
export type Warn = (cause: string, detail: string, fields: object, message: string) => void;

/** One line a minute for each cause: whoever scans the address range must not fill the log. */
export function createWarnings(log: Log, clock: Clock): Warn {
  const lastMs = new Map<string, number>();
  return (cause, detail, fields, message) => {
    const key = `${cause} ${detail}`;
    const now = clock.nowMs();
    if (now - (lastMs.get(key) ?? Number.NEGATIVE_INFINITY) < 60_000) return;
    if (lastMs.size >= 100) lastMs.clear();
    lastMs.set(key, now);
    log.warn(fields, message);
  };
}
