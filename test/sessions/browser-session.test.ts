import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import type { SessionStore } from '../../src/core/session.ts';
import {
  attachTo,
  type EmbeddedNode,
  jarCookie,
  password,
  type RunningNode,
  startEmbeddedNode,
} from './running-node.fixture.ts';
import { alice, bob, type HandClock, storeWith } from './samples.fixture.ts';

suite('the sessions of browsers', () => {
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

  test('opens a session that pages and data plane find, with password, jar and everything known', async () => {
    const { status, cookie, setCookie } = await node.signIn(alice);
    assert.equal(status, 200);
    assert.match(setCookie, /^__Host-postern=s%3A[^;]+; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
    assert.equal(await node.page(cookie), alice);
    const session = await node.session(`a=1; ${cookie}; b=2`);
    assert.equal(session.password?.reveal(), password);
    assert.equal(session.jar.header('/', clock.nowMs()), `webmail_session=${jarCookie}`);
    const { userKey, sealed, sealedTimes, ...known } = session.record;
    assert.equal(userKey, node.keys.current().promoted.userKeyOf(alice));
    assert.match(sealed, /^1\./);
    assert.match(sealedTimes ?? '', /^1\./);
    assert.deepEqual(known, {
      user: alice,
      backend: 'a',
      host: 'a',
      createdAtMs: clock.nowMs(),
      absoluteEndMs: clock.nowMs() + 12 * 3_600_000,
      clientAddress: '192.0.2.1',
      userAgent: 'node',
      publicOrigin: 'https://mail.example.test',
      timeZone: 'Europe/Berlin',
    });
  });

  test('asks the store nothing and sets nothing without a genuine cookie', async () => {
    let reads = 0;
    const counted = storeWith(store, { read: (key) => ((reads += 1), store.read(key)) });
    await using other = await start({ store: counted });
    const forged = (await node.signIn(alice)).cookie.slice(0, -3);
    for (const cookie of ['', 'a=1', '__Host-postern=x', forged, `${forged}abc`]) {
      assert.equal(await other.page(cookie), 'none');
      assert.equal((await other.find(cookie)).kind, 'none');
    }
    assert.equal(reads, 0);
  });

  test('gives a fresh id at each sign-in, and replaces the session that the browser had', async () => {
    const first = await node.signIn(alice);
    const open = attachTo(await node.session(first.cookie));
    const second = await node.signIn(bob, first.cookie);
    assert.notEqual(second.cookie, first.cookie);
    assert.equal(await open.ended, 'replaced');
    assert.deepEqual(await node.find(first.cookie), { kind: 'ended', reason: 'replaced', rest: '' });
    assert.equal(await node.page(first.cookie), 'none');
    assert.equal(await node.page(second.cookie), bob);
  });

  test('never takes over an id that a browser brought along', async () => {
    const { cookie } = await node.signIn(alice);
    await node.signOut(cookie);
    const again = await node.signIn(alice, cookie);
    assert.notEqual(again.cookie, cookie);
    assert.equal(await node.page(cookie), 'none');
  });

  test('closes a session everywhere and removes its cookie', async () => {
    await using other = await start();
    const { cookie } = await node.signIn(alice);
    await other.session(cookie);
    const { status, setCookie } = await node.signOut(cookie);
    assert.equal(status, 200);
    assert.match(
      setCookie,
      /^__Host-postern=; Path=\/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax$/,
    );
    assert.deepEqual(await node.find(cookie), { kind: 'ended', reason: 'signed-out', rest: '' });
    assert.deepEqual(await other.find(cookie), { kind: 'ended', reason: 'signed-out', rest: '' });
  });

  test('closing without a session only removes the cookie', async () => {
    assert.equal((await node.signOut('')).status, 200);
    assert.equal((await node.signOut('__Host-postern=junk')).status, 200);
  });

  test('two session cookies count as none on the pages, as they do on the data plane', async () => {
    const one = await node.signIn(alice);
    const two = await node.signIn(bob);
    for (const both of [
      `${one.cookie}; ${two.cookie}`,
      `${two.cookie}; ${one.cookie}`,
      `${one.cookie}; ${one.cookie}`,
    ]) {
      assert.equal(await node.page(both), 'none');
      assert.deepEqual(await node.find(both), { kind: 'none', rest: '' });
    }
  });

  test('keeps the password, sealed, or nothing of it where it is to be forgotten', async () => {
    const { cookie } = await node.signIn(alice);
    const kept = await node.find(cookie);
    assert.ok(kept.kind === 'found' && kept.session.password !== undefined);

    await using forgetful = await start({ forgetPassword: true });
    const found = await forgetful.find((await forgetful.signIn(alice)).cookie);
    assert.ok(found.kind === 'found');
    assert.equal(found.session.password, undefined);
    // Nonce and tag, and nothing between them.
    assert.equal(Buffer.from(found.session.record.sealed.slice(2), 'base64url').length, 12 + 16);
    assert.equal(found.session.jar.value('webmail_session'), kept.session.jar.value('webmail_session'));
  });

  test('ends the oldest session when a user has too many', async () => {
    await using strict = await start({ maxPerUser: 2 });
    const cookies: string[] = [];
    for (let at = 0; at < 3; at += 1) {
      cookies.push((await strict.signIn(alice)).cookie);
      clock.advance(1_000);
    }
    const others = await strict.signIn(bob);
    const kinds = await Promise.all(
      [...cookies, others.cookie].map(async (cookie) => (await strict.find(cookie)).kind),
    );
    assert.deepEqual(kinds, ['ended', 'found', 'found', 'found']);
    const [oldest = ''] = cookies;
    assert.deepEqual(await strict.find(oldest), { kind: 'ended', reason: 'too-many', rest: '' });
  });

  test('leaves neither session nor cookie when the store fails in the middle', async () => {
    const failing = storeWith(store, { writeJar: () => Promise.reject(new Error('disk full')) });
    await using other = await start({ store: failing });
    const { status, setCookie } = await other.signIn(alice);
    assert.equal(status, 503);
    assert.equal(setCookie, '');
    assert.deepEqual(await other.live.sessionsOfUser(alice), []);
  });

  test('writes one record and one jar per sign-in, and none for a page', async () => {
    const writes: string[] = [];
    const counted = storeWith(store, {
      create: (...args) => (writes.push('create'), store.create(...args)),
      rewrite: (...args) => (writes.push('rewrite'), store.rewrite(...args)),
      writeJar: (...args) => (writes.push('jar'), store.writeJar(...args)),
      destroy: (...args) => (writes.push('destroy'), store.destroy(...args)),
    });
    await using other = await start({ store: counted });
    const { cookie } = await other.signIn(alice);
    assert.equal(await other.page(cookie), alice);
    assert.deepEqual(writes, ['create', 'jar']);
  });

  test('uses the name without prefix under plain HTTP', async () => {
    await using plain = await start({ secure: false });
    const { cookie, setCookie } = await plain.signIn(alice);
    assert.match(setCookie, /^postern=s%3A[^;]+; Path=\/; HttpOnly; SameSite=Lax$/);
    assert.equal(await plain.page(cookie), alice);
    assert.equal((await plain.find(cookie)).kind, 'found');
    assert.equal((await node.find(cookie)).kind, 'none');
  });

  test('counts the name without prefix under plain HTTP alone, also where both schemes are served', async () => {
    await using plain = await start({ secure: false });
    const { cookie } = await plain.signIn(alice);
    for (let i = 0; i < 2; i += 1) {
      assert.equal((await plain.live.find(cookie, true)).kind, 'none', 'anybody may have planted it');
      assert.equal((await plain.live.find(cookie, false)).kind, 'found');
    }
  });
});
