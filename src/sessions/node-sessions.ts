import type { CookieJar } from '../core/cookie-jar.ts';
import { PosternError } from '../core/error.ts';
import type { BackendName, CanonicalUser, RecordKey } from '../core/names.ts';
import type {
  EndReason,
  ListedSession,
  PlacedSession,
  SessionFinder,
  SessionLookup,
  SessionPlace,
  SessionRecord,
  SessionRoute,
  StoredEntry,
} from '../core/session.ts';
import { readCookieField, type SessionCookie, verifySessionCookie } from './cookie.ts';
import type { ServerKeys } from './server-keys.ts';
import { type CachedLookup, endByTime, SessionCache, type SessionCacheOptions } from './session-cache.ts';

/** Options of NodeSessions. */
export interface NodeSessionsOptions extends SessionCacheOptions {
  readonly keys: ServerKeys;
}

const cacheSweepMs = 1_000;

/** The sessions of this node: found by cookie, kept current by the store's events, ended here and everywhere. */
export class NodeSessions implements SessionFinder {
  readonly #options: NodeSessionsOptions;
  readonly #cache: SessionCache;
  readonly #timer: NodeJS.Timeout;

  /** Listens to the store and sweeps from now on; `close` ends both. */
  constructor(options: NodeSessionsOptions) {
    this.#options = options;
    this.#cache = new SessionCache(options);
    this.#timer = setInterval(() => void this.sweep(), cacheSweepMs).unref();
  }

