import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { silentLog } from '../../src/core/log.ts';
import { createKeyRing, createServerKey } from '../../src/sessions/key-derivation.ts';
import { RedisSessionStore } from '../../src/sessions/redis-store.ts';
import {
  createRecentLoginNotes,
  createRedisRecentLogins,
  createSqliteRecentLogins,
  type RecentLogin,
  type RecentLogins,
} from '../../src/support/recent-logins.ts';
import { redisForSuite } from '../redis-client.fixture.ts';
import { recordKeyOf, sampleRecord, userNamed } from '../sessions/samples.fixture.ts';

const alice = 'alice@example.test';
const startMs = Date.UTC(2026, 10, 26);
const dayMs = 24 * 60 * 60 * 1000;
const folder = mkdtempSync(join(tmpdir(), 'postern-sign-ins-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

function signIn(number: number, atMs = startMs + number): RecentLogin {
  return { atMs, result: 'rejected', why: 'wrong-password', address: '192.0.2.7', reference: `R${number}` };
}

function contract(name: string, open: () => Promise<RecentLogins>): void {
  suite(`recent sign-ins over ${name}`, () => {
    test('are those of the user alone, newest first, and the last twenty of them', async () => {
      await using signIns = await open();
      for (let number = 1; number <= 23; number += 1) await signIns.note(alice, signIn(number));
      await signIns.note('bob@example.test', signIn(99));
      const kept = await signIns.of(alice);
      assert.deepEqual([kept.length, kept[0], kept[19]], [20, signIn(23), signIn(4)]);
      assert.deepEqual(await signIns.of('bob@example.test'), [signIn(99)]);
      assert.deepEqual(await signIns.of('nobody@example.test'), []);
    });
  });
}

contract('the embedded store', async () =>
  createSqliteRecentLogins(join(folder, `${(files += 1)}.sqlite`), { nowMs: () => startMs }),
);

test('the embedded store forgets a sign-in after thirty days', async () => {
  const clock = { now: startMs, nowMs: () => clock.now };
  await using signIns = createSqliteRecentLogins(join(folder, 'old.sqlite'), clock);
  await signIns.note(alice, signIn(1));
  clock.now = startMs + 30 * dayMs;
  assert.deepEqual(await signIns.of(alice), [signIn(1)]);
  clock.now += 1;
  assert.deepEqual(await signIns.of(alice), []);
});

suite('recent sign-ins in Redis', () => {
  const redis = redisForSuite();
  const keys = [createServerKey('00000002', Buffer.alloc(32, 2)), createServerKey('00000001', Buffer.alloc(32, 1))];
  const open = (ring = keys): RecentLogins =>
    createRedisRecentLogins(redis.run, () => createKeyRing(ring, ring[0]?.id ?? ''));

  contract('Redis', async () => {
    await redis.client().flushAll();
    return open();
  });

  test('stand beside the sessions of the same user, whichever came first', async () => {
    await redis.client().flushAll();
    await using store = new RedisSessionStore({ settings: { url: redis.url() }, tombstoneMs: 60_000, log: silentLog });
    await store.open(new AbortController().signal);
    const [promoted] = keys;
    assert.ok(promoted !== undefined);
    const record = sampleRecord({ user: userNamed(alice), userKey: promoted.userKeyOf(userNamed(alice)) });
    await open().note(alice, signIn(1));
    assert.equal(await store.create(recordKeyOf('one'), record, 60_000), 'created');
    await open().note(alice, signIn(2));
    assert.deepEqual(await open().of(alice), [signIn(2), signIn(1)]);
    assert.equal((await store.ofUser([record.userKey])).length, 1);
  });

  test('go after thirty days, under a name that shows nobody’s, and are found after a change of keys', async () => {
    await redis.client().flushAll();
    await open(keys.slice(1)).note(alice, signIn(1));
    await open().note(alice, signIn(2));
    assert.deepEqual(await open().of(alice), [signIn(2), signIn(1)]);
    for (const name of await redis.client().keys('*')) {
      assert.match(name, /^ps:s:[\w-]{43}$/);
      const ttlMs = await redis.client().pTTL(name);
      assert.ok(ttlMs > 29 * dayMs && ttlMs <= 30 * dayMs);
    }
  });

  test('are what a gateway noted of this very user: no line that was changed, moved, or written by others', async () => {
    await redis.client().flushAll();
    const [promoted, ...olderKeys] = keys;
    assert.ok(promoted !== undefined);
    const listOf = (user: string) => `ps:s:${promoted.userKeyOf(userNamed(user))}`;
    await open().note('bob@example.test', signIn(1));
    await open([createServerKey(promoted.id, Buffer.alloc(32, 9))]).note(alice, signIn(2));
    const [ofBob = ''] = await redis.client().lRange(listOf('bob@example.test'), 0, -1);
    await open().note(alice, signIn(3));
    const [ofAlice = ''] = await redis.client().lRange(listOf(alice), 0, -1);
    const forged = [
      ofBob,
      ofAlice.replace('192.0.2.7', '192.0.2.8'),
      JSON.stringify(signIn(4)),
      `${promoted.id}..${JSON.stringify(signIn(5))}`,
      `${olderKeys[0]?.id}${ofAlice.slice(8)}`,
    ];
    await redis.client().lPush(listOf(alice), forged);
    assert.deepEqual(await open().of(alice), [signIn(3)]);
  });
});

test('notes never make a sign-in wait or fail, and what waits is bounded', async () => {
  const held = Promise.withResolvers<void>();
  let begun = 0;
  const notes = createRecentLoginNotes(
    {
      async note() {
        begun += 1;
        await held.promise;
        throw new Error('the store is away');
      },
    },
    silentLog,
  );
  for (let number = 0; number < 2_000; number += 1) notes.note(alice, signIn(number));
  assert.equal(begun, 500);
  held.resolve();
  await notes[Symbol.asyncDispose]();
});
