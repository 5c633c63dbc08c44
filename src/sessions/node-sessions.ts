import type { CookieJar } from '../core/cookie-jar.ts';
import { PosternError } from '../core/error.ts';
import type { BackendName, CanonicalUser } from '../core/names.ts';
import type {
  EndReason,
  ListedSession,
  LiveSessions,
  RecordKey,
  SessionLookup,
  SessionRecord,
  SessionRoute,
  StoredEntry,
} from '../core/session.ts';
import { readCookieField, type SessionCookie, verifySessionCookie } from './cookie.ts';
import type { ServerKeys } from './server-keys.ts';
import { createSessionCache, endByTime, type CachedLookup, type SessionCacheOptions } from './session-cache.ts';

/** What the sessions of a node take. */
export interface NodeSessionsOptions extends SessionCacheOptions {
  readonly keys: ServerKeys;
}

/** The sessions of this node: found by cookie, kept true by the store's news, ended here and everywhere. */
export interface NodeSessions extends LiveSessions {
  /** Like `find`, for the gateway's own pages, where express-session has verified the cookie. */
  lookUp(cookie: SessionCookie): CachedLookup | Promise<CachedLookup>;
  /** Ends a session on all nodes: at once on this one, and repeated until the store took it. */
  end(key: RecordKey, reason: EndReason): Promise<void>;
  /**
   * Ends all sessions of a user but one, and says how many. Rejects when the store cannot list them; those that this
   * node holds have ended then.
   */
  endSessionsOfUser(user: CanonicalUser, reason: EndReason, except?: RecordKey): Promise<number>;
  /** Ends the sessions on these backends that this node holds; others end at their next use. */
  endHeldOn(backends: ReadonlySet<BackendName>, reason: EndReason): Promise<void>;
  /**
   * Leads a session that this node holds to another host, where `fresh` holds the cookies of a new sign-in.
   * `elsewhere`: another node was first, and its host counts; `gone`: the session has ended meanwhile. Rejects when
   * the store cannot take it.
   */
  reroute(key: RecordKey, to: SessionRoute, fresh: CookieJar): Promise<'rerouted' | 'elsewhere' | 'gone'>;
  /** How many sessions this node holds on each host. */
  heldPerHost(): ReadonlyMap<string, number>;
  /** The sessions that this node holds in memory. */
  heldRecords(): Iterable<SessionRecord>;
  /** All living sessions, some at a time, in no order. Rejects when the store cannot list them. */
  allSessions(): AsyncIterable<readonly ListedSession[]>;
  /** The user's living sessions, oldest first. Rejects when the store cannot list them. */
  sessionsOfUser(user: CanonicalUser): Promise<readonly ListedSession[]>;
  /** For the metrics. */
  counts(): { readonly cached: number; readonly attached: number; readonly endingsWaiting: number };
  /** Ends what time has ended, reads again what is in doubt, writes what is due. A timer calls it each second. */
  sweep(): Promise<void>;
  /** Stops the timer, and writes what is not written yet. */
  close(): Promise<void>;
}

const sweepMs = 1_000;

