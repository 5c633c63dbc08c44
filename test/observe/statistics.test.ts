import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import {
  type CountedOutcome,
  dayMs,
  type EndedLogin,
  erasureKeptMs,
  hourMs,
  longestWaitMs,
  type StatisticsBatch,
  type StatisticsStore,
} from '../../src/core/statistics.ts';
import { StatisticsFigures } from '../../src/observe/statistics/figures.ts';
import { RedisStatisticsStore } from '../../src/observe/statistics/redis-store.ts';
import { SqliteStatisticsStore } from '../../src/observe/statistics/sqlite-store.ts';
import { eventually } from '../eventually.fixture.ts';
import { redisForSuite } from '../redis-client.fixture.ts';
import { clockAt, iso, keptMs, marksOf, nodeOf, startMs } from './statistics.fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-statistics-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

function figuresOf(store: StatisticsStore, nowMs = startMs + 10 * dayMs): StatisticsFigures {
  return new StatisticsFigures({ store, nowMs: () => nowMs, keptMs: () => keptMs });
}

/** The same numbers on each run. */
function createDice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * sides);
  };
}

const agents: Readonly<Record<string, string>> = {
  Firefox: 'Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0',
  Chrome: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36',
  DAVx5: 'DAVx5/4.5-ose (2026/01/01; dav4jvm; okhttp/5) Android/16',
  Outlook: 'Outlook-iOS-Android/1.0',
  '(other)': 'curl/8.0',
};

/** Something that a person or a program did. */
function randomLogin(dice: (sides: number) => number, atMs: number): EndedLogin {
  const number = dice(300);
  const backend = ['a', 'b', 'c'][number % 3] ?? 'a';
  const facts = {
    atMs,
    user: `user${number}@${['example.test', 'example.net'][number % 2]}`,
    backend,
    webmail: backend === 'c' ? 'sogo' : 'roundcube',
  };
  switch (dice(6)) {
    case 0:
      return { way: 'web', result: 'rejected', ...facts, userAgent: agents['Firefox'] ?? '' };
    case 1:
      return { way: 'web', result: 'unavailable', atMs, backend, userAgent: agents['(other)'] ?? '' };
    case 2:
      return { way: 'program', result: 'right', ...facts, userAgent: agents['DAVx5'] ?? '' };
    case 3:
      return { way: 'program', result: 'wrong', ...facts, userAgent: agents['Outlook'] ?? '' };
    default:
      return { way: 'web', result: 'signed-in', ...facts, userAgent: agents['Chrome'] ?? '' };
  }
}

/** What the figures must be, counted in another way: from the list of all that was done. */
function expected(done: readonly EndedLogin[], keyOf: (login: EndedLogin) => string) {
  const sums = new Map<string, Partial<Record<CountedOutcome, number>>>();
  for (const login of done) {
    const [ok, no, none] =
      login.way === 'web'
        ? (['signed_in', 'refused', 'failed'] as const)
        : (['program_accepted', 'program_refused', 'program_failed'] as const);
    const outcome = ['signed-in', 'right'].includes(login.result) ? ok : login.result === 'unavailable' ? none : no;
    const row = sums.get(keyOf(login)) ?? {};
    row[outcome] = (row[outcome] ?? 0) + 1;
    sums.set(keyOf(login), row);
  }
  return new Map([...sums].map(([key, row]) => [key, Object.values(row).length === 0 ? {} : row]));
}

function shown(rows: readonly { readonly key: string; readonly counts: Readonly<Record<string, number>> }[]) {
  return new Map(
    rows.map(({ key, counts }) => [key, Object.fromEntries(Object.entries(counts).filter(([, n]) => n > 0))]),
  );
}

const keys: Readonly<Record<string, (login: EndedLogin) => string>> = {
  hour: ({ atMs }) => `${iso(atMs).slice(0, 10)} ${iso(atMs).slice(11, 13)}:00`,
  day: ({ atMs }) => iso(atMs).slice(0, 10),
  backend: ({ backend }) => backend ?? '(none)',
  domain: ({ user }) => (user === undefined ? '(unknown user)' : (user.split('@')[1] ?? '')),
  webmail: ({ webmail }) => webmail ?? '(none)',
  result: ({ way, result }) => (way === 'web' ? result : `program: ${result}`),
  client: ({ userAgent }) => Object.entries(agents).find(([, agent]) => agent === userAgent)?.[0] ?? '?',
};

