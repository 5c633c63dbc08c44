import { BoundedMap } from '../core/bounded-map.ts';
import type { Clock } from '../core/clock.ts';
import type { CookieJar } from '../core/cookie-jar.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { BackendName } from '../core/names.ts';
import type {
  EndReason,
  LiveSession,
  RecordKey,
  SessionRecord,
  SessionRoute,
  SessionStore,
  StoredLookup,
  StoreNews,
} from '../core/session.ts';
import { CachedSession, type SessionKeeper } from './cached-session.ts';
import type { SessionCookie } from './cookie.ts';
import { createEndings, createJarWrites, createUndisturbedReader, createUseNotes } from './store-sync.ts';

/** The times of sessions that the configuration sets. */
interface SessionTimes {
  readonly idleTimeoutMs: number;
  /** How long sessions in memory are served while the store is away. */
  readonly serveStaleMs: number;
}

/** Options of createSessionCache. */
export interface SessionCacheOptions {
  readonly store: SessionStore;
  readonly clock: Clock;
  readonly log: Log;
  /** Holds the configuration in force: a reload changes what it says. */
  readonly holder: { readonly config: { readonly sessions: SessionTimes } };
  /** Which cookies of a backend stay in the gateway although they are not HttpOnly: its driver says so. */
  readonly ownsCookie: (backend: BackendName) => (name: string) => boolean;
  /** Told of each session that has ended while this node held it, with its jar still open. */
  readonly ended?: (session: LiveSession, reason: EndReason) => void;
  /** How many sessions are kept in memory. */
  readonly cacheLimit?: number;
}

type Settled =
  | { readonly kind: 'found'; readonly session: CachedSession }
  | { readonly kind: 'ended'; readonly reason: EndReason }
  | { readonly kind: 'none' };

/** What the node knows of a session; `unavailable` when the store could not be asked. */
export type CachedLookup = Settled | { readonly kind: 'unavailable' };

const defaultCacheLimit = 50_000;
const readsAtOnce = 100;

/**
 * The sessions that this node holds in memory, and how it keeps them true.
 *
 * A session that the store told of a change is not served before it was read again. After a gap in the store's news
 * every session is in doubt, and read again before its next use; only while the store is away it is served on, for a
 * while. Sessions with attachments are read again without waiting for a use, because their end must reach those.
 */
