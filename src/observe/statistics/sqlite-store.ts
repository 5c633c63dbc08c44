import { createHash } from 'node:crypto';
import type { SQLOutputValue } from 'node:sqlite';
import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../../core/clock.ts';
import { openEmbeddedDatabase } from '../../core/embedded-database.ts';
import {
  countField,
  erasureKeptMs,
  type LastLogin,
  type LastLoginsPage,
  mostDomainCounts,
  otherValue,
  periodEndMs,
  type StatisticsBatch,
  type StatisticsStore,
  waysIn,
} from '../../core/statistics.ts';
import { type MarksOf, notErased } from './erasures.ts';

const statisticsSchema = `
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS statistics_counts (
  name TEXT NOT NULL, field TEXT NOT NULL, count INTEGER NOT NULL, ends_ms INTEGER NOT NULL, PRIMARY KEY (name, field))
  STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS statistics_users (
  name TEXT PRIMARY KEY, sketch BLOB NOT NULL, ends_ms INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS statistics_last (
  user TEXT PRIMARY KEY, web INTEGER, program INTEGER, mail INTEGER) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS statistics_erased (mark TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS statistics_batches (
  process TEXT PRIMARY KEY, sequence INTEGER NOT NULL, began_ms INTEGER NOT NULL) STRICT;`;

/** Users that one transaction writes: it keeps this process for a few milliseconds. */
const usersWritten = 250;
const rowsOfPage = 5_000;
/** Users of whom one sweep looks whether they are to be forgotten. */
const usersSwept = 500;

/**
 * Statistics in the file of the embedded session store, for a gateway of one process. Distinct users are counted by a
 * sketch as in Redis, so that no list says on which days somebody signed in.
 */
export class SqliteStatisticsStore implements StatisticsStore {
  readonly #database: ReturnType<typeof openEmbeddedDatabase>;
  readonly #sql: ReturnType<typeof statementsOn>;
  readonly #marksOf: MarksOf;
  /** The last user that was looked at by `sweep`. */
  #swept = '';

  /** Throws ERR_STORE_UNAVAILABLE if the file cannot be opened. */
  constructor(file: string, marksOf: MarksOf) {
    this.#marksOf = marksOf;
    this.#database = openEmbeddedDatabase(file, statisticsSchema, 'the embedded store of statistics');
    this.#sql = statementsOn(this.#database.connection);
  }

