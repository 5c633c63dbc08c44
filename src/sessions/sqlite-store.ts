import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import type { Clock } from '../core/clock.ts';
import { openEmbeddedDatabase } from '../core/embedded-database.ts';
import { isRecordKey, type RecordKey, type UserKey } from '../core/names.ts';
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
  StoredSession,
  StoreEvent,
  UseNote,
} from '../core/session.ts';
import { parseEndReason, parseRecord, recordText } from './record-format.ts';

/** Options of SqliteSessionStore. */
interface SqliteStoreOptions {
  /** Made, with its folder, if it is missing. Belongs to one gateway process: others would not hear of changes. */
  readonly file: string;
  /** The time for which a destroyed key stays refused: at least the absolute timeout, or a late write could revive it. */
  readonly tombstoneMs: number;
  readonly clock: Clock;
}

const expirySweepMs = 60_000;

type SessionRow = Record<string, SQLOutputValue>;

/** The embedded store: sessions in one SQLite file, for a gateway of one process. */
export class SqliteSessionStore implements SessionStore {
  readonly #database: ReturnType<typeof openEmbeddedDatabase>;
  readonly #sql: Statements;
  readonly #tombstoneMs: number;
  readonly #clock: Clock;
  readonly #listeners = new Set<(event: StoreEvent) => void>();
  readonly #sweepTimer: NodeJS.Timeout;

  /** Throws ERR_STORE_UNAVAILABLE if the file cannot be opened. */
  constructor({ file, tombstoneMs, clock }: SqliteStoreOptions) {
    this.#database = openEmbeddedDatabase(file, sessionTables, 'the embedded session store');
    this.#sql = prepareStatements(this.#database.connection);
    this.#tombstoneMs = tombstoneMs;
    this.#clock = clock;
    this.#sweepTimer = setInterval(() => this.#sweep(), expirySweepMs).unref();
  }

  create(key: RecordKey, record: SessionRecord, ttlMs: number): Promise<'created' | 'refused'> {
    return this.#database.settle(() => {
      const outcome = this.#database.atomically(() => {
        if (this.#find(key).kind !== 'none') return 'refused';
        const nowMs = this.#clock.nowMs();
        this.#sql.sweepOne.run(key);
        this.#sql.create.run(key, record.userKey, recordText(record), record.createdAtMs, nowMs + ttlMs);
        return 'created';
      });
      if (outcome === 'created') this.#emitChanged(key);
      return outcome;
    });
  }

  rewrite(key: RecordKey, record: SessionRecord): Promise<'written' | 'gone'> {
    return this.#write(key, () => this.#sql.rewrite.run(recordText(record), key, this.#clock.nowMs()).changes);
  }

  reroute(
    key: RecordKey,
    from: SessionRoute,
    record: SessionRecord,
    jar: StoredJar,
  ): Promise<'written' | 'elsewhere' | 'gone'> {
    return this.#database.settle(() => {
      const outcome = this.#database.atomically(() => {
        const before = this.#find(key);
        if (before.kind !== 'found') return 'gone';
        const { backend, host } = before.session.record;
        if (backend !== from.backend || host !== from.host) return 'elsewhere';
        this.#sql.reroute.run(recordText(record), jar.version, jar.sealed, key);
        return 'written';
      });
      if (outcome === 'written') this.#emitChanged(key);
      return outcome;
    });
  }

  read(key: RecordKey): Promise<StoredLookup> {
    return this.#database.settle(() => this.#find(key));
  }

  destroy(key: RecordKey, reason: EndReason): Promise<DestroyedSession | undefined> {
    return this.#database.settle(() => {
      const destroyed = this.#database.atomically(() => {
        const nowMs = this.#clock.nowMs();
        const before = storedSessionIn(this.#sql.session.get(key, nowMs));
        const amount = this.#sql.amount.get(key);
        this.#sql.sweepOne.run(key);
        this.#sql.bury.run(key, reason, nowMs + this.#tombstoneMs, nowMs);
        if (before === undefined) return undefined;
        const [requests, bytesIn, bytesOut] = amountColumns.map((column) => Number(amount?.[column] ?? 0));
        return { record: before.record, requests: requests ?? 0, bytesIn: bytesIn ?? 0, bytesOut: bytesOut ?? 0 };
      });
      this.#emitChanged(key);
      return destroyed;
    });
  }

  writeJar(key: RecordKey, { version, sealed }: StoredJar): Promise<'written' | 'gone'> {
    return this.#write(key, () => this.#sql.writeJar.run(version, sealed, key, this.#clock.nowMs()).changes);
  }

  noteUse(uses: readonly UseNote[]): Promise<void> {
    return this.#database.settle(() =>
      this.#database.atomically(() => {
        for (const { key, atMs, requests = 0, bytesIn = 0, bytesOut = 0 } of uses) {
          this.#sql.noteUse.run(atMs, key);
          if (requests > 0) this.#sql.noteAmount.run(requests, bytesIn, bytesOut, key);
        }
      }),
    );
  }

  ofUser(userKeys: readonly UserKey[]): Promise<readonly StoredEntry[]> {
    return this.#database.settle(() =>
      userKeys
        .flatMap((userKey) => this.#sql.ofUser.all(userKey, this.#clock.nowMs()))
        .flatMap(entriesIn)
        .sort((a, b) => a.session.record.createdAtMs - b.session.record.createdAtMs),
    );
  }

  async *all(after?: SessionPlace): AsyncIterable<readonly PlacedEntry[]> {
    for (let at = after?.at ?? Number.MAX_SAFE_INTEGER, key: string = after?.key ?? '', rank = after?.rank ?? 0; ; ) {
      const from = [at, at, key] as const;
      const rows = await this.#database.settle(() => this.#sql.page.all(...from, this.#clock.nowMs()));
      const last = rows.at(-1);
      if (last === undefined) return;
      at = Number(last['created']);
      key = String(last['key']);
      const before = rank;
      rank += rows.length;
      yield rows.flatMap((row, index) =>
        entriesIn(row).map((entry) => ({
          ...entry,
          place: { at: Number(row['created']), key: entry.key, rank: before + index },
        })),
      );
    }
  }

  registerKeys(keys: readonly RegisteredKey[]): Promise<readonly RegisteredKey[]> {
    return this.#database.settle(() => this.#database.atomically(() => registerKeys(this.#sql, keys)));
  }

  async retireKey(id: string): Promise<void> {
    await this.#database.settle(() => this.#sql.retireKey.run(id));
  }

  watch(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async ping(): Promise<void> {
    await this.#database.settle(() => this.#sql.ping.get());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sweepTimer);
    this.#listeners.clear();
    await this.#database[Symbol.asyncDispose]();
  }

  #find(key: RecordKey): StoredLookup {
    const nowMs = this.#clock.nowMs();
    const tombstone = this.#sql.tombstone.get(key, nowMs);
    if (tombstone !== undefined) return { kind: 'ended', reason: parseEndReason(String(tombstone['reason'])) };
    const session = storedSessionIn(this.#sql.session.get(key, nowMs));
    return session === undefined ? { kind: 'none' } : { kind: 'found', session };
  }

  /** Runs a write of one session, which returns the number of rows that it changed. */
  #write(key: RecordKey, write: () => number | bigint): Promise<'written' | 'gone'> {
    return this.#database.settle(() => {
      if (write() === 0) return 'gone';
      this.#emitChanged(key);
      return 'written';
    });
  }

  #emitChanged(key: RecordKey): void {
    for (const listener of this.#listeners) listener({ kind: 'changed', key });
  }

  #sweep(): void {
    try {
      this.#sql.sweepSessions.run(this.#clock.nowMs());
      this.#sql.sweepTombstones.run(this.#clock.nowMs());
    } catch {
      // Locked or full: expired rows are not served, and the next sweep deletes them.
    }
  }
}

