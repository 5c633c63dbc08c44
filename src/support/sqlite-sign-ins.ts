import type { Clock } from '../core/clock.ts';
import { openEmbeddedDatabase } from '../core/embedded-database.ts';
import { parseSignIn, type SignIns, signInsKept, signInsKeptMs } from './sign-ins.ts';

const schema = `
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS sign_ins (
  number INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL, at_ms INTEGER NOT NULL, text TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS sign_ins_of_user ON sign_ins (user, number);
CREATE INDEX IF NOT EXISTS sign_ins_by_age ON sign_ins (at_ms);`;

/**
 * The latest sign-ins of a gateway of one process, in the file of its embedded session store.
 * Throws ERR_STORE_UNAVAILABLE when the file cannot be opened.
 */
export function createSqliteSignIns(file: string, clock: Clock): SignIns {
  const database = openEmbeddedDatabase(file, schema, 'the embedded list of sign-ins');
  const { atomically, connection, settled } = database;
  const sql = {
    add: connection.prepare('INSERT INTO sign_ins (user, at_ms, text) VALUES (?, ?, ?)'),
    of: connection.prepare('SELECT text FROM sign_ins WHERE user = ? AND at_ms > ? ORDER BY number DESC'),
    cut: connection.prepare(`DELETE FROM sign_ins WHERE user = ? AND number NOT IN
      (SELECT number FROM sign_ins WHERE user = ? ORDER BY number DESC LIMIT ${signInsKept})`),
    forget: connection.prepare('DELETE FROM sign_ins WHERE at_ms <= ?'),
  };
  const oldestMs = (): number => clock.nowMs() - signInsKeptMs;
  return {
    note: settled((user, signIn) => {
      atomically(() => {
        sql.add.run(user, signIn.atMs, JSON.stringify(signIn));
        sql.cut.run(user, user);
        sql.forget.run(oldestMs());
      });
    }),
    of: settled((user) => sql.of.all(user, oldestMs()).flatMap((row) => parseSignIn(String(row['text'])) ?? [])),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
}
