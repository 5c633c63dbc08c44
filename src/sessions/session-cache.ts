import { createSharedTexts } from '../core/bounded-map.ts';
import { type Clock, isRecent } from '../core/clock.ts';
import type { CookieJar } from '../core/cookie-jar.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { type BackendName, type RecordKey, shortSessionId } from '../core/names.ts';
import type {
  EndReason,
  LiveSession,
  SessionRecord,
  SessionRoute,
  SessionStore,
  StoredLookup,
  StoreEvent,
} from '../core/session.ts';
import { CachedSession, CachedSessions, type SessionKeeper } from './cached-session.ts';
import type { SessionCookie } from './cookie.ts';
import { createJarWrites, createUndisturbedReader, createUseNotes, SessionEndings } from './store-sync.ts';

/** The times of sessions that the configuration sets, in milliseconds. */
interface SessionTimes {
  readonly idleTimeoutMs: number;
  /** How long sessions in memory are served while the store is away. */
  readonly serveStaleMs: number;
  /** Until when sessions that 0.1.0 opened count; undefined for never. */
  readonly acceptUnsignedUntilMs?: number;
}

/** Options of SessionCache. */
export interface SessionCacheOptions {
  readonly store: SessionStore;
  readonly clock: Clock;
  readonly log: Log;
  /** Holds the configuration in force: a reload replaces it. */
  readonly holder: { readonly config: { readonly sessions: SessionTimes } };
  /** Which cookies of a backend stay in the gateway although they are not HttpOnly: its driver says so. */
  readonly ownsCookie: (backend: BackendName) => (name: string) => boolean;
  /** Who locked the user or the network of a session; undefined if nobody did. Asked when a session is read from the store. */
  readonly lockedBy?: (record: SessionRecord) => string | undefined;
  /** Called for each session that has ended while this node had it in memory, with its jar still open. */
  readonly ended?: (session: LiveSession, reason: EndReason) => void;
  /** The number of sessions that are kept in memory. */
  readonly cacheLimit?: number;
}

type StoredVerdict =
  | { readonly kind: 'found'; readonly session: CachedSession }
  | { readonly kind: 'ended'; readonly reason: EndReason }
  | { readonly kind: 'none' };

/** A node's knowledge of a session; `unavailable` if the store could not be asked. */
export type CachedLookup = StoredVerdict | { readonly kind: 'unavailable' };

const defaultCacheLimit = 50_000;
const concurrentRefreshes = 100;
/** How often all sessions in memory are looked at: fifty thousand take some milliseconds. */
const overCheckEveryMs = 30_000;

/**
 * The sessions that this node has in memory.
 *
 * A session that the store told of a change is read again before it is served. After a gap in the store's events every
 * session is in doubt, and is read again before its next use; while the store is away it is served for a grace period.
 * Sessions with attachments are read again at once, because an end must reach the attachments.
 */
export class SessionCache {
  readonly #store: SessionStore;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #holder: SessionCacheOptions['holder'];
  readonly #ended: SessionCacheOptions['ended'];
  readonly #lockedBy: NonNullable<SessionCacheOptions['lockedBy']>;
  readonly #sessions: CachedSessions;
  readonly #reader: ReturnType<typeof createUndisturbedReader>;
  readonly #endings: SessionEndings;
  readonly #useNotes: ReturnType<typeof createUseNotes>;
  readonly #jarWrites: ReturnType<typeof createJarWrites>;
  readonly #attached = new Set<CachedSession>();
  readonly #keeper: SessionKeeper;
  readonly #stopListening: () => void;
  /** Whether events from the store may be missing. */
  #storeIsAway = false;
  #overCheckedAtMs: number;

