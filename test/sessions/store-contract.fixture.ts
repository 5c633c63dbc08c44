import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import type { PlacedEntry, RegisteredKey, SessionStore, StoreEvent } from '../../src/core/session.ts';
import { createServerKey } from '../../src/sessions/key-derivation.ts';
import { eventually } from '../eventually.fixture.ts';
import { alice, bob, recordKeyOf, sampleKey, sampleRecord } from './samples.fixture.ts';

/** One store under test. `later` lets the store's own time pass. */
export interface StoreUnderTest {
  readonly store: SessionStore;
  later(ms: number): Promise<void>;
  close(): Promise<void>;
}

const longMs = 3_600_000;
const key = recordKeyOf('one');
/** After a promotion, a user has an index under each key. */
const otherKey = createServerKey('00000002', Buffer.alloc(32, 2));
const registered: RegisteredKey = { id: 'aaaaaaaa', fingerprint: 'f1', promoted: true, from: 'node-1:keys' };

/** Tests what every session store does. `open` gives an empty one; its tombstones last for an hour. */
export function storeContract(name: string, open: () => Promise<StoreUnderTest>): void {
  suite(`${name} keeps the contract of session stores`, () => {
    let under: StoreUnderTest;
    let store: SessionStore;
    beforeEach(async () => {
      under = await open();
      ({ store } = under);
    });
    afterEach(() => under.close());

    test('what was created is read back, unused and without a jar', async () => {
      const record = sampleRecord({ timeZone: 'Europe/Berlin', sealed: '1.xyz', userAgent: 'Ünïcode "quoted" \u2028' });
      assert.equal(await store.create(key, record, longMs), 'created');
      const session = { record, lastUseMs: 0, jar: undefined };
      assert.deepEqual(await store.read(key), { kind: 'found', session });
    });

    test('an unknown key is none', async () => {
      assert.deepEqual(await store.read(key), { kind: 'none' });
    });

    test('a second session of the same key is refused, and the first stays', async () => {
      await store.create(key, sampleRecord(), longMs);
      assert.equal(await store.create(key, sampleRecord({ user: bob }), longMs), 'refused');
      const found = await store.read(key);
      assert.equal(found.kind === 'found' && found.session.record.user, 'alice@example.test');
    });

    test('a session is gone when its time is over', async () => {
      await store.create(key, sampleRecord(), 50);
      await under.later(60);
      assert.deepEqual(await store.read(key), { kind: 'none' });
      assert.deepEqual(await store.ofUser([sampleKey.userKeyOf(sampleRecord().user)]), []);
    });

    test('a rewrite goes over a living record only, and keeps its remaining time', async () => {
      assert.equal(await store.rewrite(key, sampleRecord()), 'gone');
      assert.deepEqual(await store.read(key), { kind: 'none' });
      await store.create(key, sampleRecord(), 300);
      assert.equal(await store.rewrite(key, sampleRecord({ host: 'a/2' })), 'written');
      const found = await store.read(key);
      assert.equal(found.kind === 'found' && found.session.record.host, 'a/2');
      await under.later(320);
      assert.deepEqual(await store.read(key), { kind: 'none' });
    });

    test('a destroyed session says why, and no late write revives it', async () => {
      const record = sampleRecord();
      await store.create(key, record, longMs);
      assert.deepEqual((await store.destroy(key, 'kicked'))?.record, record);
      assert.equal(await store.create(key, sampleRecord(), longMs), 'refused');
      assert.equal(await store.rewrite(key, sampleRecord()), 'gone');
      assert.equal(await store.writeJar(key, { version: 2, sealed: 'x' }), 'gone');
      await store.noteUse([{ key, atMs: Date.now() }]);
      assert.deepEqual(await store.read(key), { kind: 'ended', reason: 'kicked' });
    });

    test('what never existed can be destroyed before it is created', async () => {
      assert.equal(await store.destroy(key, 'signed-out'), undefined);
      assert.equal(await store.create(key, sampleRecord(), longMs), 'refused');
    });

    test('the first reason of a tombstone stays', async () => {
      await store.create(key, sampleRecord(), longMs);
      await store.destroy(key, 'too-many');
      assert.equal(await store.destroy(key, 'signed-out'), undefined);
      assert.deepEqual(await store.read(key), { kind: 'ended', reason: 'too-many' });
    });

    test('a jar is written over a living session, and goes with it', async () => {
      assert.equal(await store.writeJar(key, { version: 1, sealed: 'early' }), 'gone');
      await store.create(key, sampleRecord(), longMs);
      assert.equal(await store.writeJar(key, { version: 1, sealed: '1.jar' }), 'written');
      const found = await store.read(key);
      assert.deepEqual(found.kind === 'found' && found.session.jar, { version: 1, sealed: '1.jar' });
    });

    test('record and jar go to another host together, once, and keep their time', async () => {
      const from = { backend: sampleRecord().backend, host: 'a' };
      const there = sampleRecord({ host: 'a/2' });
      const jar = { version: 2, sealed: 'there' };
      assert.equal(await store.reroute(key, from, there, jar), 'gone');
      await store.create(key, sampleRecord(), 300);
      await store.writeJar(key, { version: 1, sealed: 'here' });
      assert.equal(await store.reroute(key, from, there, jar), 'written');
      assert.equal(await store.reroute(key, from, sampleRecord({ host: 'a/3' }), jar), 'elsewhere');
      const found = await store.read(key);
      assert.deepEqual(found, { kind: 'found', session: { record: there, lastUseMs: 0, jar } });
      await under.later(320);
      assert.equal(await store.reroute(key, { ...from, host: 'a/2' }, there, jar), 'gone');
      assert.deepEqual(await store.read(key), { kind: 'none' });
    });

    test('all living sessions are listed, each once', async () => {
      await store.create(recordKeyOf('one'), sampleRecord(), longMs);
      await store.create(recordKeyOf('two'), sampleRecord({ user: bob }), longMs);
      await store.create(recordKeyOf('ended'), sampleRecord(), longMs);
      await store.destroy(recordKeyOf('ended'), 'kicked');
      const listed: string[] = [];
      for await (const page of store.all()) listed.push(...page.map((entry) => entry.key));
      assert.deepEqual(listed.sort(), [recordKeyOf('one'), recordKeyOf('two')].sort());
    });

    test('the list begins with the newest, and goes on behind a place while sessions come and go', async () => {
      const baseMs = 4_000_000_000_000;
      for (let from = 0; from < 1_203; from += 50) {
        const numbers = Array.from({ length: Math.min(50, 1_203 - from) }, (_, index) => from + index);
        await Promise.all(
          numbers.map((number) => {
            const createdAtMs = baseMs + Math.floor(number / 2);
            const record = sampleRecord({ createdAtMs, absoluteEndMs: createdAtMs + longMs });
            return store.create(recordKeyOf(`listed ${number}`), record, longMs);
          }),
        );
      }
      const pages = store.all()[Symbol.asyncIterator]();
      const first: readonly PlacedEntry[] = (await pages.next()).value;
      assert.deepEqual(
        newest(first),
        newest(first).toSorted((a, b) => b - a),
      );
      assert.equal(newest(first)[0], baseMs + 601);
      const gone = [first[0], first.at(-1), ...first.slice(20, 400)];
      for (const entry of gone) if (entry !== undefined) await store.destroy(entry.key, 'kicked');
      await store.create(
        recordKeyOf('late'),
        sampleRecord({ createdAtMs: baseMs + 99_000, absoluteEndMs: baseMs + 99_000 + longMs }),
        longMs,
      );
      const rest: PlacedEntry[] = [];
      for (let page = await pages.next(); page.done !== true; page = await pages.next()) rest.push(...page.value);
      const all = [...first, ...rest];
      assert.equal(new Set(all.map((entry) => entry.key)).size, all.length, 'each once');
      assert.equal(all.length, 1_203);
      assert.deepEqual(
        newest(rest),
        newest(rest).toSorted((a, b) => b - a),
      );
      const behind: PlacedEntry[] = [];
      for await (const page of store.all(first.at(-1)?.place)) behind.push(...page);
      assert.deepEqual(
        behind.map((entry) => entry.key),
        rest.map((entry) => entry.key),
      );
    });

    test('the latest of several uses stays', async () => {
      const other = recordKeyOf('two');
      await store.create(key, sampleRecord(), longMs);
      await store.create(other, sampleRecord(), longMs);
      await store.noteUse([
        { key, atMs: 2_000 },
        { key: other, atMs: 5_000 },
      ]);
      await store.noteUse([{ key, atMs: 1_000 }]);
      const found = await store.read(key);
      const otherFound = await store.read(other);
      assert.equal(found.kind === 'found' && found.session.lastUseMs, 2_000);
      assert.equal(otherFound.kind === 'found' && otherFound.session.lastUseMs, 5_000);
    });

    test('the use that nodes note adds up, and one caller alone hears of it', async () => {
      const record = sampleRecord();
      await store.create(key, record, longMs);
      await store.noteUse([{ key, atMs: 1_000, requests: 2, bytesIn: 30, bytesOut: 400 }]);
      await store.noteUse([
        { key, atMs: 2_000, requests: 1, bytesIn: 0, bytesOut: 5_000_000_000 },
        { key, atMs: 3_000 },
      ]);
      const ended = await Promise.all([store.destroy(key, 'idle'), store.destroy(key, 'idle')]);
      assert.deepEqual(
        ended.filter((one) => one !== undefined),
        [{ record, requests: 3, bytesIn: 30, bytesOut: 5_000_000_400 }],
      );
    });

    test('noting no use at all is fine', async () => {
      await store.noteUse([]);
      await store.noteUse([{ key, atMs: 1 }]);
      assert.deepEqual(await store.read(key), { kind: 'none' });
    });

    test('the living sessions of a user are listed over all indexes, oldest first', async () => {
      const older = sampleRecord({ createdAtMs: 1_000 });
      const newer = sampleRecord({ createdAtMs: 2_000, userKey: otherKey.userKeyOf(alice) });
      await store.create(recordKeyOf('new'), newer, longMs);
      await store.create(recordKeyOf('old'), older, longMs);
      await store.create(recordKeyOf('ended'), older, longMs);
      await store.create(recordKeyOf('bob'), sampleRecord({ user: bob }), longMs);
      await store.destroy(recordKeyOf('ended'), 'signed-out');
      const listed = await store.ofUser([newer.userKey, older.userKey]);
      assert.deepEqual(
        listed.map((entry) => entry.key),
        [recordKeyOf('old'), recordKeyOf('new')],
      );
      assert.deepEqual(await store.ofUser([]), []);
    });

    test('server keys are registered for all, and a promotion stays until the key is retired', async () => {
      assert.deepEqual(await store.registerKeys([]), []);
      assert.deepEqual(await store.registerKeys([registered]), [registered]);
      const demoted = { ...registered, promoted: false, from: 'node-2:keys' };
      const second = { ...registered, id: 'bbbbbbbb', fingerprint: 'f2' };
      assert.deepEqual(await sorted(store.registerKeys([demoted, second])), [{ ...demoted, promoted: true }, second]);
      await store.retireKey('aaaaaaaa');
      assert.deepEqual(await store.registerKeys([second]), [second]);
    });

    test('a node that lacks a promoted key registers nothing', async () => {
      await store.registerKeys([registered]);
      const stranger = { ...registered, id: 'cccccccc' };
      assert.deepEqual(await store.registerKeys([stranger]), [registered]);
      assert.deepEqual(await store.registerKeys([{ ...registered, fingerprint: 'another' }, stranger]), [registered]);
      assert.deepEqual(await store.registerKeys([]), [registered]);
    });

    test('each change of a record or jar is told, and nothing after the watch ended', async () => {
      const news: StoreEvent[] = [];
      const stop = store.watch((item) => news.push(item));
      const toldOf = (wanted: string): boolean => news.some((item) => item.kind === 'changed' && item.key === wanted);
      await store.create(key, sampleRecord(), longMs);
      await eventually(() => toldOf(key), 'news of the creation');
      for (const change of [
        () => store.rewrite(key, sampleRecord({ host: 'a/2' })),
        () => store.writeJar(key, { version: 1, sealed: 'x' }),
        () => store.destroy(key, 'kicked'),
      ]) {
        news.length = 0;
        await change();
        await eventually(() => toldOf(key), 'news of a change');
      }
      stop();
      news.length = 0;
      await store.create(recordKeyOf('unheard'), sampleRecord(), longMs);
      await store.ping();
      assert.deepEqual(news, []);
    });
  });
}

async function sorted(keys: Promise<readonly RegisteredKey[]>): Promise<readonly RegisteredKey[]> {
  return [...(await keys)].sort((a, b) => a.id.localeCompare(b.id));
}

function newest(entries: readonly PlacedEntry[]): number[] {
  return entries.map(({ session }) => session.record.createdAtMs);
}
