import { RedisStore } from 'connect-redis';
import type { RequestHandler } from 'express';
import expressSession from 'express-session';
import type { Clock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { SessionRecord, SessionStore } from '../core/session.ts';
import { makeSessionId, parseSessionId, sessionCookieFlags, sessionCookieName, signatureKey } from './cookie.ts';
import type { KeyRing } from './key-derivation.ts';
import type { NodeSessions } from './node-sessions.ts';
import { parseRecord, recordText } from './record-format.ts';

declare module 'express-session' {
  interface SessionData {
    record: SessionRecord;
  }
}

/** Options of the express-session middleware on the gateway's own pages. */
export interface ExpressSessionOptions {
  readonly store: Pick<SessionStore, 'create' | 'rewrite'>;
  readonly sessions: Pick<NodeSessions, 'lookUp' | 'end'>;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Buffer;
}

/** A record outlives its session a little, so that who comes back late is told why it ended. */
const afterlifeMs = 10 * 60_000;

/**
 * express-session with connect-redis, for one ring of keys and one kind of public URL.
 *
 * express-session's id is the unsigned cookie value: key id, session id and secret. What connect-redis would send to
 * Redis goes through {@link createStoreClient}, so that no store ever sees an id or a secret.
 */
export function createExpressSession(options: ExpressSessionOptions, ring: KeyRing, secure: boolean): RequestHandler {
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
    /** A new record, or one over a living record; never over one that was destroyed. */
    async set(sessionId: string, text: string, { expiration }: { expiration: { value: number } }): Promise<void> {
      const cookie = parseSessionId(ring, sessionId);
      const record = parseRecord(text);
      if (cookie === undefined || record === undefined) throw new TypeError('only the gate makes sessions');
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