export function createSessionCache(options: SessionCacheOptions) {
  const { store, clock, log } = options;
  const cache = createCacheMap(options.cacheLimit ?? defaultCacheLimit);
  const reader = createUndisturbedReader(store);
  const endings = createEndings({ store, log });
  const useNotes = createUseNotes({ store, clock, log });
  const jarWrites = createJarWrites({ store, log, gone: (session) => void refresh(session) });
  const attached = new Set<CachedSession>();
  let away = false;

  const keeper: SessionKeeper = {
    nowMs: clock.nowMs,
    share: createSharedTexts(),
    ownsCookie: (backend) => options.ownsCookie(backend),
    used: useNotes.note,
    jarChanged: (session) => jarWrites.note(session),
    attachmentsChanged(session, hasAny) {
      if (hasAny) attached.add(session);
      else attached.delete(session);
    },
    end,
  };

  function timeEnded(record: SessionRecord, lastUseMs: number): EndReason | undefined {
    return endByTime(record, lastUseMs, options.holder.config.sessions.idleTimeoutMs, clock.nowMs());
  }

  /** Whether the session may be served without asking the store; `storeIsAway` makes an old answer good enough. */
  function isServable(session: CachedSession, storeIsAway: boolean): boolean {
    if (session.changed || timeEnded(session.record, session.lastUseMs) !== undefined) return false;
    return (
      session.doubtSinceMs === 0 ||
      (storeIsAway && clock.nowMs() - session.doubtSinceMs < options.holder.config.sessions.serveStaleMs)
    );
  }

  /** The absolute end needs no store: no use anywhere can put it off. */
  function isOver(session: CachedSession): boolean {
    return clock.nowMs() >= session.record.absoluteEndMs;
  }

  function forget(session: CachedSession, reason: EndReason): void {
    cache.drop(session);
    session.close(reason);
    options.ended?.(session, reason);
  }

  async function end(key: RecordKey, reason: EndReason): Promise<void> {
    if (endings.reasonOf(key) !== undefined) return;
    endings.remember(key, reason);
    const session = cache.get(key);
    if (session !== undefined) forget(session, reason);
    await endings.end(key, reason);
  }

  /** Makes of the store's answer what this node thinks of the session from now on. */
  function settle(key: RecordKey, stored: StoredLookup, cookie: SessionCookie | undefined): Settled {
    const reason = endings.reasonOf(key);
    if (reason !== undefined) return { kind: 'ended', reason };
    const cached = cache.get(key);
    if (stored.kind !== 'found') {
      if (stored.kind === 'ended') endings.remember(key, stored.reason);
      if (cached !== undefined) forget(cached, stored.kind === 'ended' ? stored.reason : 'signed-out');
      return stored;
    }
    const { record, lastUseMs } = stored.session;
    const over = timeEnded(record, Math.max(lastUseMs, cached?.lastUseMs ?? 0));
    if (over !== undefined) {
      void end(key, over);
      return { kind: 'ended', reason: over };
    }
    const session =
      cached === undefined && cookie !== undefined ? CachedSession.open(keeper, cookie, stored.session) : cached;
    if (session === undefined || (session === cached && !session.renew(stored.session))) {
      log.warn('session-record-foreign', { session: key });
      if (cached !== undefined) forget(cached, 'signed-out');
      return { kind: 'none' };
    }
    session.changed = false;
    session.doubtSinceMs = 0;
    cache.put(session);
    return { kind: 'found', session };
  }

  async function ask(cookie: SessionCookie): Promise<CachedLookup> {
    try {
      return settle(cookie.key, await reader.read(cookie.key), cookie);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      const session = cache.get(cookie.key);
      return session !== undefined && isServable(session, true) ? { kind: 'found', session } : { kind: 'unavailable' };
    }
  }

  function lookUp(cookie: SessionCookie): CachedLookup | Promise<CachedLookup> {
    const reason = endings.reasonOf(cookie.key);
    if (reason !== undefined) return { kind: 'ended', reason };
    const session = cache.get(cookie.key);
    if (session !== undefined && isOver(session)) {
      void end(session.key, 'absolute');
      return { kind: 'ended', reason: 'absolute' };
    }
    return session !== undefined && isServable(session, away) ? { kind: 'found', session } : ask(cookie);
  }

  /**
   * Leads a session to another host, where `fresh` holds the cookies of a new sign-in. `elsewhere`: another node was
   * first, and its host counts; `gone`: the session has ended meanwhile. Rejects when the store cannot take it.
   */
  async function reroute(
    key: RecordKey,
    to: SessionRoute,
    fresh: CookieJar,
  ): Promise<'rerouted' | 'elsewhere' | 'gone'> {
    const session = cache.get(key);
    if (session === undefined) return 'gone';
    const { backend, host } = session.record;
    const next = session.rerouted(to, fresh);
    const outcome = await store.reroute(key, { backend, host }, next.record, next.jar);
    if (outcome === 'written') {
      session.renew(next);
      return 'rerouted';
    }
    settle(key, await reader.read(key), undefined);
    return outcome;
  }

  /** Reads a session again that this node holds. The sweep repeats what fails. */
  async function refresh(session: CachedSession): Promise<void> {
    try {
      settle(session.key, await reader.read(session.key), undefined);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
    }
  }

  async function refreshAttached(): Promise<void> {
    const doubtful = [...attached].filter((session) => !isServable(session, false));
    for (let from = 0; from < doubtful.length && !away; from += readsAtOnce) {
      await Promise.all(doubtful.slice(from, from + readsAtOnce).map(refresh));
    }
  }

  function hear(news: StoreNews): void {
    if (news.kind === 'changed') {
      reader.changed(news.key);
      const session = cache.get(news.key);
      if (session === undefined) return;
      session.changed = true;
      if (session.attachments > 0) void refresh(session);
    } else if (news.kind === 'gap') {
      away = true;
      reader.allChanged();
      for (const session of cache.values()) session.doubtSinceMs ||= clock.nowMs();
    } else {
      away = false;
      void refreshAttached();
    }
  }

  const stopListening = store.watch(hear);

  return {
    cache,
    lookUp,
    end,
    reroute,
    /** Whether the session may be served at once. */
    isFresh: (session: CachedSession) => isServable(session, away),
    counts: () => ({ cached: cache.size, attached: attached.size, endingsWaiting: endings.waiting }),
    async sweep(): Promise<void> {
      for (const session of attached) {
        if (isOver(session)) void end(session.key, 'absolute');
        // Nobody vouches for it any longer. The session may go on when the store is back; what is open may not.
        else if (away && session.doubtSinceMs !== 0 && !isServable(session, true)) session.endAttachments('idle');
      }
      if (away) return;
      await Promise.all([refreshAttached(), useNotes.flush(), jarWrites.flush(), endings.retry()]);
    },
    async close(): Promise<void> {
      stopListening();
      await Promise.all([useNotes.flushAll(), jarWrites.flush(), endings.retry()]);
    },
  };
}

/** A longer field is taken apart each time: a client that sends a huge one must not fill the memory. */
const rememberedFieldChars = 2_048;
const evictionCandidates = 64;

/**
 * The sessions in a node's memory, least recently used first, with a short cut to them: the whole Cookie field that
 * last led to one. Strangers fill nothing, and what is dropped leaves nothing.
 */
function createCacheMap(limit: number) {
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

const remembered = 1_000;

/**
 * Gives equal texts as one: what many sessions have in common, such as a browser's name, is then kept once.
 * Remembers the thousand that came last.
 */
function createSharedTexts(): (text: string) => string {
  const known = new BoundedMap<string, string>(remembered);
  return (text) => {
    const shared = known.get(text) ?? text;
    known.set(shared, shared);
    return shared;
  };
}