function contract(name: string, nodes: number, open: () => StatisticsStore): void {
  describe(`the statistics in ${name}`, () => {
    it(`are those of a week of use at ${nodes} node(s), by all that they are counted by`, async () => {
      await using store = open();
      const clock = clockAt(startMs);
      let isAway = false;
      const add = async (batch: StatisticsBatch): Promise<string> => {
        if (isAway) throw new Error('the store is away');
        return store.add(batch, keptMs, clock);
      };
      const all = Array.from({ length: nodes }, () => nodeOf(add, clock));
      const dice = createDice(7);
      const done: EndedLogin[] = [];
      for (let minutes = 0; minutes < 7 * 24 * 60; minutes += 10) {
        // On the third day a clock is set back by three hours; on the fifth the store is away for five hours.
        const setBackMs = minutes > 3 * 1440 && minutes < 3 * 1440 + 180 ? 3 * hourMs : 0;
        isAway = minutes > 5 * 1440 && minutes < 5 * 1440 + 300;
        clock.atMs = startMs + minutes * 60_000 - setBackMs;
        for (const node of all) {
          for (let count = dice(6); count > 0; count -= 1) {
            const login = randomLogin(dice, clock.atMs);
            done.push(login);
            node.count(login);
          }
          if (minutes % 120 === 110) await node.flush();
        }
      }
      for (const node of all) await node[Symbol.asyncDispose]();
      const figures = figuresOf(store);
      const week = { sinceMs: startMs, untilMs: startMs + 7 * dayMs };
      for (const by of ['hour', 'day', 'backend', 'domain', 'webmail', 'result', 'client'] as const) {
        const { rows } = await figures.logins(by, week);
        assert.deepEqual(shown(rows), expected(done, keys[by] ?? String), by);
      }
      const { rows } = await figures.logins('backend', { sinceMs: startMs + 2 * dayMs, untilMs: startMs + 3 * dayMs });
      const thirdDay = done.filter(({ atMs }) => atMs >= startMs + 2 * dayMs && atMs < startMs + 3 * dayMs);
      assert.deepEqual(shown(rows), expected(thirdDay, keys['backend'] ?? String));

      const hours = await figures.week(week);
      for (const [weekday, counts] of hours.entries()) {
        for (const [hour, count] of counts.entries()) {
          const signedIn = done.filter(({ atMs, result }) => {
            const time = new Date(atMs);
            return result === 'signed-in' && (time.getUTCDay() + 6) % 7 === weekday && time.getUTCHours() === hour;
          });
          assert.equal(count, signedIn.length, `${weekday} ${hour}`);
        }
      }
      const { days } = await figures.users(week);
      const web = new Set(
        done.flatMap(({ atMs, result, user }) => (atMs < startMs + dayMs && result === 'signed-in' ? [user] : [])),
      );
      assert.ok(Math.abs((days[0]?.web ?? 0) - web.size) <= 2, `${days[0]?.web} users, of ${web.size}`);
    });

    it('show hours and days in a time zone, its summer time included', async () => {
      await using store = open();
      const clock = clockAt(Date.UTC(2026, 9, 25, 0, 30));
      const node = nodeOf((batch) => store.add(batch, 10 * keptMs, clock), clock);
      // The last hour of summer time in Berlin, the hour after it, and the last one of the day.
      for (const [hours, count] of [
        [0, 1],
        [1, 2],
        [22, 4],
        [23, 8],
      ] as const) {
        for (let left = count; left > 0; left -= 1) {
          node.count({ way: 'web', result: 'signed-in', atMs: Date.UTC(2026, 9, 25, hours, 30) });
        }
      }
      await node[Symbol.asyncDispose]();
      const figures = new StatisticsFigures({ store, nowMs: () => Date.UTC(2026, 10, 1), keptMs: () => keptMs });
      const asked = { sinceMs: Date.UTC(2026, 9, 24), untilMs: Date.UTC(2026, 9, 27) };
      const days = (await figures.logins('day', asked, 'Europe/Berlin')).rows;
      assert.deepEqual(
        shown(days),
        new Map([
          ['2026-10-25', { signed_in: 7 }],
          ['2026-10-26', { signed_in: 8 }],
        ]),
      );
      const hours = (await figures.logins('hour', asked, 'Europe/Berlin')).rows;
      assert.deepEqual(shown(hours).get('2026-10-25 02:00'), { signed_in: 3 }, 'the hour that comes twice');
      assert.equal((await figures.week(asked, 'Europe/Berlin'))[0]?.[0], 8);
      await assert.rejects(figures.week(asked, 'Mars'), RangeError);
    });

    it('add no batch twice, also when the answer to it was lost', async () => {
      await using store = open();
      let answers = 0;
      const node = nodeOf(async (batch) => {
        const erasures = await store.add(batch, keptMs, clockAt(startMs));
        answers += 1;
        if (answers === 1) throw new Error('the answer is lost');
        return erasures;
      }, clockAt(startMs));
      const login = {
        way: 'web',
        result: 'signed-in',
        atMs: startMs,
        user: 'alice@example.test',
        backend: 'a',
      } as const;
      node.count(login);
      await node.flush();
      node.count(login);
      await node.flush();
      await node[Symbol.asyncDispose]();
      const { rows } = await figuresOf(store).logins('day', { sinceMs: startMs, untilMs: startMs + dayMs });
      assert.deepEqual(shown(rows), new Map([[iso(startMs).slice(0, 10), { signed_in: 2 }]]));
    });

    it('keep the latest sign-in of each way, whatever the order and the clocks of the nodes', async () => {
      await using store = open();
      const [early, late] = [clockAt(startMs), clockAt(startMs + 5 * dayMs)];
      const slow = nodeOf((batch) => store.add(batch, keptMs, early), early);
      const quick = nodeOf((batch) => store.add(batch, keptMs, late), late);
      const alice = { user: 'alice@example.test', backend: 'a' };
      quick.count({ way: 'web', result: 'signed-in', atMs: late.atMs, ...alice });
      await quick.flush();
      slow.count({ way: 'web', result: 'signed-in', atMs: early.atMs, ...alice });
      slow.count({ way: 'program', result: 'right', atMs: early.atMs, ...alice });
      slow.count({ way: 'web', result: 'rejected', atMs: early.atMs, user: 'bob@example.test', backend: 'a' });
      slow.routed('carol@example.test');
      await slow.flush();
      for (const node of [slow, quick]) await node[Symbol.asyncDispose]();
      const figures = figuresOf(store);
      assert.deepEqual(await figures.lastLoginsOf(['alice@example.test', 'bob@example.test', 'carol@example.test']), [
        { web: late.atMs, program: early.atMs },
        undefined,
        { mail: early.atMs },
      ]);
      assert.ok([early.atMs, late.atMs].includes((await figures.knownSinceMs()) ?? 0));
      assert.deepEqual(
        [await store.erase('alice@example.test', late), await store.erase('alice@example.test', late)],
        [true, false],
      );
      assert.deepEqual(
        (await figures.lastLogins('')).users.map(({ user }) => user),
        ['carol@example.test'],
      );
    });

    it('drop what nodes noted of a user before the erasure and store after it, and keep what comes later', async () => {
      // A node whose clock is right, and with Redis those of two whose clock is not.
      const skewsMs = [0, hourMs, -hourMs].slice(0, nodes === 1 ? 1 : 3);
      await using opened = new AsyncDisposableStack();
      const all = skewsMs.map((skewMs) => {
        const clock = clockAt(startMs + 2 * hourMs + skewMs);
        const store = opened.use(open());
        const way = { isAway: false };
        const add = async (batch: StatisticsBatch): Promise<string> => {
          const erasures = await store.add(batch, keptMs, clock);
          if (way.isAway) throw new Error('the answer is lost');
          return erasures;
        };
        return { clock, store, way, node: opened.use(nodeOf(add, clock)) };
      });
      const sawAll = (user: string): void => {
        for (const { node, clock } of all) {
          node.count({ way: 'web', result: 'signed-in', atMs: clock.atMs, user, backend: 'a' });
          node.count({ way: 'program', result: 'right', atMs: clock.atMs, user, backend: 'a' });
        }
      };
      const pass = (ms: number): void => {
        for (const { clock } of all) clock.atMs += ms;
      };
      const flushAll = async (): Promise<void> => {
        for (const { node } of all) await node.flush();
      };
      const [first] = all;
      assert.ok(first !== undefined);
      const known = async () => first.store.lastLoginsOf(['alice@example.test', 'bob@example.test']);

      // One batch is stored before the erasure, whose answer is lost: it comes again. Another one waits.
      sawAll('alice@example.test');
      for (const { way } of all) way.isAway = true;
      await flushAll();
      for (const { way } of all) way.isAway = false;
      pass(60_000);
      sawAll('alice@example.test');
      sawAll('bob@example.test');
      pass(60_000);
      assert.equal(await first.store.erase('alice@example.test', first.clock), true);
      await flushAll();
      const [alice, bob] = await known();
      assert.equal(alice, undefined);
      assert.ok(bob?.web !== undefined && bob.program !== undefined);

      pass(60_000);
      sawAll('alice@example.test');
      const latest = Math.max(...all.map(({ clock }) => clock.atMs));
      await flushAll();
      assert.deepEqual((await known())[0], { web: latest, program: latest }, 'also by a program, in the same hour');

      // The second time nothing is stored, and the mark is set anew.
      sawAll('alice@example.test');
      pass(60_000);
      assert.equal(await first.store.erase('alice@example.test', first.clock), true);
      assert.equal(await first.store.erase('alice@example.test', first.clock), false);
      await flushAll();
      assert.equal((await known())[0], undefined);
    });

    it('list every user once, page by page', async () => {
      await using store = open();
      const node = nodeOf((batch) => store.add(batch, keptMs, clockAt(startMs)), clockAt(startMs));
      const users = Array.from({ length: 12_000 }, (_, number) => `user${number}@example.test`);
      for (const user of users) node.count({ way: 'web', result: 'signed-in', atMs: startMs, user, backend: 'a' });
      await node[Symbol.asyncDispose]();
      const listed: string[] = [];
      let pages = 0;
      for (let cursor: string | undefined = ''; cursor !== undefined; pages += 1) {
        const page: Awaited<ReturnType<StatisticsStore['lastLogins']>> = await store.lastLogins(cursor);
        listed.push(...page.users.map(({ user }) => user));
        cursor = page.cursor;
      }
      assert.ok(pages > 1);
      assert.deepEqual(listed.toSorted(), users.toSorted());
      const { months } = await figuresOf(store).users({ sinceMs: startMs, untilMs: startMs + 1 });
      const error = Math.abs((months[0]?.users ?? 0) - 12_000) / 12_000;
      assert.ok(error < 0.033, `four times the standard error: ${error}`);
    });

    it('put further domains into one sum when there are too many', async () => {
      await using store = open();
      const fields = new Map(Array.from({ length: 7_000 }, (_, number) => [`domain|d${number}.test|signed_in`, 1]));
      const table = `days:${iso(startMs).slice(0, 10)}`;
      const batch = { process: 'many', beganMs: startMs, users: new Map(), lastLogins: new Map() };
      await store.add({ ...batch, sequence: 1, counts: new Map([[table, fields]]) }, keptMs, clockAt(startMs));
      const more = new Map([
        ['domain|d1.test|signed_in', 1],
        ['domain|new.test|signed_in', 1],
        ['backend|a|signed_in', 1],
      ]);
      await store.add({ ...batch, sequence: 2, counts: new Map([[table, more]]) }, keptMs, clockAt(startMs));
      const [counts = new Map<string, number>()] = await store.counts([table]);
      assert.equal(counts.get('domain|(other)|signed_in'), 1_001);
      assert.equal(counts.get('domain|d1.test|signed_in'), 2);
      assert.equal(counts.get('backend|a|signed_in'), 1);
      assert.ok(counts.size <= 6_003);
    });

    it('forget what is older than the retention, also when that was made shorter', async () => {
      await using store = open();
      const node = nodeOf((batch) => store.add(batch, keptMs, clockAt(startMs)), clockAt(startMs));
      node.count({ way: 'web', result: 'signed-in', atMs: startMs, user: 'alice@example.test', backend: 'a' });
      await node[Symbol.asyncDispose]();
      const day = iso(startMs).slice(0, 10);
      const figures = new StatisticsFigures({ store, nowMs: () => startMs + 5 * dayMs, keptMs: () => 2 * dayMs });
      assert.deepEqual((await figures.lastLogins('')).users, []);
      assert.deepEqual((await figures.logins('day', { sinceMs: startMs, untilMs: startMs + dayMs })).rows, []);
      await store.sweep(startMs + 5 * dayMs, 10 * dayMs);
      assert.deepEqual(
        (await store.counts([`hours:${day}`])).map(({ size }) => size),
        [1],
      );
      await eventually(async () => {
        for (let count = 0; count < 200; count += 1) await store.sweep(startMs + 5 * dayMs, 2 * dayMs);
        return (await store.lastLoginsOf(['alice@example.test']))[0] === undefined;
      });
      assert.deepEqual(
        (await store.counts([`hours:${day}`, `days:${day}`])).map(({ size }) => size),
        [0, 0],
      );
      assert.equal(await store.distinct([`web:${day}`]), 0);
    });
  });
}

