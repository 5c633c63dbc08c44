import type { RecordKey } from '../core/session.ts';
import { BoundedMap } from './bounded-map.ts';
import type { CachedSession } from './cached-session.ts';

/** A Cookie field that led to a session before. */
export interface KnownField {
  readonly own: string;
  readonly rest: string;
}

const rememberedFields = 20_000;
/** A longer field is taken apart each time: a client that varies a huge one must not fill the memory. */
const rememberedFieldChars = 2_048;
const evictionCandidates = 64;

/**
 * The sessions in a node's memory, least recently used first, with two short cuts to them: whole Cookie field → own
 * value and rest; own value → session. Only fields that led to a session are remembered, so strangers fill nothing.
 */
export function createSessionCache(limit: number) {
  const byKey = new Map<RecordKey, CachedSession>();
  const byCookie = new BoundedMap<string, CachedSession>(limit);
  const fields = new BoundedMap<string, KnownField>(rememberedFields);

  function drop(session: CachedSession): void {
    session.cached = false;
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
    knownField: (field: string) => fields.get(field),
    ofCookie(own: string): CachedSession | undefined {
      const session = byCookie.get(own);
      if (session === undefined || session.cached) return session;
      byCookie.delete(own);
      return undefined;
    },
    /** Moves the session to the end of the line. */
    refresh(session: CachedSession): void {
      byKey.delete(session.key);
      byKey.set(session.key, session);
    },
    put(session: CachedSession): void {
      byKey.set(session.key, session);
      if (byKey.size > limit) makeRoom();
    },
    remember(field: string, known: KnownField, session: CachedSession): void {
      byCookie.set(known.own, session);
      if (field.length <= rememberedFieldChars) fields.set(field, known);
    },
    drop,
  };
}
