import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createSqliteStateStore } from '../../src/backends/sqlite-state-store.ts';
import { createVouchedStateStore } from '../../src/backends/vouched-state-store.ts';
import { loadConfig } from '../../src/config/load.ts';
import { systemClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { renewState } from '../../src/gateway/offline.ts';
import { addKey, makeKeysFile, promoteKey, readKeysFile, ringOf } from '../../src/sessions/keys-file.ts';
import { SqliteSessionStore } from '../../src/sessions/sqlite-store.ts';
import { filesOf, smallest } from '../config/config.fixture.ts';
import { gatewayWith, run } from './cli.fixture.ts';

/** A configuration with a keys file, and what the commands need of a gateway. */
async function scene(t: TestContext, more = '') {
  const directory = filesOf(t, { 'postern.yaml': smallest(more) });
  mkdirSync(join(directory, 'state'));
  const config = join(directory, 'postern.yaml');
  const file = join(directory, 'state/keys');
  const [first] = await makeKeysFile(file);
  assert.ok(first);
  const openStore = async () =>
    new SqliteSessionStore({ file: join(directory, 'state/store'), tombstoneMs: 1000, clock: systemClock });
  const keys = (...args: string[]) =>
    run(['keys', ...args, '-c', config], { loadGateway: gatewayWith({ openStore, renewState }) });
  return { config, file, first: first.id, openStore, keys };
}

test('list shows each key and which one seals, and never a key itself', async (t) => {
  const { keys, file, first } = await scene(t);
  const [entry] = (await readKeysFile(file)) ?? [];
  const { code, out } = await keys('list');
  assert.equal(code, 0);
  assert.match(out, new RegExp(`^KEY +STATE +SINCE\n${first} +promoted +(?:now|\\d+ s ago)`));
  const json = await keys('list', '--format', 'json');
  assert.deepEqual(
    JSON.parse(json.out).map((key: { id: string }) => key.id),
    [first],
  );
  const secret = entry?.secret.toString('base64') ?? '';
  assert.ok(secret !== '' && !(out + json.out).includes(secret));
});

test('list ends with 1 where no node has made the file yet', async (t) => {
  const config = join(filesOf(t, { 'postern.yaml': smallest() }), 'postern.yaml');
  const { code, err } = await run(['keys', 'list', '-c', config]);
  assert.equal(code, 1);
  assert.match(err, /the first node to start creates it/);
});

test('create writes a file with one key for nodes that cannot make theirs, and never over another file', async (t) => {
  const file = join(filesOf(t, {}), 'keys');
  const { code, out } = await run(['keys', 'create', file]);
  assert.equal(code, 0);
  const [made, ...others] = (await readKeysFile(file)) ?? [];
  assert.deepEqual([made?.state, others], ['promoted', []]);
  assert.equal(out, `Wrote ${file} with the key ${made?.id}: keep it secret, and give it to every node.\n`);
  const again = await run(['keys', 'create', file]);
  assert.notEqual(again.code, 0);
  assert.match(again.err, /keys exists, and is not written over: name another file, or remove it if no node uses it/);
  assert.deepEqual(
    (await readKeysFile(file))?.map(({ id }) => id),
    [made?.id],
  );
});

test('a rotation is add, promote, retire, each with what to do next', async (t) => {
  const { keys, file, first, config } = await scene(t, 'sessions: { absolute_timeout: 1s, idle_timeout: 1s }');
  const added = await keys('add');
  assert.equal(added.code, 0);
  const fresh = /postern keys promote ([0-9a-f]{8})\n/.exec(added.out)?.[1] ?? '';
  assert.equal((await keys('promote', fresh)).code, 0);
  const states = (await readKeysFile(file))?.map(({ id, state }) => [id, state]);
  assert.deepEqual(states, [
    [first, 'open'],
    [fresh, 'promoted'],
  ]);
  const { sessions } = await loadConfig(config, { env: {} });
  assert.equal(sessions.absoluteTimeoutMs, 1000);
  const retired = await keys('retire', first, '--now');
  assert.equal(retired.code, 0, retired.err);
  assert.deepEqual(
    (await readKeysFile(file))?.map(({ id }) => id),
    [fresh],
  );
});

test('what nodes agree on outlives the key under which it was written, also where no gateway has run since', async (t) => {
  const { keys, file, first, config } = await scene(t);
  const { sessions } = await loadConfig(config, { env: {} });
  assert.ok(sessions.store.kind === 'embedded');
  const bare = createSqliteStateStore(sessions.store.file);
  const vouched = async () => {
    const ring = ringOf((await readKeysFile(file)) ?? []);
    const stateKeys = { current: () => ring, meet: async () => 'none' as const };
    return createVouchedStateStore({ store: bare, keys: stateKeys, clock: systemClock, log: silentLog });
  };
  await (await vouched()).put('states', 'backend:a', '"MAINT"');
  await bare.put('staff', 'mia@example.test', '"forged"');
  const fresh = await addKey(file);
  await keys('promote', fresh);
  assert.equal((await keys('retire', first, '--now')).code, 0);
  const { entries } = await (await vouched()).changesSince(0);
  assert.deepEqual(Object.fromEntries(entries.map(({ key, value }) => [key, value])), {
    'backend:a': '"MAINT"',
    'mia@example.test': undefined,
  });
  await bare[Symbol.asyncDispose]();
});

test('a key that may hold living sessions is not retired, unless that is meant', async (t) => {
  const { keys, file, first } = await scene(t);
  await promoteKey(file, await addKey(file));
  const early = await keys('retire', first);
  assert.equal(early.code, 1);
  assert.match(
    early.err,
    new RegExp(`^Sessions sealed with ${first} may last until .*: retire it then, or add --now to end them\\.\n$`),
  );
  assert.equal((await readKeysFile(file))?.length, 2);
});

test('retire takes the key off the list of all nodes, also one that this file never had', async (t) => {
  const { keys, openStore } = await scene(t);
  {
    await using store = await openStore();
    await store.registerKeys([{ id: 'deadbeef', fingerprint: 'f', promoted: true, from: 'other:/state/keys' }]);
  }
  assert.equal((await keys('retire', 'deadbeef')).code, 0);
  await using store = await openStore();
  assert.deepEqual(await store.registerKeys([]), []);
  const again = await keys('retire', 'deadbeef');
  assert.equal(again.code, 2);
  assert.match(again.err, /no key deadbeef, neither in .*state\/keys nor in the store/);
});

test('the key that seals cannot be retired, and an unknown one not promoted', async (t) => {
  const { keys, first } = await scene(t);
  const retired = await keys('retire', first);
  assert.equal(retired.code, 2);
  assert.match(retired.err, /promote another before you retire it/);
  const promoted = await keys('promote', 'deadbeef');
  assert.equal(promoted.code, 2);
  assert.match(promoted.err, /has no key deadbeef/);
});
