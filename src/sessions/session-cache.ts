import type { RecordKey } from '../core/session.ts';
import type { CachedSession } from './cached-session.ts';

/** A longer field is taken apart each time: a client that sends a huge one must not fill the memory. */
const rememberedFieldChars = 2_048;
const evictionCandidates = 64;

/**
 * The sessions in a node's memory, least recently used first, with a short cut to them: the whole Cookie field that
 * last led to one. Strangers fill nothing, and what is dropped leaves nothing.
 */
export function createSessionCache(limit: number) {
  const byKey = new Map<RecordKey, CachedSession>();
  const byField = new Map<string, CachedSession>();

  function forgetField(session: CachedSession): void {
    if (session.field !== undefined) byField.delete(session.field);
    session.field = undefined;
  }

  function drop(session: CachedSession): void {
    session.cached = false;
    forgetField(session);
    if (byKey.get(session.key) === session) byKey.delete(session.key);
  }

  function makeRoom(): void {
    let candidates = 0;
    for (const session of byKey.values()) {
      candidates += 1;
      if (candidates > evictionCandidates) return;
      // What hangs on a session must find its end through it, and an unsaved jar is nowhere else.
      if (session.attachments > 0 || session.jarUnsaved) continue;
      drop(session);
      return;
    }
  }

  return {
    get size(): number {
      return byKey.size;
    },
    values: () => byKey.values(),
    get: (key: RecordKey) => byKey.get(key),
    ofField: (field: string) => byField.get(field),
    /** Moves the session to the end of the line. */
    refresh(session: CachedSession): void {
      byKey.delete(session.key);
      byKey.set(session.key, session);
    },
    put(session: CachedSession): void {
      byKey.set(session.key, session);
      if (byKey.size > limit) makeRoom();
    },
    /** Takes the short cut to the session that a field has led to; `rest` is what it holds besides. */
    remember(session: CachedSession, field: string, rest: string): void {
      if (!session.cached || field.length > rememberedFieldChars) return;
      forgetField(session);
      session.field = field;
      session.rest = rest;
      byField.set(field, session);
    },
    drop,
  };
}
