import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { eventually } from '../eventually.fixture.ts';
import { type RingSite, startRingSite } from './ring-site.fixture.ts';

describe('the status of the cluster', () => {
  let site: RingSite;
  before(async () => {
    site = await startRingSite();
  });
  after(() => site[Symbol.asyncDispose]());

  const status = async () => (await site.api('GET', '/status')).body;

  it('shows both nodes, and that the one with another public_url differs from the newest', async () => {
    await eventually(async () => (await status()).nodes.length === 2);
    const { nodes, store } = await status();
    assert.deepEqual(store, { kind: 'redis', answers: true, role: 'master' });
    assert.equal(nodes.filter((node: { this_node: boolean }) => node.this_node).length, 1);
    for (const node of nodes) {
      assert.deepEqual(node.drift, node.this_node ? [] : ['configuration']);
      assert.deepEqual([node.state, node.workers, node.degraded], ['READY', 1, []]);
      assert.match(node.config, /^[0-9a-f]{12}$/);
      assert.ok(Math.abs(node.clock_skew_ms ?? 0) < 5_000);
    }
    assert.deepEqual((await site.api('GET', '/nodes')).body.nodes.length, 2);
  });

  it('counts what the other node saw', async () => {
    await site.signIn('alice@example.test');
    await eventually(async () => (await status()).logins_last_minute.ok === 1);
    const { sessions, backends, requests_last_minute: requests } = await status();
    assert.equal(sessions, 1);
    assert.ok(requests > 0);
    const home = backends.filter((backend: { sessions: number }) => backend.sessions > 0);
    assert.deepEqual(
      home.map((backend: { logins_last_minute: object }) => backend.logins_last_minute),
      [{ ok: 1, refused: 0, failed: 0 }],
    );
    assert.ok(home[0].p95_ms > 0);
  });

  it('says who closed a backend, why, since when and until when, and puts it first', async () => {
    const until = '2040-01-31T06:00:00.000Z';
    await site.api('PUT', '/backends/c/state', { state: 'MAINT', reason: 'new disks', until });
    const [first, ...others] = (await status()).backends;
    assert.deepEqual(
      [first.name, first.state, first.by, first.reason, first.until],
      ['c', 'MAINT', 'test (socket)', 'new disks', until],
    );
    assert.ok(Date.parse(first.since) <= Date.now());
    assert.deepEqual(
      others.map((one: { name: string; state: string }) => [one.name, one.state]),
      [
        ['a', 'READY'],
        ['b', 'READY'],
      ],
    );
  });

  it('shows a host that is down, and why', async () => {
    await site.machines['a']?.webmail[Symbol.asyncDispose]();
    await eventually(async () => (await status()).backends[0].state === 'DOWN');
    const [{ name, by, reason, hosts }] = (await status()).backends;
    assert.deepEqual([name, by, hosts[0].webmail.up, hosts[0].imap.up], ['a', 'checks', false, true]);
    assert.match(reason, /ECONNREFUSED/);
  });
});