  find(cookieField: string | undefined, secure: boolean): SessionLookup | Promise<SessionLookup> {
    // Over HTTPS the same field may name another session. No browser's field begins with a semicolon.
    const field = secure ? (cookieField ?? '') : `;${cookieField ?? ''}`;
    // The short cut: no parsing, no signature, no promise.
    const known = this.#cache.findCached(field);
    if (known !== undefined) return { kind: 'found', session: known, rest: known.rest };
    const { own, rest } = readCookieField(cookieField, !secure);
    if (own === undefined) return { kind: 'none', rest };
    const verdict = verifySessionCookie(this.#options.keys.current(), own);
    if (verdict.kind === 'genuine') return this.#findGenuine(field, rest, verdict.cookie);
    if (verdict.kind === 'foreign-key') return this.#findUnderForeignKey(field, own, rest, verdict.id);
    return { kind: 'none', rest };
  }

  /** Like `find`, for the gateway's own pages, where express-session has verified the cookie. */
  lookUp(cookie: SessionCookie): CachedLookup | Promise<CachedLookup> {
    return this.#cache.lookUp(cookie);
  }

  /** Ends a session on all nodes; see `SessionCache.end`. */
  end(key: RecordKey, reason: EndReason, by?: string, requestId?: string): Promise<void> {
    return this.#cache.end(key, reason, by, requestId);
  }

  /**
   * Ends all sessions of a user but one, and resolves with their number. Rejects if the store cannot list them; those
   * that this node has in memory have ended then.
   */
  async endSessionsOfUser(
    user: CanonicalUser,
    reason: EndReason,
    {
      except,
      by,
      requestId,
    }: { readonly except?: RecordKey | undefined; readonly by?: string; readonly requestId?: string } = {},
  ): Promise<number> {
    const here = [...this.#cache.values()].filter((session) => session.record.user === user && session.key !== except);
    await Promise.all(here.map((session) => this.end(session.key, reason, by, requestId)));
    const elsewhere = (await this.sessionsOfUser(user)).filter(({ key }) => key !== except);
    await Promise.all(elsewhere.map(({ key }) => this.end(key, reason, by, requestId)));
    return new Set([...here, ...elsewhere].map(({ key }) => key)).size;
  }

  /** Ends the sessions on these backends that this node has in memory; `WebmailRequests.pass` ends others at their next use. */
  async endCachedOn(backends: ReadonlySet<BackendName>, reason: EndReason): Promise<void> {
    const here = [...this.#cache.values()].filter((session) => backends.has(session.record.backend));
    await Promise.all(here.map((session) => this.end(session.key, reason)));
  }

  /** Ends the sessions that this node has in memory whose user or network is locked. */
  async endLocked(): Promise<void> {
    const { lockedBy = () => undefined } = this.#options;
    for (const { key, record } of Array.from(this.#cache.values())) {
      const by = lockedBy(record);
      if (by !== undefined) void this.end(key, 'locked', by);
    }
  }

  /**
   * Moves a session that this node has in memory to another host, where `fresh` holds the cookies of a new sign-in.
   * `elsewhere`: another node was first, and its host counts; `gone`: the session has ended meanwhile. Rejects if the
   * store cannot take it.
   */
  reroute(key: RecordKey, to: SessionRoute, fresh: CookieJar): Promise<'rerouted' | 'elsewhere' | 'gone'> {
    return this.#cache.reroute(key, to, fresh);
  }

  /** The number of sessions in memory on each host, by the host's name. */
  heldPerHost(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { record } of this.#cache.values()) counts.set(record.host, (counts.get(record.host) ?? 0) + 1);
    return counts;
  }

  /** The records of the sessions in memory. */
  *heldRecords(): Iterable<SessionRecord> {
    for (const { record } of this.#cache.values()) yield record;
  }

  /**
   * All living sessions, a page at a time, the newest first; with `after`, those behind that place. Rejects if the store
   * cannot list them.
   */
  async *allSessions(after?: SessionPlace): AsyncIterable<readonly PlacedSession[]> {
    for await (const entries of this.#options.store.all(after)) yield this.#living(entries);
  }

  /** The user's living sessions, oldest first. Rejects if the store cannot list them. */
  async sessionsOfUser(user: CanonicalUser): Promise<readonly ListedSession[]> {
    const { keys, store } = this.#options;
    return this.#living(await store.ofUser(keys.current().all.map((key) => key.userKeyOf(user))));
  }

  /** Figures for the metrics. */
  counts(): ReturnType<SessionCache['counts']> {
    return this.#cache.counts();
  }

  /** Ends what time has ended, reads again what is in doubt, and writes what is due. A timer calls it each second. */
  sweep(): Promise<void> {
    return this.#cache.sweep();
  }

  /** Stops the timer, and writes what is not written yet. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#cache.close();
  }

  #findGenuine(field: string, rest: string, cookie: SessionCookie): SessionLookup | Promise<SessionLookup> {
    const found = this.#cache.lookUp(cookie);
    if (found instanceof Promise) return found.then((later) => this.#answer(field, rest, later));
    return this.#answer(field, rest, found);
  }

  /** Remembers the field that led to a session. */
  #answer(field: string, rest: string, found: CachedLookup): SessionLookup {
    if (found.kind === 'unavailable') return { kind: 'unavailable', why: 'store' };
    if (found.kind === 'found') this.#cache.remember(found.session, field, rest);
    return { ...found, rest };
  }

  async #findUnderForeignKey(field: string, own: string, rest: string, keyId: string): Promise<SessionLookup> {
    const met = await this.#meetKey(keyId);
    if (met === 'unavailable') return { kind: 'unavailable', why: 'store' };
    if (met === 'missing') return { kind: 'unavailable', why: 'unknown-key' };
    const verdict = verifySessionCookie(this.#options.keys.current(), own);
    return verdict.kind === 'genuine' ? this.#findGenuine(field, rest, verdict.cookie) : { kind: 'none', rest };
  }

  async #meetKey(keyId: string): Promise<'known' | 'missing' | 'none' | 'unavailable'> {
    try {
      return await this.#options.keys.meet(keyId);
    } catch (error) {
      if (error instanceof PosternError) return 'unavailable';
      throw error;
    }
  }

  #living<Entry extends StoredEntry>(stored: readonly Entry[]): readonly (ListedSession & Omit<Entry, 'session'>)[] {
    const { clock, holder } = this.#options;
    const { idleTimeoutMs } = holder.config.sessions;
    return stored
      .map(({ session: { record, lastUseMs }, ...entry }) => ({
        ...entry,
        record,
        // This node may know of a later use than the store.
        lastUseMs: Math.max(lastUseMs, this.#cache.get(entry.key)?.lastUseMs ?? 0),
      }))
      .filter(
        // Sessions at the console have times of their own, and are ended by them.
        ({ record, lastUseMs }) =>
          record.staff !== undefined || endByTime(record, lastUseMs, idleTimeoutMs, clock.nowMs()) === undefined,
      );
  }
}
