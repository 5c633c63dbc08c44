import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { PosternError } from '../../src/core/error.ts';
import type { SessionStore, StoredLookup } from '../../src/core/session.ts';
import { addKey, promoteKey, retireKey } from '../../src/sessions/keys-file.ts';
import { eventually } from '../eventually.fixture.ts';
import { attachTo, type EmbeddedNode, type RunningNode, startEmbeddedNode } from './running-node.fixture.ts';
import { alice, bob, type HandClock, storeWith } from './samples.fixture.ts';

const minuteMs = 60_000;

function unavailable(): Promise<never> {
  return Promise.reject(new PosternError('ERR_STORE_UNAVAILABLE', 'away', { source: 'store', retryable: true }));
}

suite('the sessions of a node', () => {
  let embedded: EmbeddedNode;
  let store: SessionStore;
  let clock: HandClock;
  let node: RunningNode;
  let start: EmbeddedNode['start'];
  beforeEach(async () => {
    embedded = await startEmbeddedNode();
    ({ store, clock, node, start } = embedded);
  });
  afterEach(() => embedded[Symbol.asyncDispose]());

  test('a session that is known is found at once, without a promise, and is the same object', async () => {
    const { cookie } = await node.signIn(alice);
    const field = `a=1; ${cookie}`;
    const session = await node.session(field);
    const again = node.live.find(field, true);
    assert.ok(!(again instanceof Promise) && again.kind === 'found');
    assert.equal(again.session, session);
    assert.equal(again.rest, 'a=1');
    const otherField = node.live.find(`${cookie}; b=2`, true);
    assert.ok(!(otherField instanceof Promise) && otherField.kind === 'found');
    assert.equal(otherField.session, session);
    assert.equal(otherField.rest, 'b=2');
    const firstField = node.live.find(field, true);
    assert.ok(!(firstField instanceof Promise) && firstField.kind === 'found');
    assert.equal(firstField.rest, 'a=1');
  });

  test('a session idles out for requests and for what is open, and says why', async () => {
    const { cookie } = await node.signIn(alice);
    const session = await node.session(cookie);
    const open = attachTo(session);
    clock.advance(29 * minuteMs);
    session.touch();
    clock.advance(29 * minuteMs);
    assert.equal((await node.find(cookie)).kind, 'found');
    clock.advance(minuteMs);
    await node.live.sweep();
    assert.equal(await open.ended, 'idle');
    assert.deepEqual(await node.find(cookie), { kind: 'ended', reason: 'idle', rest: '' });
    assert.equal(await node.page(cookie), 'none');
  });

  test('a session that nobody holds idles out by its record', async () => {
    const { cookie } = await node.signIn(alice);
    clock.advance(30 * minuteMs);
    await using other = await start();
    assert.deepEqual(await other.find(cookie), { kind: 'ended', reason: 'idle', rest: '' });
    assert.deepEqual(await other.live.sessionsOfUser(alice), []);
  });

  test('use on one node keeps the session alive on another', async () => {
    await using other = await start();
    const { cookie } = await node.signIn(alice);
    const open = attachTo(await node.session(cookie));
    clock.advance(25 * minuteMs);
    (await other.session(cookie)).touch();
    await other.live.sweep();
    clock.advance(10 * minuteMs);
    await node.live.sweep();
    assert.equal((await node.find(cookie)).kind, 'found');
    clock.advance(20 * minuteMs);
    await node.live.sweep();
    assert.equal(await open.ended, 'idle');
  });

  test('the absolute end comes however much a session is used', async () => {
    const { cookie } = await node.signIn(alice);
    const session = await node.session(cookie);
    const open = attachTo(session);
    for (let at = 0; at < 12 * 4; at += 1) {
      clock.advance(15 * minuteMs);
      session.touch();
    }
    await node.live.sweep();
    assert.equal(await open.ended, 'absolute');
    assert.deepEqual(await node.find(cookie), { kind: 'ended', reason: 'absolute', rest: '' });
    await using other = await start();
    assert.deepEqual(await other.find(cookie), { kind: 'ended', reason: 'absolute', rest: '' });
  });

  test('use is written soon after a pause, and then at most once a minute', async () => {
    const notes: number[] = [];
    const counted = storeWith(store, {
      noteUse: (uses) => (notes.push(...uses.map(({ atMs }) => atMs)), store.noteUse(uses)),
    });
    await using other = await start({ store: counted });
    const startMs = clock.nowMs();
    const session = await other.session((await other.signIn(alice)).cookie);
    for (let second = 0; second < 130; second += 1) {
      session.touch();
      await other.live.sweep();
      clock.advance(1_000);
    }
    assert.deepEqual(
      notes.map((atMs) => atMs - startMs),
      [0, 60_000, 120_000],
    );
  });

  test('a jar is written once for many changes, and opened on another node', async () => {
    const versions: number[] = [];
    const counted = storeWith(store, {
      writeJar: (key, jar) => (versions.push(jar.version), store.writeJar(key, jar)),
    });
    await using other = await start({ store: counted });
    const { cookie } = await other.signIn(alice);
    const session = await other.session(cookie);
    for (const value of ['1', '2', '3']) {
      session.jar.absorb(`rotated=${value}; HttpOnly; Path=/`, '/', clock.nowMs());
      session.saveJar();
    }
    await eventually(() => versions.length === 2, 'the debounced write');
    await using third = await start();
    assert.equal((await third.session(cookie)).jar.value('rotated'), '3');
    assert.deepEqual(versions, [1, 2]);
  });

  test('a jar that another node wrote is taken over, unless this one has something newer to write', async () => {
    await using other = await start();
    const { cookie } = await node.signIn(alice);
    const here = await node.session(cookie);
    const there = await other.session(cookie);
    there.jar.absorb('rotated=there; HttpOnly; Path=/', '/', clock.nowMs());
    there.saveJar();
    await eventually(async () => (await node.session(cookie)).jar.value('rotated') === 'there', 'the other jar');
    assert.equal(await node.session(cookie), here);
    there.jar.absorb('rotated=again; HttpOnly; Path=/', '/', clock.nowMs());
    here.jar.absorb('rotated=here; HttpOnly; Path=/', '/', clock.nowMs());
    there.saveJar();
    here.saveJar();
    await Promise.all([node.live.sweep(), other.live.sweep()]);
    const values = async () => {
      const sessions = await Promise.all([node.session(cookie), other.session(cookie)]);
      return new Set(sessions.map((session) => session.jar.value('rotated')));
    };
    await eventually(async () => (await values()).size === 1, 'one jar on both nodes');
  });

  test('a jar is not written for a session that was destroyed, and its end is seen', async () => {
    const { cookie } = await node.signIn(alice);
    const session = await node.session(cookie);
    const open = attachTo(session);
    await store.destroy(session.key, 'kicked');
    session.jar.absorb('late=1; HttpOnly; Path=/', '/', clock.nowMs());
    session.saveJar();
    await node.live.sweep();
    assert.equal(await open.ended, 'kicked');
    assert.deepEqual(await store.read(session.key), { kind: 'ended', reason: 'kicked' });
  });

  test('a slow request that keeps the session does not bring it back after a sign-out', async () => {
    const { cookie } = await node.signIn(alice);
    const session = await node.session(cookie);
    await node.signOut(cookie);
    session.touch();
    session.jar.absorb('late=1; HttpOnly; Path=/', '/', clock.nowMs());
    session.saveJar();
    await node.live.sweep();
    assert.deepEqual(await node.find(cookie), { kind: 'ended', reason: 'signed-out', rest: '' });
    assert.deepEqual(await store.read(session.key), { kind: 'ended', reason: 'signed-out' });
    const late = attachTo(session);
    assert.equal(await late.ended, 'signed-out');
    assert.equal(node.live.counts().attached, 0);
  });

  test('a change that is told while a session is read makes the node read again', async () => {
    const { cookie } = await node.signIn(alice);
    const stale = Promise.withResolvers<void>();
    let held: { answer: StoredLookup; release: () => void } | undefined;
    const slow = storeWith(store, {
      async read(key) {
        const answer = await store.read(key);
        if (held !== undefined) return answer;
        const { promise, resolve } = Promise.withResolvers<void>();
        held = { answer, release: resolve };
        stale.resolve();
        await promise;
        return answer;
      },
    });
    await using other = await start({ store: slow });
    const finding = other.find(cookie);
    await stale.promise;
    await node.signOut(cookie);
    assert.equal(held?.answer.kind, 'found');
    held?.release();
    assert.deepEqual(await finding, { kind: 'ended', reason: 'signed-out', rest: '' });
  });

  test('requests that ask for one session at once share one question', async () => {
    let reads = 0;
    const { cookie } = await node.signIn(alice);
    const counted = storeWith(store, { read: (key) => ((reads += 1), store.read(key)) });
    await using other = await start({ store: counted });
    const found = await Promise.all(Array.from({ length: 20 }, () => other.session(cookie)));
    assert.equal(reads, 1);
    assert.equal(new Set(found).size, 1);
  });

  test('all sessions of a user but one end, here and elsewhere, and other users keep theirs', async () => {
    await using other = await start();
    const [one, two, three] = await Promise.all([node.signIn(alice), other.signIn(alice), other.signIn(alice)]);
    const bobs = await other.signIn(bob);
    const open = attachTo(await other.session(two.cookie));
    const kept = await node.session(three.cookie);
    assert.equal((await node.live.sessionsOfUser(alice)).length, 3);
    assert.equal(await node.live.endSessionsOfUser(alice, 'kicked', { except: kept.key }), 2);
    assert.equal(await open.ended, 'kicked');
    for (const cookie of [one.cookie, two.cookie]) {
      assert.deepEqual(await other.find(cookie), { kind: 'ended', reason: 'kicked', rest: '' });
    }
    assert.equal((await other.find(three.cookie)).kind, 'found');
    assert.equal((await other.find(bobs.cookie)).kind, 'found');
  });

  test('a sign-out that the store cannot take holds here, and is repeated until it is taken', async () => {
    let broken = true;
    const faulty = storeWith(store, {
      destroy: (...args) => (broken ? unavailable() : store.destroy(...args)),
    });
    await using other = await start({ store: faulty });
    const { cookie } = await other.signIn(alice);
    const session = await other.session(cookie);
    const open = attachTo(session);
    await session.end('signed-out');
    assert.equal(await open.ended, 'signed-out');
    assert.deepEqual(await other.find(cookie), { kind: 'ended', reason: 'signed-out', rest: '' });
    assert.equal((await store.read(session.key)).kind, 'found');
    assert.equal(other.live.counts().endingsWaiting, 1);
    broken = false;
    await other.live.sweep();
    assert.deepEqual(await store.read(session.key), { kind: 'ended', reason: 'signed-out' });
    assert.equal(other.live.counts().endingsWaiting, 0);
  });

  test('the oldest idle sessions leave the memory, those with something open stay', async () => {
    await using small = await start({ cacheLimit: 3 });
    const cookies: string[] = [];
    for (let at = 0; at < 6; at += 1) {
      const { cookie } = await small.signIn(alice);
      cookies.push(cookie);
      const session = await small.session(cookie);
      if (at === 0) attachTo(session);
    }
    assert.equal(small.live.counts().cached, 3);
    const [first = '', second = ''] = cookies;
    assert.ok(!(small.live.find(first, true) instanceof Promise));
    const reread = small.live.find(second, true);
    assert.ok(reread instanceof Promise);
    assert.equal((await reread).kind, 'found');
  });

  test('keys are rotated without a sign-out, and the cookie of a retired key is none', async () => {
    const file = embedded.keysFile;
    const old = await node.signIn(alice);
    const oldId = node.keys.current().promoted.id;
    const fresh = await addKey(file);
    await promoteKey(file, fresh);
    const young = await (async () => {
      await using elsewhere = await start();
      return await elsewhere.signIn(alice);
    })();
    assert.match(young.cookie, new RegExp(`s%3A${fresh}\\.`));
    assert.equal((await node.find(young.cookie)).kind, 'found', 'an unknown key makes the node read its file again');
    assert.equal((await node.find(old.cookie)).kind, 'found');
    assert.equal((await node.live.sessionsOfUser(alice)).length, 2);
    assert.equal(await node.page(young.cookie), alice);

    await retireKey(file, oldId);
    await store.retireKey(oldId);
    await node.keys.reload();
    await using later = await start();
    assert.deepEqual(await later.find(old.cookie), { kind: 'none', rest: '' });
    assert.equal((await later.find(young.cookie)).kind, 'found');
  });

  test('a session under a key that only other nodes have is unavailable, never signed out', async () => {
    const { cookie } = await node.signIn(alice);
    const oldId = node.keys.current().promoted.id;
    const file = embedded.keysFile;
    await promoteKey(file, await addKey(file));
    await retireKey(file, oldId);
    await store.retireKey(oldId);
    await using lacking = await start();
    await store.registerKeys([
      ...lacking.keys.current().all.map(({ id, fingerprint }) => ({ id, fingerprint, promoted: true, from: 'here' })),
      { id: oldId, fingerprint: 'another', promoted: true, from: 'gw2:keys' },
    ]);
    assert.deepEqual(await lacking.find(cookie), { kind: 'unavailable', why: 'unknown-key' });
  });

  test('a record that was copied to another session is refused', async () => {
    const alices = await node.session((await node.signIn(alice)).cookie);
    const bobs = await node.signIn(bob);
    const bobsKey = (await node.session(bobs.cookie)).key;
    const stolen = await store.read(alices.key);
    assert.ok(stolen.kind === 'found' && stolen.session.jar !== undefined);
    await using other = await start();
    await store.rewrite(bobsKey, stolen.session.record);
    assert.deepEqual(await other.find(bobs.cookie), { kind: 'none', rest: '' });
    assert.equal((await node.find(bobs.cookie)).kind, 'none');
  });

  test('a record whose user was exchanged is refused', async () => {
    const { cookie } = await node.signIn(alice);
    const { key, record } = await node.session(cookie);
    await store.rewrite(key, { ...record, user: bob });
    await using other = await start();
    assert.deepEqual(await other.find(cookie), { kind: 'none', rest: '' });
    assert.equal((await node.find(cookie)).kind, 'none');
  });

  test('a record that was made that of an opened mailbox is refused, by the node that has it open, too', async () => {
    const { cookie } = await node.signIn(alice);
    const { key, record } = await node.session(cookie);
    const impersonation = { actor: bob, staffSession: key, reason: 'none at all', ticket: '' };
    await store.rewrite(key, { ...record, impersonation });
    await eventually(async () => (await node.find(cookie)).kind === 'none');
    await using other = await start();
    assert.deepEqual(await other.find(cookie), { kind: 'none', rest: '' });
  });

  test('a jar that was copied to another session is not opened: no cookie of it is there', async () => {
    const alices = await node.session((await node.signIn(alice)).cookie);
    const bobs = await node.signIn(bob);
    const stolen = await store.read(alices.key);
    assert.ok(stolen.kind === 'found' && stolen.session.jar !== undefined);
    await store.writeJar((await node.session(bobs.cookie)).key, { ...stolen.session.jar, version: 9 });
    await using other = await start();
    assert.equal((await other.session(bobs.cookie)).jar.header('/', clock.nowMs()), '');
  });
});
