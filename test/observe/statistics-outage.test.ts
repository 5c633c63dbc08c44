import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { PosternError } from '../../src/core/error.ts';
import { type Log, silentLog } from '../../src/core/log.ts';
import { dayMs, longestWaitMs, type StatisticsBatch } from '../../src/core/statistics.ts';
import { StatisticsCollector } from '../../src/observe/statistics/collector.ts';
import { clockAt, iso, nodeOf, startMs } from './statistics.fixture.ts';

describe('statistics whose store does not answer', () => {
  it('raise one alarm, wait, and are stored when it answers again', async () => {
    const events: string[] = [];
    const note = (event: string): void => void events.push(event);
    const log: Log = { debug: note, info: note, warn: note, error: note };
    const stored: StatisticsBatch[] = [];
    let isAway = true;
    const node = nodeOf(
      async (batch) => {
        const away = { source: 'store', retryable: true } as const;
        if (isAway) throw new PosternError('ERR_STORE_UNAVAILABLE', 'it is away', away);
        stored.push(batch);
        return '';
      },
      clockAt(startMs),
      log,
    );
    for (let minute = 0; minute < 5; minute += 1) {
      node.count({
        way: 'web',
        result: 'signed-in',
        atMs: startMs + minute * 60_000,
        user: 'a@example.test',
        backend: 'a',
      });
      await node.flush();
    }
    assert.deepEqual(events, ['statistics-not-stored']);
    isAway = false;
    await node.flush();
    assert.deepEqual(events, ['statistics-not-stored', 'statistics-stored']);
    const table = `hours:${iso(startMs).slice(0, 10)}`;
    const sums = stored.map(({ counts }) => counts.get(table)?.get('00|signed_in') ?? 0);
    assert.equal(
      sums.reduce((sum, count) => sum + count, 0),
      5,
    );
    assert.deepEqual(
      stored.map(({ sequence }) => sequence),
      [1, 2],
    );
    await node[Symbol.asyncDispose]();
  });

  it('drop last sign-ins that waited for longer than an erasure is known, and say how many', async () => {
    let said: object = {};
    const log: Log = { ...silentLog, info: (_event, fields = {}) => void (said = fields) };
    const clock = clockAt(startMs);
    const stored: StatisticsBatch[] = [];
    let isAway = true;
    const store = async (batch: StatisticsBatch): Promise<string> => {
      if (isAway) throw new Error('away');
      stored.push(batch);
      return '';
    };
    await using node = nodeOf(store, clock, log);
    const see = (user: string): void =>
      node.count({ way: 'web', result: 'signed-in', atMs: clock.atMs, user, backend: 'a' });
    see('alice@example.test');
    await node.flush();
    see('bob@example.test');
    clock.atMs += 2 * dayMs;
    see('carol@example.test');
    clock.atMs += longestWaitMs - dayMs;
    isAway = false;
    await node.flush();
    assert.deepEqual(
      stored.map(({ lastLogins }) => [...lastLogins.keys()]),
      [[], ['carol@example.test']],
    );
    assert.ok('dropped' in said && said.dropped === 2);
    const table = `hours:${iso(startMs).slice(0, 10)}`;
    assert.deepEqual(
      stored.map(({ counts }) => counts.get(table)?.get('00|signed_in')),
      [1, 1],
      'counts name nobody, and are kept',
    );
  });

  it('take a bounded amount of memory, and say how much was dropped', async () => {
    let said: object = {};
    const log: Log = { ...silentLog, info: (_event, fields = {}) => void (said = fields) };
    let isAway = true;
    const stored: StatisticsBatch[] = [];
    const node = nodeOf(
      async (batch) => {
        if (isAway) throw new Error('away');
        stored.push(batch);
        return '';
      },
      clockAt(startMs),
      log,
    );
    await node.flush();
    for (let number = 0; number < 60_000; number += 1) {
      const user = `user${number}@d${number}.test`;
      node.count({ way: 'web', result: 'signed-in', atMs: startMs, user, backend: 'a' });
      if (number === 0) await node.flush();
    }
    isAway = false;
    await node.flush();
    assert.equal(stored.at(-1)?.lastLogins.size, 50_000);
    const fields = stored.at(-1)?.counts.get(`days:${iso(startMs).slice(0, 10)}`);
    assert.ok((fields?.size ?? 0) <= 1_005, `${fields?.size} counts`);
    assert.ok('dropped' in said && typeof said.dropped === 'number' && said.dropped >= 9_999);
    await node[Symbol.asyncDispose]();
  });
});

it('a collector that closes while it stores collects no more', async () => {
  const storing = Promise.withResolvers<void>();
  const stored = Promise.withResolvers<string>();
  let collected = 0;
  const node = new StatisticsCollector({
    clock: clockAt(startMs),
    log: silentLog,
    process: 'test-closing',
    collect: () => void (collected += 1),
    store: () => {
      storing.resolve();
      return stored.promise;
    },
    settings: () => ({ enabled: true, lastLogins: true, flushMs: 10 }),
  });
  node.count({ way: 'web', result: 'signed-in', atMs: startMs, user: 'a@example.test', backend: 'a' });
  // The collector's own timer holds no process.
  const held = setInterval(() => {}, 10);
  await storing.promise;
  const closed = node[Symbol.asyncDispose]();
  stored.resolve('');
  await closed;
  const atClose = collected;
  await wait(60);
  clearInterval(held);
  assert.equal(collected, atClose);
});
