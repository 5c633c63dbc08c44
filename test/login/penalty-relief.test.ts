import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { createClient } from 'redis';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { Secret } from '../../src/core/secrets.ts';
import type { RunScript } from '../../src/core/state-store.ts';
import { createMemoryPenaltyNames, createRedisPenaltyNames } from '../../src/login/penalty-names.ts';
import { type NotedPenalty, type PenaltyNames, penaltyNamesKept } from '../../src/login/penalty-relief.ts';
import { createPenalty } from '../../src/login/penalty.ts';
import { createKeyRing, createServerKey } from '../../src/sessions/key-derivation.ts';
import { redisForSuite } from '../redis-client.fixture.ts';

const redis = redisForSuite();

const refuse: RunScript = () => Promise.reject(new Error('away'));

function noted(at: number): NotedPenalty {
  return { kind: 'user', hash: String(at).padStart(22, '0'), user: `user${at}@example.org` };
}

const serverKey = createServerKey('0a1b2c3d', randomBytes(32));

/** No two refusals have the same time, so that the order of the list is certain. */
let lastMs = Date.now();
const tickingClock = { nowMs: () => (lastMs += 1) };

interface NodeOptions {
  readonly key?: typeof serverKey;
  readonly clock?: Clock;
  readonly isExempt?: boolean;
  readonly names?: PenaltyNames;
}

/** A node of a site; those in Redis share their counts. */
function createNode(
  store: 'memory' | 'redis',
  { key = serverKey, clock = tickingClock, isExempt = false, names }: NodeOptions = {},
) {
  const ring = createKeyRing([key], key.id);
  const ownNames = () =>
    store === 'memory' ? createMemoryPenaltyNames(clock) : createRedisPenaltyNames(redis.run, () => ring, clock);
  const penalty = createPenalty({
    key: createSecretKey(serverKey.subkey('penalty').export()),
    names: names ?? ownNames(),
    isExempt: () => isExempt,
    wait: async () => {},
    log: silentLog,
    ...(store === 'redis' && { redis: redis.client() }),
  });
  return {
    ...penalty,
    async fail(user: string, address: string, times = 1, verdict: 'wrong' | 'right' = 'wrong') {
      for (let count = 0; count < times; count += 1) {
        const password = new Secret(randomBytes(6).toString('hex'));
        const admission = await penalty.admit({ user, address, password }, AbortSignal.timeout(5_000));
        assert.equal(admission.kind, 'admitted');
        if (admission.kind === 'admitted') await admission.settle(verdict);
      }
    },
  };
}

const shown = ({ penalties }: Awaited<ReturnType<ReturnType<typeof createNode>['list']>>) =>
  penalties.map(({ kind, user = '-', network = '-', refusals, delayMs }) =>
    [kind, user, network, refusals, delayMs].join(' '),
  );

