import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createClient } from 'redis';
import { type Log, silentLog } from '../../src/core/log.ts';
import { dayMs } from '../../src/core/statistics.ts';
import { scriptsOn } from '../../src/gateway/stores.ts';
import { StatisticsFigures } from '../../src/observe/statistics/figures.ts';
import { RedisStatisticsStore } from '../../src/observe/statistics/redis-store.ts';
import { createRedisConnection } from '../../src/redis/connection.ts';
import { eventually } from '../eventually.fixture.ts';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';
import { clockAt, iso, keptMs, marksOf, nodeOf, startMs } from './statistics.fixture.ts';

type Client = Awaited<ReturnType<typeof connect>>;

function connect(url: string) {
  return createClient({ url, RESP: 3 })
    .on('error', () => {})
    .connect();
}

interface Fault {
  readonly name: string;
  readonly inject: (server: RedisServer, client: Client) => unknown;
  readonly mend: (server: RedisServer, client: Client) => unknown;
  /** What the alarm says. */
  readonly said: RegExp;
}

const today = iso(startMs).slice(0, 10);
const table = `{ps:state}:n:hours:${today}`;
const faults: readonly Fault[] = [
  {
    name: 'full, and takes no more',
    inject: (_server, client) => client.configSet({ 'maxmemory-policy': 'noeviction', maxmemory: '1' }),
    mend: (_server, client) => client.configSet('maxmemory', '0'),
    said: /OOM/,
  },
  {
    name: 'read-only',
    inject: (_server, client) => client.sendCommand(['REPLICAOF', '127.0.0.1', '1']),
    mend: (_server, client) => client.sendCommand(['REPLICAOF', 'NO', 'ONE']),
    said: /READONLY|read only replica/,
  },
  {
    name: 'hung',
    inject: (server) => server.freeze(),
    mend: (server) => server.thaw(),
    said: /gave no good answer/,
  },
  {
    name: 'killed',
    inject: (server) => server.kill(),
    mend: (server) => server.restart(),
    said: /gave no good answer/,
  },
  {
    name: 'holding a key of another type in the place of a table',
    inject: async (_server, client) => {
      await client.rename(table, 'elsewhere');
      await client.set(table, 'foreign');
    },
    mend: (_server, client) => client.rename('elsewhere', table),
    said: /WRONGTYPE/,
  },
];

describe('statistics whose Redis is', () => {
  for (const { name, inject, mend, said } of faults) {
    it(`${name}: each sign-in counts once it is mended, none twice, and one alarm says why`, async (t) => {
      await using server = await startRedisServer();
      const client = await connect(server.url);
      t.after(() => client.destroy());
      const connection = createRedisConnection({ settings: { url: server.url }, log: silentLog });
      t.after(() => connection.close());
      await connection.open(AbortSignal.timeout(5_000));
      const events: { readonly event: string; readonly err: string }[] = [];
      const note = (event: string, fields: object = {}): void =>
        void events.push({ event, err: 'err' in fields ? String(fields.err) : '' });
      const log: Log = { debug: note, info: note, warn: note, error: note };
      const clock = clockAt(startMs);
      const store = new RedisStatisticsStore(scriptsOn(connection), marksOf);
      await using node = nodeOf((batch) => store.add(batch, keptMs, clock), clock, log);
      const signIn = (user: string): void =>
        node.count({ way: 'web', result: 'signed-in', atMs: clock.atMs, user: `${user}@example.test`, backend: 'a' });
      signIn('alice');
      await node.flush();

      await inject(server, client);
      for (const user of ['bob', 'carol', 'bob']) {
        signIn(user);
        await node.flush();
      }
      assert.deepEqual(
        events.map(({ event }) => event),
        ['statistics-not-stored'],
      );
      assert.match(events[0]?.err ?? '', said);

      await mend(server, client);
      await eventually(async () => {
        await node.flush();
        return events.length > 1;
      });
      assert.equal(events[1]?.event, 'statistics-stored');
      const figures = new StatisticsFigures({ store, nowMs: clock.nowMs, keptMs: () => keptMs });
      const { rows } = await figures.logins('hour', { sinceMs: startMs, untilMs: startMs + dayMs });
      assert.deepEqual(
        rows.map(({ key, counts }) => [key, counts.signed_in]),
        [[`${today} 00:00`, 4]],
      );
      assert.equal((await figures.users({ sinceMs: startMs, untilMs: startMs + 1 })).days[0]?.users, 3);
    });
  }

  it('away until the end of the process lose their figures, and say how many sign-ins', async () => {
    const said: unknown[] = [];
    const log: Log = { ...silentLog, warn: (event, fields) => void said.push([event, fields]) };
    const node = nodeOf(() => Promise.reject(new Error('away')), clockAt(startMs), log);
    for (let count = 0; count < 3; count += 1) {
      node.count({ way: 'web', result: 'signed-in', atMs: startMs, user: 'alice@example.test', backend: 'a' });
      if (count === 1) await node.flush();
    }
    await node[Symbol.asyncDispose]();
    assert.deepEqual(said, [['statistics-lost', { attempts: 3 }]]);
  });
});
