import type { DatabaseSync } from 'node:sqlite';

/** The tables of the embedded store. */
export const schema = `
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
export function prepareStatements(database: DatabaseSync) {
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

export type Statements = ReturnType<typeof prepareStatements>;
