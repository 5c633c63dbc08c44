import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';
import { PosternError } from '../core/error.ts';
import { type StateEntry, type StateStore, stateTables } from '../core/state-store.ts';

/** A removed entry stays as a row without a value: that is how its removal is told. */
const schema = `
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS state (
  name TEXT NOT NULL, key TEXT NOT NULL, value TEXT, version INTEGER NOT NULL UNIQUE, PRIMARY KEY (name, key)) STRICT;`;

/**
 * The state of a gateway of one process, in the file of its embedded session store.
 * Throws ERR_STORE_UNAVAILABLE when the file cannot be opened.
 */
export function createSqliteStateStore(file: string): StateStore {
  const database = openDatabase(file);
  const sql = {
    since: database.prepare('SELECT * FROM state WHERE version > ? ORDER BY version'),
    latest: database.prepare('SELECT coalesce(max(version), 0) AS latest FROM state'),
    one: database.prepare('SELECT value, version FROM state WHERE name = ? AND key = ?'),
    put: database.prepare(`INSERT INTO state (name, key, value, version) VALUES (?, ?, ?, ?) ON CONFLICT (name, key) DO
      UPDATE SET value = excluded.value, version = excluded.version`),
  };
  const latest = () => Number(sql.latest.get()?.['latest']);

  return {
    changesSince: settled((cursor) => {
      const end = latest();
      const reset = end < cursor;
      const rows = sql.since.all(reset ? 0 : cursor);
      return { cursor: end, reset, entries: rows.flatMap(entryOf) };
    }),
    put: settled((table, key, value, expected) => {
      database.exec('BEGIN IMMEDIATE');
      try {
        const before = sql.one.get(table, key);
        const version = before === undefined || before['value'] === null ? 0 : Number(before['version']);
        const fits = expected === undefined || expected === version;
        if (fits) sql.put.run(table, key, value ?? null, latest() + 1);
        database.exec('COMMIT');
        return fits ? 'written' : 'conflict';
      } catch (error) {
        database.exec('ROLLBACK');
        throw error;
      }
    }),
    async [Symbol.asyncDispose]() {
      if (database.isOpen) database.close();
    },
  };
}

function entryOf(row: Record<string, SQLOutputValue>): StateEntry[] {
  const table = stateTables.find((name) => name === row['name']);
  if (table === undefined) return [];
  const { value } = row;
  return [
    {
      table,
      key: String(row['key']),
      value: typeof value === 'string' ? value : undefined,
      version: Number(row['version']),
    },
  ];
}

/** SQLite answers at once; the port's calls promise, and fail as the port says. */
function settled<Arguments extends unknown[], Result>(
  work: (...args: Arguments) => Result,
): (...args: Arguments) => Promise<Result> {
  return async (...args) => {
    try {
      return work(...args);
    } catch (error) {
      throw failure('the embedded state store failed', error);
    }
  };
}

function failure(what: string, cause: unknown): PosternError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new PosternError('ERR_STORE_UNAVAILABLE', `${what}: ${why}`, { source: 'store', retryable: true, cause });
}

function openDatabase(file: string): DatabaseSync {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // SQLite would make the file readable by others.
    closeSync(openSync(file, 'a', 0o600));
    chmodSync(file, 0o600);
    const database = new DatabaseSync(file, { timeout: 2_000 });
    database.exec(schema);
    return database;
  } catch (error) {
    throw failure(`the embedded state store ${file} cannot be opened`, error);
  }
}
