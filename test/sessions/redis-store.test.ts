import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { inspect } from 'node:util';
import { createClient } from 'redis';
import { silentLog } from '../../src/core/log.ts';
import { Secret } from '../../src/core/secrets.ts';
import type { StoreEvent } from '../../src/core/session.ts';
import { RedisSessionStore } from '../../src/sessions/redis-store.ts';
import { eventually } from '../eventually.fixture.ts';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';
import { alice, aSecondMs, recordKeyOf, sampleKey, sampleRecord } from './samples.fixture.ts';
import { storeContract } from './store-contract.fixture.ts';

const tombstoneMs = 3_600_000;

async function emptied(server: RedisServer): Promise<void> {
  const client = createClient({ url: server.url });
  await client.connect();
  await client.flushAll();
  client.destroy();
}

async function openStore(server: RedisServer) {
  const store = new RedisSessionStore({ settings: { url: server.url }, tombstoneMs, log: silentLog });
  await store.open(AbortSignal.timeout(5_000));
  return store;
}

suite('the store on Redis', () => {
  let server: RedisServer;
  before(async () => {
    server = await startRedisServer();
  });
  after(() => server[Symbol.asyncDispose]());

  storeContract('Redis', async () => {
    await emptied(server);
    const store = await openStore(server);
    return {
      store,
      later: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      close: async () => store[Symbol.asyncDispose](),
    };
  });

  test('another node hears of a destroyed session within a second', async () => {
    await using here = await openStore(server);
    await using there = await openStore(server);
    const key = recordKeyOf('heard');
    await here.create(key, sampleRecord(), 60_000);
    const heard = Promise.withResolvers<number>();
    there.watch((news) => {
      if (news.kind === 'changed' && news.key === key) heard.resolve(performance.now());
    });
    const startedAt = performance.now();
    await here.destroy(key, 'kicked');
    assert.ok((await heard.promise) - startedAt < aSecondMs);
  });

  test('the end of a record by time is told as well', async () => {
    await using store = await openStore(server);
    const key = recordKeyOf('expiring');
    await store.create(key, sampleRecord(), 30);
    const news: StoreEvent[] = [];
    store.watch((item) => news.push(item));
    await eventually(() => news.some((item) => item.kind === 'changed' && item.key === key), 'news of the expiry');
  });

  test('a killed server is a gap, refuses within a second, and is restored with what it held', async () => {
    await using own = await startRedisServer();
    await using store = await openStore(own);
    const key = recordKeyOf('kept');
    await store.create(key, sampleRecord(), 60_000);
    const news: string[] = [];
    store.watch((item) => news.push(item.kind));
    await own.kill();
    const startedAt = performance.now();
    await assert.rejects(store.read(key), { code: 'ERR_STORE_UNAVAILABLE', source: 'store', retryable: true });
    assert.ok(performance.now() - startedAt < aSecondMs);
    await eventually(() => news.includes('gap'), 'news of the gap');
    await assert.rejects(store.rewrite(key, sampleRecord({ host: 'a/2' })), { code: 'ERR_STORE_UNAVAILABLE' });
    await own.restart();
    await eventually(() => news.includes('restored'), 'news of the return');
    const found = await store.read(key);
    assert.equal(found.kind === 'found' && found.session.record.host, 'a', 'what was refused must not be done later');
    news.length = 0;
    await store.destroy(key, 'kicked');
    await eventually(() => news.includes('changed'), 'tracking after the return');
  });

  test('a frozen server refuses within a second, and is restored when it goes on', async () => {
    await using own = await startRedisServer();
    await using store = await openStore(own);
    const news: string[] = [];
    store.watch((item) => news.push(item.kind));
    own.freeze();
    const startedAt = performance.now();
    await assert.rejects(store.read(recordKeyOf('any')), { code: 'ERR_STORE_UNAVAILABLE' });
    assert.ok(performance.now() - startedAt < aSecondMs);
    await eventually(() => news.includes('gap'), 'news of the gap');
    own.thaw();
    await eventually(() => news.includes('restored'), 'news of the return');
    assert.deepEqual(await store.read(recordKeyOf('any')), { kind: 'none' });
  });

  test('a connection that stands but does not answer is given up, also under load', async () => {
    await using own = await startRedisServer();
    await using store = await openStore(own);
    own.freeze();
    await eventually(async () => {
      await store.ping().catch(() => undefined);
      return !store.connection.isReady();
    }, 'the end of the connection');
    own.thaw();
    await eventually(
      () =>
        store.ping().then(
          () => true,
          () => false,
        ),
      'the next connection',
    );
  });

  test('a server that forgets everything is a gap', async () => {
    await using store = await openStore(server);
    const news: string[] = [];
    store.watch((item) => news.push(item.kind));
    await emptied(server);
    await eventually(() => news.includes('gap') && news.includes('restored'), 'news of the gap and of its end');
  });

  test('a store can be opened before its server is there', async () => {
    await using own = await startRedisServer();
    await own.kill();
    await using store = await openStore(own);
    await assert.rejects(store.ping(), { code: 'ERR_STORE_UNAVAILABLE' });
    await own.restart();
    await eventually(
      () =>
        store.ping().then(
          () => true,
          () => false,
        ),
      'the first connection',
    );
  });

  test('an ACL user signs in with its password, and a wrong one is told without it', async () => {
    await using own = await startRedisServer();
    const admin = createClient({ url: own.url });
    await admin.connect();
    await admin.sendCommand(['ACL', 'SETUSER', 'postern', 'on', '>right "pässword"', '~ps:*', '+@all']);
    admin.destroy();
    const url = `redis://postern@127.0.0.1:${own.port}/0`;
    const problems: string[] = [];
    const log = { ...silentLog, warn: (_event: string, fields: object = {}) => void problems.push(inspect(fields)) };
    const settings = { url, password: new Secret('right "pässword"') };
    await using store = new RedisSessionStore({ settings, tombstoneMs, log });
    await store.open(AbortSignal.timeout(5_000));
    await store.ping();
    assert.deepEqual(problems, []);
    const wrong = { url, password: new Secret('not-the-word') };
    await using refused = new RedisSessionStore({ settings: wrong, tombstoneMs, log });
    await refused.open(AbortSignal.timeout(5_000));
    await assert.rejects(refused.ping(), { code: 'ERR_STORE_UNAVAILABLE' });
    assert.match(problems.join(), /WRONGPASS/);
    assert.doesNotMatch(problems.join(), /not-the-word/);
  });

  test('all keys of one session lie in one slot of a Cluster', async () => {
    await emptied(server);
    await using store = await openStore(server);
    const key = recordKeyOf('slot');
    await store.create(key, sampleRecord(), 60_000);
    await store.writeJar(key, { version: 1, sealed: 'x' });
    await store.noteUse([{ key, atMs: 5 }]);
    const admin = createClient({ url: server.url });
    await admin.connect();
    const keys = await admin.keys('*');
    assert.deepEqual(keys.sort(), [
      'ps:all',
      `ps:h:{${key}}`,
      `ps:i:${sampleKey.userKeyOf(alice)}`,
      `ps:j:{${key}}`,
      `ps:u:{${key}}`,
    ]);
    for (const each of keys) assert.ok((await admin.pTTL(each)) > 0, `${each} must not stay for ever`);
    admin.destroy();
  });
});
