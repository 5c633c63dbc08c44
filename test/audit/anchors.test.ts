import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { type Anchor, createAnchors, readAnchors } from '../../src/audit/anchors.ts';
import { createSqliteStateStore } from '../../src/backends/sqlite-state-store.ts';
import { silentLog } from '../../src/core/log.ts';
import type { StateStore } from '../../src/core/state-store.ts';
import { eventually } from '../eventually.fixture.ts';
import { auditIn, linesOf, newFile } from './audit.fixture.ts';

const end: Anchor = { chain: '11', sequence: 1, mac: 'mac', timeMs: 5, node: 'node-1', file: '/audit.jsonl' };

/** A store that may be away. */
function newStore() {
  const file = join(dirname(newFile()), 'state.sqlite');
  let open: StateStore = createSqliteStateStore(file);
  return {
    put: (...asked: Parameters<StateStore['put']>) => open.put(...asked),
    changesSince: (cursor: number) => open.changesSince(cursor),
    goAway: () => open[Symbol.asyncDispose](),
    comeBack() {
      open = createSqliteStateStore(file);
    },
    [Symbol.asyncDispose]: () => open[Symbol.asyncDispose](),
  };
}

describe('the anchor of a chain', () => {
  it('is the last end of a burst, and reaches the store by itself', async () => {
    await using store = newStore();
    await using anchors = createAnchors({ store, log: silentLog, everyMs: 5 });
    for (let sequence = 1; sequence <= 100; sequence += 1) anchors.note({ ...end, sequence });
    await eventually(async () => (await readAnchors(store)).length === 1);
    assert.deepEqual(await readAnchors(store), [{ ...end, sequence: 100 }]);
    const { cursor } = await store.changesSince(0);
    assert.equal(cursor, 1);
  });

  it('is written at the end at the latest', async () => {
    await using store = newStore();
    const anchors = createAnchors({ store, log: silentLog, everyMs: 60_000 });
    anchors.note(end);
    await anchors[Symbol.asyncDispose]();
    assert.deepEqual(await readAnchors(store), [end]);
  });

  it('waits for a store that is away; lines are written meanwhile', async () => {
    await using store = newStore();
    await using anchors = createAnchors({ store, log: silentLog, everyMs: 5 });
    await using audit = auditIn(newFile(), {
      written: ({ chain, sequence, mac, timeMs }) =>
        anchors.note({ chain, sequence, mac, timeMs, node: 'node-1', file: 'audit.jsonl' }),
    });
    await store.goAway();
    await audit.record({ event: 'role-used', actor: 'sam' });
    await audit.record({ event: 'role-used', actor: 'sam' });
    assert.equal(linesOf(audit.file).length, 2);
    store.comeBack();
    await eventually(async () => (await readAnchors(store)).length === 1);
    const [anchor] = await readAnchors(store);
    assert.equal(anchor?.sequence, 2);
    assert.equal(anchor.mac, linesOf(audit.file)[1]?.mac);
  });

  it('is passed over where its text is of another form', async () => {
    await using store = newStore();
    for (const [index, text] of ['', '{}', 'no JSON', '[1]', '{"sequence":"1","mac":1}'].entries())
      await store.put('audit', String(index), text);
    assert.deepEqual(await readAnchors(store), []);
  });
});
