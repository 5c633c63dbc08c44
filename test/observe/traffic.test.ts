import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { durationStep, quantileMs } from '../../src/core/node-report.ts';
import { loginsOf, Traffic } from '../../src/observe/traffic.ts';

describe('the traffic of the last minute', () => {
  it('counts requests, errors and sign-ins of each backend', () => {
    const traffic = new Traffic();
    for (const status of [200, 304, 404, 500, 502, 0]) traffic.requestFinished('a', status, 10);
    for (const result of ['signed-in', 'authenticated', 'rejected', 'closed', 'unavailable', 'busy', 'abandoned']) {
      traffic.loginFinished(result, 'a');
    }
    traffic.loginFinished('rejected', undefined);
    assert.equal(traffic.lastMinute().size, 0, 'before the turn of the slice');
    traffic.turn();
    const { requests, errors, logins } = traffic.lastMinute().get('a') ?? {};
    assert.deepEqual(
      { requests, errors, logins },
      { requests: 6, errors: 2, logins: { ok: 2, refused: 2, failed: 2 } },
    );
    assert.deepEqual(loginsOf(traffic.lastMinute().values()), { ok: 2, refused: 3, failed: 2 });
  });

  it('forgets what is a minute old', () => {
    const traffic = new Traffic();
    traffic.requestFinished('a', 200, 10);
    for (let turn = 0; turn < 12; turn += 1) traffic.turn();
    assert.equal(traffic.lastMinute().get('a')?.requests, 1);
    traffic.turn();
    assert.equal(traffic.lastMinute().size, 0);
  });

  it('keeps alarms for an hour', () => {
    const traffic = new Traffic();
    traffic.alarm('ERR_STORE_UNAVAILABLE');
    for (let turn = 0; turn < 60 * 12; turn += 1) traffic.turn();
    assert.deepEqual([...traffic.lastHour()], [['ERR_STORE_UNAVAILABLE', 1]]);
    traffic.turn();
    assert.equal(traffic.lastHour().size, 0);
  });

  it('of several processes is added up', () => {
    const [leader, worker] = [new Traffic(), new Traffic()];
    leader.requestFinished('a', 200, 1);
    for (const ms of [100, 100, 100]) worker.requestFinished('a', 500, ms);
    worker.alarm('defect');
    const slice = worker.take();
    leader.add(slice);
    assert.deepEqual(worker.take(), { backends: [], alarms: [] });
    leader.turn();
    const { requests, errors } = leader.lastMinute().get('a') ?? {};
    assert.deepEqual([requests, errors, leader.lastHour().get('defect')], [4, 3, 1]);
  });
});

describe('the sketch of durations', () => {
  it('finds a share to a third of its true value', () => {
    const durations = Array.from({ length: 40 }, () => 0);
    const all = Array.from({ length: 1000 }, (_, index) => (index + 1) * 3);
    for (const ms of all) durations[durationStep(ms)] = (durations[durationStep(ms)] ?? 0) + 1;
    for (const share of [0.5, 0.9, 0.95, 0.99]) {
      const found = quantileMs(durations, share) ?? 0;
      assert.ok(Math.abs(found - 3000 * share) < 1000 * share, `${share}: ${found}`);
    }
    assert.equal(quantileMs([], 0.95), undefined);
  });

  it('has a last step for whatever is longer', () => {
    assert.equal(durationStep(86_400_000), durationStep(3_600_000));
    assert.equal(durationStep(0), 0);
  });
});
