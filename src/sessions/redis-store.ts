import { randomBytes } from 'node:crypto';
import type { Log } from '../core/log.ts';
import { isRecordKey, isUserKey, type RecordKey, type UserKey } from '../core/names.ts';
import type {
  DestroyedSession,
  EndReason,
  PlacedEntry,
  RegisteredKey,
  SessionPlace,
  SessionRecord,
  SessionRoute,
  SessionStore,
  StoredEntry,
  StoredJar,
  StoredLookup,
  StoreEvent,
  UseNote,
} from '../core/session.ts';
import { createRedisConnection, isRefusal, type RedisConnection } from '../redis/connection.ts';
import { InvalidationTap, type RedisSettings } from '../redis/topology.ts';
import { rankedPages } from './ranked-pages.ts';
import { parseEndReason, parseRecord, parseRegisteredKey, parseStoredJar, recordText } from './record-format.ts';
import {
  createScript,
  destroyScript,
  indexAllScript,
  indexScript,
  noteUseScript,
  registerKeysScript,
  rerouteScript,
  writeJarScript,
} from './redis-scripts.ts';

/** Options of RedisSessionStore. */
interface RedisStoreOptions {
  readonly settings: RedisSettings;
  /** The time for which a destroyed key stays refused: at least the absolute timeout, or a late write could revive it. */
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
const beatIntervalMs = 1_000;
/** How often all sessions are in doubt if the server pushes no changes. */
const pollMs = 500;
/** Failed beats before the connection is dialled again: a black-holed one would stay open for minutes. */
const missedBeatsAllowed = 2;

// The braces are the hash tag: all that belongs to one session lies in one slot of a Cluster.
const recordAt = (key: RecordKey): string => `${recordPrefix}{${key}}`;
const jarAt = (key: RecordKey): string => `${jarPrefix}{${key}}`;
const useAt = (key: RecordKey): string => `ps:u:{${key}}`;
const amountAt = (key: RecordKey): string => `ps:n:{${key}}`;
const tombstoneAt = (key: RecordKey): string => `ps:t:{${key}}`;
const keysOf = (key: RecordKey): string[] => [recordAt(key), useAt(key), jarAt(key), tombstoneAt(key)];
const indexAt = (key: UserKey): string => `ps:i:${key}`;
const keyInRedisKey = /\{(.+)\}$/;

/**
 * Sessions in Redis: `ps:h:` the record, `ps:u:` its last use, `ps:n:` how much it was used, `ps:j:` its jar, `ps:t:` its tombstone, `ps:i:` the
 * index of a user, `ps:all` the index of all by their absolute end, `ps:keys` the registry of server keys. Changes come
 * by client tracking on records and jars; if a server has none, every session is in doubt twice a second, and is read
 * again before its next use.
 */
export class RedisSessionStore implements SessionStore {
  readonly connection: RedisConnection;
  readonly #tombstoneMs: number;
  readonly #tap: InvalidationTap;
  readonly #listeners = new Set<(event: StoreEvent) => void>();
  #isWatching = false;
  #heartbeat: NodeJS.Timeout | undefined;
  #missedBeats = 0;

