import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createRedisStateStore } from '../../src/backends/redis-state-store.ts';
import { createStateReplica } from '../../src/backends/state-replica.ts';
import { parseReloadOrder, type ReloadOrder } from '../../src/backends/state-values.ts';
import { silentLog } from '../../src/core/log.ts';
import type { NodeReport } from '../../src/core/node-report.ts';
import { createReloadOrders } from '../../src/gateway/reload.ts';
import { scriptsOn } from '../../src/gateway/stores.ts';
import { createRedisConnection } from '../../src/redis/connection.ts';
import { eventually } from '../eventually.fixture.ts';
import { startRedisServer } from '../redis-server.fixture.ts';

type Report = Pick<NodeReport, 'name' | 'reload'>;

/** What nodes share: the orders, and what each node reports of itself. */
class Shared {
  readonly orders = new Map<string, ReloadOrder>();
  readonly reports = new Map<string, Report>();
  readonly #listeners = new Set<() => void>();

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** As nodes learn of any change. */
  tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

type Cluster = Parameters<typeof createReloadOrders>[0]['node']['cluster'];

/** A node whose clock is ahead by `aheadMs`. */
function openNode(t: TestContext, shared: Shared, name: string, aheadMs = 0, cluster: Partial<Cluster> = {}) {
  let runs = 0;
  let reported: Report = { name };
  shared.reports.set(name, reported);
  const orders = createReloadOrders({
    node: {
      cluster: {
        nodeName: name,
        state: { watch: (listener) => shared.watch(() => listener([])), isFollowed: () => true },
        reloads: {
          get: (key) => shared.orders.get(key),
          set: async (key, order) => {
            shared.orders.set(key, order);
          },
        },
        ...cluster,
      },
      reports: {
        read: async () => [...shared.reports.values()],
        noteReload: (reload) => {
          reported = { name, reload };
        },
        publish: async () => {
          shared.reports.set(name, reported);
        },
      },
    },
    reload: {
      run: async () => {
        runs += 1;
        return { active: true, changed: [], removed: [], problems: [] };
      },
    },
    clock: { nowMs: () => Date.now() + aheadMs },
    log: silentLog,
  });
  t.after(() => orders[Symbol.dispose]());
  return { orders, runs: () => runs };
}

const twoSeconds = { timeout: 2_000 };

describe('orders to reload all nodes', () => {
  for (const aheadMs of [-1_000, -3_600_000, 3_600_000]) {
    it(`are obeyed by a node whose clock is ${aheadMs / 1000} s ahead`, twoSeconds, async (t) => {
      const shared = new Shared();
      const { orders } = openNode(t, shared, 'a');
      const other = openNode(t, shared, 'b', aheadMs);
      const answered = orders.everywhere('operator', 'new map');
      setImmediate(() => shared.tell());
      assert.deepEqual([...(await answered).keys()], ['a', 'b']);
      assert.equal(other.runs(), 1);
      shared.tell();
      assert.equal(other.runs(), 1, 'once for each order');
    });
  }

  it('do not count for a node that starts later', twoSeconds, async (t) => {
    const shared = new Shared();
    const { orders } = openNode(t, shared, 'a');
    const answered = orders.everywhere('operator', 'new map');
    setImmediate(() => shared.tell());
    await answered;
    const later = openNode(t, shared, 'b');
    shared.tell();
    assert.equal(later.runs(), 0);
  });

  it('are answered by a node that has obeyed one that replaced them', twoSeconds, async (t) => {
    const shared = new Shared();
    const { orders } = openNode(t, shared, 'a');
    const other = openNode(t, shared, 'b');
    const both = Promise.all([orders.everywhere('one', 'new map'), other.orders.everywhere('two', 'new key')]);
    setImmediate(() => shared.tell());
    for (const outcomes of await both) {
      assert.deepEqual(
        [...outcomes].map(([name, outcome]) => [name, outcome?.active]),
        [
          ['a', true],
          ['b', true],
        ],
      );
    }
    assert.equal(other.runs(), 1);
  });

  it('that are older than the start of a node are not obeyed by it, also if its Redis was away then', async (t) => {
    await using server = await startRedisServer();
    const settings = { url: server.url };
    /** A node that has the state in that Redis. */
    async function join(shared: Shared, name: string) {
      const connection = createRedisConnection({ settings, log: silentLog });
      t.after(() => connection.close());
      const state = createStateReplica({
        store: createRedisStateStore(scriptsOn(connection)),
        log: silentLog,
        pollMs: 50,
      });
      t.after(() => state[Symbol.asyncDispose]());
      const reloads = state.table('reloads', parseReloadOrder);
      await connection.open(AbortSignal.timeout(200));
      await state.open();
      return { ...openNode(t, shared, name, 0, { state, reloads }), state };
    }
    const shared = new Shared();
    const first = await join(shared, 'first');
    await first.orders.everywhere('operator', 'before the others start');
    await server.kill();
    await eventually(() => !first.state.isFollowed());

    const [second, third] = [await join(shared, 'second'), await join(shared, 'third')];
    assert.deepEqual([second.state.isFollowed(), third.state.isFollowed()], [false, false]);
    await server.restart();
    await eventually(() => second.state.isFollowed() && third.state.isFollowed() && first.state.isFollowed());
    assert.deepEqual([second.runs(), third.runs()], [0, 0], 'the order of before their start');
    const outcomes = await first.orders.everywhere('operator', 'after their start');
    assert.deepEqual(
      [...outcomes.values()].map((outcome) => outcome?.active),
      [true, true, true],
    );
    assert.deepEqual([first.runs(), second.runs(), third.runs()], [2, 1, 1]);
  });

  it('that were given while a node could not read the state are obeyed by it', twoSeconds, async (t) => {
    const shared = new Shared();
    let isFollowed = false;
    const away = {
      state: {
        watch: (listener: Parameters<Cluster['state']['watch']>[0]) => shared.watch(() => listener([])),
        isFollowed: () => isFollowed,
      },
    };
    const { orders } = openNode(t, shared, 'a');
    const late = openNode(t, shared, 'b', 0, away);
    const answered = orders.everywhere('operator', 'new map');
    setImmediate(() => {
      shared.tell();
      isFollowed = true;
    });
    assert.equal((await answered).get('b')?.active, true);
    assert.equal(late.runs(), 1);
  });
});