function storedSessionIn(row: SessionRow | undefined): StoredSession | undefined {
  const record = parseRecord(String(row?.['record']));
  if (row === undefined || record === undefined) return undefined;
  const { last_use: lastUse, jar_version: version, jar } = row;
  const stored = typeof jar === 'string' ? { version: Number(version), sealed: jar } : undefined;
  return { record, lastUseMs: Number(lastUse), jar: stored };
}

function entriesIn(row: SessionRow): StoredEntry[] {
  const key = String(row['key']);
  const session = storedSessionIn(row);
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

const amountColumns = ['requests', 'bytes_in', 'bytes_out'] as const;

/** The tables of the embedded store. */
const sessionTables = `
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS session (
  key TEXT PRIMARY KEY, user_key TEXT NOT NULL, record TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL,
  last_use INTEGER NOT NULL DEFAULT 0, jar_version INTEGER, jar TEXT) STRICT;
CREATE INDEX IF NOT EXISTS session_user ON session (user_key, created);
CREATE INDEX IF NOT EXISTS session_created ON session (created, key);
CREATE INDEX IF NOT EXISTS session_expires ON session (expires);
CREATE TABLE IF NOT EXISTS session_use (
  key TEXT PRIMARY KEY REFERENCES session (key) ON DELETE CASCADE,
  requests INTEGER NOT NULL, bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS tombstone (key TEXT PRIMARY KEY, reason TEXT NOT NULL, expires INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS server_key (
  id TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, promoted INTEGER NOT NULL, node TEXT NOT NULL) STRICT;`;

/** The statements of the embedded store, prepared once. */
function prepareStatements(database: DatabaseSync) {
  const prepare = (text: string) => database.prepare(text);
  return {
    session: prepare('SELECT * FROM session WHERE key = ? AND expires > ?'),
    tombstone: prepare('SELECT reason FROM tombstone WHERE key = ? AND expires > ?'),
    create: prepare('INSERT INTO session (key, user_key, record, created, expires) VALUES (?, ?, ?, ?, ?)'),
    rewrite: prepare('UPDATE session SET record = ? WHERE key = ? AND expires > ?'),
    reroute: prepare('UPDATE session SET record = ?, jar_version = ?, jar = ? WHERE key = ?'),
    page: prepare(`SELECT * FROM session WHERE (created < ? OR (created = ? AND key < ?)) AND expires > ?
      ORDER BY created DESC, key DESC LIMIT 500`),
    writeJar: prepare('UPDATE session SET jar_version = ?, jar = ? WHERE key = ? AND expires > ?'),
    noteUse: prepare('UPDATE session SET last_use = max(last_use, ?) WHERE key = ?'),
    amount: prepare('SELECT requests, bytes_in, bytes_out FROM session_use WHERE key = ?'),
    noteAmount: prepare(`INSERT INTO session_use SELECT key, ?, ?, ? FROM session WHERE key = ? ON CONFLICT (key) DO
      UPDATE SET requests = requests + excluded.requests, bytes_in = bytes_in + excluded.bytes_in,
      bytes_out = bytes_out + excluded.bytes_out`),
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
