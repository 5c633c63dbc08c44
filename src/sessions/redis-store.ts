import { randomBytes } from 'node:crypto';
import type { Log } from '../core/log.ts';
import {
  type EndReason,
  isRecordKey,
  type RecordKey,
  type RegisteredKey,
  type SessionRecord,
  type SessionStore,
  type StoredJar,
  type StoredLookup,
  type StoredSession,
  type StoreNews,
  type UserKey,
} from '../core/session.ts';
import { createRedisConnection, isRefusal, type RedisConnection } from '../redis/connection.ts';
import { InvalidationTap, type RedisSettings } from '../redis/topology.ts';
import { parseEndReason, parseRecord, parseRegisteredKey, parseStoredJar, recordText } from './record-format.ts';
import * as scripts from './redis-scripts.ts';

/** What the store on Redis takes. */
interface RedisStoreOptions {
  readonly settings: RedisSettings;
  /** How long a destroyed key stays refused: at least the absolute timeout, or a late write could revive it. */
  readonly tombstoneMs: number;
  readonly log: Log;
  /** Called after each command, for the metrics. */
  readonly observe?: (took: { readonly ms: number; readonly failed: boolean }) => void;
}

const recordPrefix = 'ps:h:';
const jarPrefix = 'ps:j:';
const registryKey = 'ps:keys';
const allKey = 'ps:all';
const pageSize = 500;
const heartbeatMs = 1_000;
/** How often all sessions are in doubt where changes are not told. */
const pollMs = 500;
/** The time after which the connection is dialled again: a black-holed one would stay open for minutes. */
const missedBeatsAllowed = 2;

// The braces are the hash tag: all that belongs to one session lies in one slot of a Cluster.
const recordAt = (key: RecordKey): string => `${recordPrefix}{${key}}`;
const jarAt = (key: RecordKey): string => `${jarPrefix}{${key}}`;
const useAt = (key: RecordKey): string => `ps:u:{${key}}`;
const tombstoneAt = (key: RecordKey): string => `ps:t:{${key}}`;
const indexAt = (key: UserKey): string => `ps:i:${key}`;
const keyInRedisKey = /\{(.+)\}$/;

/**
 * Sessions in Redis: `ps:h:` the record, `ps:u:` its last use, `ps:j:` its jar, `ps:t:` its tombstone, `ps:i:` the
 * index of a user, `ps:all` the index of all by their absolute end, `ps:keys` the registry of server keys. Changes come
 * by client tracking on records and jars; where a server has none, every session is in doubt twice a second, and read
 * again before its next use.
 */