  async add(batch: StatisticsBatch, _keptMs: number, clock: Clock): Promise<string> {
    const { atomically, settle } = this.#database;
    const entries = [...batch.lastLogins];
    for (let at = 0; at === 0 || at < entries.length; at += usersWritten) {
      await settle(() =>
        atomically(() => {
          if (at === 0) this.#addCounts(batch);
          const some = entries.slice(at, at + usersWritten);
          for (const [user, last] of notErased(some, this.#erasedAtMs(), clock.nowMs())) {
            this.#sql.putLast.run(user, ...waysIn.map((way) => secondsOf(last[way])));
          }
        }),
      );
      // What users wait for goes first.
      await setImmediate();
    }
    return settle(() => String(this.#sql.latestErasure.get()?.['at_ms'] ?? 0));
  }

  #erasedAtMs(): (user: string) => number | undefined {
    if (this.#sql.latestErasure.get()?.['at_ms'] === null) return () => undefined;
    return (user) => {
      const times = this.#marksOf(user).map((mark) => Number(this.#sql.erasure.get(mark)?.['at_ms'] ?? 0));
      return Math.max(...times) || undefined;
    };
  }

  #addCounts({ process, sequence, beganMs, counts, users }: StatisticsBatch): void {
    if (Number(this.#sql.sequence.get(process)?.['sequence'] ?? 0) >= sequence) return;
    this.#sql.putSequence.run(process, sequence, beganMs);
    for (const [table, fields] of counts) {
      const endsMs = periodEndMs(table);
      let domains = Number(this.#sql.domains.get(table)?.['domains']);
      for (const [field, count] of fields) {
        const isNewDomain = field.startsWith('domain|') && this.#sql.count.get(table, field) === undefined;
        if (isNewDomain) domains += 1;
        const isOver = isNewDomain && domains > mostDomainCounts;
        const outcome = field.slice(field.lastIndexOf('|') + 1);
        this.#sql.raise.run(table, isOver ? countField('domain', otherValue, outcome) : field, count, endsMs);
      }
    }
    for (const [set, members] of users) {
      const sketch = this.#sketchOf(set) ?? new Uint8Array(registers);
      for (const user of members) addToSketch(sketch, user);
      this.#sql.putSketch.run(set, sketch, periodEndMs(set));
    }
  }

  #sketchOf(set: string): Uint8Array | undefined {
    const stored = this.#sql.sketch.get(set)?.['sketch'];
    return stored instanceof Uint8Array && stored.length === registers ? stored : undefined;
  }

  counts(tables: readonly string[]): Promise<readonly ReadonlyMap<string, number>[]> {
    return this.#database.settle(() =>
      tables.map(
        (table) =>
          new Map(this.#sql.counts.all(table).map((row) => [String(row['field']), Number(row['count'])] as const)),
      ),
    );
  }

  distinct(sets: readonly string[]): Promise<number> {
    return this.#database.settle(() => estimate(sets.flatMap((set) => this.#sketchOf(set) ?? [])));
  }

  lastLogins(cursor: string): Promise<LastLoginsPage> {
    return this.#database.settle(() => {
      const users = this.#sql.page
        .all(cursor, rowsOfPage)
        .map((row) => ({ user: String(row['user']), last: lastOf(row) }));
      const end = users.at(-1)?.user;
      return { users, ...(users.length === rowsOfPage && end !== undefined ? { cursor: end } : {}) };
    });
  }

  lastLoginsOf(users: readonly string[]): Promise<readonly (LastLogin | undefined)[]> {
    return this.#database.settle(() =>
      users.map((user) => {
        const row = this.#sql.last.get(user);
        return row === undefined ? undefined : lastOf(row);
      }),
    );
  }

  erase(user: string, clock: Clock): Promise<boolean> {
    const { atomically, settle } = this.#database;
    return settle(() =>
      atomically(() => {
        const nowMs = clock.nowMs();
        this.#sql.sweepErasures.run(nowMs - erasureKeptMs);
        this.#sql.putErasure.run(this.#marksOf(user)[0] ?? '', nowMs);
        return Number(this.#sql.erase.run(user).changes) > 0;
      }),
    );
  }

  beganMs(): Promise<number | undefined> {
    return this.#database.settle(() => {
      const began = this.#sql.began.get()?.['began'];
      return typeof began === 'number' ? began : undefined;
    });
  }

  async sweep(nowMs: number, keptMs: number): Promise<void> {
    await this.#database.settle(() => {
      const oldestMs = nowMs - keptMs;
      this.#sql.sweepCounts.run(oldestMs);
      this.#sql.sweepUsers.run(oldestMs);
      this.#sql.sweepErasures.run(nowMs - erasureKeptMs);
      const page = this.#sql.page.all(this.#swept, usersSwept);
      for (const row of page) {
        if (Math.max(...Object.values(lastOf(row))) < oldestMs) this.#sql.erase.run(String(row['user']));
      }
      this.#swept = page.length === usersSwept ? String(page.at(-1)?.['user']) : '';
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#database[Symbol.asyncDispose]();
  }
}