for (const store of ['memory', 'redis'] as const) {
  describe(`the list of penalties, counted in ${store}`, () => {
    test('names user and network of each count that delays, the latest refusal first', async () => {
      await redis.client().flushAll();
      const node = createNode(store);
      await node.fail('alice@example.org', '192.0.2.7', 2);
      await node.fail('bob@example.net', '2001:db8::1');
      const listed = shown(await node.list({}, 100));
      assert.deepEqual(listed.toSorted(), [
        'user-network alice@example.org 192.0.2.0/24 2 4000',
        'user-network bob@example.net 2001:db8:0:0::/64 1 2000',
      ]);
      assert.match(listed[0] ?? '', /bob/);
      assert.deepEqual(shown(await node.list({ withoutDelay: true, user: 'bob@example.net' }, 100)).toSorted(), [
        'user bob@example.net - 1 0',
        'user-network bob@example.net 2001:db8:0:0::/64 1 2000',
      ]);
    });

    test('shows a network over all its names once it is slowed down, and none that is exempt', async () => {
      await redis.client().flushAll();
      const node = createNode(store);
      for (let count = 0; count < 31; count += 1) await node.fail(`user${count}@example.org`, '198.51.100.9');
      const listed = shown(await node.list({ network: '198.51.100.77' }, 100));
      assert.ok(listed.includes('network - 198.51.100.0/24 31 4000'), listed.join('\n'));
      assert.equal(listed.length, 32);
      assert.deepEqual(await node.list({ network: '203.0.113.0/24' }, 100), { penalties: [], next: undefined });
      assert.equal((await node.list({ network: '198.51.0.0/16' }, 100)).penalties.length, 32);
      const exempt = createNode(store, { isExempt: true });
      await exempt.fail('carol@example.org', '203.0.113.1', 2);
      const kinds = (await exempt.list({ user: 'carol@example.org', withoutDelay: true }, 9)).penalties;
      assert.deepEqual(kinds.map(({ kind }) => kind).toSorted(), ['user', 'user-network']);
    });

    test('can be kept to the latest refusals, for a number that is read often', async () => {
      await redis.client().flushAll();
      const node = createNode(store);
      for (let count = 0; count < 7; count += 1) await node.fail(`user${count}@example.org`, '192.0.2.7');
      const { penalties } = await node.list({ amongLatest: 7, withoutDelay: true }, 100);
      assert.equal(penalties.length, 7);
      for (const { user = '' } of penalties.filter(({ kind }) => kind !== 'network')) assert.match(user, /^user[456]@/);
      assert.equal((await node.list({ withoutDelay: true }, 100)).penalties.length, 15);
    });

    test('keeps to the domains of a role: no user of another one, and no network', async () => {
      await redis.client().flushAll();
      const node = createNode(store);
      for (let count = 0; count < 31; count += 1) await node.fail(`user${count}@example.org`, '198.51.100.9');
      await node.fail('bob@example.net', '198.51.100.9');
      await node.fail('nobody', '198.51.100.9');
      assert.deepEqual(shown(await node.list({ domains: ['example.net'] }, 100)), [
        'user-network bob@example.net 198.51.100.0/24 1 2000',
      ]);
    });

    test('comes in pages that show each count once, also while others are added', async () => {
      await redis.client().flushAll();
      const node = createNode(store);
      for (let count = 0; count < 7; count += 1) await node.fail(`user${count}@example.org`, `192.0.${count}.1`);
      const first = await node.list({}, 3);
      await node.fail('late@example.org', '203.0.113.1');
      const second = await node.list({}, 3, first.next);
      const third = await node.list({}, 3, second.next);
      const users = [first, second, third].flatMap(({ penalties }) => penalties.map(({ user }) => user));
      assert.deepEqual(
        users,
        [6, 5, 4, 3, 2, 1, 0].map((count) => `user${count}@example.org`),
      );
      assert.equal(third.next, undefined);
    });

    test('leaves out a user who knew the password at last', async () => {
      await redis.client().flushAll();
      const node = createNode(store);
      await node.fail('alice@example.org', '192.0.2.7', 2);
      await node.fail('alice@example.org', '192.0.2.7', 1, 'right');
      assert.deepEqual(await node.list({ withoutDelay: true, user: 'alice@example.org' }, 9), {
        penalties: [],
        next: undefined,
      });
    });

    test('is lifted by user, from all networks, and the counts of the networks stay', async () => {
      await redis.client().flushAll();
      const node = createNode(store);
      for (let count = 0; count < 31; count += 1) await node.fail(`user${count}@example.org`, '192.0.2.7');
      await node.fail('alice@example.org', '192.0.2.7', 2);
      await node.fail('alice@example.org', '203.0.113.7', 2);
      const lifted = await node.liftMatching({ user: 'alice@example.org' });
      assert.deepEqual(lifted.map(({ kind, network }) => `${kind} ${network}`).toSorted(), [
        'user undefined',
        'user-network 192.0.2.0/24',
        'user-network 203.0.113.0/24',
      ]);
      assert.deepEqual(shown(await node.list({ user: 'alice@example.org', withoutDelay: true }, 9)), []);
      assert.ok(shown(await node.list({}, 100)).some((line) => line.startsWith('network - 192.0.2.0/24')));
    });

    test('is lifted by network, with those of all users from there and not those from elsewhere', async () => {
      await redis.client().flushAll();
      const node = createNode(store);
      for (let count = 0; count < 31; count += 1) await node.fail(`user${count}@example.org`, '192.0.2.7');
      await node.fail('user1@example.org', '203.0.113.7');
      await node.liftMatching({ network: '192.0.2.99' });
      assert.deepEqual(shown(await node.list({}, 100)), ['user-network user1@example.org 203.0.113.0/24 1 2000']);
      const admission = await node.admit(
        { user: 'user2@example.org', address: '192.0.2.7', password: new Secret('x') },
        AbortSignal.timeout(5_000),
      );
      assert.equal(admission.kind === 'admitted' && admission.waitedMs, 0);
      if (admission.kind === 'admitted') await admission.settle('undecided');
      assert.deepEqual(await node.liftMatching({ network: '192.0.2.99', user: 'user2@example.org' }), []);
    });

    test('is lifted also where so many others followed that its name is no longer kept', async () => {
      const names = { note: async () => {}, latest: async () => [] };
      const lifted = async (filter: { readonly user?: string; readonly network?: string }) => {
        await redis.client().flushAll();
        const node = createNode(store, { names });
        await node.fail('alice@example.org', '192.0.2.7', 12);
        await node.fail('alice@example.org', '2001:db8::1');
        const found = await node.liftMatching(filter);
        assert.deepEqual(await node.liftMatching(filter), [], 'once');
        return found.map(({ kind, user = '-', network = '-', refusals, delayMs, leftMs, atMs }) => {
          assert.ok(leftMs > 0 && atMs === undefined);
          return [kind, user, network, refusals, delayMs].join(' ');
        });
      };
      const user = 'alice@example.org';
      assert.deepEqual(await lifted({ user }), ['user alice@example.org - 13 2000']);
      for (const network of ['192.0.2.99', '192.0.2.0/24'])
        assert.deepEqual(await lifted({ network }), ['network - 192.0.2.0/24 12 0']);
      assert.deepEqual(await lifted({ user, network: '2001:db8::/64' }), [
        'user-network alice@example.org 2001:db8:0:0::/64 1 2000',
      ]);
      for (const network of ['192.0.0.0/16', '192.0.2.7/32', '203.0.113.7'])
        assert.deepEqual(await lifted({ network }), []);
    });
  });
}

