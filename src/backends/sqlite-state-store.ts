import type { SQLOutputValue } from 'node:sqlite';
import { openEmbeddedDatabase } from '../core/embedded-database.ts';
import { type StateEntry, type StateStore, stateTables } from '../core/state-store.ts';

/** A removed entry stays as a row without a value, which tells readers of its removal. */
const stateSchema = `
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS state (
  name TEXT NOT NULL, key TEXT NOT NULL, value TEXT, version INTEGER NOT NULL UNIQUE, PRIMARY KEY (name, key)) STRICT;`;

/**
 * Makes the state store of a gateway of one process, in the file of its embedded session store. Throws
 * ERR_STORE_UNAVAILABLE if the file cannot be opened.
 */
export function createSqliteStateStore(file: string): StateStore {
  const database = openEmbeddedDatabase(file, stateSchema, 'the embedded state store');
  const { atomically, connection, settle } = database;
  const sql = {
    since: connection.prepare('SELECT * FROM state WHERE version > ? ORDER BY version'),
    latest: connection.prepare('SELECT coalesce(max(version), 0) AS latest FROM state'),
    one: connection.prepare('SELECT value, version FROM state WHERE name = ? AND key = ?'),
    put: connection.prepare(`INSERT INTO state (name, key, value, version) VALUES (?, ?, ?, ?) ON CONFLICT (name, key) DO
      UPDATE SET value = excluded.value, version = excluded.version`),
  };
  const latest = () => Number(sql.latest.get()?.['latest']);

  return {
    changesSince: (cursor) =>
      settle(() => {
        const end = latest();
        const reset = end < cursor;
        const rows = sql.since.all(reset ? 0 : cursor);
        return { cursor: end, reset, entries: rows.flatMap(entryOfRow) };
      }),
    put: (table, key, value, expected) =>
      settle(() =>
        atomically(() => {
          const before = sql.one.get(table, key);
          const version = before === undefined || before['value'] === null ? 0 : Number(before['version']);
          const fits = expected === undefined || expected === version;
          if (fits) sql.put.run(table, key, value ?? null, latest() + 1);
          return fits ? 'written' : 'conflict';
        }),
      ),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
}

function entryOfRow(row: Record<string, SQLOutputValue>): StateEntry[] {
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
