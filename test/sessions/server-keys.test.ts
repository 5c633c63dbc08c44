import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { copyFile, mkdtemp, rm, stat } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { silentLog } from '../../src/core/log.ts';
import type { SessionStore } from '../../src/core/session.ts';
import { addKey, promoteKey, readKeysFile, retireKey } from '../../src/sessions/keys-file.ts';
import { openServerKeys, type ServerKeys } from '../../src/sessions/server-keys.ts';
import { SqliteSessionStore } from '../../src/sessions/sqlite-store.ts';
import { type HandClock, handClock } from './samples.fixture.ts';

suite('the server keys of a node', () => {
  let folder: string;
  let store: SessionStore;
  let clock: HandClock;
  let alarms: string[];
  let here: string;
  let there: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'postern-keys-'));
    clock = handClock();
    store = new SqliteSessionStore({ file: join(folder, 'store.sqlite'), tombstoneMs: 1_000, clock });
    alarms = [];
    here = join(folder, 'here');
    there = join(folder, 'there');
  });
  afterEach(async () => {
    await store[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  function open(file: string): Promise<ServerKeys> {
    const log = { ...silentLog, error: (event: string) => void alarms.push(event) };
    return openServerKeys({ file, store, clock, log, randomBytes });
  }

  test('the first node makes the file, and it opens again', async () => {
    const made = (await open(here)).current().promoted;
    assert.equal((await open(here)).current().promoted.fingerprint, made.fingerprint);
  });

  test('a second node without a file makes none, and is told which one to copy', async () => {
    const { id } = (await open(here)).current().promoted;
    await assert.rejects(open(there), {
      code: 'ERR_KEYS_UNUSABLE',
      message:
        `${there} lacks the key ${id} that other nodes use: copy ${hostname()}:${here} to this node. ` +
        `If no node needs that key any more, run: postern keys retire ${id}`,
    });
    await assert.rejects(stat(there), { code: 'ENOENT' });
    await copyFile(here, there);
    assert.equal((await open(there)).current().promoted.id, id);
  });

  test('of two first nodes at once only one keeps its file', async () => {
    const results = await Promise.allSettled([open(here), open(there)]);
    assert.deepEqual(results.map((result) => result.status).sort(), ['fulfilled', 'rejected']);
    const files = await Promise.all([here, there].map((file) => readKeysFile(file)));
    assert.equal(files.filter((entries) => entries !== undefined).length, 1);
  });

  test('a node whose file lacks the promoted key of the others does not start', async () => {
    await open(here);
    await copyFile(here, there);
    await promoteKey(here, await addKey(here));
    await open(here);
    await assert.rejects(open(there), { code: 'ERR_KEYS_UNUSABLE', message: /lacks the key/ });
  });

  test('a key is added everywhere, promoted, and retired, while nodes run', async () => {
    const one = await open(here);
    await copyFile(here, there);
    const two = await open(there);
    const old = one.current().promoted.id;
    const fresh = await addKey(here);
    await copyFile(here, there);
    await one.reload();
    assert.equal(one.current().promoted.id, old);
    await promoteKey(here, fresh);
    await one.reload();
    assert.equal(one.current().promoted.id, fresh);
    assert.equal(one.current().find(old)?.id, old);

    assert.equal(await two.meet(fresh), 'known');
    assert.equal(two.current().promoted.id, old);

    await copyFile(here, there);
    await retireKey(there, old);
    await store.retireKey(old);
    await two.reload();
    assert.equal(two.current().find(old), undefined);
    clock.advance(5_000);
    assert.equal(await two.meet(old), 'none');
    assert.deepEqual(alarms, []);
  });

  test('a key that only another node has is missing, with an alarm; its file is read again when it comes', async () => {
    const one = await open(here);
    await copyFile(here, there);
    const two = await open(there);
    const fresh = await addKey(here);
    await promoteKey(here, fresh);
    await one.reload();
    assert.equal(await two.meet(fresh), 'missing');
    assert.ok(alarms.includes('server-key-missing'));
    await copyFile(here, there);
    assert.equal(await two.meet(fresh), 'missing', 'the file is read at most once in five seconds');
    clock.advance(5_000);
    assert.equal(await two.meet(fresh), 'known');
  });

  test('forged key ids do not make a node read its file each time', async () => {
    const keys = await open(here);
    assert.equal(await keys.meet('ffffffff'), 'none');
    await promoteKey(here, await addKey(here));
    const before = keys.current();
    for (let at = 0; at < 100; at += 1) assert.equal(await keys.meet(at.toString(16).padStart(8, '0')), 'none');
    assert.equal(keys.current(), before);
  });

  test('a reload of a broken file keeps the old keys', async () => {
    const keys = await open(here);
    const before = keys.current();
    await rm(here);
    await assert.rejects(keys.reload(), { code: 'ERR_KEYS_UNUSABLE', message: /is missing: restore it/ });
    assert.equal(keys.current(), before);
  });

  test('without the store no file is made', async () => {
    await store[Symbol.asyncDispose]();
    await assert.rejects(open(here), { code: 'ERR_STORE_UNAVAILABLE' });
    await assert.rejects(stat(here), { code: 'ENOENT' });
  });
});
