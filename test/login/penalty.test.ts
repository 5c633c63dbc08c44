import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { createClient } from 'redis';
import { silentLog } from '../../src/core/log.ts';
import { Secret } from '../../src/core/secrets.ts';
import { createMemoryCounter } from '../../src/login/penalty-counters.ts';
import { createPenalty, type Penalty, type PenaltyDeps } from '../../src/login/penalty.ts';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';

const here = new AbortController().signal;

interface Attempt {
  readonly user?: string;
  readonly address?: string;
  readonly password?: string;
}

/** How long the attempt had to wait, after which it is settled. */
async function waited(penalty: Penalty, verdict: 'right' | 'wrong' | 'undecided', attempt: Attempt = {}) {
  const admission = await penalty.admit(attemptOf(attempt), here);
  if (admission.kind !== 'admitted') return admission.kind;
  await admission.settle(verdict);
  return admission.waitedMs;
}

function attemptOf({ user = 'alice', address = '192.0.2.7', password = randomBytes(6).toString('hex') }: Attempt) {
  return { user, address, password: new Secret(password) };
}

let redis: RedisServer;
let client: ReturnType<typeof createClient>;
before(async () => {
  redis = await startRedisServer();
  client = createClient({ url: redis.url, disableOfflineQueue: true });
  client.on('error', () => {});
  await client.connect();
});
after(async () => {
  client.destroy();
  await redis[Symbol.asyncDispose]();
});

function createTried(store: 'memory' | 'redis', more: Partial<PenaltyDeps> = {}): Penalty {
  return createPenalty({
    key: createSecretKey(randomBytes(32)),
    isExempt: () => false,
    wait: async (_ms, signal) => signal.throwIfAborted(),
    log: silentLog,
    ...(store === 'redis' && { redis: client }),
    ...more,
  });
}

for (const store of ['memory', 'redis'] as const) {
  describe(`the penalty, counted in ${store}`, () => {
    test('grows over 2, 4, 8 to 15 s with each other wrong password', async () => {
      const penalty = createTried(store);
      const delays: unknown[] = [];
      for (let count = 0; count < 6; count += 1) delays.push(await waited(penalty, 'wrong'));
      assert.deepEqual(delays, [0, 2_000, 4_000, 8_000, 15_000, 15_000]);
    });

    test('is not raised by the same wrong password again', async () => {
      const penalty = createTried(store);
      const delays: unknown[] = [];
      for (let count = 0; count < 4; count += 1) delays.push(await waited(penalty, 'wrong', { password: 'old' }));
      assert.deepEqual(delays, [0, 2_000, 2_000, 2_000]);
    });

    test('counts one wrong password once that is sent twice at the same time', async () => {
      const penalty = createTried(store);
      await Promise.all([waited(penalty, 'wrong', { password: 'x' }), waited(penalty, 'wrong', { password: 'x' })]);
      assert.equal(await waited(penalty, 'undecided'), 2_000);
    });

    test('is cleared by the right password', async () => {
      const penalty = createTried(store);
      await waited(penalty, 'wrong');
      await waited(penalty, 'wrong');
      assert.equal(await waited(penalty, 'right'), 4_000);
      assert.equal(await waited(penalty, 'right'), 0);
    });

    test('does not count what nobody could judge', async () => {
      const penalty = createTried(store);
      for (let count = 0; count < 5; count += 1) assert.equal(await waited(penalty, 'undecided'), 0);
    });

    test('belongs to the user and the network, not to one address', async () => {
      const penalty = createTried(store);
      await waited(penalty, 'wrong', { address: '192.0.2.7' });
      assert.equal(await waited(penalty, 'undecided', { address: '192.0.2.250' }), 2_000);
      assert.equal(await waited(penalty, 'undecided', { address: '198.51.100.7' }), 0);
      assert.equal(await waited(penalty, 'undecided', { user: 'bob' }), 0);
      await waited(penalty, 'wrong', { user: 'bob', address: '2001:db8::1' });
      assert.equal(await waited(penalty, 'undecided', { user: 'bob', address: '2001:db8::ffff:1' }), 2_000);
    });

    test('lets guesses that are made at the same time wait for each other', async () => {
      const penalty = createTried(store);
      const admissions = await Promise.all(Array.from({ length: 5 }, () => penalty.admit(attemptOf({}), here)));
      const delays = admissions.map((admission) => (admission.kind === 'busy' ? 'busy' : admission.waitedMs));
      assert.deepEqual(
        delays.toSorted((a, b) => Number(a) - Number(b)),
        [0, 2_000, 4_000, 8_000, 15_000],
      );
    });

    test('slows a network down after 30 refusals over all names, and a right password does not excuse it', async () => {
      const penalty = createTried(store);
      for (let count = 0; count < 30; count += 1) {
        assert.equal(await waited(penalty, 'wrong', { user: `user${count}` }), 0);
      }
      assert.equal(await waited(penalty, 'right', { user: 'mallory' }), 2_000);
      assert.equal(await waited(penalty, 'wrong', { user: 'another' }), 2_000);
      assert.equal(await waited(penalty, 'undecided', { user: 'yet-another' }), 4_000);
      assert.equal(await waited(penalty, 'undecided', { user: 'yet-another', address: '198.51.100.1' }), 0);
    });

    test('leaves networks alone that carry many users, though not the users in them', async () => {
      const penalty = createTried(store, { isExempt: (address) => address.startsWith('192.0.2.') });
      for (let count = 0; count < 40; count += 1) await waited(penalty, 'wrong', { user: `user${count}` });
      assert.equal(await waited(penalty, 'undecided', { user: 'new' }), 0);
      assert.equal(await waited(penalty, 'undecided', { user: 'user0' }), 2_000);
    });

    test('is soft for a user whom strangers attack from many networks', async () => {
      const penalty = createTried(store);
      for (let count = 0; count < 30; count += 1) {
        await waited(penalty, 'wrong', { address: `10.0.${count}.1` });
      }
      assert.equal(await waited(penalty, 'right', { address: '203.0.113.5' }), 4_000);
    });

    test('is not counted for a client that goes away while it waits', async () => {
      const gone = new AbortController();
      const penalty = createTried(store, {
        async wait(_ms, signal) {
          gone.abort();
          signal.throwIfAborted();
        },
      });
      await waited(penalty, 'wrong');
      await assert.rejects(penalty.admit(attemptOf({}), gone.signal), { name: 'AbortError' });
      const quiet = await penalty.admit(attemptOf({}), here);
      assert.equal(quiet.kind === 'admitted' && quiet.waitedMs, 2_000);
    });
  });
}

