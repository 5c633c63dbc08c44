import { BoundedMap } from '../core/bounded-map.ts';
import type { Clock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { EndReason, RecordKey, SessionStore, StoredLookup } from '../core/session.ts';
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
      log.debug('session-use-not-stored', { sessions: sessions.length, err: error });
    }
  }

  return {
    note: (session: CachedSession): void => void used.add(session),
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

const debounceMs = 100;

/** Options of createJarWrites. `gone` hears of a session whose record the store no longer has. */
interface JarWritesOptions {
  readonly store: Pick<SessionStore, 'writeJar'>;
  readonly log: Log;
  readonly gone: (session: CachedSession) => void;
}

/** Writes changed jars a moment later, many changes as one; what the store could not take waits for the next flush. */
export function createJarWrites({ store, log, gone }: JarWritesOptions) {
  const unsaved = new Set<CachedSession>();
  let timer: NodeJS.Timeout | undefined;
  let failing = false;

  async function write(session: CachedSession): Promise<void> {
    const { jar } = session;
    const { changes } = jar;
    try {
      if ((await store.writeJar(session.key, session.sealJar())) === 'gone') gone(session);
      // Another change may have come while this one was written: then it waits for its own turn.
      if (session.jar === jar && jar.changes === changes) session.jarUnsaved = false;
      failing = false;
    } catch (error) {
      unsaved.add(session);
      if (!failing) log.warn('cookie-jar-not-stored', { err: error });
      failing = true;
    }
  }

  async function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const sessions = [...unsaved];
    unsaved.clear();
    await Promise.all(sessions.map((session) => write(session)));
  }

  return {
    note(session: CachedSession): void {
      unsaved.add(session);
      timer ??= setTimeout(() => void flush(), debounceMs).unref();
    },
    /** Resolves when all that was noted is written, or waits again. */
    flush,
  };
}

const rememberedEndings = 10_000;
const waitingEndings = 10_000;

/**
 * The sessions that this node knows to have ended, and the endings that the store has not taken yet.
 *
 * A sign-out holds here at once. When the store is away it is repeated until the store took it; until then, and for a
 * while after, this node answers for the session itself.
 */
export function createEndings({ store, log }: { readonly store: Pick<SessionStore, 'destroy'>; readonly log: Log }) {
  const remembered = new BoundedMap<RecordKey, EndReason>(rememberedEndings);
  const waiting = new BoundedMap<RecordKey, EndReason>(waitingEndings);
  let retrying: Promise<void> | undefined;

  async function tell(key: RecordKey, reason: EndReason): Promise<boolean> {
    try {
      await store.destroy(key, reason);
      waiting.delete(key);
      return true;
    } catch (error) {
      if (!waiting.has(key)) wait(key, reason, error);
      return false;
    }
  }

  function wait(key: RecordKey, reason: EndReason, error: unknown): void {
    log.warn('session-end-not-stored', { session: key, reason, err: error });
    if (waiting.size >= waitingEndings) {
      const [oldest] = waiting.keys();
      log.error('session-end-dropped', { session: oldest });
    }
    waiting.set(key, reason);
  }

  async function retryAll(): Promise<void> {
    for (const [key, reason] of waiting) {
      // While the store is away one question is enough.
      if (!(await tell(key, reason))) return;
    }
  }

  return {
    /** Why the session ended, or undefined if this node does not know that it did. */
    reasonOf(key: RecordKey): EndReason | undefined {
      return waiting.get(key) ?? remembered.get(key);
    },
    /** Another node ended it. */
    remember(key: RecordKey, reason: EndReason): void {
      remembered.set(key, reason);
    },
    /** Ends it here at once. Resolves when the store took it, or when it waits to be repeated. */
    async end(key: RecordKey, reason: EndReason): Promise<void> {
      remembered.set(key, reason);
      await tell(key, reason);
    },
    /** Offers what waits to the store again. */
    retry(): Promise<void> {
      retrying ??= retryAll().finally(() => {
        retrying = undefined;
      });
      return retrying;
    },
    get waiting(): number {
      return waiting.size;
    },
  };
}

const attempts = 5;

/**
 * Reads sessions so that no change can slip by while a read is under way.
 *
 * A notice of a change can arrive before the answer that it makes stale. Each read therefore leaves a mark before it
 * asks; a notice that meets the mark makes it ask again. Reads of one key share one question.
 */
export function createUndisturbedReader(store: Pick<SessionStore, 'read'>) {
  const readings = new Map<RecordKey, { answer: Promise<StoredLookup>; disturbed: boolean }>();

  async function ask(key: RecordKey): Promise<StoredLookup> {
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      const reading = readings.get(key);
      if (reading !== undefined) reading.disturbed = false;
      const answer = await store.read(key);
      if (reading?.disturbed !== true) return answer;
    }
    const message = `a session changed ${attempts} times while it was read`;
    throw new PosternError('ERR_STORE_UNAVAILABLE', message, { source: 'store', retryable: true });
  }

  return {
    /** Rejects like the store's own read. */
    read(key: RecordKey): Promise<StoredLookup> {
      const known = readings.get(key);
      if (known !== undefined) return known.answer;
      // The mark stands before the question: `ask` begins in a later turn.
      const answer = Promise.resolve()
        .then(() => ask(key))
        .finally(() => readings.delete(key));
      readings.set(key, { answer, disturbed: false });
      return answer;
    },
    changed(key: RecordKey): void {
      const reading = readings.get(key);
      if (reading !== undefined) reading.disturbed = true;
    },
    /** Any change may have been missed. */
    allChanged(): void {
      for (const reading of readings.values()) reading.disturbed = true;
    },
  };
}