  /** Listens to the store's events from now on; `close` ends that. */
  constructor(options: SessionCacheOptions) {
    const { store, clock, log } = options;
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
    this.#holder = options.holder;
    this.#ended = options.ended;
    this.#lockedBy = options.lockedBy ?? (() => undefined);
    this.#overCheckedAtMs = clock.nowMs();
    this.#sessions = new CachedSessions(options.cacheLimit ?? defaultCacheLimit);
    this.#reader = createUndisturbedReader(store);
    this.#endings = new SessionEndings({ store, clock, log });
    this.#useNotes = createUseNotes({ store, clock, log });
    this.#jarWrites = createJarWrites({ store, log, gone: (session) => void this.#refresh(session) });
    this.#keeper = {
      nowMs: clock.nowMs,
      used: this.#useNotes.used,
      attached: this.#attached,
      share: createSharedTexts(),
      ownsCookie: options.ownsCookie,
      jarChanged: (session) => this.#jarWrites.note(session),
      unsignedUntilMs: () => this.#holder.config.sessions.acceptUnsignedUntilMs ?? 0,
      end: (key, reason, requestId) => this.end(key, reason, undefined, requestId),
    };
    this.#stopListening = store.watch((event) => this.#onStoreEvent(event));
  }

  /** The sessions in memory, least recently used first. */
  values(): Iterable<CachedSession> {
    return this.#sessions.byKey.values();
  }

  get(key: RecordKey): CachedSession | undefined {
    return this.#sessions.byKey.get(key);
  }

  /** The session to which this Cookie field last led; undefined if there is none that may be served at once. */
  findCached(field: string): CachedSession | undefined {
    const session = this.#sessions.byField.get(field);
    if (session === undefined || !this.#isServable(session, this.#storeIsAway)) return undefined;
    this.#sessions.refresh(session);
    return session;
  }

  /** Lets `findCached` find the session by this field; `rest` is the field without the session cookie. */
  remember(session: CachedSession, field: string, rest: string): void {
    this.#sessions.remember(session, field, rest);
  }

  /** Looks in memory first, and returns synchronously if the store need not be asked. */
  lookUp(cookie: SessionCookie): CachedLookup | Promise<CachedLookup> {
    const reason = this.#endings.reasonOf(cookie.key);
    if (reason !== undefined) return { kind: 'ended', reason };
    const session = this.#sessions.byKey.get(cookie.key);
    if (session !== undefined && this.#isOver(session)) {
      void this.end(session.key, 'absolute');
      return { kind: 'ended', reason: 'absolute' };
    }
    return session !== undefined && this.#isServable(session, this.#storeIsAway)
      ? { kind: 'found', session }
      : this.#ask(cookie);
  }

  /**
   * Ends a session on all nodes: at once on this one, and repeated until the store took it. `by`: who ended it, if that
   * was neither its user nor time. `requestId`: of the request that ended it, if one did.
   */
  async end(key: RecordKey, reason: EndReason, by?: string, requestId?: string): Promise<void> {
    if (this.#endings.reasonOf(key) !== undefined) return;
    this.#endings.remember(key, reason);
    const session = this.#sessions.byKey.get(key);
    if (session !== undefined) this.#forget(session, reason);
    await this.#endings.end(key, { reason, by, requestId, session });
  }

  /** Moves a session to another host; see `NodeSessions.reroute`. */
  async reroute(key: RecordKey, to: SessionRoute, fresh: CookieJar): Promise<'rerouted' | 'elsewhere' | 'gone'> {
    const session = this.#sessions.byKey.get(key);
    if (session === undefined) return 'gone';
    const { backend, host, user } = session.record;
    const next = session.rerouted(to, fresh);
    const outcome = await this.#store.reroute(key, { backend, host }, next.record, next.jar);
    if (outcome === 'written') {
      session.renew(next);
      const facts = { session: shortSessionId(key), user, from: `${backend}/${host}`, to: `${to.backend}/${to.host}` };
      this.#log.info('session-moved', facts);
      return 'rerouted';
    }
    this.#settle(key, await this.#reader.read(key), undefined);
    return outcome;
  }

  /** Figures for the metrics. */
  counts(): {
    readonly cached: number;
    readonly attached: number;
    readonly endingsWaiting: number;
    /** Whether the store tells of all changes. */
    readonly isTold: boolean;
  } {
    return {
      cached: this.#sessions.byKey.size,
      attached: this.#attached.size,
      endingsWaiting: this.#endings.queued,
      isTold: !this.#storeIsAway,
    };
  }

  /** Ends sessions whose time is over, reads doubtful ones again, and writes the changes that are due. */
  async sweep(): Promise<void> {
    for (const session of this.#attached) {
      if (this.#isOver(session)) void this.end(session.key, 'absolute');
      // The grace period is over: end its streams. The session itself may continue when the store is back.
      else if (this.#storeIsAway && session.doubtSinceMs !== 0 && !this.#isServable(session, true)) {
        session.endAttachments('idle');
      }
    }
    if (this.#storeIsAway) return;
    await Promise.all([
      this.#endOver(),
      this.#refreshAttached(),
      this.#useNotes.flush(),
      this.#jarWrites.flush(),
      this.#endings.retry(),
    ]);
  }

  /** Stops listening, and writes the changes that are not written yet. */
  async close(): Promise<void> {
    this.#stopListening();
    await Promise.all([this.#useNotes.flushAll(), this.#jarWrites.flush(), this.#endings.retry()]);
  }

  /** Whether the session may be served without asking the store; with `storeIsAway` an old answer is good enough. */
  #isServable(session: CachedSession, storeIsAway: boolean): boolean {
    const { idleTimeoutMs, serveStaleMs } = this.#holder.config.sessions;
    const nowMs = this.#clock.nowMs();
    if (session.changed || endByTime(session.record, session.lastUseMs, idleTimeoutMs, nowMs) !== undefined) {
      return false;
    }
    return session.doubtSinceMs === 0 || (storeIsAway && nowMs - session.doubtSinceMs < serveStaleMs);
  }

  /** Whether the absolute end has come. It needs no store: no use on any node can postpone it. */
  #isOver(session: CachedSession): boolean {
    return this.#clock.nowMs() >= session.record.absoluteEndMs;
  }

  /**
   * Ends sessions whose browser does not come back: without it the log would never tell of their end. Another node may
   * know of a later use, so the store is asked.
   */
  async #endOver(): Promise<void> {
    const nowMs = this.#clock.nowMs();
    if (isRecent(this.#overCheckedAtMs, overCheckEveryMs, nowMs)) return;
    this.#overCheckedAtMs = nowMs;
    const { idleTimeoutMs } = this.#holder.config.sessions;
    const over = [...this.values()].filter(
      ({ record, lastUseMs }) => endByTime(record, lastUseMs, idleTimeoutMs, nowMs) !== undefined,
    );
    await this.#refreshAll(over);
  }

  #forget(session: CachedSession, reason: EndReason): void {
    this.#useNotes.used.delete(session);
    this.#sessions.drop(session);
    session.close(reason);
    this.#ended?.(session, reason);
  }

  /** Applies the store's answer to the session in memory; `cookie` opens a session that is not there yet. */
  #settle(key: RecordKey, stored: StoredLookup, cookie: SessionCookie | undefined): StoredVerdict {
    const reason = this.#endings.reasonOf(key);
    if (reason !== undefined) return { kind: 'ended', reason };
    const cached = this.#sessions.byKey.get(key);
    if (stored.kind !== 'found') {
      if (stored.kind === 'ended') this.#endings.remember(key, stored.reason);
      if (cached !== undefined) this.#forget(cached, stored.kind === 'ended' ? stored.reason : 'signed-out');
      return stored;
    }
    const { record } = stored.session;
    const lastUseMs = Math.max(stored.session.lastUseMs, cached?.lastUseMs ?? 0);
    const by = this.#lockedBy(record);
    const { idleTimeoutMs } = this.#holder.config.sessions;
    const over = by === undefined ? endByTime(record, lastUseMs, idleTimeoutMs, this.#clock.nowMs()) : 'locked';
    if (over !== undefined) {
      void this.end(key, over, by);
      return { kind: 'ended', reason: over };
    }
    const session =
      cached === undefined && cookie !== undefined ? CachedSession.open(this.#keeper, cookie, stored.session) : cached;
    if (session === undefined || (session === cached && !session.renew(stored.session))) {
      this.#log.warn('session-record-foreign', { session: key });
      if (cached !== undefined) this.#forget(cached, 'signed-out');
      return { kind: 'none' };
    }
    session.changed = false;
    session.doubtSinceMs = 0;
    this.#sessions.put(session);
    return { kind: 'found', session };
  }

  async #ask(cookie: SessionCookie): Promise<CachedLookup> {
    try {
      return this.#settle(cookie.key, await this.#reader.read(cookie.key), cookie);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      const session = this.#sessions.byKey.get(cookie.key);
      return session !== undefined && this.#isServable(session, true)
        ? { kind: 'found', session }
        : { kind: 'unavailable' };
    }
  }

  /** Reads a session in memory again. The sweep repeats a read that fails. */
  async #refresh(session: CachedSession): Promise<void> {
    try {
      this.#settle(session.key, await this.#reader.read(session.key), undefined);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
    }
  }

  async #refreshAttached(): Promise<void> {
    await this.#refreshAll([...this.#attached].filter((session) => !this.#isServable(session, false)));
  }

  async #refreshAll(sessions: readonly CachedSession[]): Promise<void> {
    for (let from = 0; from < sessions.length && !this.#storeIsAway; from += concurrentRefreshes) {
      const some = sessions.slice(from, from + concurrentRefreshes);
      await Promise.all(some.map((session) => this.#refresh(session)));
    }
  }

  #onStoreEvent(event: StoreEvent): void {
    if (event.kind === 'changed') {
      this.#reader.changed(event.key);
      const session = this.#sessions.byKey.get(event.key);
      if (session === undefined) return;
      session.changed = true;
      if (session.attachments > 0) void this.#refresh(session);
    } else if (event.kind === 'gap') {
      this.#storeIsAway = true;
      this.#reader.allChanged();
      for (const session of this.#sessions.byKey.values()) session.doubtSinceMs ||= this.#clock.nowMs();
    } else {
      this.#storeIsAway = false;
      void this.#refreshAttached();
    }
  }
}

/** How time has ended a session, or undefined. `lastUseMs` is 0 if no use is known: then the start of the session counts. */
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
