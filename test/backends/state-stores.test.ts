import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { createClient } from 'redis';
import { createRedisStateStore } from '../../src/backends/redis-state-store.ts';
import { createSqliteStateStore } from '../../src/backends/sqlite-state-store.ts';
import { createStateReplica } from '../../src/backends/state-replica.ts';
import { silentLog } from '../../src/core/log.ts';
import type { RunScript } from '../../src/core/state-store.ts';
import { eventually } from '../eventually.fixture.ts';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';
import { setState } from './samples.fixture.ts';
import { stateStoreContract } from './state-store-contract.fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-state-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const newFile = () => join(folder, `${(files += 1)}`, 'state.sqlite');

stateStoreContract('the embedded store', async () => {
  const file = newFile();
  return [createSqliteStateStore(file), createSqliteStateStore(file)];
});

suite('the state in Redis', () => {
  let server: RedisServer;
  let client: ReturnType<typeof createClient>;
  let run: RunScript;
  before(async () => {
    server = await startRedisServer();
    client = createClient({ url: server.url, RESP: 3 });
    await client.connect();
    run = (script, keys, args) => client.eval(script, { keys: [...keys], arguments: [...args] });
  });
  after(async () => {
    client.destroy();
    await server[Symbol.asyncDispose]();
  });

  stateStoreContract('Redis', async () => {
    await client.flushAll();
    return [createRedisStateStore(run), createRedisStateStore(run)];
  });
});

suite('the replica of the state', () => {
  test('shows at once what this node wrote, and soon what another wrote', async () => {
    const file = newFile();
    await using here = createStateReplica({ store: createSqliteStateStore(file), log: silentLog, pollMs: 20 });
    await using there = createStateReplica({ store: createSqliteStateStore(file), log: silentLog, pollMs: 20 });
    await here.open();
    await there.open();
    let told = 0;
    there.watch(() => {
      told += 1;
    });
    await here.states.set('a', setState('MAINT'));
    assert.equal(here.states.get('a')?.state, 'MAINT');
    await eventually(() => there.states.get('a')?.state === 'MAINT');
    assert.ok(told > 0);
    await there.states.remove('a');
    await eventually(() => here.states.get('a') === undefined);
  });

  test('survives a restart', async () => {
    const file = newFile();
    {
      await using replica = createStateReplica({ store: createSqliteStateStore(file), log: silentLog });
      await replica.open();
      await replica.states.set('b', setState('DRAIN'));
    }
    await using replica = createStateReplica({ store: createSqliteStateStore(file), log: silentLog });
    await replica.open();
    assert.deepEqual(replica.states.get('b'), setState('DRAIN'));
    assert.equal(statSync(file).mode & 0o077, 0, 'others may read the file');
  });

  test('of two nodes that decide at the same time, one wins and the other sees what', async () => {
    const file = newFile();
    await using here = createStateReplica({ store: createSqliteStateStore(file), log: silentLog, pollMs: 60_000 });
    await using there = createStateReplica({ store: createSqliteStateStore(file), log: silentLog, pollMs: 60_000 });
    await here.open();
    await there.open();
    const both = [
      here.states.change('a', () => setState('DRAIN')),
      there.states.change('a', () => setState('MAINT')),
    ] as const;
    assert.deepEqual(await Promise.all(both), ['written', 'conflict']);
    assert.equal(there.states.get('a')?.state, 'DRAIN');
    assert.equal(await there.states.change('a', () => undefined), 'refused');
    assert.equal(await there.states.change('a', () => setState('MAINT')), 'written');
  });

  test('a node decides on what another one wrote a moment ago, not on what it had seen before', async () => {
    const file = newFile();
    await using here = createStateReplica({ store: createSqliteStateStore(file), log: silentLog, pollMs: 60_000 });
    await using there = createStateReplica({ store: createSqliteStateStore(file), log: silentLog, pollMs: 60_000 });
    await here.open();
    await there.open();
    await here.states.set('a', setState('DRAIN'));
    const seen: unknown[] = [];
    const decide = (before: { readonly state: string } | undefined) => {
      seen.push(before?.state);
      return undefined;
    };
    assert.equal(await there.states.change('a', decide), 'refused');
    assert.deepEqual(seen, ['DRAIN']);
  });

  test('however many look at once, the store is asked twice', async () => {
    const store = createSqliteStateStore(newFile());
    let asked = 0;
    const counted = {
      ...store,
      async changesSince(cursor: number) {
        asked += 1;
        await new Promise((resolve) => setImmediate(resolve));
        return store.changesSince(cursor);
      },
    };
    await using replica = createStateReplica({ store: counted, log: silentLog, pollMs: 60_000 });
    await replica.open();
    asked = 0;
    await Promise.all(Array.from({ length: 500 }, () => replica.refresh()));
    assert.equal(asked, 2);
  });

  test('an entry can be taken once, by one of all nodes, also by one that has not seen it yet', async () => {
    const file = newFile();
    await using here = createStateReplica({ store: createSqliteStateStore(file), log: silentLog, pollMs: 60_000 });
    await using there = createStateReplica({ store: createSqliteStateStore(file), log: silentLog, pollMs: 60_000 });
    const [linksHere, linksThere] = [here, there].map((replica) => replica.table('links', (text) => text));
    await here.open();
    await there.open();
    await linksHere?.set('l1', 'to a');
    const taken = await Promise.all([linksThere?.take('l1'), linksHere?.take('l1'), linksThere?.take('l1')]);
    assert.deepEqual(
      taken.filter((one) => one !== undefined),
      ['"to a"'],
    );
    assert.equal(await linksHere?.take('l1'), undefined);
    assert.equal(await linksHere?.take('never'), undefined);
  });

  test('an entry of a form that this version does not know is none, and can be replaced', async () => {
    const file = newFile();
    const store = createSqliteStateStore(file);
    await store.put('states', 'a', '{"state":"ASLEEP"}');
    await using replica = createStateReplica({ store, log: silentLog });
    await replica.open();
    assert.equal(replica.states.get('a'), undefined);
    assert.equal(await replica.states.change('a', () => setState('READY')), 'written');
    assert.equal(replica.states.get('a')?.state, 'READY');
  });

  test('keeps what it knows while Redis is away, and catches up when it is back', async () => {
    await using server = await startRedisServer();
    const client = createClient({ url: server.url, disableOfflineQueue: true });
    client.on('error', () => {});
    await client.connect();
    const { PosternError } = await import('../../src/core/error.ts');
    const run: RunScript = (script, keys, args) =>
      client.eval(script, { keys: [...keys], arguments: [...args] }).catch((cause: unknown) => {
        throw new PosternError('ERR_STORE_UNAVAILABLE', 'away', { source: 'store', retryable: true, cause });
      });
    await using replica = createStateReplica({ store: createRedisStateStore(run), log: silentLog, pollMs: 20 });
    await replica.open();
    await replica.states.set('a', setState('MAINT'));
    await server.kill();
    await assert.rejects(replica.states.set('a', setState('READY')), { code: 'ERR_STORE_UNAVAILABLE' });
    assert.equal(replica.states.get('a')?.state, 'MAINT');
    await server.restart();
    await eventually(() => client.isReady);
    await createRedisStateStore(run).put('states', 'a', JSON.stringify(setState('DRAIN')));
    await eventually(() => replica.states.get('a')?.state === 'DRAIN');
    client.destroy();
  });
});
