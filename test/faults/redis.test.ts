import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { createClient } from 'redis';
import { eventually } from '../eventually.fixture.ts';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';
import { startTcpWay, type TcpWay } from '../tcp-way.fixture.ts';
import { type FaultSite, startFaultSite, startMachine, timed } from './site.fixture.ts';

/** A fault of Redis or of the network: its start and its end. */
interface Fault {
  readonly name: string;
  readonly begin: (redis: RedisServer, way: TcpWay) => Promise<unknown>;
  readonly end: (redis: RedisServer, way: TcpWay) => Promise<unknown>;
}

const command = async (redis: RedisServer, ...args: readonly string[]): Promise<unknown> => {
  const client = createClient({ url: redis.url });
  await client.connect();
  try {
    return await client.sendCommand([...args]);
  } finally {
    client.destroy();
  }
};

const faults: readonly Fault[] = [
  { name: 'is killed', begin: (redis) => redis.kill(), end: (redis) => redis.restart() },
  { name: 'is frozen', begin: async (redis) => redis.freeze(), end: async (redis) => redis.thaw() },
  {
    name: 'takes commands and holds them back',
    begin: (redis) => command(redis, 'CLIENT', 'PAUSE', '600000', 'ALL'),
    // The command that ends the pause would be held back, too.
    end: async (redis) => {
      await redis.kill();
      await redis.restart();
    },
  },
  {
    name: 'answers a second late',
    begin: async (_redis, way) => way.delay(1_000),
    end: async (_redis, way) => way.delay(0),
  },
  {
    name: 'takes no writes',
    begin: (redis) => command(redis, 'CONFIG', 'SET', 'min-replicas-to-write', '1'),
    end: (redis) => command(redis, 'CONFIG', 'SET', 'min-replicas-to-write', '0'),
  },
];

async function signsIn(site: FaultSite): Promise<number> {
  return (await site.signIn('bob')).landed.status;
}

for (const { name, begin, end } of faults) {
  test(`Redis ${name}: who is signed in is served, sign-ins get 503 within a second, and all is well 2 s after its end`, async (t: TestContext) => {
    await using redis = await startRedisServer();
    await using way = await startTcpWay(redis.port);
    await using a = await startMachine('a');
    await using b = await startMachine('b');
    await using site = await startFaultSite(
      { a: [a.port], b: b.port },
      `sessions: { redis: "redis://127.0.0.1:${way.port}", keys_file: keys }`,
    );
    const { browser } = await site.signIn('alice');
    assert.equal(await signsIn(site), 200);
    await begin(redis, way);
    const read = await timed(browser.text('/'));
    assert.equal(read.result, 'machine a');
    const refused = await timed(signsIn(site));
    assert.equal(refused.result, 503);
    const ready = await fetch(`${site.origin}/-/ready`);
    await end(redis, way);
    const back = await timed(eventually(async () => (await signsIn(site)) === 200, 'sign-ins are back'));
    assert.equal(await browser.text('/'), 'machine a');
    assert.equal((await site.signIn('alice')).landed.status, 200);
    t.diagnostic(
      `a read ${read.ms} ms, a sign-in refused after ${refused.ms} ms (form included), /-/ready ${ready.status}; sign-ins back after ${back.ms} ms`,
    );
    assert.ok(read.ms < 1_000 && refused.ms < 1_500 && back.ms < 2_000);
    assert.equal(ready.status, 200);
  });
}

test('Redis comes back empty: nobody is served as somebody else, and sign-ins are back within 2 s', async (t) => {
  await using redis = await startRedisServer();
  await using a = await startMachine('a');
  await using b = await startMachine('b');
  await using site = await startFaultSite(
    { a: [a.port], b: b.port },
    `sessions: { redis: "${redis.url}", keys_file: keys }`,
  );
  const { browser } = await site.signIn('alice');
  await command(redis, 'FLUSHALL');
  const back = await timed(eventually(async () => (await signsIn(site)) === 200, 'sign-ins are back'));
  await redis.kill();
  await redis.restart();
  await eventually(async () => (await browser.open('/')).path.startsWith('/-/login'), 'alice signs in again');
  const again = await site.signIn('alice');
  assert.equal(again.landed.body.toString(), 'machine a');
  t.diagnostic(`sign-ins back after ${back.ms} ms`);
  assert.ok(back.ms < 2_000);
});

test('Redis is killed while hundreds want to sign in: nothing of theirs waits for it and bursts upon it', async (t) => {
  await using redis = await startRedisServer();
  await using a = await startMachine('a');
  await using b = await startMachine('b');
  await using site = await startFaultSite(
    { a: [a.port], b: b.port },
    `sessions: { redis: "${redis.url}", keys_file: keys }`,
  );
  const before = await commandsSinceStart(redis);
  assert.equal(await signsIn(site), 200);
  const usual = (await commandsSinceStart(redis)) - before;
  await redis.kill();
  const wanted = 300;
  const statuses = await Promise.all(Array.from({ length: wanted }, () => signsIn(site)));
  assert.deepEqual(new Set(statuses), new Set([503]));
  await redis.restart();
  await eventually(async () => (await signsIn(site)) === 200, 'sign-ins are back');
  const commands = await commandsSinceStart(redis);
  t.diagnostic(
    `${wanted} sign-ins refused; then ${commands} commands until one came in, which takes ${usual} at least`,
  );
  assert.ok(commands < wanted);
});

async function commandsSinceStart(redis: RedisServer): Promise<number> {
  return Number(/total_commands_processed:(\d+)/.exec(String(await command(redis, 'INFO', 'stats')))?.[1]);
}