describe('over Redis', () => {
  const redis = redisForSuite();
  beforeEach(() => redis.client().flushAll());

  contract('Redis', 2, () => new RedisStatisticsStore(redis.run, marksOf));

  it('every key of the statistics expires, but for the time when they began', async () => {
    await using store: StatisticsStore = new RedisStatisticsStore(redis.run, marksOf);
    const node = nodeOf((batch) => store.add(batch, keptMs, { nowMs: Date.now }), clockAt(Date.now()));
    node.count({ way: 'web', result: 'signed-in', atMs: Date.now(), user: 'alice@example.test', backend: 'a' });
    await node[Symbol.asyncDispose]();
    const keys = await redis.client().keys('*');
    assert.equal(keys.length, 6, keys.join());
    for (const key of keys) {
      const leftMs = await redis.client().pTTL(key);
      if (key.endsWith(':began')) assert.equal(leftMs, -1);
      else assert.ok(leftMs > keptMs - dayMs && leftMs < keptMs + 32 * dayMs, `${key} ${leftMs}`);
    }
    assert.doesNotMatch((await redis.client().keys('*')).join(), /alice/);
    await store.erase('alice@example.test', { nowMs: Date.now });
    const leftMs = await redis.client().pTTL('{ps:state}:n:erased');
    assert.ok(leftMs > longestWaitMs && leftMs <= erasureKeptMs, `${leftMs}`);
  });

  it('a cursor that is none is refused: a negative one would be as many questions', async () => {
    let questions = 0;
    const run: typeof redis.run = (...asked) => ((questions += 1), redis.run(...asked));
    await using store: StatisticsStore = new RedisStatisticsStore(run, marksOf);
    for (const cursor of ['-64000', '-1', '16384', '0.5', '1e3', '0x40', 'alice', ' '])
      await assert.rejects(store.lastLogins(cursor), RangeError, cursor);
    assert.equal(questions, 0);
  });

  it('what is no time and no figure is left out, and nothing else with it', async () => {
    await using store: StatisticsStore = new RedisStatisticsStore(redis.run, marksOf);
    const node = nodeOf((batch) => store.add(batch, keptMs, clockAt(startMs)), clockAt(startMs));
    node.count({ way: 'web', result: 'signed-in', atMs: startMs, user: 'alice@example.test', backend: 'a' });
    await node[Symbol.asyncDispose]();
    const table = `days:${iso(startMs).slice(0, 10)}`;
    await redis.client().hSet(`{ps:state}:n:${table}`, { 'backend|b|signed_in': '1e999', 'backend|c|signed_in': 'x' });
    await redis.client().hSet('{ps:state}:n:l:0', 'bob@example.test', 'zzzzzzzzzzzz,,');
    await redis.client().set('{ps:state}:n:began', '1e300');
    const figures = figuresOf(store);
    assert.deepEqual(
      (await figures.lastLogins('')).users.map(({ user }) => user),
      ['alice@example.test'],
    );
    assert.equal(await figures.knownSinceMs(), undefined);
    const { rows } = await figures.logins('backend', { sinceMs: startMs, untilMs: startMs + dayMs });
    assert.deepEqual(
      rows.map(({ key }) => key),
      ['a'],
    );
  });
});

contract('the embedded store', 1, () => new SqliteStatisticsStore(join(folder, `${(files += 1)}.sqlite`), marksOf));