test('a list of many penalties makes the place of each only a few times', async () => {
  let reads = 0;
  const many = Array.from({ length: 1_000 }, (_, at) => ({
    ...noted((at * 7919) % 1_000),
    get atMs() {
      reads += 1;
      return at;
    },
  }));
  await createNode('memory', { names: { note: async () => {}, latest: async () => many } }).list({}, 10);
  assert.ok(reads <= 3_000, `${reads} for 1000 penalties`);
});

describe('the names of penalties in Redis', () => {
  test('are those of all nodes, and Redis holds neither a name nor an address', async () => {
    await redis.client().flushAll();
    await createNode('redis').fail('alice@example.org', '192.0.2.7');
    assert.equal((await createNode('redis').list({}, 9)).penalties[0]?.user, 'alice@example.org');
    const keys = await redis.client().keys('*');
    const all: unknown[] = [...keys];
    for (const key of keys.filter((name) => name.includes('{names}:sealed')))
      all.push(await redis.client().hGetAll(key));
    for (const key of keys.filter((name) => name.includes('{names}:at')))
      all.push(await redis.client().zRange(key, 0, -1));
    assert.ok(all.length > keys.length + 1);
    assert.doesNotMatch(JSON.stringify(all), /alice|192\.0\.2/);
  });

  test('that were sealed under a server key that has gone are shown without their names', async () => {
    await redis.client().flushAll();
    const old = createNode('redis', { key: createServerKey('ffffffff', randomBytes(32)) });
    await old.fail('alice@example.org', '192.0.2.7');
    assert.deepEqual(shown(await createNode('redis').list({}, 9)), ['user-network - - 1 2000']);
    assert.deepEqual(shown(await createNode('redis').list({ domains: ['example.org'] }, 9)), []);
  });

  test('are bounded: the oldest go when there are too many, and each goes when its count has ended', async () => {
    await redis.client().flushAll();
    let nowMs = 1_000_000;
    const clock = { nowMs: () => nowMs };
    const names = createRedisPenaltyNames(redis.run, () => createKeyRing([serverKey], serverKey.id), clock);
    for (let at = 0; at < penaltyNamesKept + 500; at += 500) {
      nowMs += 1;
      await names.note(Array.from({ length: 500 }, (_, index) => noted(at + index)));
    }
    const all = await names.latest(penaltyNamesKept);
    assert.equal(all.length, penaltyNamesKept);
    assert.ok(!all.some(({ user }) => user === 'user0@example.org'));
    assert.equal(await redis.client().hLen('ps:p:{names}:sealed'), penaltyNamesKept);
    nowMs += 900_001;
    assert.deepEqual(await names.latest(penaltyNamesKept), []);
    assert.ok((await redis.client().pTTL('ps:p:{names}:sealed')) > 0, 'it has an end');
  });

  test('cannot be listed or lifted while Redis is away, which is no empty list', async () => {
    const away = createClient({ url: 'redis://127.0.0.1:9', disableOfflineQueue: true });
    const node = createPenalty({
      key: createSecretKey(randomBytes(32)),
      redis: away,
      names: createRedisPenaltyNames(refuse, () => createKeyRing([serverKey], serverKey.id), systemClock),
      isExempt: () => false,
      wait: async () => {},
      log: silentLog,
    });
    await assert.rejects(node.list({}, 9));
    await assert.rejects(node.liftMatching({ user: 'alice@example.org' }));
    await assert.rejects(node.lift('alice@example.org', []), { code: 'ERR_STORE_UNAVAILABLE' });
  });
});
