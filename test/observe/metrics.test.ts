import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { beforeEach, describe, it } from 'node:test';
import { WorkerCounts } from '../../src/observe/exposition.ts';
import { type BackendLabels, Metrics } from '../../src/observe/metrics.ts';
import { metricPage } from '../../tools/metric-page.ts';

const a: BackendLabels = { name: 'a', webmail: 'roundcube', hosts: ['a', 'a/2'] };
const b: BackendLabels = { name: 'b', webmail: 'sogo', hosts: ['b'] };
const build = { version: '1.2.3', commit: 'abc', node: '24.0.0' };

/** The lines of the metrics that match. */
async function linesOf(metrics: Metrics, form: RegExp): Promise<readonly string[]> {
  return (await metrics.text()).split('\n').filter((line) => form.test(line));
}

describe('the metrics', () => {
  let metrics: Metrics;
  beforeEach(() => {
    metrics = new Metrics(build);
    metrics.follow([a, b]);
  });

  it('say which program runs', async () => {
    const text = await metrics.text();
    assert.match(text, /^postern_build_info\{version="1.2.3",commit="abc",node="24.0.0"\} 1$/m);
  });

  it('count sign-ins by result, backend and webmail', async () => {
    metrics.loginFinished({ result: 'signed-in', backend: 'a', ms: { imap: 20, webmail: 80 } });
    metrics.loginFinished({ result: 'rejected', ms: {} });
    metrics.loginFinished({ result: 'expired', backend: 'b', ms: {} });
    const text = await metrics.text();
    assert.match(text, /^postern_logins_total\{result="signed-in",backend="a",webmail="roundcube"\} 1$/m);
    assert.match(text, /^postern_logins_total\{result="rejected",backend="",webmail=""\} 1$/m);
    assert.match(text, /^postern_logins_total\{result="refused",backend="b",webmail="sogo"\} 1$/m);
    assert.match(text, /^postern_login_phase_seconds_count\{phase="imap"\} 1$/m);
    assert.match(text, /^postern_backend_login_seconds_total\{backend="a",phase="webmail"\} 0.08$/m);
  });

  it('count sign-ins while they run', async () => {
    const answer = Promise.withResolvers<void>();
    const running = metrics.counted(() => answer.promise)();
    assert.deepEqual(await linesOf(metrics, /^postern_logins_in_progress/), ['postern_logins_in_progress 1']);
    answer.reject(new Error('the client left'));
    await assert.rejects(running);
    assert.deepEqual(await linesOf(metrics, /^postern_logins_in_progress/), ['postern_logins_in_progress 0']);
  });

  it('count requests by backend and status class, and those whose client left', async () => {
    metrics.requestFinished({ backend: 'b', status: 204, firstByteMs: 12 });
    metrics.requestFinished({ backend: 'b', status: 0 });
    const text = await metrics.text();
    assert.match(text, /^postern_requests_total\{backend="b",class="2xx"\} 1$/m);
    assert.match(text, /^postern_requests_total\{backend="b",class="aborted"\} 1$/m);
    assert.match(text, /^postern_first_byte_seconds_count\{backend="b"\} 1$/m);
  });

  it('count the delays that penalties give', async () => {
    for (const outcome of [0, 2000, 4000, 'turned-away'] as const) metrics.penaltyGiven(outcome);
    assert.deepEqual(await linesOf(metrics, /^postern_penalty_/), [
      'postern_penalty_delays_total 2',
      'postern_penalty_delay_seconds_total 6',
      'postern_penalty_turned_away_total 1',
    ]);
  });

  it('begin each series of a backend at 0, so that its first event is an increment', async () => {
    const of = await linesOf(metrics, /^postern_logins_total\{.*backend="a"/);
    assert.equal(of.length, 7);
    for (const line of await linesOf(metrics, /^postern_.*backend="[ab]"/)) assert.match(line, / 0$/);
    assert.ok((await linesOf(metrics, /^postern_alarms_total/)).includes('postern_alarms_total{code="defect"} 0'));
  });

  it('end the series of a backend that a reload removes, and begin those of a new one', async () => {
    metrics.requestFinished({ backend: 'b', status: 200, firstByteMs: 1 });
    metrics.follow([a, { name: 'c', webmail: 'form', hosts: ['c'] }]);
    // A request that began before the reload ends after it.
    metrics.requestFinished({ backend: 'b', status: 200, firstByteMs: 1 });
    metrics.loginFinished({ result: 'signed-in', backend: 'b', ms: { imap: 1 } });
    metrics.hostChecked('b', 'imap', true);
    assert.deepEqual(await linesOf(metrics, /"b"/), []);
    assert.equal((await linesOf(metrics, /^postern_requests_total\{backend="c"/)).length, 5);
  });

  it('keep the counts of a backend that a reload does not change', async () => {
    metrics.requestFinished({ backend: 'a', status: 200 });
    metrics.follow([a, b]);
    assert.match(await metrics.text(), /^postern_requests_total\{backend="a",class="2xx"\} 1$/m);
  });

  it('read values when they are asked for, and show the others if one cannot be read', async () => {
    let sessions = 7;
    metrics.watch(() => ({
      postern_sessions_cached: () => sessions,
      postern_sessions_ends_pending: () => Promise.reject(new Error('away')),
      postern_store_up: () => undefined,
      *postern_directory_lookups_total() {
        yield [{ source: '1 ldap', result: 'hit' }, 9];
      },
    }));
    await metrics.text();
    sessions = 8;
    const text = await metrics.text();
    assert.match(text, /^postern_sessions_cached 8$/m);
    assert.match(text, /^postern_directory_lookups_total\{source="1 ldap",result="hit"\} 9$/m);
    assert.doesNotMatch(text, /^postern_(?:sessions_ends_pending|store_up) /m);
  });

  it('show what a worker said last if it hangs, and what one counted that has ended', async () => {
    const workers = { well: new Metrics(build), hung: new Metrics(build), ended: new Metrics(build) };
    const counts = new WorkerCounts<keyof typeof workers>((name) => {
      if (name === 'well') void workers.well.counts().then((counted) => counts.heard('well', counted));
    });
    for (const name of ['well', 'hung', 'ended'] as const) {
      workers[name].follow([a, b]);
      workers[name].requestFinished({ backend: 'a', status: 200 });
      workers[name].watch(() => ({
        postern_sessions_cached: () => 5,
        postern_store_up: () => (name === 'hung' ? 0 : 1),
      }));
      if (name !== 'well') counts.heard(name, await workers[name].counts());
    }
    await counts.end('ended');
    const text = await metrics.textWith(await counts.collect(['well', 'hung']));
    assert.match(text, /^postern_requests_total\{backend="a",class="2xx"\} 3$/m);
    assert.match(text, /^postern_sessions_cached 10$/m);
    assert.match(text, /^postern_store_up 0$/m);
  });

  it('show the lag of the event loop', async () => {
    assert.match(await metrics.text(), /^nodejs_eventloop_lag_seconds /m);
  });

  it('are what docs/metrics.md shows', () => {
    assert.equal(readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8'), metricPage());
  });
});
