import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { silentLog } from '../../src/core/log.ts';
import { Secret } from '../../src/core/secrets.ts';
import type { SessionStore } from '../../src/core/session.ts';
import { createPenalty } from '../../src/login/penalty.ts';
import { RedisSessionStore } from '../../src/sessions/redis-store.ts';
import { eventually } from '../eventually.fixture.ts';
import { type RedisTopology, startRedisCluster, startSentinels } from '../redis-topologies.fixture.ts';
import { type RunningNode, startNode } from './running-node.fixture.ts';
import { alice, bob, recordKeyOf, sampleRecord } from './samples.fixture.ts';
import { storeContract } from './store-contract.fixture.ts';

const tombstoneMs = 3_600_000;
const writesBackWithinMs = 10_000;

async function openStore({ settings }: RedisTopology) {
  const store = new RedisSessionStore({ settings, tombstoneMs, log: silentLog });
  await store.open(AbortSignal.timeout(5_000));
  await eventually(() => Promise.resolve(store.connection.isReady()), 'the first connection');
  return store;
}

for (const [name, start] of [
  ['Redis behind Sentinels', startSentinels],
  ['a Redis Cluster', startRedisCluster],
] as const) {
  suite(name, () => {
    let topology: RedisTopology;
    before(async () => {
      topology = await start();
    });
    after(() => topology[Symbol.asyncDispose]());

    storeContract(name, async () => {
      await topology.empty();
      const store = await openStore(topology);
      return {
        store,
        later: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
        close: async () => store[Symbol.asyncDispose](),
      };
    });

    test('another node hears of each of 50 destroyed sessions within a second', async () => {
      await topology.empty();
      await using here = await openStore(topology);
      await using there = await openStore(topology);
      const keys = Array.from({ length: 50 }, (_, nth) => recordKeyOf(`heard ${nth}`));
      for (const key of keys) await here.create(key, sampleRecord(), 60_000);
      const unheard = new Set<string>(keys);
      there.watch((news) => void (news.kind === 'changed' && unheard.delete(news.key)));
      const startedAt = performance.now();
      for (const key of keys) await here.destroy(key, 'kicked');
      await eventually(() => Promise.resolve(unheard.size === 0), 'all of the news');
      assert.ok(performance.now() - startedAt < 1_000 + 50 * 20);
    });

    test('refusals are counted in it, for all nodes', async () => {
      await topology.empty();
      const waits: number[] = [];
      for (let nth = 0; nth < 3; nth += 1) {
        await using store = await openStore(topology);
        const penalty = createPenalty({
          redis: store.connection.client,
          key: createSecretKey(Buffer.alloc(32, 9)),
          isExempt: () => false,
          wait: async (ms) => void waits.push(ms),
          log: silentLog,
        });
        const attempt = { user: alice, address: '192.0.2.7', password: new Secret(`wrong ${nth}`) };
        const admission = await penalty.admit(attempt, AbortSignal.timeout(5_000));
        assert.equal(admission.kind, 'admitted');
        if (admission.kind === 'admitted') await admission.settle('wrong');
      }
      assert.deepEqual(
        waits.filter((ms) => ms > 0),
        [2_000, 4_000],
      );
    });

    test('its master is killed: sessions are served on, logins are back within 10 s, nobody is signed out', async (t) => {
      await topology.empty();
      const folder = await mkdtemp(join(tmpdir(), 'postern-topology-'));
      await using stack = new AsyncDisposableStack();
      stack.defer(() => rm(folder, { recursive: true, force: true }));
      const nodes: RunningNode[] = [];
      const probe = stack.use(await openStore(topology));
      for (let nth = 0; nth < 2; nth += 1) {
        const store = stack.use(await openStore(topology));
        nodes.push(stack.use(await startNode({ store, keysFile: join(folder, 'keys'), log: silentLog })));
      }
      const [one, two] = nodes;
      assert.ok(one !== undefined && two !== undefined);
      const { cookie } = await one.signIn(alice);
      await one.session(cookie);
      // Let the replicas have what was written: Redis replicates after it has answered.
      await new Promise((resolve) => setTimeout(resolve, 200));

      const killedAt = performance.now();
      await topology.kill(await topology.master());
      let served = 0;
      let round = 0;
      let back = 0;
      while (back === 0 && performance.now() - killedAt < 20_000) {
        const lookup = await one.find(cookie);
        assert.equal(lookup.kind, 'found', 'a cached session is served on');
        served += 1;
        const startedAt = performance.now();
        const { status } = await two.signIn(bob);
        assert.ok(performance.now() - startedAt < 3_000, 'a login never hangs');
        if (status === 200 && (await writesEverywhere(probe, round++))) back = performance.now() - killedAt;
        else await new Promise((resolve) => setTimeout(resolve, 50));
      }
      t.diagnostic(
        `writes were back ${Math.round(back)} ms after the master was killed; ${served} lookups served meanwhile`,
      );
      assert.ok(back > 0 && back < writesBackWithinMs, `${back} ms`);
      assert.equal((await one.session(cookie)).record.user, alice);
      assert.equal(await two.page(cookie), alice);
      // Changes are heard of from the new master, too.
      await two.signOut(cookie);
      await eventually(async () => (await one.find(cookie)).kind === 'ended', 'its end on the other node');
    });
  });
}

/** Sessions lie in all parts of a cluster: of so many, some are in each. */
async function writesEverywhere(store: SessionStore, round: number): Promise<boolean> {
  const keys = Array.from({ length: 60 }, (_, nth) => recordKeyOf(`round ${round} ${nth}`));
  const written = await Promise.allSettled(keys.map((key) => store.create(key, sampleRecord(), 60_000)));
  return written.every(({ status }) => status === 'fulfilled');
}