test('only so many logins of one network wait at a time, and a place is free again when one is let in', async () => {
  const waits: (() => void)[] = [];
  const penalty = createTried('memory', {
    // Others than those of a penalty wait for verdicts, and are called.
    wait: async (ms) => new Promise((resolve) => void (ms !== 3_000 && waits.push(resolve))),
  });
  // Each but the first guess at a user waits, for the first is still in flight.
  const guess = (count: number) => penalty.admit(attemptOf({ user: `user${count % 9}` }), here);
  for (let count = 0; count < 9; count += 1) assert.equal((await guess(count)).kind, 'admitted');
  const kinds: string[] = [];
  const waiting = Array.from({ length: 50 }, async (_, count) => {
    const admission = await guess(count);
    kinds.push(admission.kind);
    if (admission.kind === 'admitted') await admission.settle('undecided');
  });
  while (waits.length < 50) await turn();

  assert.equal((await guess(0)).kind, 'busy');
  waits[0]?.();
  while (kinds.length < 1) await turn();
  const late = guess(0);
  while (waits.length < 51) await turn();
  for (const release of waits) release();
  assert.equal((await late).kind, 'admitted');
  await Promise.all(waiting);
  assert.deepEqual(new Set(kinds), new Set(['admitted']));
});

test('counts in memory are forgotten when they are 0, and when their time is over', async () => {
  let now = 0;
  const counter = createMemoryCounter(900, () => now);
  for (let key = 0; key < 1_000; key += 1) {
    await counter.raise(`${key}`);
    await counter.lower(`${key}`);
  }
  assert.equal(counter.size, 0);
  await counter.lower('never raised');
  assert.equal(await counter.raise('a'), 1);
  assert.equal(await counter.raise('a'), 2);
  now = 899_999;
  assert.equal(await counter.count('a'), 2);
  now = 900_000;
  assert.equal(await counter.count('a'), 0);
  await counter.raise('b');
  assert.equal(counter.size, 1);
});

test('in the store there are no names, networks or passwords, and every count ends by itself', async () => {
  await client.flushDb();
  await waited(createTried('redis'), 'wrong', { user: 'alice', address: '192.0.2.7', password: 'hunter2' });
  const keys = await client.keys('*');
  assert.ok(keys.length >= 4);
  for (const key of keys) {
    assert.match(key, /^ps:p:(?:pair|guess|user|network):[\w:-]+$/);
    assert.doesNotMatch(key, /alice|192|hunter/);
    assert.ok((await client.ttl(key)) > 0);
  }
});

test('while the store does not answer, each node counts for itself', async () => {
  const penalty = createTried('redis');
  redis.freeze();
  try {
    assert.equal(await waited(penalty, 'wrong'), 0);
    assert.equal(await waited(penalty, 'wrong'), 2_000);
  } finally {
    redis.thaw();
  }
});
