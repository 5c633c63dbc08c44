import assert from 'node:assert/strict';
import { chmod, chown, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { SqliteSessionStore } from '../../src/sessions/sqlite-store.ts';
import { handClock, recordKeyOf, sampleRecord } from './samples.fixture.ts';
import { storeContract } from './store-contract.fixture.ts';

suite('the embedded store', () => {
  let folder: string;
  let count = 0;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'postern-sqlite-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  function freshFile(): string {
    count += 1;
    return join(folder, `store-${count}`, 'postern.sqlite');
  }

  storeContract('SQLite', async () => {
    const clock = handClock();
    const store = new SqliteSessionStore({ file: freshFile(), tombstoneMs: 3_600_000, clock });
    return {
      store,
      later: async (ms) => clock.advance(ms),
      close: async () => store[Symbol.asyncDispose](),
    };
  });

  test('sessions outlive the process', async () => {
    const file = freshFile();
    const clock = handClock();
    const key = recordKeyOf('kept');
    const first = new SqliteSessionStore({ file, tombstoneMs: 1_000, clock });
    await first.create(key, sampleRecord(), 60_000);
    await first[Symbol.asyncDispose]();
    await using second = new SqliteSessionStore({ file, tombstoneMs: 1_000, clock });
    assert.equal((await second.read(key)).kind, 'found');
  });

  test('a tombstone falls when its time is over, and can be set again', async () => {
    const clock = handClock();
    await using store = new SqliteSessionStore({ file: freshFile(), tombstoneMs: 1_000, clock });
    const key = recordKeyOf('buried');
    await store.destroy(key, 'kicked');
    clock.advance(1_001);
    assert.deepEqual(await store.read(key), { kind: 'none' });
    await store.destroy(key, 'signed-out');
    assert.deepEqual(await store.read(key), { kind: 'ended', reason: 'signed-out' });
  });

  test('only the owner may read the files', async () => {
    const file = freshFile();
    await using store = new SqliteSessionStore({ file, tombstoneMs: 1_000, clock: handClock() });
    await store.create(recordKeyOf('mode'), sampleRecord(), 60_000);
    for (const each of [file, `${file}-wal`, `${file}-shm`]) {
      assert.equal((await stat(each)).mode & 0o777, 0o600, each);
    }
  });

  test('root follows no link, and leaves the mode of a file that is another’s', {
    skip: process.geteuid?.() !== 0,
  }, async () => {
    const [file, link, clock] = [freshFile(), freshFile(), handClock()];
    const open = (name: string) => new SqliteSessionStore({ file: name, tombstoneMs: 1_000, clock });
    await open(file)[Symbol.asyncDispose]();
    await chmod(file, 0o640);
    await mkdir(dirname(link));
    await symlink(file, link);
    assert.throws(() => open(link), { code: 'ERR_STORE_UNAVAILABLE', message: /it is a symbolic link/ });
    assert.equal((await stat(file)).mode & 0o777, 0o640);
    await chown(file, 65_534, 65_534);
    await open(file)[Symbol.asyncDispose]();
    assert.equal((await stat(file)).mode & 0o777, 0o640);
  });

  test('a file that is no database fails at the start', async () => {
    const file = join(folder, 'not-a-database');
    await writeFile(file, 'this is a letter, and not at all what it should be'.repeat(100));
    assert.throws(() => new SqliteSessionStore({ file, tombstoneMs: 1_000, clock: handClock() }), {
      code: 'ERR_STORE_UNAVAILABLE',
    });
  });

  test('a closed store rejects like every other failure', async () => {
    const store = new SqliteSessionStore({ file: freshFile(), tombstoneMs: 1_000, clock: handClock() });
    await store[Symbol.asyncDispose]();
    await assert.rejects(store.ping(), { code: 'ERR_STORE_UNAVAILABLE', source: 'store' });
  });
});
