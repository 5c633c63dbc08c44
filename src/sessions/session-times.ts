import type { EndReason, SessionRecord } from '../core/session.ts';

/** Whether time has ended a session, and how. `lastUseMs` is 0 where no use is known: then its start counts. */
export function endByTime(
  record: SessionRecord,
  lastUseMs: number,
  idleTimeoutMs: number,
  nowMs: number,
): EndReason | undefined {
  if (nowMs >= record.absoluteEndMs) return 'absolute';
  if (nowMs - Math.max(lastUseMs, record.createdAtMs) >= idleTimeoutMs) return 'idle';
  return undefined;
}
