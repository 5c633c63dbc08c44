import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { createSessionLoads } from '../../src/backends/shared-storage.ts';
import type { StateReplica } from '../../src/backends/state-replica.ts';
import { parseNodeLoad } from '../../src/backends/state-values.ts';
import { silentLog } from '../../src/core/log.ts';
import { backendName, backendOf, handClock, openState } from './samples.fixture.ts';

const farm = backendOf('farm', 2);
const name = backendName('farm');

describe('the load of a backend', () => {
  let state: StateReplica;
  beforeEach(async () => {
    state = await openState();
  });
  afterEach(() => state[Symbol.asyncDispose]());

  function nodes(options: { isWanted?: boolean } = {}) {
    const clock = handClock();
    const table = state.table('loads', parseNodeLoad);
    const node = (called: string, held: Record<string, number>) =>
      createSessionLoads({
        table,
        backends: { backend: (wanted) => (wanted === 'farm' ? farm : undefined) },
        heldPerHost: () => new Map(Object.entries(held)),
        isWanted: () => options.isWanted ?? true,
        node: called,
        clock,
        log: silentLog,
      });
    return { node, clock, table };
  }

  it('is the sessions on all of its hosts, counted anew after a second', async () => {
    const { node, clock } = nodes();
    const held = { farm: 3, 'farm/2': 4 };
    await using one = node('one', held);
    assert.equal(one.sessions(name), 7);
    held.farm = 10;
    assert.equal(one.sessions(name), 7);
    clock.advance(1000);
    assert.equal(one.sessions(name), 14);
    assert.equal(one.sessions(backendName('gone')), 0);
  });

  it('is that of all nodes: one that has just begun knows it, too', async () => {
    const { node } = nodes();
    await using one = node('one', { farm: 30 });
    await using two = node('two', {});
    assert.equal(two.sessions(name), 0);
    await one.share();
    assert.equal(two.sessions(name), 30);
    await two.share();
    assert.equal(one.sessions(name), 30, 'what it told itself counts once');
  });

  it('leaves out a node that has been silent for a minute, whose entry goes', async () => {
    const { node, clock, table } = nodes();
    await using gone = node('gone', { farm: 30 });
    await using one = node('one', { farm: 1 });
    await gone.share();
    clock.advance(60_000);
    assert.equal(one.sessions(name), 31);
    clock.advance(1);
    assert.equal(one.sessions(name), 1);
    await one.share();
    assert.deepEqual([...table.all().keys()], ['one']);
  });

  it('is told nobody where no directory balances by it', async () => {
    const { node, table } = nodes({ isWanted: false });
    await using one = node('one', { farm: 30 });
    await one.share();
    assert.equal(table.all().size, 0);
  });
});
