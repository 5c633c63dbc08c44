import type { Clock } from '../core/clock.ts';
import { openEmbeddedDatabase } from '../core/embedded-database.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { UserKey } from '../core/names.ts';
import { parseJson } from '../core/objects.ts';
import { readVouched, vouchFor, type VouchingKey, type VouchingKeys } from '../core/secrets.ts';
import type { RunScript } from '../core/state-store.ts';

/** The result of a user's login, so that support can explain a failure. It contains no password. */
export interface RecentLogin {
  readonly atMs: number;
  /** `signed-in`, or the kind of failure. */
  readonly result: string;
  readonly why?: string;
  /** The browser's address. */
  readonly address: string;
  /** The reference on the page that the user saw, and in the log. */
  readonly reference: string;
}

/** The latest logins of each user. Each call rejects if the store cannot be asked. */
export interface RecentLogins extends AsyncDisposable {
  note(user: string, signIn: RecentLogin): Promise<void>;
  /** Newest first. */
  of(user: string): Promise<readonly RecentLogin[]>;
}

/** The number of logins that are kept for each user. */
const loginsKept = 20;
const loginsKeptMs = 30 * 24 * 60 * 60 * 1000;

/** Parses a stored login; undefined for another form. */
function parseRecentLogin(text: string): RecentLogin | undefined {
  const value = parseJson(text);
  return isRecentLogin(value) ? value : undefined;
}

function isRecentLogin(value: unknown): value is RecentLogin {
  if (typeof value !== 'object' || value === null) return false;
  const { atMs, result, why, address, reference }: Partial<Record<keyof RecentLogin, unknown>> = value;
  return (
    Number.isSafeInteger(atMs) &&
    [result, address, reference].every((text) => typeof text === 'string') &&
    (why === undefined || typeof why === 'string')
  );
}

/** Notes logins in the background: no login waits for the store, and none fails with it. */
interface RecentLoginNotes extends AsyncDisposable {
  note(user: string, signIn: RecentLogin): void;
}

/** The most notes that wait for a slow store. More are dropped; the log has all logins. */
const maxPendingNotes = 500;

/** Creates the notes. Some are dropped while too many writes are outstanding. */
export function createRecentLoginNotes(signIns: Pick<RecentLogins, 'note'>, log: Log): RecentLoginNotes {
  const waiting = new Set<Promise<void>>();
  return {
    note(user, signIn) {
      if (waiting.size >= maxPendingNotes) return;
      const noted = signIns
        .note(user, signIn)
        .catch((error: unknown) => log.debug('recent-login-not-stored', { err: error }))
        .finally(() => waiting.delete(noted));
      waiting.add(noted);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(waiting);
    },
  };
}

/** The part of a server key that recent logins use. */
interface RecentLoginsKey extends VouchingKey {
  userKeyOf(user: string): UserKey;
}

/** The current server keys. */
interface RecentLoginsKeys extends VouchingKeys {
  readonly promoted: RecentLoginsKey;
  /** All keys, the promoted one first. */
  readonly all: readonly RecentLoginsKey[];
}

const loginPurpose = 'recent sign-in';

/** KEYS: the list of a user. ARGV: the entry, the number of entries to keep, the lifetime in ms. */
const noteScript = `
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, tonumber(ARGV[2]) - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`;

const readScript = `return redis.call('LRANGE', KEYS[1], 0, -1)`;

/**
 * Creates the latest logins in a Redis: a list per user, under a keyed hash of the name. Each line is authenticated
 * with its user: a line that was changed, moved, or written without a server key is left out.
 */
export function createRedisRecentLogins(run: RunScript, keys: () => RecentLoginsKeys): RecentLogins {
  function genuineIn(user: string, stored: unknown): readonly RecentLogin[] {
    const read = readVouched(keys(), loginPurpose, [user], String(stored));
    const signIn = read.kind === 'genuine' ? parseRecentLogin(read.text) : undefined;
    return signIn === undefined ? [] : [signIn];
  }

  return {
    async note(user, signIn) {
      const { promoted } = keys();
      const line = vouchFor(promoted, loginPurpose, [user], JSON.stringify(signIn));
      const list = listOf(promoted.userKeyOf(user));
      await run(noteScript, [list], [line, String(loginsKept), String(loginsKeptMs)]);
    },
    async of(user) {
      const lists = keys().all.map((key) => listOf(key.userKeyOf(user)));
      const replies = await Promise.all(lists.map((list) => run(readScript, [list], [])));
      if (!replies.every(Array.isArray)) throw malformedLoginList();
      return replies
        .flat()
        .flatMap((stored) => genuineIn(user, stored))
        .slice(0, loginsKept);
    },
    // The caller owns the connection.
    async [Symbol.asyncDispose]() {},
  };
}

/** Tries the scripts with an entry that expires at once. Rejects if the server refuses them. */
export async function probeRecentLogins(run: RunScript): Promise<void> {
  await run(noteScript, ['ps:s:probe'], ['', '1', '1']);
  await run(readScript, ['ps:s:probe'], []);
}

function listOf(key: UserKey): string {
  return `ps:s:${key}`;
}

function malformedLoginList(): PosternError {
  const message = 'Redis gave an answer that is no list of sign-ins';
  return new PosternError('ERR_STORE_UNAVAILABLE', message, { source: 'store', retryable: false });
}

const loginsSchema = `
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS sign_ins (
  number INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL, at_ms INTEGER NOT NULL, text TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS sign_ins_of_user ON sign_ins (user, number);
CREATE INDEX IF NOT EXISTS sign_ins_by_age ON sign_ins (at_ms);`;

/**
 * Creates the latest logins of a gateway of one process, in the file of its embedded session store. Throws
 * ERR_STORE_UNAVAILABLE if the file cannot be opened.
 */
export function createSqliteRecentLogins(file: string, clock: Clock): RecentLogins {
  const database = openEmbeddedDatabase(file, loginsSchema, 'the embedded list of sign-ins');
  const { atomically, connection, settle } = database;
  const sql = {
    add: connection.prepare('INSERT INTO sign_ins (user, at_ms, text) VALUES (?, ?, ?)'),
    of: connection.prepare('SELECT text FROM sign_ins WHERE user = ? AND at_ms > ? ORDER BY number DESC'),
    cut: connection.prepare(`DELETE FROM sign_ins WHERE user = ? AND number NOT IN
      (SELECT number FROM sign_ins WHERE user = ? ORDER BY number DESC LIMIT ${loginsKept})`),
    forget: connection.prepare('DELETE FROM sign_ins WHERE at_ms <= ?'),
  };
  const oldestMs = (): number => clock.nowMs() - loginsKeptMs;
  return {
    note: (user, signIn) =>
      settle(() => {
        atomically(() => {
          sql.add.run(user, signIn.atMs, JSON.stringify(signIn));
          sql.cut.run(user, user);
          sql.forget.run(oldestMs());
        });
      }),
    of: (user) =>
      settle(() => sql.of.all(user, oldestMs()).flatMap((row) => parseRecentLogin(String(row['text'])) ?? [])),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
}
