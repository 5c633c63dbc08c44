import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLog } from '../../src/core/log.ts';
import { RedisSessionStore } from '../../src/sessions/redis-store.ts';
import { eventually } from '../eventually.fixture.ts';
import { type RedisTopology, startRedisCluster } from '../redis-topologies.fixture.ts';
import { startNode } from '../sessions/running-node.fixture.ts';
import { alice, bob, recordKeyOf, sampleRecord } from '../sessions/samples.fixture.ts';

async function openStore({ settings }: RedisTopology) {
  const store = new RedisSessionStore({ settings, tombstoneMs: 3_600_000, log: silentLog });
  await store.open(AbortSignal.timeout(5_000));
  await eventually(() => store.connection.isReady(), 'the first connection');
  return store;
}

test('slots of a Redis Cluster move to another master while the gateway serves: no session is lost, no sign-in fails', async (t) => {
  await using cluster = await startRedisCluster();
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'postern-slots-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const open = async () => stack.use(await openStore(cluster));
  const startOne = async () =>
    stack.use(await startNode({ store: await open(), keysFile: join(folder, 'keys'), log: silentLog }));
  const [one, two, store] = [await startOne(), await startOne(), await open()];
  const { cookie } = await one.signIn(alice);
  const keys = Array.from({ length: 60 }, (_, nth) => recordKeyOf(`moved ${nth}`));
  for (const key of keys) assert.equal(await store.create(key, sampleRecord(), 600_000), 'created');

  let isMoving = true;
  const done = { reads: 0, writes: 0, signIns: 0 };
  const failures = new Map<string, number>();
  const whileMoving = async (kind: keyof typeof done, good: unknown, attempt: (nth: number) => Promise<unknown>) => {
    for (let nth = 1; isMoving; nth += 1) {
      const came = await attempt(nth).catch((error: unknown) => String(error));
      done[kind] += 1;
      const failure = `${kind}: ${String(came)}`;
      if (came !== good) failures.set(failure, (failures.get(failure) ?? 0) + 1);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  };
  const working = Promise.all([
    ...keys.flatMap((key) => [
      whileMoving('reads', 'found', async () => (await store.read(key)).kind),
      whileMoving('writes', 'written', (version) => store.writeJar(key, { version, sealed: 'jar' })),
    ]),
    whileMoving('signIns', 200, async () => (await two.signIn(bob)).status),
  ]);
  const slots = await cluster.moveSlots(await cluster.master()).finally(() => {
    isMoving = false;
  });
  await working;
  t.diagnostic(`${slots} slots moved; meanwhile ${JSON.stringify(done)}, failed ${JSON.stringify([...failures])}`);
  assert.ok(slots > 0 && Object.values(done).every((count) => count > 5), 'there was work while slots moved');
  assert.deepEqual([...failures], []);

  const afterwards = await open();
  for (const key of keys) assert.equal((await afterwards.read(key)).kind, 'found');
  assert.equal(await two.page(cookie), alice);
  await two.signOut(cookie);
  await eventually(async () => (await one.find(cookie)).kind === 'ended', 'its end on the other node');
});
