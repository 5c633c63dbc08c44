import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { SessionStore } from '../core/session.ts';
import type { CachedSession } from './cached-session.ts';

const writeAgainMs = 60_000;

/**
 * Collects when sessions were used, and tells the store at most once a minute of each.
 * The first use after a pause is told at the next `flush`, so that no other node takes the session for idle.
 */
export function createUseNotes(deps: {
  readonly store: Pick<SessionStore, 'noteUse'>;
  readonly clock: Clock;
  readonly log: Log;
}) {
  const { store, clock, log } = deps;
  const used = new Set<CachedSession>();

  async function write(sessions: readonly CachedSession[]): Promise<void> {
    if (sessions.length === 0) return;
    const uses = sessions.map((session) => ({ session, key: session.key, atMs: session.lastUseMs }));
    for (const session of sessions) used.delete(session);
    try {
      await store.noteUse(uses.map(({ key, atMs }) => ({ key, atMs })));
      for (const { session, atMs } of uses) session.writtenUseMs = atMs;
    } catch (error) {
      for (const session of sessions) used.add(session);
      log.debug({ sessions: sessions.length, err: error }, 'the use of sessions could not be noted; it is repeated');
    }
  }

  return {
    note(session: CachedSession): void {
      used.add(session);
    },
    /** Tells the store what is due. */
    async flush(): Promise<void> {
      const nowMs = clock.nowMs();
      await write([...used].filter((session) => nowMs - session.writtenUseMs >= writeAgainMs));
    },
    /** Tells the store everything. */
    async flushAll(): Promise<void> {
      await write([...used]);
    },
  };
}