export function createRedisStore(options: RedisStoreOptions): SessionStore & {
  readonly connection: RedisConnection;
  /** Whether the server pushes changes; known after the first connection. */
  tracks(): boolean;
  /** Dials, and starts the heartbeat. Resolves also when Redis is away: it may come later. */
  open(signal: AbortSignal): Promise<void>;
} {
  const listeners = new Set<(news: StoreNews) => void>();
  const tell = (news: StoreNews): void => {
    for (const listener of listeners) listener(news);
  };
  const watchfulness = createWatchfulness(tell);
  const tap = new InvalidationTap([recordPrefix, jarPrefix], {
    invalidated(redisKey) {
      const key = keyInRedisKey.exec(redisKey)?.[1] ?? '';
      if (isRecordKey(key)) tell({ kind: 'changed', key });
    },
    gap: () => watchfulness.lost(),
  });
  const connection = createRedisConnection({ ...options, tap });
  const run: RedisConnection['run'] = (command) => connection.run(command);
  let heartbeat: NodeJS.Timeout | undefined;
  let missedBeats = 0;

  /** A read, since PING fails on a server that only takes no writes: what can be read is there. */
  async function ping(): Promise<void> {
    await run((client) => client.exists(registryKey));
  }

  async function beat(): Promise<void> {
    try {
      await ping();
      missedBeats = 0;
      if (!tap.isWatching) watchfulness.lost();
      watchfulness.regained();
    } catch (error) {
      // The connection logs what is wrong; here it only counts that it is.
      watchfulness.lost();
      // A new connection would only hear the same refusal; one that does not stand is being dialled.
      missedBeats = isRefusal(error) || !connection.isReady() ? 0 : missedBeats + 1;
      if (missedBeats >= missedBeatsAllowed) connection.renew();
    }
  }

  function beatLater(): void {
    heartbeat = setTimeout(
      () => {
        beatLater();
        void beat();
      },
      tap.isWatching ? heartbeatMs : pollMs,
    ).unref();
  }

  async function runScript(script: string, keys: string[], args: readonly (string | number)[]): Promise<unknown> {
    return run((client) => client.eval(script, { keys, arguments: args.map(String) }));
  }

  async function read(key: RecordKey): Promise<StoredLookup> {
    const keys = [recordAt(key), useAt(key), jarAt(key), tombstoneAt(key)];
    const [record, use, jar, tombstone] = await run((client) => client.mGet(keys));
    return lookupOf(record, use, jar, tombstone);
  }

  return {
    connection,
    tracks: () => tap.isWatching,
    ping,
    read,
    async open(signal) {
      connection.onReady(() => void beat());
      if (heartbeat === undefined) beatLater();
      await connection.open(signal);
    },
    async create(key, record, ttlMs) {
      // The index first: a session that is not listed could not be ended by its user; a listed one that is not there
      // is only skipped.
      await Promise.all([
        runScript(scripts.indexScript, [indexAt(record.userKey)], [record.createdAtMs, key, ttlMs]),
        runScript(scripts.indexAllScript, [allKey], [record.absoluteEndMs, key, ttlMs]),
      ]);
      const args = [recordText(record), ttlMs];
      const created = await runScript(scripts.createScript, [recordAt(key), tombstoneAt(key)], args);
      return created === 1 ? 'created' : 'refused';
    },
    async rewrite(key, record) {
      const text = recordText(record);
      const reply = await run((client) => client.set(recordAt(key), text, { condition: 'XX', expiration: 'KEEPTTL' }));
      return reply === null ? 'gone' : 'written';
    },
    async reroute(key, from, record, jar) {
      const args = [from.backend, from.host, recordText(record), JSON.stringify(jar)];
      const reply = await runScript(scripts.rerouteScript, [recordAt(key), jarAt(key)], args);
      if (reply === 2) return 'written';
      return reply === 1 ? 'elsewhere' : 'gone';
    },
    async destroy(key, reason: EndReason) {
      const keys = [recordAt(key), useAt(key), jarAt(key), tombstoneAt(key)];
      const before = await runScript(scripts.destroyScript, keys, [reason, options.tombstoneMs]);
      if (typeof before !== 'string') return false;
      const record = parseRecord(before);
      if (record !== undefined) {
        await run((client) => Promise.all([client.zRem(indexAt(record.userKey), key), client.zRem(allKey, key)]));
      }
      return true;
    },
    async writeJar(key, jar: StoredJar) {
      const written = await runScript(scripts.writeJarScript, [recordAt(key), jarAt(key)], [JSON.stringify(jar)]);
      return written === 1 ? 'written' : 'gone';
    },
    async noteUse(uses) {
      // All are written in one go: node-redis sends what is issued in one turn of the event loop together.
      await Promise.all(
        uses.map(({ key, atMs }) => runScript(scripts.noteUseScript, [recordAt(key), useAt(key)], [atMs])),
      );
    },
    async ofUser(userKeys) {
      const indexes = await Promise.all(
        userKeys.map(async (userKey) => ({
          userKey,
          members: await run((client) => client.zRange(indexAt(userKey), 0, -1)),
        })),
      );
      const listed = indexes.flatMap(({ userKey, members }) =>
        members.filter(isRecordKey).map((key) => ({ userKey, key })),
      );
      const found = await Promise.all(listed.map(async (entry) => ({ ...entry, stored: await read(entry.key) })));
      const living: { key: RecordKey; session: StoredSession }[] = [];
      for (const { userKey, key, stored } of found) {
        if (stored.kind === 'found') living.push({ key, session: stored.session });
        else await run((client) => client.zRem(indexAt(userKey), key));
      }
      return living.sort((a, b) => a.session.record.createdAtMs - b.session.record.createdAtMs);
    },
    async *all() {
      for (let from = 0; ; from += pageSize) {
        const start = from;
        const members = await run((client) => client.zRange(allKey, start, start + pageSize - 1));
        if (members.length === 0) return;
        const found = await Promise.all(
          members.filter(isRecordKey).map(async (key) => ({ key, stored: await read(key) })),
        );
        yield found.flatMap(({ key, stored }) => (stored.kind === 'found' ? [{ key, session: stored.session }] : []));
      }
    },
    async registerKeys(keys: readonly RegisteredKey[]) {
      const texts = keys.map((key) => JSON.stringify(key));
      const reply = await runScript(scripts.registerKeysScript, [registryKey], texts);
      if (!Array.isArray(reply)) return [];
      return reply.map((text: unknown) => parseRegisteredKey(String(text))).filter((key) => key !== undefined);
    },
    async retireKey(id) {
      await run((client) => client.hDel(registryKey, id));
    },
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async [Symbol.asyncDispose]() {
      clearTimeout(heartbeat);
      listeners.clear();
      connection.close();
    },
  };
}