function statementsOn(connection: ReturnType<typeof openEmbeddedDatabase>['connection']) {
  const later = waysIn.map((way) => `${way} = nullif(max(coalesce(${way}, 0), coalesce(excluded.${way}, 0)), 0)`);
  return {
    sequence: connection.prepare('SELECT sequence FROM statistics_batches WHERE process = ?'),
    putSequence: connection.prepare(`INSERT INTO statistics_batches (process, sequence, began_ms) VALUES (?, ?, ?)
      ON CONFLICT (process) DO UPDATE SET sequence = excluded.sequence`),
    began: connection.prepare('SELECT min(began_ms) AS began FROM statistics_batches'),
    raise: connection.prepare(`INSERT INTO statistics_counts (name, field, count, ends_ms) VALUES (?, ?, ?, ?)
      ON CONFLICT (name, field) DO UPDATE SET count = count + excluded.count, ends_ms = excluded.ends_ms`),
    count: connection.prepare('SELECT count FROM statistics_counts WHERE name = ? AND field = ?'),
    counts: connection.prepare('SELECT field, count FROM statistics_counts WHERE name = ?'),
    domains: connection.prepare(`SELECT count(*) AS domains FROM statistics_counts
      WHERE name = ? AND field >= 'domain|' AND field < 'domain}'`),
    sketch: connection.prepare('SELECT sketch FROM statistics_users WHERE name = ?'),
    putSketch: connection.prepare(`INSERT INTO statistics_users (name, sketch, ends_ms) VALUES (?, ?, ?)
      ON CONFLICT (name) DO UPDATE SET sketch = excluded.sketch, ends_ms = excluded.ends_ms`),
    putLast: connection.prepare(`INSERT INTO statistics_last (user, ${waysIn.join(', ')}) VALUES (?, ?, ?, ?)
      ON CONFLICT (user) DO UPDATE SET ${later.join(', ')}`),
    page: connection.prepare('SELECT * FROM statistics_last WHERE user > ? ORDER BY user LIMIT ?'),
    last: connection.prepare('SELECT * FROM statistics_last WHERE user = ?'),
    erase: connection.prepare('DELETE FROM statistics_last WHERE user = ?'),
    erasure: connection.prepare('SELECT at_ms FROM statistics_erased WHERE mark = ?'),
    latestErasure: connection.prepare('SELECT max(at_ms) AS at_ms FROM statistics_erased'),
    putErasure: connection.prepare('INSERT OR REPLACE INTO statistics_erased (mark, at_ms) VALUES (?, ?)'),
    sweepErasures: connection.prepare('DELETE FROM statistics_erased WHERE at_ms < ?'),
    sweepCounts: connection.prepare('DELETE FROM statistics_counts WHERE ends_ms < ?'),
    sweepUsers: connection.prepare('DELETE FROM statistics_users WHERE ends_ms < ?'),
  };
}

function secondsOf(ms: number | undefined): number | null {
  return ms === undefined ? null : Math.floor(ms / 1000);
}

function lastOf(row: Record<string, SQLOutputValue>): LastLogin {
  const known = waysIn.flatMap((way) => {
    const seconds = row[way];
    return typeof seconds === 'number' ? [[way, seconds * 1000] as const] : [];
  });
  return Object.fromEntries(known);
}

// A HyperLogLog, as Redis has: 2^14 registers, standard error 0.81 %.
const indexBits = 14;
const registers = 1 << indexBits;

/** Raises the register of a user to the position of the first bit of the hash that is set. */
function addToSketch(sketch: Uint8Array, user: string): void {
  const hash = createHash('sha256').update(user).digest();
  const index = hash.readUInt16BE(0) >>> (16 - indexBits);
  const [high, low] = [hash.readUInt32BE(4), hash.readUInt32BE(8)];
  const rank = 1 + (high === 0 ? 32 + Math.clz32(low) : Math.clz32(high));
  if (rank > (sketch[index] ?? 0)) sketch[index] = rank;
}

/** About how many different users are in these sketches together. */
function estimate(sketches: readonly Uint8Array[]): number {
  let sum = 0;
  let empty = 0;
  for (let index = 0; index < registers; index += 1) {
    const rank = Math.max(0, ...sketches.map((sketch) => sketch[index] ?? 0));
    sum += 2 ** -rank;
    if (rank === 0) empty += 1;
  }
  const raw = ((0.7213 / (1 + 1.079 / registers)) * registers * registers) / sum;
  return Math.round(raw <= 2.5 * registers && empty > 0 ? registers * Math.log(registers / empty) : raw);
}
