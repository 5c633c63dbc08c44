import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { systemClock } from '../../src/core/clock.ts';
import { PosternError } from '../../src/core/error.ts';
import { silentLog } from '../../src/core/log.ts';
import { driftOf, parseNodeReport, sumOfBackends } from '../../src/core/node-report.ts';
import type { RunScript } from '../../src/core/state-store.ts';
import { createNodeReports } from '../../src/gateway/node-reports.ts';
import { ConfigHolder } from '../../src/gateway/parts.ts';
import { Traffic } from '../../src/observe/traffic.ts';
import { load, smallest } from '../config/config.fixture.ts';
import { redisForSuite } from '../redis-client.fixture.ts';

const none = () => new Map<string, number>();
const standing = { workers: 2, draining: () => false, degraded: () => ['store'], stateVersion: () => 1 };
const build = { version: '1.2.3', commit: 'unknown', node: '24' };

async function openNode(
  t: TestContext,
  name: string,
  { runScript, clock = systemClock, more = '' }: { runScript?: RunScript; clock?: typeof systemClock; more?: string },
) {
  const holder = new ConfigHolder(await load(t, { 'postern.yaml': smallest(more) }));
  const traffic = new Traffic();
  const log = silentLog;
  const counts = { heldPerHost: none, inFlightPerHost: none };
  const reports = createNodeReports({ name, build, holder, traffic, ...counts, runScript, clock, log });
  t.after(() => reports[Symbol.asyncDispose]());
  return { reports, traffic };
}

async function names(reports: { read: () => Promise<readonly { name: string }[]> }): Promise<readonly string[]> {
  return (await reports.read()).map(({ name }) => name);
}

const away = () =>
  Promise.reject(new PosternError('ERR_STORE_UNAVAILABLE', 'away', { source: 'store', retryable: true }));

describe('the reports of nodes', () => {
  const redis = redisForSuite();

  it('are read on every node, with the traffic of each', async (t) => {
    const [one, two] = [
      await openNode(t, 'n1', { runScript: redis.run }),
      await openNode(t, 'n2', { runScript: redis.run }),
    ];
    one.traffic.requestFinished('a', 200, 10);
    two.traffic.requestFinished('a', 502, 10);
    two.traffic.loginFinished('signed-in', 'a');
    two.traffic.alarm('defect');
    for (const { reports } of [one, two]) {
      reports.begin(standing);
      await reports.publish();
    }
    for (const { reports } of [one, two]) {
      const found = await reports.read();
      assert.deepEqual(
        found.map(({ name, workers, degraded }) => [name, workers, degraded]),
        [
          ['n1', 2, ['store']],
          ['n2', 2, ['store']],
        ],
      );
      const { requests, errors, logins } = sumOfBackends(found).get('a') ?? {};
      assert.deepEqual(
        { requests, errors, logins },
        { requests: 2, errors: 1, logins: { ok: 1, refused: 0, failed: 0 } },
      );
      assert.deepEqual(found[1]?.alarms, { defect: 1 });
      assert.equal(found[0]?.configHash, found[1]?.configHash);
    }
  });

  it('are gone with their node, and after 20 s without one', async (t) => {
    const [one, two] = [
      await openNode(t, 'n1', { runScript: redis.run }),
      await openNode(t, 'n2', { runScript: redis.run }),
    ];
    for (const { reports } of [one, two]) {
      reports.begin(standing);
      await reports.publish();
    }
    await two.reports[Symbol.asyncDispose]();
    assert.deepEqual(await names(one.reports), ['n1']);
    const ttlMs = await redis.client().pTTL('ps:nodes');
    assert.ok(ttlMs > 20_000 && ttlMs <= 600_000, `${ttlMs}`);
    await redis
      .client()
      .hSet('ps:nodes', 'n3', `${Date.now() - 21_000} ${JSON.stringify({ ...one.reports.own(), name: 'n3' })}`);
    assert.deepEqual(await names(one.reports), ['n1']);
    // It may still serve the sessions that it has in memory, so that operators hear of it for some time.
    const [, silent] = await one.reports.known();
    assert.ok(silent !== undefined && silent.ageMs >= 21_000, JSON.stringify(silent));
    await redis.client().hSet('ps:nodes', 'n3', `${Date.now() - 601_000} ${JSON.stringify(one.reports.own())}`);
    await one.reports.publish();
    assert.deepEqual(await redis.client().hKeys('ps:nodes'), ['n1']);
  });

  it('tell how far a clock is off, and another configuration', async (t) => {
    const clock = { nowMs: () => Date.now() + 90_000 };
    const { reports } = await openNode(t, 'n1', { runScript: redis.run, clock, more: 'login: { refusal_after: 1s }' });
    const right = await openNode(t, 'n2', { runScript: redis.run, more: 'listen: 127.0.0.1:9999' });
    const plain = await openNode(t, 'n3', {});
    reports.begin(standing);
    await reports.publish();
    const skewMs = reports.own().clockSkewMs ?? 0;
    assert.ok(Math.abs(skewMs - 90_000) < 5_000, `${skewMs}`);
    assert.equal(right.reports.own().configHash, plain.reports.own().configHash, 'a node may listen where it likes');
    assert.notEqual(reports.own().configHash, plain.reports.own().configHash);
  });

  it('show which nodes differ from most of the others', async (t) => {
    const own = (await openNode(t, 'n', {})).reports.own();
    const rolled = [
      { ...own, name: 'n1' },
      { ...own, name: 'n2', configHash: 'other', configLoadedAtMs: own.configLoadedAtMs + 1 },
      { ...own, name: 'n3', commit: 'other' },
    ];
    assert.deepEqual(
      [...driftOf(rolled)].toSorted(([a], [b]) => (a < b ? -1 : 1)),
      [
        ['n2', ['configuration']],
        ['n3', ['version']],
      ],
    );
    assert.deepEqual([...driftOf(rolled.slice(0, 2))], [['n1', ['configuration']]], 'the newest counts');
    assert.equal(driftOf(rolled.slice(0, 1)).size, 0);
  });

  it('of a node with the embedded store are its own, in its workers as well', async (t) => {
    const [leader, worker] = [await openNode(t, 'n1', {}), await openNode(t, 'n1', {})];
    leader.reports.begin(standing, (report) => worker.reports.follow(report));
    assert.deepEqual(await names(leader.reports), ['n1']);
    assert.deepEqual(await names(worker.reports), ['n1']);
  });

  it('cannot be read while Redis is away; publishing them costs nothing then', async (t) => {
    const { reports } = await openNode(t, 'n1', { runScript: away });
    reports.begin(standing);
    await reports.publish();
    await assert.rejects(reports.read(), { code: 'ERR_STORE_UNAVAILABLE' });
    assert.equal(reports.own().clockSkewMs, undefined);
  });

  it('of another form are left out', async (t) => {
    const { reports } = await openNode(t, 'n1', {});
    const text = JSON.stringify(reports.own());
    assert.deepEqual(parseNodeReport(text), reports.own().name === 'n1' ? JSON.parse(text) : undefined);
    for (const other of [
      '',
      '7',
      '{}',
      text.replace('"workers":1', '"workers":"1"'),
      text.replace('"backends":{}', '"backends":{"a":{}}'),
      text.replace(/"startedAtMs":\d+/, '"startedAtMs":1e300'),
      text.replace(/"sessions":\d+/, '"sessions":1e999'),
    ]) {
      assert.equal(parseNodeReport(other), undefined, other);
    }
  });
});