  constructor(options: RedisStoreOptions) {
    this.#tombstoneMs = options.tombstoneMs;
    this.#tap = new InvalidationTap([recordPrefix, jarPrefix], {
      invalidated: (redisKey) => {
        const key = keyInRedisKey.exec(redisKey)?.[1] ?? '';
        if (isRecordKey(key)) this.#emit({ kind: 'changed', key });
      },
      gap: () => this.#lostWatch(),
    });
    this.connection = createRedisConnection({ ...options, tap: this.#tap });
  }

  /** Whether the server pushes changes; known after the first connection. */
  tracks(): boolean {
    return this.#tap.isWatching;
  }

  /** Dials, and starts the heartbeat. Resolves also while Redis is away: the connection goes on trying. */
  async open(signal: AbortSignal): Promise<void> {
    this.connection.onReady(() => void this.#beat());
    if (this.#heartbeat === undefined) this.#beatLater();
    await this.connection.open(signal);
  }

  async create(key: RecordKey, record: SessionRecord, ttlMs: number): Promise<'created' | 'refused'> {
    // Opened mailboxes end soon: by their end alone they would stand among older sessions.
    const sorted = Math.max(record.absoluteEndMs, record.createdAtMs + this.#tombstoneMs);
    // Indexes first: an unlisted session could not be ended by its user, a listed one that is not there is skipped.
    await Promise.all([
      this.#run(indexScript, [indexAt(record.userKey)], [record.createdAtMs, key, ttlMs]),
      this.#run(indexAllScript, [allKey], [sorted, key, ttlMs]),
    ]);
    const args = [recordText(record), ttlMs];
    const created = await this.#run(createScript, [recordAt(key), tombstoneAt(key)], args);
    return created === 1 ? 'created' : 'refused';
  }

  async rewrite(key: RecordKey, record: SessionRecord): Promise<'written' | 'gone'> {
    const reply = await this.connection.run((client) =>
      client.set(recordAt(key), recordText(record), { condition: 'XX', expiration: 'KEEPTTL' }),
    );
    return reply === null ? 'gone' : 'written';
  }

  async reroute(
    key: RecordKey,
    from: SessionRoute,
    record: SessionRecord,
    jar: StoredJar,
  ): Promise<'written' | 'elsewhere' | 'gone'> {
    const args = [from.backend, from.host, recordText(record), JSON.stringify(jar)];
    const reply = await this.#run(rerouteScript, [recordAt(key), jarAt(key)], args);
    if (reply === 2) return 'written';
    return reply === 1 ? 'elsewhere' : 'gone';
  }

  async read(key: RecordKey): Promise<StoredLookup> {
    const [record, use, jar, tombstone] = await this.connection.run((client) => client.mGet(keysOf(key)));
    if (typeof tombstone === 'string') return { kind: 'ended', reason: parseEndReason(tombstone) };
    const parsed = typeof record === 'string' ? parseRecord(record) : undefined;
    if (parsed === undefined) return { kind: 'none' };
    return { kind: 'found', session: { record: parsed, lastUseMs: Number(use ?? 0), jar: parseStoredJar(jar ?? '') } };
  }

  async destroy(key: RecordKey, reason: EndReason): Promise<DestroyedSession | undefined> {
    const reply = await this.#run(destroyScript, [...keysOf(key), amountAt(key)], [reason, this.#tombstoneMs]);
    const [before, amount]: readonly unknown[] = Array.isArray(reply) ? reply : [];
    const record = typeof before === 'string' ? parseRecord(before) : undefined;
    if (record === undefined) return undefined;
    await this.connection.run((client) =>
      Promise.all([client.zRem(indexAt(record.userKey), key), client.zRem(allKey, key)]),
    );
    const [requests = 0, bytesIn = 0, bytesOut = 0] = String(amount).split(' ').map(Number);
    return { record, requests, bytesIn, bytesOut };
  }

  async writeJar(key: RecordKey, jar: StoredJar): Promise<'written' | 'gone'> {
    const written = await this.#run(writeJarScript, [recordAt(key), jarAt(key)], [JSON.stringify(jar)]);
    return written === 1 ? 'written' : 'gone';
  }

  async noteUse(uses: readonly UseNote[]): Promise<void> {
    // node-redis sends in one go what is issued in one turn of the event loop.
    await Promise.all(
      uses.map(({ key, atMs, requests = 0, bytesIn = 0, bytesOut = 0 }) =>
        this.#run(noteUseScript, [recordAt(key), useAt(key), amountAt(key)], [atMs, requests, bytesIn, bytesOut]),
      ),
    );
  }

  async ofUser(userKeys: readonly UserKey[]): Promise<readonly StoredEntry[]> {
    const indexes = await Promise.all(
      userKeys.map(async (userKey) => {
        const members = await this.connection.run((client) => client.zRange(indexAt(userKey), 0, -1));
        return members.filter(isRecordKey).map((key) => ({ userKey, key }));
      }),
    );
    const listed = indexes.flat();
    const found = await Promise.all(listed.map(async (entry) => ({ ...entry, stored: await this.read(entry.key) })));
    const living: StoredEntry[] = [];
    for (const { userKey, key, stored } of found) {
      if (stored.kind === 'found') living.push({ key, session: stored.session });
      else await this.connection.run((client) => client.zRem(indexAt(userKey), key));
    }
    return living.sort((a, b) => a.session.record.createdAtMs - b.session.record.createdAtMs);
  }

  async *all(after?: SessionPlace): AsyncIterable<readonly PlacedEntry[]> {
    const read = (from: number, to: number) =>
      this.connection.run((client) => client.zRangeWithScores(allKey, from, to));
    for await (const places of rankedPages(read, pageSize, after)) {
      const found = await Promise.all(places.map(async (place) => ({ place, stored: await this.read(place.key) })));
      yield found.flatMap(({ place, stored }) =>
        stored.kind === 'found' ? [{ key: place.key, session: stored.session, place }] : [],
      );
    }
  }

  async registerKeys(keys: readonly RegisteredKey[]): Promise<readonly RegisteredKey[]> {
    const texts = keys.map((key) => JSON.stringify(key));
    const reply = await this.#run(registerKeysScript, [registryKey], texts);
    if (!Array.isArray(reply)) return [];
    return reply.map((text: unknown) => parseRegisteredKey(String(text))).filter((key) => key !== undefined);
  }

  async retireKey(id: string): Promise<void> {
    await this.connection.run((client) => client.hDel(registryKey, id));
  }

  watch(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Reads a key, since PING fails on a server that only takes no writes. */
  async ping(): Promise<void> {
    await this.connection.run((client) => client.exists(registryKey));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#heartbeat);
    this.#listeners.clear();
    this.connection.close();
  }

  #run(script: string, keys: string[], args: readonly (string | number)[]): Promise<unknown> {
    return this.connection.run((client) => client.eval(script, { keys, arguments: args.map(String) }));
  }

  #emit(event: StoreEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  #lostWatch(): void {
    this.#isWatching = false;
    this.#emit({ kind: 'gap' });
  }

  #beatLater(): void {
    this.#heartbeat = setTimeout(
      () => {
        this.#beatLater();
        void this.#beat();
      },
      this.#tap.isWatching ? beatIntervalMs : pollMs,
    ).unref();
  }

  async #beat(): Promise<void> {
    try {
      await this.ping();
      this.#missedBeats = 0;
      // Without pushed changes every session is in doubt at each beat.
      if (!this.#tap.isWatching) this.#lostWatch();
      if (this.#isWatching) return;
      this.#isWatching = true;
      this.#emit({ kind: 'restored' });
    } catch (error) {
      // The connection logs what is wrong; here it only counts that it is.
      this.#lostWatch();
      // A new connection would only hear the same refusal; one that does not stand is being dialled.
      this.#missedBeats = isRefusal(error) || !this.connection.isReady() ? 0 : this.#missedBeats + 1;
      if (this.#missedBeats >= missedBeatsAllowed) this.connection.renew();
    }
  }
}

const probeMs = 2_000;

/**
 * Runs the session store's commands on a Redis, under a separate key that expires. Rejects with ERR_STORE_UNAVAILABLE,
 * which names the refused command: a user without enough permissions is found before anybody signs in.
 */
export async function probeSessionStore(connection: Pick<RedisConnection, 'run'>): Promise<void> {
  const [id, userKey] = [randomBytes(32).toString('base64url'), randomBytes(32).toString('base64url')];
  if (!isRecordKey(id) || !isUserKey(userKey)) throw new TypeError('32 bytes make a key of 43 characters');
  const [record, use, jar, tombstone] = [recordAt(id), useAt(id), jarAt(id), tombstoneAt(id)];
  const [amount, index] = [amountAt(id), indexAt(userKey)];
  const run = (script: string, keys: string[], args: readonly (string | number)[]) =>
    connection.run((client) => client.eval(script, { keys, arguments: args.map(String) }));
  await run(registerKeysScript, [registryKey], []);
  await run(indexScript, [index], [Date.now(), id, probeMs]);
  await run(indexAllScript, [allKey], [Date.now(), id, probeMs]);
  await run(createScript, [record, tombstone], ['{"backend":"","host":""}', probeMs]);
  await run(rerouteScript, [record, jar], ['', '', '{}', '{}']);
  await run(writeJarScript, [record, jar], ['{}']);
  await run(noteUseScript, [record, use, amount], [Date.now(), 1, 0, 0]);
  await connection.run((client) => client.set(record, '{}', { condition: 'XX', expiration: 'KEEPTTL' }));
  await connection.run((client) => client.mGet(keysOf(id)));
  await connection.run((client) => client.exists(registryKey));
  await run(destroyScript, [...keysOf(id), amount], ['signed-out', probeMs]);
  await connection.run((client) => client.zRange(allKey, 0, 0));
  await connection.run((client) => client.zRem(index, id));
  await connection.run((client) => client.zRem(allKey, id));
  await connection.run((client) => client.hDel(registryKey, id));
}
