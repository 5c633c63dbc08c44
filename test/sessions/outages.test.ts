import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { createClient } from 'redis';
import { type Log, silentLog } from '../../src/core/log.ts';
import { RedisSessionStore } from '../../src/sessions/redis-store.ts';
import { eventually } from '../eventually.fixture.ts';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';
import {
  attachTo,
  jarCookie,
  type NodeSettings,
  password,
  type RunningNode,
  startNode,
} from './running-node.fixture.ts';
import { alice, aSecondMs, bob, type HandClock, handClock } from './samples.fixture.ts';

async function elapsed(work: Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work;
  return performance.now() - startedAt;
}

suite('two nodes on one Redis', () => {
  let folder: string;
  let server: RedisServer;
  let clock: HandClock;
  let one: RunningNode;
  let two: RunningNode;
  let stack: AsyncDisposableStack;
  beforeEach(async () => {
    stack = new AsyncDisposableStack();
    folder = await mkdtemp(join(tmpdir(), 'postern-nodes-'));
    stack.defer(() => rm(folder, { recursive: true, force: true }));
    server = stack.use(await startRedisServer());
    clock = handClock();
    one = await start();
    two = await start();
  });
  afterEach(() => stack.disposeAsync());

  async function start(differing: Partial<NodeSettings> = {}): Promise<RunningNode> {
    const log: Log = silentLog;
    const store = new RedisSessionStore({ settings: { url: server.url }, tombstoneMs: 12 * 3_600_000, log });
    stack.use(store);
    await store.open(AbortSignal.timeout(5_000));
    return stack.use(await startNode({ store, keysFile: join(folder, 'keys'), clock, log, ...differing }));
  }

  test('serve one session in turn', async () => {
    const { cookie } = await one.signIn(alice);
    for (const node of [two, one, two]) {
      assert.equal((await node.session(cookie)).password?.reveal(), password);
      assert.equal(await node.page(cookie), alice);
    }
  });

  test('end what is open on the other node within a second of a kick', async () => {
    const { cookie } = await one.signIn(alice);
    const open = attachTo(await two.session(cookie));
    const took = await elapsed(Promise.all([one.live.endSessionsOfUser(alice, 'kicked'), open.ended]));
    assert.ok(took < aSecondMs, `${took} ms`);
    assert.equal(await open.ended, 'kicked');
    assert.deepEqual(await two.find(cookie), { kind: 'ended', reason: 'kicked', rest: '' });
  });

  test('see the other one change the jar within a second', async () => {
    const { cookie } = await one.signIn(alice);
    const here = await one.session(cookie);
    const there = await two.session(cookie);
    const startedAt = performance.now();
    here.jar.absorb('rotated=new; HttpOnly; Path=/', '/', clock.nowMs());
    here.saveJar();
    await eventually(async () => (await two.session(cookie)).jar.value('rotated') === 'new', 'the other jar');
    assert.ok(performance.now() - startedAt < aSecondMs);
    assert.equal(await two.session(cookie), there);
  });

  test('serve what they know while Redis is dead, refuse the rest within a second, and go on afterwards', async () => {
    const known = await one.signIn(alice);
    await one.session(known.cookie);
    const unknown = await two.signIn(bob);
    await server.kill();
    await eventually(async () => (await one.find(unknown.cookie)).kind === 'unavailable', 'the outage');
    assert.deepEqual(await one.find(unknown.cookie), { kind: 'unavailable', why: 'store' });
    assert.ok((await elapsed(one.find(unknown.cookie))) < aSecondMs);
    assert.ok(!(one.live.find(known.cookie, true) instanceof Promise));
    assert.equal((await one.find(known.cookie)).kind, 'found');
    assert.equal(await one.page(known.cookie), alice);
    assert.equal(await one.page(unknown.cookie), '503');
    const signIn = await one.signIn(alice);
    assert.deepEqual([signIn.status, signIn.setCookie], [503, '']);
    await server.restart();
    await eventually(async () => (await one.find(unknown.cookie)).kind === 'found', 'the return');
    await eventually(async () => (await one.signIn(alice)).status === 200, 'sign-in after the return');
    assert.equal((await one.find(known.cookie)).kind, 'found');
  });

  test('serve what they know while Redis is frozen, refuse the rest within a second, and go on afterwards', async () => {
    const known = await one.signIn(alice);
    await one.session(known.cookie);
    const unknown = await two.signIn(bob);
    server.freeze();
    assert.ok((await elapsed(one.find(unknown.cookie))) < aSecondMs);
    assert.deepEqual(await one.find(unknown.cookie), { kind: 'unavailable', why: 'store' });
    assert.equal((await one.find(known.cookie)).kind, 'found');
    assert.ok((await elapsed(one.signIn(alice))) < aSecondMs);
    server.thaw();
    await eventually(async () => (await one.find(unknown.cookie)).kind === 'found', 'the return');
    assert.equal((await one.find(known.cookie)).kind, 'found');
  });

  test('serve stale sessions for a while only, and then end what is open', async () => {
    const short = await start({ serveStaleMs: 60_000 });
    const { cookie } = await short.signIn(alice);
    const open = attachTo(await short.session(cookie));
    await server.kill();
    const blind = await one.signIn(bob);
    assert.equal(blind.status, 503);
    await eventually(async () => (await short.signIn(bob)).status === 503, 'the outage');
    clock.advance(59_000);
    await short.live.sweep();
    assert.equal((await short.find(cookie)).kind, 'found');
    clock.advance(1_000);
    assert.deepEqual(await short.find(cookie), { kind: 'unavailable', why: 'store' });
    await short.live.sweep();
    await open.ended;
    await server.restart();
    await eventually(async () => (await short.find(cookie)).kind === 'found', 'the return');
  });

  test('end a session absolutely while Redis is dead', async () => {
    const patient = await start({ serveStaleMs: 24 * 3_600_000, idleTimeoutMs: 24 * 3_600_000 });
    const { cookie } = await patient.signIn(alice);
    await patient.session(cookie);
    await server.kill();
    await eventually(async () => (await patient.signIn(bob)).status === 503, 'the outage');
    clock.advance(12 * 3_600_000 - 1);
    assert.equal((await patient.find(cookie)).kind, 'found');
    clock.advance(1);
    assert.deepEqual(await patient.find(cookie), { kind: 'ended', reason: 'absolute', rest: '' });
  });

  test('sign out while Redis is dead: at once on this node, everywhere when it is back', async () => {
    const { cookie } = await one.signIn(alice);
    const open = attachTo(await two.session(cookie));
    await one.session(cookie);
    await server.kill();
    await eventually(async () => (await two.signIn(bob)).status === 503, 'the outage');
    const { status, setCookie } = await one.signOut(cookie);
    assert.equal(status, 200);
    assert.match(setCookie, /^__Host-postern=; .*Secure/);
    assert.deepEqual(await one.find(cookie), { kind: 'ended', reason: 'signed-out', rest: '' });
    assert.equal((await two.find(cookie)).kind, 'found');
    await server.restart();
    assert.equal(await open.ended, 'signed-out');
    assert.deepEqual(await two.find(cookie), { kind: 'ended', reason: 'signed-out', rest: '' });
  });

  test('sign out while Redis is dead also a session that the node does not hold', async () => {
    const { cookie } = await one.signIn(alice);
    await server.kill();
    const { status, setCookie } = await two.signOut(cookie);
    assert.equal(status, 200);
    assert.match(setCookie, /^__Host-postern=; /);
    assert.deepEqual(await two.find(cookie), { kind: 'ended', reason: 'signed-out', rest: '' });
    await server.restart();
    await eventually(async () => (await one.find(cookie)).kind === 'ended', 'the end on the other node');
  });

  test('notice a kick that happened while they could not hear', async () => {
    const { cookie } = await one.signIn(alice);
    const { key } = await one.session(cookie);
    const open = attachTo(await two.session(cookie));
    await server.kill();
    await eventually(async () => (await two.signIn(bob)).status === 503, 'the outage');
    await server.restart();
    const admin = createClient({ url: server.url });
    await admin.connect();
    await admin.del(`ps:h:{${key}}`);
    admin.destroy();
    await open.ended;
    await eventually(async () => (await two.find(cookie)).kind === 'none', 'the session is gone');
  });

  test('leave nothing in Redis that opens a mailbox, or that a browser could send', async () => {
    const { cookie } = await one.signIn(alice);
    const session = await one.session(cookie);
    session.jar.absorb('rotated=another-secret-of-the-webmail; HttpOnly; Path=/', '/', clock.nowMs());
    session.saveJar();
    session.touch();
    await one.live.sweep();
    const ended = await two.signIn(alice);
    await two.signOut(ended.cookie);
    const dump = (await dumpOf(server)).join('\n');
    assert.match(dump, /ps:h:/);
    assert.match(dump, /ps:j:/);
    assert.match(dump, /ps:t:/);
    const secrets = [password, JSON.stringify(password).slice(1, -1), jarCookie, 'another-secret-of-the-webmail'];
    for (const sent of [cookie, ended.cookie]) {
      const value = decodeURIComponent(sent.split('=')[1] ?? '').slice(2);
      secrets.push(value, ...value.split('.').slice(1), sent);
    }
    assert.equal(secrets.length, 14);
    for (const secret of secrets) {
      for (const form of [secret, Buffer.from(secret).toString('base64'), Buffer.from(secret).toString('hex')]) {
        assert.ok(!dump.includes(form.replace(/=+$/, '')), `Redis holds ${secret}`);
      }
    }
  });
});

/** Every key of a Redis, with what is under it. */
async function dumpOf(server: RedisServer): Promise<readonly string[]> {
  const admin = createClient({ url: server.url });
  await admin.connect();
  const lines: string[] = [];
  for (const key of await admin.keys('*')) {
    const type = await admin.type(key);
    if (type === 'string') lines.push(key, (await admin.get(key)) ?? '');
    else if (type === 'zset') lines.push(key, ...(await admin.zRange(key, 0, -1)));
    else if (type === 'hash') lines.push(key, JSON.stringify(await admin.hGetAll(key)));
    else throw new Error(`${key} is a ${type}: teach the dump to read it`);
  }
  admin.destroy();
  return lines;
}
