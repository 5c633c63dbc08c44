import { closeSync, constants, fchmodSync, fstatSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { messageFrom, PosternError } from './error.ts';
import { codeOf, giveToFolderOwner, makeFolder } from './named-files.ts';

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
    secure(file);
    const connection = new DatabaseSync(file, { timeout: 2_000 });
    connection.exec(schema);
    return connection;
  } catch (error) {
    throw storeFailure(`${what} ${file} cannot be opened`, error);
  }
}

/**
 * Makes the file if it is missing, and closes it to others if it is this user's own: SQLite would create a file that
 * others can read; its -wal and -shm take the mode and, made by root, the owner. Who owns the folder must not lead a
 * command that root runs to files elsewhere.
 */
function secure(file: string): void {
  const there = statSync(file, { throwIfNoEntry: false });
  if (there?.isFile() === false) throw new Error('it is not a regular file');
  const user = process.geteuid?.();
  const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } = constants;
  // Without O_NONBLOCK, opening a FIFO would wait for its other end.
  const descriptor = openOwn(file, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | (user === 0 ? O_NOFOLLOW : 0));
  try {
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) throw new Error('it is not a regular file');
    if (stats.uid === user) fchmodSync(descriptor, 0o600);
    if (there === undefined) giveToFolderOwner(file, descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function openOwn(file: string, flags: number): number {
  try {
    return openSync(file, flags, 0o600);
  } catch (error) {
    if (codeOf(error) !== 'ELOOP') throw error;
    throw new Error('it is a symbolic link, which root does not follow here: name the file that it leads to', {
      cause: error,
    });
  }
}

function storeFailure(what: string, cause: unknown): PosternError {
  return new PosternError('ERR_STORE_UNAVAILABLE', `${what}: ${messageFrom(cause)}`, {
    source: 'store',
    retryable: true,
    cause,
  });
}
