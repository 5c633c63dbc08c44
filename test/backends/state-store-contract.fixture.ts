import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import type { StateStore } from '../../src/core/state-store.ts';

/** Tests what every state store does. `open` gives an empty store, and a second view of the same store. */
export function stateStoreContract(name: string, open: () => Promise<readonly [StateStore, StateStore]>): void {
  suite(`${name} keeps the contract of state stores`, () => {
    let here: StateStore;
    let there: StateStore;
    beforeEach(async () => {
      [here, there] = await open();
    });
    afterEach(async () => {
      await here[Symbol.asyncDispose]();
      await there[Symbol.asyncDispose]();
    });

    test('an empty one has no changes', async () => {
      assert.deepEqual(await here.changesSince(0), { cursor: 0, reset: false, entries: [] });
    });

    test('what one writes, another finds, with text of any kind', async () => {
      const value = '{"reason":"Ünïcode \\"quoted\\" 1:2\\n"}';
      assert.equal(await here.put('states', 'a:b/2', value), 'written');
      const { cursor, entries } = await there.changesSince(0);
      assert.deepEqual(entries, [{ table: 'states', key: 'a:b/2', value, version: cursor }]);
    });

    test('only later changes are told, each entry once, in the order of their last change', async () => {
      await here.put('states', 'a', '1');
      const { cursor } = await there.changesSince(0);
      await here.put('moves', 'x', '1');
      await here.put('states', 'b', '1');
      await here.put('moves', 'x', '2');
      const { entries } = await there.changesSince(cursor);
      assert.deepEqual(
        entries.map(({ table, key, value }) => [table, key, value]),
        [
          ['states', 'b', '1'],
          ['moves', 'x', '2'],
        ],
      );
    });

    test('a removal is told to those who knew the entry', async () => {
      await here.put('overrides', 'alice@example.test', '1');
      const { cursor } = await there.changesSince(0);
      await here.put('overrides', 'alice@example.test', undefined);
      const { entries } = await there.changesSince(cursor);
      assert.deepEqual(
        entries.map(({ key, value }) => [key, value]),
        [['alice@example.test', undefined]],
      );
    });

    test('a conditional write goes over the version that its writer saw, and over no other', async () => {
      assert.equal(await here.put('active', 'a', 'first', 0), 'written');
      assert.equal(await there.put('active', 'a', 'second', 0), 'conflict');
      const [entry] = (await there.changesSince(0)).entries;
      assert.equal(await there.put('active', 'a', 'second', entry?.version), 'written');
      assert.equal(await here.put('active', 'a', 'third', entry?.version), 'conflict');
      assert.equal((await here.changesSince(0)).entries[0]?.value, 'second');
    });

    test('what was removed counts as never written', async () => {
      await here.put('active', 'a', 'first');
      await here.put('active', 'a', undefined);
      assert.equal(await here.put('active', 'a', 'again', 0), 'written');
    });

    test('a cursor from a store that knew more gets everything anew', async () => {
      await here.put('states', 'a', '1');
      const { cursor } = await here.changesSince(0);
      const changes = await here.changesSince(cursor + 5);
      assert.equal(changes.reset, true);
      assert.equal(changes.cursor, cursor);
      assert.equal(changes.entries.length, 1);
    });
  });
}