type Reply = string | null | undefined;

function lookupOf(record: Reply, use: Reply, jar: Reply, tombstone: Reply): StoredLookup {
  if (typeof tombstone === 'string') return { kind: 'ended', reason: parseEndReason(tombstone) };
  const parsed: SessionRecord | undefined = typeof record === 'string' ? parseRecord(record) : undefined;
  if (parsed === undefined) return { kind: 'none' };
  const lastUseMs = Number(use ?? 0);
  return { kind: 'found', session: { record: parsed, lastUseMs, jar: parseStoredJar(jar ?? '') } };
}

/** Turns what heartbeat and tap see into news: one gap when watching breaks, one restored when it works again. */
function createWatchfulness(tell: (news: StoreNews) => void): { lost(): void; regained(): void } {
  let watching = false;
  return {
    lost() {
      watching = false;
      tell({ kind: 'gap' });
    },
    regained() {
      if (watching) return;
      watching = true;
      tell({ kind: 'restored' });
    },
  };
}

const probeMs = 2_000;

/**
 * Does on a Redis what the session store does, under a key of its own that ends by itself. Rejects with
 * ERR_STORE_UNAVAILABLE, which says what is refused: a user without enough rights is found before anybody signs in.
 */
export async function probeSessionStore({ run }: Pick<RedisConnection, 'run'>): Promise<void> {
  const id = randomBytes(16).toString('hex');
  const [record, use, jar, tombstone] = ['h', 'u', 'j', 't'].map((kind) => `ps:${kind}:{${id}}`);
  const all = [record, use, jar, tombstone].filter((key) => key !== undefined);
  const [index, registry] = [`ps:i:${id}`, 'ps:keys'];
  const script = (text: string, keys: readonly (string | undefined)[], args: readonly (string | number)[]) =>
    run((client) => client.eval(text, { keys: keys.filter((key) => key !== undefined), arguments: args.map(String) }));

  await script(scripts.registerKeysScript, [registry], []);
  await script(scripts.indexScript, [index], [Date.now(), id, probeMs]);
  await script(scripts.indexAllScript, ['ps:all'], [Date.now(), id, probeMs]);
  await script(scripts.createScript, [record, tombstone], ['{"backend":"","host":""}', probeMs]);
  await script(scripts.rerouteScript, [record, jar], ['', '', '{}', '{}']);
  await script(scripts.writeJarScript, [record, jar], ['{}']);
  await script(scripts.noteUseScript, [record, use], [Date.now()]);
  await run((client) => client.set(all[0] ?? '', '{}', { condition: 'XX', expiration: 'KEEPTTL' }));
  await run((client) => client.mGet(all));
  await run((client) => client.exists(registry));
  await script(scripts.destroyScript, all, ['signed-out', probeMs]);
  await run((client) => client.zRange('ps:all', 0, 0));
  await run((client) => client.zRem(index, id));
  await run((client) => client.zRem('ps:all', id));
  await run((client) => client.hDel(registry, id));
}
