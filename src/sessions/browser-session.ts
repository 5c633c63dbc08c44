import type { Request, RequestHandler, Response } from 'express';
import type { Clock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { CanonicalUser } from '../core/names.ts';
import type { NewSession, SessionGate, SessionRecord, SessionStore } from '../core/session.ts';
import { seal, sealedFor, sealPassword } from './cached-session.ts';
import {
  parseSessionId,
  readCookieField,
  type SessionCookie,
  sessionCookieFlags,
  sessionCookieName,
  verifySessionCookie,
  withoutSessionCookies,
} from './cookie.ts';
import { createExpressSession } from './express-store.ts';
import type { KeyRing } from './key-derivation.ts';
import type { NodeSessions } from './node-sessions.ts';
import type { ServerKeys } from './server-keys.ts';

/** What the gate takes. The numbers are read at each use: a getter lets a reload change them. */
interface SessionGateOptions {
  readonly store: SessionStore;
  readonly keys: ServerKeys;
  readonly live: NodeSessions;
  readonly clock: Clock;
  readonly log: Log;
  readonly randomBytes: (size: number) => Buffer;
  readonly absoluteTimeoutMs: number;
  readonly maxPerUser: number;
  /** Whether sessions keep no password. */
  readonly forgetPassword: boolean;
}

/** The gate of pages that Express serves. */
type ExpressGate = SessionGate<Request, Response, RequestHandler>;

/** Makes the gate; it starts nothing. */
export function createSessionGate(options: SessionGateOptions): ExpressGate {
  const { store, keys, live, clock, log, randomBytes } = options;
  const failures = new WeakMap<Request, PosternError>();

  async function write(cookie: SessionCookie, request: Request, opening: NewSession): Promise<void> {
    const record = recordOf(cookie, opening);
    request.session.record = record;
    // Awaited before any answer: express-session sends the page even if its own save at the end fails.
    await settled((done) => request.session.save(done));
    const text = JSON.stringify(opening.jar.save());
    const jarKey = cookie.serverKey.sealKeyOf(cookie.secret, 'jar');
    const sealed = seal(jarKey, text, sealedFor(cookie.key, record, 'jar'), randomBytes);
    await store.writeJar(cookie.key, { version: 1, sealed });
  }

  function recordOf({ key, secret, serverKey }: SessionCookie, opening: NewSession): SessionRecord {
    const { user, backend, host, password, client, publicOrigin, timeZone, impersonation } = opening;
    const nowMs = clock.nowMs();
    const unsealed: Omit<SessionRecord, 'sealed'> = {
      user,
      backend,
      host,
      createdAtMs: nowMs,
      absoluteEndMs: nowMs + (opening.lifetimeMs ?? options.absoluteTimeoutMs),
      clientAddress: client.address,
      userAgent: client.userAgent ?? '',
      publicOrigin,
      ...(timeZone === undefined ? {} : { timeZone }),
      userKey: serverKey.userKeyOf(user),
      ...(impersonation === undefined ? {} : { impersonation }),
    };
    const credentialsKey = serverKey.sealKeyOf(secret, 'credentials');
    const belongsTo = sealedFor(key, unsealed, 'credentials');
    const kept = options.forgetPassword ? undefined : password;
    return { ...unsealed, sealed: sealPassword(credentialsKey, kept, belongsTo, randomBytes) };
  }

  async function endTooMany(user: CanonicalUser, opened: SessionCookie): Promise<void> {
    try {
      const sessions = await live.sessionsOfUser(user);
      const older = sessions.filter(
        ({ key, record }) => key !== opened.key && record.impersonation === undefined && record.staff === undefined,
      );
      const tooMany = older.slice(0, Math.max(0, older.length + 1 - options.maxPerUser));
      await Promise.all(tooMany.map(({ key }) => live.end(key, 'too-many')));
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      log.warn('sessions-not-counted', { user, err: error });
    }
  }

  return {
    middleware(secure) {
      let ring: KeyRing | undefined;
      let handler: RequestHandler | undefined;
      return (request, response, next) => {
        const current = keys.current();
        if (handler === undefined || ring !== current) {
          ring = current;
          handler = createExpressSession({ store, sessions: live, clock, randomBytes }, ring, secure);
        }
        prepare(request, secure);
        return handler(request, response, (error?: unknown) => {
          // A page without the session must still be able to close it; `current` and `open` throw this.
          if (error instanceof PosternError) failures.set(request, error);
          next(error instanceof PosternError ? undefined : error);
        });
      };
    },

    async open(request, _response, opening) {
      const failure = failures.get(request);
      if (failure !== undefined) throw failure;
      const replaced = request.session.record && parseSessionId(keys.current(), request.sessionID);
      if (replaced !== undefined) {
        await live.end(replaced.key, 'replaced');
        await settled((done) => request.session.regenerate(done));
      }
      const cookie = parseSessionId(keys.current(), request.sessionID);
      if (cookie === undefined) throw new TypeError('a session id of this request has a key of the ring');
      try {
        await write(cookie, request, opening);
      } catch (error) {
        // express-session would still send the cookie of a session that nobody has.
        Reflect.deleteProperty(request, 'session');
        if (error instanceof PosternError) failures.set(request, error);
        void live.end(cookie.key, 'signed-out');
        throw error;
      }
      if (opening.impersonation === undefined) await endTooMany(opening.user, cookie);
      return cookie.key;
    },

    current(request) {
      const failure = failures.get(request);
      if (failure !== undefined) throw failure;
      return request.session.record;
    },

    async close(request, response, reason) {
      const { secure } = request;
      const { own } = readCookieField(request.headers.cookie, !secure);
      const verdict = own === undefined ? undefined : verifySessionCookie(keys.current(), own);
      if (verdict?.kind === 'genuine') await live.end(verdict.cookie.key, reason);
      if (!failures.has(request)) await settled((done) => request.session.destroy(done));
      response.clearCookie(sessionCookieName(secure), sessionCookieFlags(secure));
    },
  };
}

/** The ingress has decided what is secure and which cookies count; express-session would decide again, otherwise. */
function prepare(request: Request, secure: boolean): void {
  Object.defineProperty(request, 'secure', { value: secure, configurable: true });
  const { cookie } = request.headers;
  if (cookie !== undefined && readCookieField(cookie, !secure).own === undefined) {
    request.headers.cookie = withoutSessionCookies(cookie);
  }
}

/** Calls what takes a callback of express-session. */
function settled(call: (done: (error?: unknown) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => {
      if (error === undefined || error === null) resolve();
      else reject(error instanceof Error ? error : new Error('express-session failed', { cause: error }));
    });
  });
}
