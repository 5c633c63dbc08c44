import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import type { Clock } from '../core/clock.ts';
import { openEmbeddedDatabase } from '../core/embedded-database.ts';
import {
  isRecordKey,
  type RecordKey,
  type RegisteredKey,
  type SessionStore,
  type StoredJar,
  type StoredLookup,
  type StoredSession,
  type StoreNews,
} from '../core/session.ts';
import { parseEndReason, parseRecord, recordText } from './record-format.ts';

/** What the embedded store takes. */
interface SqliteStoreOptions {
  /** Made, with its folder, when it is missing. Belongs to one gateway process: others would not hear of changes. */
  readonly file: string;
  /** How long a destroyed key stays refused: at least the absolute timeout, or a late write could revive it. */
  readonly tombstoneMs: number;
  readonly clock: Clock;
}

const sweepMs = 60_000;
type Row = Record<string, SQLOutputValue>;

/**
 * The embedded store: sessions in one SQLite file, for a gateway of one process.
 * Throws ERR_STORE_UNAVAILABLE when the file cannot be opened.
 */
export function createSqliteStore({ file, tombstoneMs, clock }: SqliteStoreOptions): SessionStore {
  const database = openEmbeddedDatabase(file, schema, 'the embedded session store');
  const { atomically, settled } = database;
  const sql = prepareStatements(database.connection);
  const listeners = new Set<(news: StoreNews) => void>();
  const tellChanged = (key: RecordKey): void => {
    for (const listener of listeners) listener({ kind: 'changed', key });
  };

  const sweep = setInterval(() => {
    try {
      sql.sweepSessions.run(clock.nowMs());
      sql.sweepTombstones.run(clock.nowMs());
    } catch {
      // Locked or full: what is left over is expired all the same, and the next sweep takes it.
    }
  }, sweepMs).unref();

  function read(key: RecordKey): StoredLookup {
    const tombstone = sql.tombstone.get(key, clock.nowMs());
    if (tombstone !== undefined) return { kind: 'ended', reason: parseEndReason(String(tombstone['reason'])) };
    const session = sessionOf(sql.session.get(key, clock.nowMs()));
    return session === undefined ? { kind: 'none' } : { kind: 'found', session };
  }

  return {
    create: settled((key, record, ttlMs) => {
      const created = atomically(() => {
        if (read(key).kind !== 'none') return false;
        sql.sweepOne.run(key);
        sql.create.run(key, record.userKey, recordText(record), record.createdAtMs, clock.nowMs() + ttlMs);
        return true;
      });
      if (created) tellChanged(key);
      return created ? 'created' : 'refused';
    }),
    rewrite: settled((key, record) => {
      if (sql.rewrite.run(recordText(record), key, clock.nowMs()).changes === 0) return 'gone';
      tellChanged(key);
      return 'written';
    }),
    reroute: settled((key, from, record, jar: StoredJar) => {
      const outcome = atomically(() => {
        const before = read(key);
        if (before.kind !== 'found') return 'gone';
        const { backend, host } = before.session.record;
        if (backend !== from.backend || host !== from.host) return 'elsewhere';
        sql.reroute.run(recordText(record), jar.version, jar.sealed, key);
        return 'written';
      });
      if (outcome === 'written') tellChanged(key);
      return outcome;
    }),
    read: settled(read),
    destroy: settled((key, reason) => {
      const existed = atomically(() => {
        const lived = sql.session.get(key, clock.nowMs()) !== undefined;
        sql.sweepOne.run(key);
        sql.bury.run(key, reason, clock.nowMs() + tombstoneMs, clock.nowMs());
        return lived;
      });
      tellChanged(key);
      return existed;
    }),
    writeJar: settled((key, jar: StoredJar) => {
      if (sql.writeJar.run(jar.version, jar.sealed, key, clock.nowMs()).changes === 0) return 'gone';
      tellChanged(key);
      return 'written';
    }),
    noteUse: settled((uses) => {
      atomically(() => {
        for (const { key, atMs } of uses) sql.noteUse.run(atMs, key);
      });
    }),
    ofUser: settled((userKeys) => {
      const rows = userKeys.flatMap((userKey) => sql.ofUser.all(userKey, clock.nowMs()));
      return rows
        .flatMap((row) => livingOf(row))
        .sort((a, b) => a.session.record.createdAtMs - b.session.record.createdAtMs);
    }),
    async *all() {
      const page = settled((after: string) => sql.page.all(after, clock.nowMs()));
      for (let last = ''; ; ) {
        const rows = await page(last);
        if (rows.length === 0) return;
        last = String(rows.at(-1)?.['key']);
        yield rows.flatMap(livingOf);
      }
    },
    registerKeys: settled((keys) => atomically(() => registerKeys(sql, keys))),
    retireKey: settled((id) => {
      sql.retireKey.run(id);
    }),
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    ping: settled(() => {
      sql.ping.get();
    }),
    async [Symbol.asyncDispose]() {
      clearInterval(sweep);
      listeners.clear();
      await database[Symbol.asyncDispose]();
    },
  };
}

