import { BoundedMap } from '../core/bounded-map.ts';
import type { Clock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { type RecordKey, sessionFacts } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import type { DestroyedSession, EndReason, SessionStore, SessionUse, StoredLookup } from '../core/session.ts';
import type { CachedSession } from './cached-session.ts';

const useWriteIntervalMs = 60_000;

/**
 * Collects the sessions that were used, and tells the store of each at most once a minute.
 * The first use after a pause is written at the next `flush`, so that no other node takes the session for idle.
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
    const uses = sessions.map((session) => ({ session, atMs: session.lastUseMs, use: session.takeUse() }));
    for (const session of sessions) used.delete(session);
    try {
      await store.noteUse(uses.map(({ session: { key }, atMs, use }) => ({ key, atMs, ...use })));
      for (const { session, atMs } of uses) session.writtenUseMs = atMs;
    } catch (error) {
      for (const { session, use } of uses) {
        session.giveBackUse(use);
        used.add(session);
      }
      log.debug('session-use-not-stored', { sessions: sessions.length, err: error });
    }
  }

  return {
    /** The sessions whose use is not written yet; a session adds itself. */
    used,
    /** Writes the uses that are due. */
    async flush(): Promise<void> {
      const nowMs = clock.nowMs();
      await write([...used].filter((session) => nowMs - session.writtenUseMs >= useWriteIntervalMs));
    },
    /** Writes all uses. */
    async flushAll(): Promise<void> {
      await write([...used]);
    },
  };
}

const jarDebounceMs = 100;

/** Options of createJarWrites. `gone` is called for a session whose record the store no longer has. */
interface JarWritesOptions {
  readonly store: Pick<SessionStore, 'writeJar'>;
  readonly log: Log;
  readonly gone: (session: CachedSession) => void;
}

/** Writes changed jars a moment later, many changes as one; a jar that the store refuses waits for the next flush. */
export function createJarWrites({ store, log, gone }: JarWritesOptions) {
  const unsaved = new Set<CachedSession>();
  let timer: NodeJS.Timeout | undefined;
  let failing = false;

  async function write(session: CachedSession): Promise<void> {
    const { jar } = session;
    const { changes } = jar;
    try {
      if ((await store.writeJar(session.key, session.sealJar())) === 'gone') gone(session);
      // A change that came during the write has a write of its own to wait for.
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
      timer ??= setTimeout(() => void flush(), jarDebounceMs).unref();
    },
    /** Resolves when each noted jar is written, or waits again. */
    flush,
  };
}

const rememberedEndings = 10_000;
const queuedEndings = 10_000;

/** Options of SessionEndings. */
interface SessionEndingsOptions {
  readonly store: Pick<SessionStore, 'destroy'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** The end of a session: why, by whom if somebody else ended it, by which request, and its use here that no note told. */
interface SessionEnding {
  readonly reason: EndReason;
  readonly by: string | undefined;
  readonly requestId: string | undefined;
  readonly untold: () => SessionUse;
}

const noUse: SessionUse = { requests: 0, bytesIn: 0, bytesOut: 0 };

/**
 * The sessions that this node knows to have ended, and the endings that the store has not taken yet.
 *
 * A sign-out takes effect on this node at once. While the store is away the ending is queued and repeated; until the
 * store takes it, and for a while after, this node answers for the session itself.
 */
export class SessionEndings {
  readonly #store: SessionEndingsOptions['store'];
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #remembered = new BoundedMap<RecordKey, EndReason>(rememberedEndings);
  readonly #queued = new BoundedMap<RecordKey, SessionEnding>(queuedEndings);
  #retrying: Promise<void> | undefined;

  constructor({ store, clock, log }: SessionEndingsOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
  }

  /** The number of endings that the store has not taken yet. */
  get queued(): number {
    return this.#queued.size;
  }

  /** Why the session ended, or undefined if this node does not know that it did. */
  reasonOf(key: RecordKey): EndReason | undefined {
    return this.#queued.get(key)?.reason ?? this.#remembered.get(key);
  }

  /** Remembers an ending that the store knows already. */
  remember(key: RecordKey, reason: EndReason): void {
    this.#remembered.set(key, reason);
  }

