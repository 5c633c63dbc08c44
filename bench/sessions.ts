import { createHmac, randomBytes } from 'node:crypto';
import { systemClock } from '../src/core/clock.ts';
import type { SavedJar } from '../src/core/cookie-jar.ts';
import type { Log } from '../src/core/log.ts';
import type { BackendName, CanonicalUser } from '../src/core/names.ts';
import type { SessionRecord, SessionStore } from '../src/core/session.ts';
import { makeSessionId, parseSessionId, signatureKey } from '../src/sessions/cookie.ts';
import type { KeyRing } from '../src/sessions/key-derivation.ts';
import { seal, sealedFor, sealTimes } from '../src/sessions/record-format.ts';
import { RedisSessionStore } from '../src/sessions/redis-store.ts';
import { openServerKeys, type ServerKeys } from '../src/sessions/server-keys.ts';
import { browserHeaders } from './wrk.ts';

/** The store and the keys of running gateway nodes, in which sessions are created without a sign-in. */
export interface SessionSource extends AsyncDisposable {
  readonly store: SessionStore;
  readonly keys: ServerKeys;
  /**
   * Creates sessions on this backend, and resolves with their cookies. Their users are the backend, `prefix` and a
   * number.
   */
  make(count: number, backend: string, prefix: string): Promise<readonly string[]>;
}

const lifetimeMs = 12 * 3_600_000;
const atOnce = 50;

const quiet: Log = { debug() {}, info() {}, warn() {}, error: (fields, message) => console.error(message, fields) };

/** Opens the Redis and the keys file of the nodes. The keys file must exist. */
export async function openSessionSource(redisUrl: string, keysFile: string): Promise<SessionSource> {
  const store = new RedisSessionStore({ settings: { url: redisUrl }, tombstoneMs: lifetimeMs, log: quiet });
  await store.open(AbortSignal.timeout(5_000));
  const keys = await openServerKeys({ file: keysFile, store, clock: systemClock, log: quiet, randomBytes });
  return {
    store,
    keys,
    async make(count, backend, prefix) {
      const cookies: string[] = [];
      for (let from = 0; from < count; from += atOnce) {
        const users = Array.from(
          { length: Math.min(atOnce, count - from) },
          (_, i) => `${backend}.${prefix}${from + i}@bench.test`,
        );
        cookies.push(...(await Promise.all(users.map((user) => makeOne(store, keys.current(), user, backend)))));
      }
      return cookies;
    },
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

/** A session as after a sign-in, with the two cookies of a Roundcube in its jar. */
async function makeOne(store: SessionStore, ring: KeyRing, user: string, backend: string): Promise<string> {
  const id = makeSessionId(ring.promoted, randomBytes);
  const cookie = parseSessionId(ring, id);
  if (cookie === undefined) throw new TypeError('a fresh id has a key of the ring');
  const { key, secret, serverKey } = cookie;
  const nowMs = systemClock.nowMs();
  const owner = {
    user: user as CanonicalUser,
    backend: backend as BackendName,
    createdAtMs: nowMs,
    absoluteEndMs: nowMs + lifetimeMs,
  };
  const credentialsKey = serverKey.sealKeyOf(secret, 'credentials');
  const belongsTo = sealedFor(key, owner, 'credentials');
  const record: SessionRecord = {
    ...owner,
    host: backend,
    clientAddress: '192.0.2.17',
    userAgent: browserHeaders['User-Agent'] ?? '',
    publicOrigin: 'https://webmail.example.test',
    timeZone: 'Europe/Berlin',
    userKey: serverKey.userKeyOf(owner.user),
    sealed: seal(credentialsKey, 'correct horse battery', belongsTo),
    sealedTimes: sealTimes(credentialsKey, belongsTo),
  };
  const created = await store.create(key, record, lifetimeMs);
  if (created !== 'created') throw new Error('the store refused a fresh session');
  const jar: SavedJar = {
    g: 1,
    c: [
      ['roundcube_sessid', randomBytes(13).toString('hex'), '/', 0],
      ['roundcube_sessauth', `${randomBytes(13).toString('hex')}-1795312500`, '/', 0],
    ],
  };
  const jarKey = serverKey.sealKeyOf(secret, 'jar');
  await store.writeJar(key, { version: 1, sealed: seal(jarKey, JSON.stringify(jar), sealedFor(key, owner, 'jar')) });
  const signature = createHmac('sha256', signatureKey(serverKey)).update(id).digest('base64').slice(0, 43);
  return encodeURIComponent(`s:${id}.${signature}`);
}
