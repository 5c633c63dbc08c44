import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { createRedisStateStore } from '../../src/backends/redis-state-store.ts';
import { createSqliteStateStore } from '../../src/backends/sqlite-state-store.ts';
import { createVouchedStateStore, type StateKeys } from '../../src/backends/vouched-state-store.ts';
import { systemClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { Secret } from '../../src/core/secrets.ts';
import { hashOfCode } from '../../src/support/enrolment.ts';
import { qrPicture, stepOfCode, totpAddress } from '../../src/support/second-factor.ts';
import { redisForSuite } from '../redis-client.fixture.ts';
import { secondFactorContract } from './second-factor-contract.fixture.ts';
import { enrol, serverKeys, startFactorNode } from './support.fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-factors-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

secondFactorContract('the embedded store', async () => {
  const file = join(folder, `${(files += 1)}`, 'state.sqlite');
  return [createSqliteStateStore(file), createSqliteStateStore(file)];
});

test('whoever writes to the store without a server key gets neither a recovery code nor an invitation in', async () => {
  const bare = createSqliteStateStore(join(folder, `${(files += 1)}`, 'state.sqlite'));
  const keys: StateKeys = { current: () => serverKeys, meet: async () => 'none' };
  const store = createVouchedStateStore({ store: bare, keys, clock: systemClock, log: silentLog });
  await using node = await startFactorNode(store, systemClock);
  const [sam, mia] = ['sam@example.test', 'mia@example.test'];
  await enrol(node.factors, sam, systemClock.nowMs());
  const own = 'x7kd-92mp-x7kd-92mp';
  const stored = (await bare.changesSince(0)).entries.find(({ key }) => key === sam)?.value ?? '';
  assert.match(stored, /"recovery":\[/);
  await bare.put('staff', sam, stored.replace('"recovery":[', `"recovery":["${hashOfCode(sam, own)}",`));
  const invitation = { hash: hashOfCode(mia, own), untilMs: systemClock.nowMs() + 60_000 };
  await bare.put('staff', mia, JSON.stringify({ invitation, failures: 0, lockedUntilMs: 0 }));
  assert.deepEqual(await node.factors.check(sam, own), { kind: 'wrong' });
  assert.deepEqual(await node.factors.accept(mia, 's', own), { kind: 'wrong' });
  await node.replica.refresh();
  assert.equal(node.factors.stateOf(mia), 'none');
  // A forged entry does not keep an operator from enrolling.
  await enrol(node.factors, mia, systemClock.nowMs());
  assert.equal(node.factors.stateOf(mia), 'enrolled');
});

test('an older entry that is put back resets nothing at a node that runs, and another node’s right code does', async () => {
  const bare = createSqliteStateStore(join(folder, `${(files += 1)}`, 'state.sqlite'));
  const keys: StateKeys = { current: () => serverKeys, meet: async () => 'none' };
  const store = createVouchedStateStore({ store: bare, keys, clock: systemClock, log: silentLog });
  const clock = { at: systemClock.nowMs(), nowMs: () => clock.at };
  await using here = await startFactorNode(store, clock);
  const sam = 'sam@example.test';
  const { recovery } = await enrol(here.factors, sam, clock.at);
  const [first = '', second = ''] = recovery;
  const older = (await bare.changesSince(0)).entries.find(({ key }) => key === sam)?.value;

  assert.equal((await here.factors.check(sam, first)).kind, 'right');
  await bare.put('staff', sam, older);
  assert.equal((await here.factors.check(sam, first)).kind, 'wrong', 'it was used');
  for (let count = 0; count < 3; count += 1) {
    assert.equal((await here.factors.check(sam, '000000')).kind, 'wrong');
    await bare.put('staff', sam, older);
  }
  const rested = await here.factors.check(sam, '000000');
  assert.equal(rested.kind, 'locked');
  await bare.put('staff', sam, older);
  assert.deepEqual(await here.factors.check(sam, second), rested, 'the rest goes on');

  clock.at += 60 * 60_000;
  await here.factors.check(sam, '000000');
  await using there = await startFactorNode(store, clock);
  assert.equal((await there.factors.check(sam, second)).kind, 'right');
  for (let count = 0; count < 4; count += 1) {
    assert.equal((await here.factors.check(sam, '000000')).kind, 'wrong', 'counted from the beginning');
  }
});

suite('second factors in Redis', () => {
  const redis = redisForSuite();

  secondFactorContract('Redis', async () => {
    await redis.client().flushAll();
    return [createRedisStateStore(redis.run), createRedisStateStore(redis.run)];
  });
});

suite('codes of an authenticator app', () => {
  // RFC 6238, appendix B, for SHA-1; its eight digits end in these six.
  const key = new Secret('GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ');
  for (const [seconds, code] of [
    [59, '287082'],
    [1_111_111_109, '081804'],
    [1_234_567_890, '005924'],
    [20_000_000_000, '353130'],
  ] as const) {
    test(`are those of RFC 6238 at second ${seconds}`, () => {
      assert.equal(stepOfCode(key, code, seconds * 1000), Math.floor(seconds / 30));
    });
  }

  for (const text of ['', '28708', '2870822', '28708a', '２８７０８２', '287 082', ' 287082', '-87082']) {
    test(`are never ${JSON.stringify(text)}`, () => {
      assert.equal(stepOfCode(key, text, 59_000), undefined);
    });
  }

  test('come from an address that names the service and the person', () => {
    const address = new URL(totpAddress(key, 'Example Mail', 'sam@example.test').reveal());
    assert.equal(address.protocol, 'otpauth:');
    assert.equal(decodeURIComponent(address.pathname), '/Example Mail:sam@example.test');
    assert.equal(address.searchParams.get('secret'), key.reveal());
    assert.equal(address.searchParams.get('digits'), '6');
  });

  test('and its picture needs neither a style nor a script', () => {
    const picture = qrPicture(totpAddress(key, 'Example Mail', 'sam@example.test'));
    assert.match(picture, /^<svg [^>]*><rect [^>]*\/><path [^>]*\/><\/svg>$/);
    assert.doesNotMatch(picture, /style|script|href|on\w+=/i);
  });
});
