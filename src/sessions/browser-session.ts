import { RedisStore } from 'connect-redis';
import type { Request, RequestHandler, Response } from 'express';
import expressSession from 'express-session';
import type { Clock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { type CanonicalUser, type RecordKey, sessionFacts } from '../core/names.ts';
import { defined } from '../core/objects.ts';
import type { EndReason, NewSession, SessionGate, SessionRecord, SessionStore } from '../core/session.ts';
import {
  makeSessionId,
  parseSessionId,
  readCookieField,
  type SessionCookie,
  sessionCookieFlags,
  sessionCookieName,
  signatureKey,
  verifySessionCookie,
  withoutSessionCookies,
} from './cookie.ts';
import type { KeyRing } from './key-derivation.ts';
import type { NodeSessions } from './node-sessions.ts';
import { parseRecord, recordText, seal, sealedFor, sealPassword, sealTimes } from './record-format.ts';
import type { ServerKeys } from './server-keys.ts';

declare module 'express-session' {
  interface SessionData {
    record: SessionRecord;
  }
}

/** Options of BrowserSessions. The numbers are read at each use: a getter lets a reload change them. */
export interface BrowserSessionsOptions {
  readonly store: Pick<SessionStore, 'create' | 'rewrite' | 'writeJar'>;
  readonly keys: ServerKeys;
  readonly sessions: Pick<NodeSessions, 'lookUp' | 'end' | 'sessionsOfUser'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly randomBytes: (size: number) => Buffer;
  readonly absoluteTimeoutMs: number;
  readonly maxPerUser: number;
  /** Whether sessions keep no password. */
  readonly forgetPassword: boolean;
}

/** The sessions of browsers, as the pages that Express serves use them. */
export class BrowserSessions implements SessionGate<Request, Response, RequestHandler> {
  readonly #options: BrowserSessionsOptions;
  /** Why the session of a request could not be loaded. */
  readonly #failures = new WeakMap<Request, PosternError>();

  constructor(options: BrowserSessionsOptions) {
    this.#options = options;
  }

  middleware(secure: boolean): RequestHandler {
    let ring: KeyRing | undefined;
    let handler: RequestHandler | undefined;
    return (request, response, next) => {
      const current = this.#options.keys.current();
      if (handler === undefined || ring !== current) {
        ring = current;
        handler = createExpressSession(this.#options, ring, secure);
      }
      prepare(request, secure);
      return handler(request, response, (error?: unknown) => {
        // Kept for later: `current` and `open` throw it, but `close` must work without the session.
        if (error instanceof PosternError) this.#failures.set(request, error);
        next(error instanceof PosternError ? undefined : error);
      });
    };
  }

  async open(request: Request, _response: Response, opening: NewSession): Promise<RecordKey> {
    this.#throwFailure(request);
    const { keys, sessions } = this.#options;
    const requestId = opening.client.trace?.requestId;
    const replaced = request.session.record && parseSessionId(keys.current(), request.sessionID);
    if (replaced !== undefined) {
      await sessions.end(replaced.key, 'replaced', undefined, requestId);
      await called((done) => request.session.regenerate(done));
    }
    const cookie = parseSessionId(keys.current(), request.sessionID);
    if (cookie === undefined) throw new TypeError('a session id of this request has a key of the ring');
    try {
      const record = await this.#write(cookie, request, opening);
      this.#options.log.info('session-start', { ...defined({ requestId }), ...sessionFacts(cookie.key, record) });
    } catch (error) {
      // express-session would still send the cookie of a session that was not stored.
      Reflect.deleteProperty(request, 'session');
      if (error instanceof PosternError) this.#failures.set(request, error);
      void sessions.end(cookie.key, 'signed-out');
      throw error;
    }
    if (opening.impersonation === undefined) await this.#endTooMany(opening.user, cookie, requestId);
    return cookie.key;
  }

  current(request: Request): SessionRecord | undefined {
    this.#throwFailure(request);
    return request.session.record;
  }

  async close(request: Request, response: Response, reason: EndReason, requestId: string): Promise<void> {
    const { secure } = request;
    const { keys, sessions } = this.#options;
    const { own } = readCookieField(request.headers.cookie, !secure);
    const verdict = own === undefined ? undefined : verifySessionCookie(keys.current(), own);
    if (verdict?.kind === 'genuine') await sessions.end(verdict.cookie.key, reason, undefined, requestId);
    if (!this.#failures.has(request)) await called((done) => request.session.destroy(done));
    response.clearCookie(sessionCookieName(secure), sessionCookieFlags(secure));
  }

  #throwFailure(request: Request): void {
    const failure = this.#failures.get(request);
    if (failure !== undefined) throw failure;
  }

  async #write(cookie: SessionCookie, request: Request, opening: NewSession): Promise<SessionRecord> {
    const { store, randomBytes } = this.#options;
    const record = this.#recordOf(cookie, opening);
    request.session.record = record;
    // Awaited before any answer: express-session sends the page even if its own save at the end fails.
    await called((done) => request.session.save(done));
    const text = JSON.stringify(opening.jar.save());
    const jarKey = cookie.serverKey.sealKeyOf(cookie.secret, 'jar');
    const sealed = seal(jarKey, text, sealedFor(cookie.key, record, 'jar'), randomBytes);
    await store.writeJar(cookie.key, { version: 1, sealed });
    return record;
  }

  #recordOf({ key, secret, serverKey }: SessionCookie, opening: NewSession): SessionRecord {
    const { clock, randomBytes, absoluteTimeoutMs, forgetPassword } = this.#options;
    const { user, backend, host, password, client, publicOrigin, timeZone, impersonation } = opening;
    const nowMs = clock.nowMs();
    const unsealed: Omit<SessionRecord, 'sealed' | 'sealedTimes'> = {
      user,
      backend,
      host,
      createdAtMs: nowMs,
      absoluteEndMs: nowMs + (opening.lifetimeMs ?? absoluteTimeoutMs),
      clientAddress: client.address,
      userAgent: client.userAgent ?? '',
      publicOrigin,
      ...(timeZone === undefined ? {} : { timeZone }),
      userKey: serverKey.userKeyOf(user),
      ...(impersonation === undefined ? {} : { impersonation }),
    };
    const credentialsKey = serverKey.sealKeyOf(secret, 'credentials');
    const belongsTo = sealedFor(key, unsealed, 'credentials');
    const kept = forgetPassword ? undefined : password;
    return {
      ...unsealed,
      sealed: sealPassword(credentialsKey, kept, belongsTo, randomBytes),
      sealedTimes: sealTimes(credentialsKey, belongsTo, randomBytes),
    };
  }

  async #endTooMany(user: CanonicalUser, opened: SessionCookie, requestId: string | undefined): Promise<void> {
    const { sessions, maxPerUser, log } = this.#options;
    try {
      const older = (await sessions.sessionsOfUser(user)).filter(
        ({ key, record }) => key !== opened.key && record.impersonation === undefined && record.staff === undefined,
      );
      const tooMany = older.slice(0, Math.max(0, older.length + 1 - maxPerUser));
      await Promise.all(tooMany.map(({ key }) => sessions.end(key, 'too-many', undefined, requestId)));
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      log.warn('sessions-not-counted', { user, err: error });
    }
  }
}

