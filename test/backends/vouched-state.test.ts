import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, suite, test } from 'node:test';
import { createClient } from 'redis';
import { readAnchors } from '../../src/audit/anchors.ts';
import { createRedisStateStore } from '../../src/backends/redis-state-store.ts';
import { createSqliteStateStore } from '../../src/backends/sqlite-state-store.ts';
import { createStateReplica } from '../../src/backends/state-replica.ts';
import {
  parseActiveHost,
  parseForgotten,
  parseFoundHome,
  parseLock,
  parseMove,
  parseOverride,
  parseReloadOrder,
  parseNodeLoad,
  parseSetState,
} from '../../src/backends/state-values.ts';
import { createVouchedStateStore, keepRenewed, type StateKeys } from '../../src/backends/vouched-state-store.ts';
import { PosternError } from '../../src/core/error.ts';
import { type Log, silentLog } from '../../src/core/log.ts';
import { type RunScript, type StateStore, type StateTable, stateTables } from '../../src/core/state-store.ts';
import { createKeyRing, createServerKey } from '../../src/sessions/key-derivation.ts';
import { parseEnrolment } from '../../src/support/enrolment.ts';
import { parseOpenedMailbox } from '../../src/support/mailbox-expiry.ts';
import { parseNotices } from '../../src/support/notices.ts';
import { parseLink } from '../../src/support/one-time-links.ts';
import { eventually } from '../eventually.fixture.ts';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';
import { handClock, setState } from './samples.fixture.ts';
import { stateStoreContract } from './state-store-contract.fixture.ts';

const [old, fresh, foreign] = ['0000000a', '0000000b', '0000000c'].map((id) => createServerKey(id, randomBytes(32)));
assert.ok(old && fresh && foreign);

/** The keys of a node: the first one is promoted. */
function keysOf(...keys: readonly (typeof old)[]): StateKeys {
  const ring = createKeyRing(
    keys.filter((key) => key !== undefined),
    keys[0]?.id ?? '',
  );
  return { current: () => ring, meet: async () => 'none' };
}

function vouched(store: StateStore, keys = keysOf(old), log: Log = silentLog, clock = handClock(), untilMs = 0) {
  return createVouchedStateStore({ store, keys, clock, log, unsignedUntilMs: () => untilMs });
}

/** A log that remembers its errors. */
function noteErrors(): Log & { readonly errors: readonly object[] } {
  const errors: object[] = [];
  return { ...silentLog, errors, error: (_event: string, fields: object = {}) => void errors.push(fields) };
}

