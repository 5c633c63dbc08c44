import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { CookieJar } from '../../src/core/cookie-jar.ts';
import type { SessionStore } from '../../src/core/session.ts';
import { eventually } from '../eventually.fixture.ts';
import { type EmbeddedNode, jarCookie, password, type RunningNode, startEmbeddedNode } from './running-node.fixture.ts';
import { alice, backendNamed, type HandClock } from './samples.fixture.ts';

suite('a session that moves to another host', () => {
  let embedded: EmbeddedNode;
  let store: SessionStore;
  let clock: HandClock;
  let here: RunningNode;
  let there: RunningNode;
  beforeEach(async () => {
    embedded = await startEmbeddedNode();
    ({ store, clock, node: here } = embedded);
    there = await embedded.start();
  });
  afterEach(async () => {
    await there[Symbol.asyncDispose]();
    await embedded[Symbol.asyncDispose]();
  });

  function freshJar(value: string): CookieJar {
    const jar = new CookieJar((name) => name === 'webmail_session');
    jar.absorb(`webmail_session=${value}; HttpOnly; Path=/`, '/', clock.nowMs());
    return jar;
  }
  const toB = { backend: backendNamed('b'), host: 'b' };

  test('opens there and on other nodes with its password, and with the new cookies alone', async () => {
    const { cookie } = await here.signIn(alice);
    const session = await here.session(cookie);
    const elsewhere = await there.session(cookie);
    assert.match(session.jar.header('/', clock.nowMs()), new RegExp(jarCookie));
    const { generation } = session.jar;
    assert.equal(await here.live.reroute(session.key, toB, freshJar('fresh')), 'rerouted');
    await eventually(async () => (await there.session(cookie)).record.host === 'b', 'the other node follows');
    await using third = await embedded.start();
    for (const one of [session, elsewhere, await third.session(cookie)]) {
      assert.equal(one.record.backend, 'b');
      assert.equal(one.password?.reveal(), password);
      assert.equal(one.jar.header('/', clock.nowMs()), 'webmail_session=fresh');
      assert.equal(one.jar.generation, generation + 1);
    }
  });

  test('goes where the first of two nodes leads it, and the second takes that over', async () => {
    const { cookie } = await here.signIn(alice);
    const { key } = await here.session(cookie);
    await there.session(cookie);
    const outcomes = await Promise.all([
      here.live.reroute(key, { backend: backendNamed('a'), host: 'a/2' }, freshJar('second')),
      there.live.reroute(key, { backend: backendNamed('a'), host: 'a/3' }, freshJar('third')),
    ]);
    assert.deepEqual(outcomes.sort(), ['elsewhere', 'rerouted']);
    const hosts = [(await here.session(cookie)).record.host, (await there.session(cookie)).record.host];
    assert.equal(hosts[0], hosts[1]);
  });

  test('a late write of the old jar loses its cookies and nothing else', async () => {
    const { cookie } = await here.signIn(alice);
    const { key } = await here.session(cookie);
    const before = await store.read(key);
    assert.ok(before.kind === 'found' && before.session.jar !== undefined);
    await here.live.reroute(key, toB, freshJar('fresh'));
    await store.writeJar(key, { ...before.session.jar, version: 99 });
    await using third = await embedded.start();
    const session = await third.session(cookie);
    assert.equal(session.password?.reveal(), password);
    assert.equal(session.jar.header('/', clock.nowMs()), '');
  });

  test('is not revived when it has ended meanwhile', async () => {
    const { cookie } = await here.signIn(alice);
    const { key } = await here.session(cookie);
    await store.destroy(key, 'kicked');
    assert.equal(await here.live.reroute(key, toB, freshJar('fresh')), 'gone');
    assert.equal((await here.find(cookie)).kind, 'ended');
  });
});