function sessionOf(row: Row | undefined): StoredSession | undefined {
  const record = parseRecord(String(row?.['record']));
  if (row === undefined || record === undefined) return undefined;
  const { last_use: lastUse, jar_version: version, jar } = row;
  const stored = typeof jar === 'string' ? { version: Number(version), sealed: jar } : undefined;
  return { record, lastUseMs: Number(lastUse), jar: stored };
}

function livingOf(row: Row): { key: RecordKey; session: StoredSession }[] {
  const key = String(row['key']);
  const session = sessionOf(row);
  return isRecordKey(key) && session !== undefined ? [{ key, session }] : [];
}

function registerKeys(sql: Statements, keys: readonly RegisteredKey[]): readonly RegisteredKey[] {
  const registered = (): RegisteredKey[] =>
    sql.serverKeys.all().map((row) => ({
      id: String(row['id']),
      fingerprint: String(row['fingerprint']),
      promoted: row['promoted'] === 1,
      from: String(row['node']),
    }));
  const complete = registered().every(
    (known) => !known.promoted || keys.some((key) => key.id === known.id && key.fingerprint === known.fingerprint),
  );
  if (!complete) return registered();
  for (const { id, fingerprint, promoted, from } of keys) sql.registerKey.run(id, fingerprint, promoted ? 1 : 0, from);
  return registered();
}

/** The tables of the embedded store. */
const schema = `
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS session (
  key TEXT PRIMARY KEY, user_key TEXT NOT NULL, record TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL,
  last_use INTEGER NOT NULL DEFAULT 0, jar_version INTEGER, jar TEXT) STRICT;
CREATE INDEX IF NOT EXISTS session_user ON session (user_key, created);
CREATE INDEX IF NOT EXISTS session_expires ON session (expires);
CREATE TABLE IF NOT EXISTS tombstone (key TEXT PRIMARY KEY, reason TEXT NOT NULL, expires INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS server_key (
  id TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, promoted INTEGER NOT NULL, node TEXT NOT NULL) STRICT;`;

/** All that the embedded store asks, prepared once. */
function prepareStatements(database: DatabaseSync) {
  const prepare = (text: string) => database.prepare(text);
  return {
    session: prepare('SELECT * FROM session WHERE key = ? AND expires > ?'),
    tombstone: prepare('SELECT reason FROM tombstone WHERE key = ? AND expires > ?'),
    create: prepare('INSERT INTO session (key, user_key, record, created, expires) VALUES (?, ?, ?, ?, ?)'),
    rewrite: prepare('UPDATE session SET record = ? WHERE key = ? AND expires > ?'),
    reroute: prepare('UPDATE session SET record = ?, jar_version = ?, jar = ? WHERE key = ?'),
    page: prepare('SELECT * FROM session WHERE key > ? AND expires > ? ORDER BY key LIMIT 500'),
    writeJar: prepare('UPDATE session SET jar_version = ?, jar = ? WHERE key = ? AND expires > ?'),
    noteUse: prepare('UPDATE session SET last_use = max(last_use, ?) WHERE key = ?'),
    ofUser: prepare('SELECT * FROM session WHERE user_key = ? AND expires > ? ORDER BY created'),
    bury: prepare(`INSERT INTO tombstone (key, reason, expires) VALUES (?, ?, ?) ON CONFLICT (key) DO
      UPDATE SET reason = excluded.reason, expires = excluded.expires WHERE expires <= ?`),
    sweepOne: prepare('DELETE FROM session WHERE key = ?'),
    sweepSessions: prepare('DELETE FROM session WHERE expires <= ?'),
    sweepTombstones: prepare('DELETE FROM tombstone WHERE expires <= ?'),
    serverKeys: prepare('SELECT * FROM server_key ORDER BY id'),
    registerKey:
      prepare(`INSERT INTO server_key (id, fingerprint, promoted, node) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO
      UPDATE SET fingerprint = excluded.fingerprint, promoted = max(promoted, excluded.promoted), node = excluded.node`),
    retireKey: prepare('DELETE FROM server_key WHERE id = ?'),
    ping: prepare('SELECT 1'),
  };
}

type Statements = ReturnType<typeof prepareStatements>;
