import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { ReloadOrder } from '../../src/backends/state-values.ts';
import { silentLog } from '../../src/core/log.ts';
import type { NodeReport } from '../../src/core/node-report.ts';
import { createReloadOrders } from '../../src/gateway/reload.ts';

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

/** A node whose clock is ahead by `aheadMs`. */
function openNode(t: TestContext, shared: Shared, name: string, aheadMs = 0) {
  let runs = 0;
  let reported: Report = { name };
  shared.reports.set(name, reported);
  const orders = createReloadOrders({
    node: {
      cluster: {
        nodeName: name,
        state: { watch: (listener) => shared.watch(() => listener([])) },
        reloads: {
          get: (key) => shared.orders.get(key),
          set: async (key, order) => {
            shared.orders.set(key, order);
          },
        },
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
});
