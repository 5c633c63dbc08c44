import { chmodSync, closeSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { messageFrom, PosternError } from './error.ts';
import { giveToFolderOwner, makeFolder } from './named-files.ts';

/** The SQLite file of the embedded stores, for a gateway of one process. */
interface EmbeddedDatabase extends AsyncDisposable {
  readonly connection: DatabaseSync;
  /** Runs statements in one transaction. BEGIN IMMEDIATE, because a read that turns into a write may fail at once. */
  readonly atomically: <Result>(work: () => Result) => Result;
  /** Runs the work at once, and resolves with its result; rejects with ERR_STORE_UNAVAILABLE if it throws. */
  readonly settle: <Result>(work: () => Result) => Promise<Result>;
}

/**
 * Opens the file and creates its tables. A missing file is made, with its folder. `what` names the store in messages.
 * Throws ERR_STORE_UNAVAILABLE if the file cannot be opened.
 */
export function openEmbeddedDatabase(file: string, schema: string, what: string): EmbeddedDatabase {
  const connection = connect(file, schema, what);
  return {
    connection,
    atomically(work) {
      connection.exec('BEGIN IMMEDIATE');
      try {
        const result = work();
        connection.exec('COMMIT');
        return result;
      } catch (error) {
        connection.exec('ROLLBACK');
        throw error;
      }
    },
    async settle(work) {
      try {
        return work();
      } catch (error) {
        throw storeFailure(`${what} failed`, error);
      }
    },
    async [Symbol.asyncDispose]() {
      if (connection.isOpen) connection.close();
    },
  };
}

function connect(file: string, schema: string, what: string): DatabaseSync {
  try {
    makeFolder(dirname(file));
    // Opening a FIFO would wait for its other end.
    const there = statSync(file, { throwIfNoEntry: false });
    if (there?.isFile() === false) throw new Error('it is not a regular file');
    // SQLite would create a file that others can read; its -wal and -shm take the mode and, made by root, the owner.
    const descriptor = openSync(file, 'a', 0o600);
    if (there === undefined) giveToFolderOwner(file, descriptor);
    closeSync(descriptor);
    chmodSync(file, 0o600);
    const connection = new DatabaseSync(file, { timeout: 2_000 });
    connection.exec(schema);
    return connection;
  } catch (error) {
    throw storeFailure(`${what} ${file} cannot be opened`, error);
  }
}

function storeFailure(what: string, cause: unknown): PosternError {
  return new PosternError('ERR_STORE_UNAVAILABLE', `${what}: ${messageFrom(cause)}`, {
    source: 'store',
    retryable: true,
    cause,
  });
}