/** Makes express-session use the ingress's decisions on HTTPS and on which cookies count. */
function prepare(request: Request, secure: boolean): void {
  Object.defineProperty(request, 'secure', { value: secure, configurable: true });
  const { cookie } = request.headers;
  if (cookie !== undefined && readCookieField(cookie, !secure).own === undefined) {
    request.headers.cookie = withoutSessionCookies(cookie);
  }
}

/** Calls a function of express-session that takes a callback. */
function called(call: (done: (error?: unknown) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => {
      if (error === undefined || error === null) resolve();
      else reject(error instanceof Error ? error : new Error('express-session failed', { cause: error }));
    });
  });
}

type ExpressSessionOptions = Pick<BrowserSessionsOptions, 'store' | 'sessions' | 'clock' | 'randomBytes'>;

/** The time for which a record outlives its session, so that a browser that comes back late hears why it ended. */
const afterlifeMs = 10 * 60_000;

/**
 * express-session with connect-redis, for one ring of keys and one kind of public URL.
 *
 * express-session's id is the unsigned cookie value: key id, session id and secret. Commands that connect-redis
 * would send to Redis go through {@link createStoreClient}, so that no store ever sees an id or a secret.
 */
function createExpressSession(options: ExpressSessionOptions, ring: KeyRing, secure: boolean): RequestHandler {
  const { clock, randomBytes } = options;
  const cookie = sessionCookieFlags(secure);
  const store = new RedisStore({
    client: createStoreClient(options, ring),
    prefix: '',
    ttl: ({ record }) => Math.ceil((record.absoluteEndMs + afterlifeMs - clock.nowMs()) / 1_000),
    // Use is noted elsewhere; an EXPIRE per page would make every node read the session again.
    disableTouch: true,
    serializer: {
      stringify: ({ record }) => recordText(record),
      parse(text) {
        const record = parseRecord(text);
        if (record === undefined) throw new TypeError('the store client hands out records only');
        return { cookie: { ...cookie, originalMaxAge: null }, record };
      },
    },
  });
  return expressSession({
    name: sessionCookieName(secure),
    secret: ring.all.map(signatureKey),
    genid: () => makeSessionId(ring.promoted, randomBytes),
    store,
    cookie,
    resave: false,
    saveUninitialized: false,
    rolling: false,
  });
}

/** The part of a Redis client that connect-redis calls, over the sessions of this node and the store of all. */
function createStoreClient({ store, sessions }: ExpressSessionOptions, ring: KeyRing) {
  return {
    /** The same answer as the data plane gets: also from memory, while the store is away. */
    async get(sessionId: string): Promise<string | null> {
      const cookie = parseSessionId(ring, sessionId);
      if (cookie === undefined) return null;
      const found = await sessions.lookUp(cookie);
      if (found.kind === 'unavailable') {
        const message = 'the session of a request could not be read';
        throw new PosternError('ERR_STORE_UNAVAILABLE', message, { source: 'store', retryable: true });
      }
      if (found.kind !== 'found') return null;
      found.session.touch();
      return recordText(found.session.record);
    },
    /** Writes a new record, or one over a living record; never over one that was destroyed. */
    async set(sessionId: string, text: string, { expiration }: { expiration: { value: number } }): Promise<void> {
      const cookie = parseSessionId(ring, sessionId);
      const record = parseRecord(text);
      if (cookie === undefined || record === undefined) throw new TypeError('only BrowserSessions creates sessions');
      if ((await store.create(cookie.key, record, expiration.value * 1_000)) === 'created') return;
      if ((await store.rewrite(cookie.key, record)) === 'written') return;
      const message = 'a request wrote to a session that had ended meanwhile';
      throw new PosternError('ERR_SESSION_ENDED', message, { source: 'gateway', retryable: false });
    },
    async del(sessionIds: readonly string[]): Promise<void> {
      for (const sessionId of sessionIds) {
        const cookie = parseSessionId(ring, sessionId);
        if (cookie !== undefined) await sessions.end(cookie.key, 'signed-out');
      }
    },
  };
}