  /**
   * Ends the session on this node at once. Resolves when the store took the ending, or when it is queued. `session`: as
   * this node has it in memory.
   */
  async end(
    key: RecordKey,
    { session, ...ending }: Omit<SessionEnding, 'untold'> & { readonly session: CachedSession | undefined },
  ): Promise<void> {
    this.#remembered.set(key, ending.reason);
    await this.#write(key, { ...ending, untold: () => session?.takeUse() ?? noUse });
  }

  /** Offers the queued endings to the store again. */
  retry(): Promise<void> {
    this.#retrying ??= this.#retryAll().finally(() => {
      this.#retrying = undefined;
    });
    return this.#retrying;
  }

  async #retryAll(): Promise<void> {
    for (const [key, ending] of this.#queued) {
      // While the store is away one question is enough.
      if (!(await this.#write(key, ending))) return;
    }
  }

  async #write(key: RecordKey, ending: SessionEnding): Promise<boolean> {
    try {
      const destroyed = await this.#store.destroy(key, ending.reason);
      this.#queued.delete(key);
      // The store tells one node alone what it destroyed: one line for all of them.
      if (destroyed !== undefined) this.#logEnd(key, destroyed, ending);
      return true;
    } catch (error) {
      if (!this.#queued.has(key)) this.#queue(key, ending, error);
      return false;
    }
  }

  #logEnd(
    key: RecordKey,
    { record, ...told }: DestroyedSession,
    { reason, by, requestId, untold }: SessionEnding,
  ): void {
    const facts = sessionFacts(key, record);
    if (facts === undefined) return;
    const here = untold();
    this.#log.info('session-end', {
      ...defined({ requestId }),
      ...facts,
      reason,
      ...defined({ by }),
      ms: this.#clock.nowMs() - record.createdAtMs,
      requests: told.requests + here.requests,
      bytesIn: told.bytesIn + here.bytesIn,
      bytesOut: told.bytesOut + here.bytesOut,
    });
  }

  #queue(key: RecordKey, { untold, ...ending }: SessionEnding, error: unknown): void {
    this.#log.warn('session-end-not-stored', { session: key, reason: ending.reason, err: error });
    if (this.#queued.size >= queuedEndings) {
      const [oldest] = this.#queued.keys();
      this.#log.error('session-end-dropped', { session: oldest });
    }
    // The figures alone: the session itself must not stay in memory.
    const use = untold();
    this.#queued.set(key, { ...ending, untold: () => use });
  }
}

const readAttempts = 5;

/**
 * Reads sessions so that no change goes unnoticed while a read is under way.
 *
 * The notice of a change can arrive before the answer that the change makes stale. A read that is under way is therefore
 * marked as disturbed by a notice, and then asks again. Reads of one key share one question.
 */
export function createUndisturbedReader(store: Pick<SessionStore, 'read'>) {
  const readings = new Map<RecordKey, { answer: Promise<StoredLookup>; disturbed: boolean }>();

  async function ask(key: RecordKey): Promise<StoredLookup> {
    for (let attempt = 0; attempt < readAttempts; attempt += 1) {
      const reading = readings.get(key);
      if (reading !== undefined) reading.disturbed = false;
      const answer = await store.read(key);
      if (reading?.disturbed !== true) return answer;
    }
    const message = `a session changed ${readAttempts} times while it was read`;
    throw new PosternError('ERR_STORE_UNAVAILABLE', message, { source: 'store', retryable: true });
  }

  return {
    /** Rejects like the store's own read. */
    read(key: RecordKey): Promise<StoredLookup> {
      const known = readings.get(key);
      if (known !== undefined) return known.answer;
      // The entry stands before the question: `ask` begins in a later turn of the event loop.
      const answer = Promise.resolve()
        .then(() => ask(key))
        .finally(() => readings.delete(key));
      readings.set(key, { answer, disturbed: false });
      return answer;
    },
    /** Marks a read of this key as disturbed. */
    changed(key: RecordKey): void {
      const reading = readings.get(key);
      if (reading !== undefined) reading.disturbed = true;
    },
    /** Marks all reads as disturbed: a change may have been missed. */
    allChanged(): void {
      for (const reading of readings.values()) reading.disturbed = true;
    },
  };
}