const folder = mkdtempSync(join(tmpdir(), 'postern-vouched-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const newFile = () => join(folder, `${(files += 1)}`, 'state.sqlite');

stateStoreContract('a vouched store in a file', async () => {
  const file = newFile();
  return [vouched(createSqliteStateStore(file)), vouched(createSqliteStateStore(file))];
});

/** All tables but `probe`, with which nodes try a store: no node reads that one. */
type ReadTable = Exclude<StateTable, 'probe'>;
const readTables = stateTables.filter((table) => table !== 'probe');

/** One entry of each table as gateways write it, and how their mirrors read it. */
const entries: Readonly<Record<ReadTable, { readonly text: string; readonly parse: (text: string) => unknown }>> = {
  states: entry(setState('MAINT'), parseSetState),
  active: entry({ host: 'a/2', by: 'ops', reason: 'disks', sinceMs: 1, from: 'a' }, parseActiveHost),
  overrides: entry({ backend: 'b', reason: 'moved', by: 'ops', sinceMs: 1 }, parseOverride),
  locks: entry({ reason: 'abused', by: 'ops', sinceMs: 1, texts: { en: 'Locked.' } }, parseLock),
  homes: entry({ backend: 'b', from: 'a', sinceMs: 1 }, parseFoundHome),
  moves: entry(
    { from: 'a', to: 'b', phase: 'done', reason: 'full', by: 'ops', node: 'n', startedAtMs: 1, phaseAtMs: 2 },
    parseMove,
  ),
  batches: entry({ users: 3 }, (text) => text),
  forgotten: { text: '2026-11-26T12:00:00.000Z', parse: parseForgotten },
  loads: entry({ atMs: 1, perHost: { a: 3 } }, parseNodeLoad),
  staff: entry({ invitation: { hash: 'x', untilMs: 9 }, failures: 0, lockedUntilMs: 0 }, parseEnrolment),
  links: entry({ opening: '{}', expiresAtMs: 5, mac: 'x' }, parseLink),
  opened: entry(
    { actor: 'sam', staffSession: 's', subject: 'alice', reason: 'asked', ticket: '', sinceMs: 1, untilMs: 2 },
    parseOpenedMailbox,
  ),
  notices: entry([{ actor: 'sam', reason: 'asked', minutes: 5, atMs: 1 }], parseNotices),
  reloads: entry({ id: 'x', by: 'ops', reason: 'disks', atMs: 1, nodes: ['a'] }, parseReloadOrder),
  audit: entry({ sequence: 4, mac: 'x', timeMs: 1, node: 'n', file: 'f' }, (text) => text),
};

function entry(value: unknown, parse: (text: string) => unknown) {
  return { text: JSON.stringify(value), parse };
}

const values = '{ps:state}:values';

suite('what somebody with Redis and without a server key writes', () => {
  let server: RedisServer;
  let client: ReturnType<typeof createClient>;
  let run: RunScript;
  before(async () => {
    server = await startRedisServer();
    client = createClient({ url: server.url, RESP: 3 });
    await client.connect();
    run = (script, keys, args) => client.eval(script, { keys: [...keys], arguments: [...args] });
  });
  after(async () => {
    client.destroy();
    await server[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await client.flushAll();
  });
  const open = (keys?: StateKeys) => vouched(createRedisStateStore(run), keys);

  /** Puts a text into Redis as the gateway's own script would, but does not vouch for it. */
  async function forge(table: string, key: string, stored: string): Promise<void> {
    const bare = createRedisStateStore(run);
    const known = readTables.find((name) => name === table);
    assert.ok(known !== undefined);
    await bare.put(known, key, stored);
  }

  /** The entry as a node that starts now sees it. */
  async function seen(table: ReadTable, key: string): Promise<unknown> {
    const replica = createStateReplica({ store: open(), log: silentLog });
    const mirrored = replica.table(table, entries[table].parse);
    await replica.refresh();
    const found = mirrored.get(key);
    await replica[Symbol.asyncDispose]();
    return found;
  }

  for (const table of readTables) {
    const { text } = entries[table];
    test(`in the table ${table} counts as none: changed, moved, foreign, without a MAC`, async () => {
      await open().put(table, 'k', text);
      assert.notEqual(await seen(table, 'k'), undefined, 'what a gateway wrote counts');
      const stored = ((await client.hGet(values, `${table}:k`)) ?? '').replace(/^\d+:/, '');
      const [id = '', mac = ''] = stored.split('.');
      const other = table === 'staff' ? 'notices' : 'staff';
      await open(keysOf(foreign)).put(other, 'k', entries[other].text);
      const ofForeign = ((await client.hGet(values, `${other}:k`)) ?? '').replace(/^\d+:/, '');
      await open().put(other, 'k', entries[other].text);
      const ofOther = ((await client.hGet(values, `${other}:k`)) ?? '').replace(/^\d+:/, '');
      await open(keysOf(foreign)).put(table, 'k', text);
      const underForeign = ((await client.hGet(values, `${table}:k`)) ?? '').replace(/^\d+:/, '');
      const changed = text.replace(/\d(?=\D*$)/, '7');
      assert.notEqual(changed, text);
      const forgeries: readonly (readonly [what: string, key: string, stored: string])[] = [
        ['changed', 'k', `${id}.${mac}.${changed}`],
        ['without a MAC', 'k', text],
        ['with an empty MAC', 'k', `${id}..${text}`],
        ['with a random MAC', 'k', `${id}.${randomBytes(32).toString('base64url')}.${text}`],
        ['under a key that nobody has', 'k', underForeign],
        ['under such a key, with the name of a good one', 'k', `${id}${underForeign.slice(8)}`],
        ['moved to another key', 'k2', stored],
        ['moved from another table', 'k', ofOther],
        ['foreign and of another table', 'k', ofForeign],
        ['cut', 'k', stored.slice(0, -1)],
        ['longer', 'k', `${stored} `],
      ];
      for (const [what, key, forged] of forgeries) {
        await forge(table, key, forged);
        assert.equal(await seen(table, key), undefined, what);
      }
      await forge(table, 'k', stored);
      assert.notEqual(await seen(table, 'k'), undefined, 'the same text at its own place counts');
    });
  }

  test('moves nothing also where it moved the value by hand, without the script', async () => {
    await open().put('staff', 'sam', entries.staff.text);
    await open().put('staff', 'mia', entries.staff.text.replace('"x"', '"y"'));
    const ofSam = (await client.hGet(values, 'staff:sam')) ?? '';
    await client.hSet(values, 'staff:mia', ofSam);
    assert.equal(await seen('staff', 'mia'), undefined);
    assert.notEqual(await seen('staff', 'sam'), undefined);
  });

  test('no anchor of the audit is made of it', async () => {
    await open().put('audit', 'good', entries.audit.text);
    await forge('audit', 'bad', entries.audit.text);
    assert.deepEqual(
      (await readAnchors(open())).map(({ chain }) => chain),
      ['good'],
    );
  });
});

suite('an entry that counts as none', () => {
  test('is no alarm where somebody tries whether the store can be written to', async () => {
    const [bare, log] = [createSqliteStateStore(newFile()), noteErrors()];
    await bare.put('probe', 'start', 'now');
    assert.deepEqual((await vouched(bare, keysOf(old), log).changesSince(0)).entries, []);
    assert.deepEqual(log.errors, []);
    await bare[Symbol.asyncDispose]();
  });

  test('is told as gone to a node that knew the good one, with one alarm per table and minute', async () => {
    const bare = createSqliteStateStore(newFile());
    const [log, clock] = [noteErrors(), handClock()];
    const store = vouched(bare, keysOf(old), log, clock);
    await using replica = createStateReplica({ store, log: silentLog, pollMs: 60_000 });
    await replica.states.set('a', setState('MAINT'));
    await bare.put('states', 'a', JSON.stringify(setState('READY')));
    await bare.put('states', 'b', JSON.stringify(setState('READY')));
    await bare.put('staff', 'sam', '{}');
    await replica.refresh();
    assert.equal(replica.states.get('a'), undefined);
    const told = [
      { code: 'ERR_ENTRY_FORGED', table: 'states', key: 'a', others: 1 },
      { code: 'ERR_ENTRY_FORGED', table: 'staff', key: 'sam', others: 0 },
    ];
    assert.deepEqual(log.errors, told);
    await bare.put('states', 'c', '{}');
    await replica.refresh();
    assert.deepEqual(log.errors, told);
    clock.advance(60_000);
    await bare.put('states', 'c', '{}');
    await replica.refresh();
    assert.equal(log.errors.length, 3);
  });

  test('keeps nobody from writing there, from removing it, or from taking what is written then', async () => {
    const bare = createSqliteStateStore(newFile());
    await using replica = createStateReplica({ store: vouched(bare), log: silentLog, pollMs: 60_000 });
    await bare.put('states', 'a', JSON.stringify(setState('READY')));
    assert.equal(await replica.states.take('a'), undefined);
    assert.equal(await replica.states.change('a', (before) => before ?? setState('MAINT')), 'written');
    assert.equal((await replica.states.take('a'))?.state, 'MAINT');
    await bare.put('states', 'a', '{}');
    await replica.states.remove('a');
    assert.equal((await bare.changesSince(0)).entries[0]?.value, undefined);
  });
});

suite('entries during an upgrade from 0.1.0', () => {
  test('stand as JSON objects that it reads, whose last member vouches for them', async () => {
    const bare = createSqliteStateStore(newFile());
    const node = vouched(bare);
    for (const table of ['states', 'active', 'overrides', 'moves', 'staff', 'links', 'opened'] as const) {
      const { text, parse } = entries[table];
      await node.put(table, 'k', text);
      const stored = (await bare.changesSince(0)).entries.find((found) => found.table === table)?.value ?? '';
      const { vouched: voucher, ...known } = JSON.parse(stored);
      assert.match(voucher, /^0000000a\.[\w-]{43}$/);
      assert.deepEqual(known, JSON.parse(text));
      assert.notEqual(parse(stored), undefined, `0.1.0 reads ${table}`);
    }
  });

  test('count without a voucher until the time that the operator set, and are vouched for by then', async () => {
    const bare = createSqliteStateStore(newFile());
    const clock = handClock();
    const untilMs = clock.nowMs() + 60_000;
    const { text } = entries.states;
    await bare.put('states', 'a', text);
    const told: object[] = [];
    const log: Log = { ...silentLog, info: (event, fields = {}) => void told.push({ event, ...fields }) };
    const node = vouched(bare, keysOf(old), log, clock, untilMs);
    assert.equal((await node.changesSince(0)).entries[0]?.value, text);
    await bare.put('loads', 'node', entries.loads.text);
    await node.renew();
    await node.renew();
    assert.deepEqual(told, [{ event: 'unsigned-entry-vouched', table: 'states', key: 'a' }]);
    // A node of 0.1.0 that still runs changes one and writes another.
    await bare.put('states', 'a', ((await bare.changesSince(0)).entries[0]?.value ?? '').replace('MAINT', 'DRAIN'));
    await bare.put('states', 'b', text);
    await node.renew();
    assert.equal(told.length, 3, 'each entry that it vouches for is in the log');
    await bare.put('states', 'late', text);
    clock.advance(60_000);
    const counted = (await node.changesSince(0)).entries
      .filter(({ table }) => table === 'states')
      .map(({ key, value }) => [key, value]);
    assert.deepEqual(
      new Map(counted.map(([key, value]) => [key, value])),
      new Map([
        ['a', text.replace('MAINT', 'DRAIN')],
        ['b', text],
        ['late', undefined],
      ]),
    );
  });
});

suite('entries and server keys', () => {
  test('an entry under a key that is still open counts, and a retired one’s does not', async () => {
    const file = newFile();
    await using writer = vouched(createSqliteStateStore(file), keysOf(old));
    await writer.put('states', 'a', '"1"');
    await using reader = vouched(createSqliteStateStore(file), keysOf(fresh, old));
    assert.equal((await reader.changesSince(0)).entries[0]?.value, '"1"');
    await using later = vouched(createSqliteStateStore(file), keysOf(fresh));
    assert.equal((await later.changesSince(0)).entries[0]?.value, undefined);
  });

  test('once another key is promoted every genuine entry stands under it, so that the old one can be retired', async () => {
    const file = newFile();
    const bare = createSqliteStateStore(file);
    let keys = keysOf(old, fresh);
    await using node = vouched(bare, { current: () => keys.current(), meet: (id) => keys.meet(id) });
    await using following = keepRenewed(node, 1);
    for (const table of readTables) await node.put(table, 'k', entries[table].text);
    await node.put('states', 'gone', '"1"');
    await node.put('states', 'gone', undefined);
    await bare.put('staff', 'mia', entries.staff.text);
    keys = keysOf(fresh, old);
    const { id } = keys.current().promoted;
    await eventually(async () =>
      (await bare.changesSince(0)).entries.every(
        ({ value, key }) => value === undefined || key === 'mia' || value.includes(id),
      ),
    );
    await following[Symbol.asyncDispose]();
    await using later = vouched(createSqliteStateStore(file), keysOf(fresh));
    const counted = (await later.changesSince(0)).entries.filter(({ value }) => value !== undefined);
    assert.deepEqual(
      new Map(counted.map(({ table, key, value }) => [`${table}:${key}`, value])),
      new Map(readTables.map((table) => [`${table}:k`, entries[table].text])),
    );
  });

  test('while the same key is promoted nothing is written', async () => {
    const file = newFile();
    await using node = vouched(createSqliteStateStore(file));
    await node.put('states', 'a', '"1"');
    const { cursor } = await node.changesSince(0);
    await node.renew();
    await node.renew();
    assert.equal((await node.changesSince(0)).cursor, cursor);
  });

  test('what a store that is away leaves undone is done when it is back', async () => {
    const bare = createSqliteStateStore(newFile());
    await vouched(bare, keysOf(old)).put('states', 'a', '"1"');
    let away = true;
    const node = vouched(
      {
        ...bare,
        async put(...asked) {
          if (away) throw new PosternError('ERR_STORE_UNAVAILABLE', 'away', { source: 'store', retryable: true });
          return bare.put(...asked);
        },
      },
      keysOf(fresh, old),
    );
    await assert.rejects(node.renew(), { code: 'ERR_STORE_UNAVAILABLE' });
    away = false;
    await node.renew();
    assert.equal((await bare.changesSince(0)).entries[0]?.value?.startsWith('0000000b.'), true);
    await bare[Symbol.asyncDispose]();
  });

  test('an entry under a key that others use and this node lacks is no reason to forget: what is known stands', async () => {
    const file = newFile();
    const clock = handClock();
    let met = 0;
    let keys: StateKeys = {
      ...keysOf(old),
      async meet() {
        met += 1;
        return 'missing';
      },
    };
    const store = vouched(
      createSqliteStateStore(file),
      { current: () => keys.current(), meet: (id) => keys.meet(id) },
      silentLog,
      clock,
    );
    await using replica = createStateReplica({ store, log: silentLog, pollMs: 60_000 });
    await replica.states.set('a', setState('MAINT'));
    await using other = vouched(createSqliteStateStore(file), keysOf(fresh, old));
    await other.put('states', 'a', JSON.stringify(setState('READY')));
    for (let look = 0; look < 5; look += 1) await assert.rejects(replica.refresh(), { code: 'ERR_KEY_UNKNOWN' });
    assert.equal(met, 1, 'the keys file is not read at each look');
    assert.equal(replica.states.get('a')?.state, 'MAINT');
    keys = keysOf(old, fresh);
    await replica.refresh();
    assert.equal(replica.states.get('a')?.state, 'READY');
  });
});