/** Listens to the store and sweeps from now on; `close` ends both. */
export function createNodeSessions(options: NodeSessionsOptions): NodeSessions {
  const { store, keys, clock } = options;
  const held = createSessionCache(options);
  const { cache } = held;
  const timer = setInterval(() => void held.sweep(), sweepMs).unref();

  /** Tells the short cut of a field that led to a session. */
  function answer(field: string, rest: string, found: CachedLookup): SessionLookup {
    if (found.kind === 'unavailable') return { kind: 'unavailable', why: 'store' };
    if (found.kind === 'found') cache.remember(found.session, field, rest);
    return { ...found, rest };
  }

  function findGenuine(field: string, rest: string, cookie: SessionCookie): SessionLookup | Promise<SessionLookup> {
    const found = held.lookUp(cookie);
    if (found instanceof Promise) return found.then((later) => answer(field, rest, later));
    return answer(field, rest, found);
  }

  async function findUnderForeignKey(field: string, own: string, rest: string, keyId: string): Promise<SessionLookup> {
    const met = await meet(keyId);
    if (met === 'unavailable') return { kind: 'unavailable', why: 'store' };
    if (met === 'missing') return { kind: 'unavailable', why: 'unknown-key' };
    const verdict = verifySessionCookie(keys.current(), own);
    return verdict.kind === 'genuine' ? findGenuine(field, rest, verdict.cookie) : { kind: 'none', rest };
  }

  async function meet(keyId: string): Promise<'known' | 'missing' | 'none' | 'unavailable'> {
    try {
      return await keys.meet(keyId);
    } catch (error) {
      if (error instanceof PosternError) return 'unavailable';
      throw error;
    }
  }

  function find(cookieField: string | undefined, secure: boolean): SessionLookup | Promise<SessionLookup> {
    // The same field counts otherwise under the other scheme. No browser's field begins with a semicolon.
    const field = secure ? (cookieField ?? '') : `;${cookieField ?? ''}`;
    // The short cut: no parsing, no signature, no promise.
    const known = cache.ofField(field);
    if (known !== undefined && held.isFresh(known)) {
      cache.refresh(known);
      return { kind: 'found', session: known, rest: known.rest };
    }
    const { own, rest } = readCookieField(cookieField, !secure);
    if (own === undefined) return { kind: 'none', rest };
    const verdict = verifySessionCookie(keys.current(), own);
    if (verdict.kind === 'genuine') return findGenuine(field, rest, verdict.cookie);
    if (verdict.kind === 'foreign-key') return findUnderForeignKey(field, own, rest, verdict.id);
    return { kind: 'none', rest };
  }

  async function sessionsOfUser(user: CanonicalUser): Promise<readonly ListedSession[]> {
    return living(await store.ofUser(keys.current().all.map((key) => key.userKeyOf(user))));
  }

  function living(stored: readonly StoredEntry[]): readonly ListedSession[] {
    return stored
      .map(({ key, session }) => ({ key, record: session.record, lastUseMs: lastUseOf(key, session.lastUseMs) }))
      .filter(
        // Sessions at the console have times of their own, and are ended by them.
        ({ record, lastUseMs }) =>
          record.staff !== undefined ||
          endByTime(record, lastUseMs, options.holder.config.sessions.idleTimeoutMs, clock.nowMs()) === undefined,
      );
  }

  /** This node may know of a later use than the store. */
  function lastUseOf(key: RecordKey, storedMs: number): number {
    return Math.max(storedMs, cache.get(key)?.lastUseMs ?? 0);
  }

  return {
    find,
    lookUp: held.lookUp,
    end: held.end,
    reroute: held.reroute,
    heldPerHost() {
      const counts = new Map<string, number>();
      for (const { record } of cache.values()) counts.set(record.host, (counts.get(record.host) ?? 0) + 1);
      return counts;
    },
    *heldRecords() {
      for (const { record } of cache.values()) yield record;
    },
    async *allSessions() {
      for await (const entries of store.all()) yield living(entries);
    },
    sessionsOfUser,
    async endSessionsOfUser(user, reason, except) {
      const here = [...cache.values()].filter((session) => session.record.user === user && session.key !== except);
      await Promise.all(here.map((session) => held.end(session.key, reason)));
      const elsewhere = (await sessionsOfUser(user)).filter(({ key }) => key !== except);
      await Promise.all(elsewhere.map(({ key }) => held.end(key, reason)));
      return new Set([...here, ...elsewhere].map(({ key }) => key)).size;
    },
    async endHeldOn(backends, reason) {
      const here = [...cache.values()].filter((session) => backends.has(session.record.backend));
      await Promise.all(here.map((session) => held.end(session.key, reason)));
    },
    counts: held.counts,
    sweep: () => held.sweep(),
    async close() {
      clearInterval(timer);
      await held.close();
    },
  };
}
