import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Metrics } from '../../src/observe/metrics.ts';

describe('the metrics', () => {
  const metrics = new Metrics({ version: '1.2.3', commit: 'abc', node: '24.0.0' });
  metrics.watch({
    sessions: () => 7,
    pendingEnds: () => 1,
    storeUp: () => false,
    connections: () => [{ host: 'a', state: 'busy', count: 3 }],
    directoryLookups: () => new Map([['1 ldap', { hits: 9, misses: 3, stale: 1 }]]),
  });
  metrics.watchUpgrades(() => [{ backend: 'a', count: 2 }]);

  it('say which program runs', async () => {
    const text = await metrics.text();
    assert.match(text, /^postern_build_info\{version="1.2.3",commit="abc",node="24.0.0"\} 1$/m);
  });

  it('count sign-ins by result and backend', async () => {
    metrics.loginFinished('signed-in', 'a');
    metrics.loginFinished('rejected', undefined);
    const text = await metrics.text();
    assert.match(text, /^postern_logins_total\{result="signed-in",backend="a"\} 1$/m);
    assert.match(text, /^postern_logins_total\{result="rejected",backend=""\} 1$/m);
  });

  it('count requests by backend and status class, and those whose client left', async () => {
    metrics.requestFinished('b', 204, 12);
    metrics.requestFinished('b', 0, 12);
    const text = await metrics.text();
    assert.match(text, /^postern_requests_total\{backend="b",class="2xx"\} 1$/m);
    assert.match(text, /^postern_requests_total\{backend="b",class="aborted"\} 1$/m);
    assert.match(text, /^postern_request_seconds_count\{backend="b"\} 2$/m);
  });

  it('read the gauges when they are asked for', async () => {
    const text = await metrics.text();
    assert.match(text, /^postern_sessions_cached 7$/m);
    assert.match(text, /^postern_sessions_ends_pending 1$/m);
    assert.match(text, /^postern_store_up 0$/m);
    assert.match(text, /^postern_backend_connections\{host="a",state="busy"\} 3$/m);
    assert.match(text, /^postern_upgrades_open\{backend="a"\} 2$/m);
  });

  it('tell how often the caches of the directory spared a question, anew each time they are read', async () => {
    await metrics.text();
    const text = await metrics.text();
    assert.match(text, /^postern_directory_lookups_total\{source="1 ldap",result="hit"\} 9$/m);
    assert.match(text, /^postern_directory_lookups_total\{source="1 ldap",result="miss"\} 3$/m);
    assert.match(text, /^postern_directory_lookups_total\{source="1 ldap",result="stale"\} 1$/m);
  });

  it('show the lag of the event loop', async () => {
    assert.match(await metrics.text(), /^nodejs_eventloop_lag_seconds /m);
  });
});
