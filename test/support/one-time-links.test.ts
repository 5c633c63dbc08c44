import assert from 'node:assert/strict';
import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { createSqliteStateStore } from '../../src/backends/sqlite-state-store.ts';
import { createStateReplica } from '../../src/backends/state-replica.ts';
import { silentLog } from '../../src/core/log.ts';
import { createOneTimeLinks, type ImpersonationGrant, parseLink } from '../../src/support/one-time-links.ts';
import { session, user } from './staff.fixture.ts';

const grant: ImpersonationGrant = {
  actor: user('sam@example.test'),
  staffSession: session('sam'),
  subject: user('alice@example.test'),
  reason: 'cannot send since Monday',
  ticket: 'T-1',
  minutes: 15,
};

const freshKey = () => createSecretKey(randomBytes(32));

/** Links of two nodes over one state. */
async function twoNodes(t: TestContext, keys = [[freshKey()], [] as KeyObject[]]) {
  const folder = mkdtempSync(join(tmpdir(), 'postern-links-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const clock = { ms: 1_000_000, nowMs: () => clock.ms };
  const nodes = await Promise.all(
    [0, 1].map(async (at) => {
      const state = createStateReplica({
        store: createSqliteStateStore(join(folder, 'state')),
        log: silentLog,
        pollMs: 60_000,
      });
      t.after(() => state[Symbol.asyncDispose]());
      const table = state.table('links', parseLink);
      await state.open();
      const own = keys[at]?.length === 0 ? keys[0] : keys[at];
      return { table, state, links: createOneTimeLinks({ table, keys: () => own ?? [], clock, randomBytes }) };
    }),
  );
  const [here, there] = nodes;
  assert.ok(here !== undefined && there !== undefined);
  return { here, there, clock };
}

suite('a link to a mailbox', () => {
  test('opens what was granted, on whatever node, once', async (t) => {
    const { here, there } = await twoNodes(t);
    const token = await here.links.issue(grant);
    assert.deepEqual(await there.links.use(token), grant);
    assert.equal(await here.links.use(token), undefined);
    assert.equal(await there.links.use(token), undefined);
  });

  test('opens it for one, when two bring it at the same time', async (t) => {
    const { here, there } = await twoNodes(t);
    const token = await here.links.issue(grant);
    const used = await Promise.all([here.links.use(token), there.links.use(token), here.links.use(token)]);
    assert.equal(used.filter((one) => one !== undefined).length, 1);
  });

  test('is dead after a minute, and swept away', async (t) => {
    const { here, clock } = await twoNodes(t);
    const used = await here.links.issue(grant);
    clock.ms += 60_001;
    assert.equal(await here.links.use(used), undefined);
    await here.links.issue(grant);
    clock.ms += 60_001;
    assert.equal(here.table.all().size, 1);
    await here.links.sweep();
    assert.equal(here.table.all().size, 0);
  });

  test('is dead where a clock was set back: nobody has it for longer than a minute', async (t) => {
    const { here, there, clock } = await twoNodes(t);
    const token = await here.links.issue(grant);
    clock.ms -= 60 * 60_000;
    assert.equal(await there.links.use(token), undefined);
    const other = await here.links.issue(grant);
    // The clocks of nodes may differ a little.
    clock.ms -= 50_000;
    assert.deepEqual(await there.links.use(other), grant);
  });

  test('is nothing when it never was one', async (t) => {
    const { here } = await twoNodes(t);
    for (const token of ['', 'x', '../../states/a', randomBytes(32).toString('base64url')]) {
      assert.equal(await here.links.use(token), undefined);
    }
  });

  test('is nothing to a node with other keys: whoever can write to the store makes none', async (t) => {
    const { here, there } = await twoNodes(t, [[freshKey()], [freshKey()]]);
    assert.equal(await there.links.use(await here.links.issue(grant)), undefined);
  });

  test('is nothing when what it opens was changed in the store', async (t) => {
    const { here } = await twoNodes(t);
    const token = await here.links.issue(grant);
    const [[name, link] = []] = here.table.all();
    assert.ok(name !== undefined && link !== undefined);
    const other = JSON.stringify({ ...grant, subject: 'head@example.test' });
    await here.table.change(name, (before) => before && { ...before, opening: other });
    assert.equal(await here.links.use(token), undefined);
  });

  test('stays good while the keys rotate', async (t) => {
    const [old, fresh] = [freshKey(), freshKey()];
    const { here, there } = await twoNodes(t, [[old], [fresh, old]]);
    assert.deepEqual(await there.links.use(await here.links.issue(grant)), grant);
  });
});
