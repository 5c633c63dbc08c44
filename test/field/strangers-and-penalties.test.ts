import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { clientNetworks } from '../../src/core/ip-networks.ts';
import { silentLog } from '../../src/core/log.ts';
import { Secret } from '../../src/core/secrets.ts';
import { createWaitingRoom } from '../../src/login/limits.ts';
import { createPenalty, type PenaltyDeps } from '../../src/login/penalty.ts';
import { createVerifiedPasswords } from '../../src/login/verified-passwords.ts';

const here = new AbortController().signal;

/** The penalty with waits that end only when the test says so, or when their signal is aborted. */
function bench(more: Partial<PenaltyDeps> = {}) {
  const waits = new Set<{ readonly ms: number; readonly end: () => void }>();
  const penalty = createPenalty({
    key: createSecretKey(randomBytes(32)),
    isExempt: () => false,
    wait: (ms, signal) =>
      new Promise((resolve, reject) => {
        const one = {
          ms,
          end() {
            waits.delete(one);
            resolve();
          },
        };
        waits.add(one);
        signal.addEventListener('abort', () => {
          waits.delete(one);
          reject(signal.reason);
        });
      }),
    log: silentLog,
    ...more,
  });
  const guess = (user: string, address: string, signal = here) =>
    penalty.admit({ user, address, password: new Secret(randomBytes(6).toString('hex')) }, signal);
  /** Asserts a refusal, after any wait. */
  const refused = async (user: string, address: string): Promise<void> => {
    const before = new Set(waits);
    const pending = guess(user, address);
    await settled();
    for (const one of waits) if (!before.has(one)) one.end();
    const admission = await pending;
    if (admission.kind === 'admitted') await admission.settle('wrong');
  };
  return { penalty, waits, guess, refused };
}

/** Lets all pending steps run. */
async function settled(): Promise<void> {
  for (let count = 0; count < 20; count += 1) await turn();
}

type Bench = ReturnType<typeof bench>;

/** Fills the room: from each address one wrong password for each of twelve users, then many at once. */
async function fill({ guess, refused }: Bench, addresses: readonly string[]): Promise<string[]> {
  const results: string[] = [];
  for (const address of addresses) {
    for (let count = 0; count < 12; count += 1) await refused(`chosen${count}`, address);
    for (let count = 0; count < 51; count += 1) {
      void guess(`chosen${count % 12}`, address).then(({ kind }) => results.push(kind));
    }
    for (let count = 0; count < 10; count += 1) await settled();
  }
  return results;
}

describe('a stranger who fills the waiting room', () => {
  const lines: readonly (readonly [what: string, addresses: readonly string[]])[] = [
    [
      '22 networks /64 of one home line (/56)',
      Array.from({ length: 22 }, (_, count) => `2001:db8:1:${(0x100 + count).toString(16)}::1`),
    ],
    [
      '22 networks /64 of one site (/48)',
      Array.from({ length: 22 }, (_, count) => `2001:db8:1:${(count * 0x100).toString(16)}::1`),
    ],
    ['22 networks /24', Array.from({ length: 22 }, (_, count) => `10.0.${count}.9`)],
  ];
  for (const [what, addresses] of lines) {
    test(`from ${what} keeps nobody else out`, async () => {
      const tried = bench();
      await fill(tried, addresses);
      assert.ok(tried.waits.size >= 1_000, `${tried.waits.size} wait`);

      // A victim who mistyped once, in another network.
      await tried.refused('victim', '198.51.100.7');
      const before = tried.waits.size;
      const victim = tried.guess('victim', '198.51.100.7');
      await settled();
      assert.equal(tried.waits.size, before, 'one of the crowd gave way');
      const [mine] = [...tried.waits].slice(-1);
      assert.equal(mine?.ms, 2_000);
      mine?.end();
      assert.equal((await victim).kind, 'admitted');
    });
  }

  test('keeps out neither the user whom everybody guesses at, who needs no place', async () => {
    const tried = bench();
    await fill(
      tried,
      Array.from({ length: 22 }, (_, count) => `10.0.${count}.9`),
    );
    for (let count = 0; count < 30; count += 1) await tried.refused('victim', `10.1.${count}.9`);
    const victim = tried.guess('victim', '198.51.100.7');
    await settled();
    const [mine] = [...tried.waits].slice(-1);
    assert.equal(mine?.ms, 4_000);
    mine?.end();
    assert.equal((await victim).kind, 'admitted');
  });

  test('and shares a /24 with somebody costs himself, not the neighbour', async () => {
    const tried = bench();
    await fill(tried, ['192.0.2.66']);
    await tried.refused('neighbour', '192.0.2.7');
    const neighbour = tried.guess('neighbour', '192.0.2.7');
    await settled();
    const [mine] = [...tried.waits].slice(-1);
    mine?.end();
    assert.equal((await neighbour).kind, 'admitted');
  });

  test('and is one of many whom one listed network carries costs himself alone', async () => {
    const tried = bench({ isExempt: (address) => address.startsWith('192.0.2.') });
    for (let count = 0; count < 1_100; count += 1) void tried.guess('chosen', '192.0.2.66');
    await settled();
    await tried.refused('colleague', '192.0.2.66');
    const colleague = tried.guess('colleague', '192.0.2.66');
    await settled();
    const [mine] = [...tried.waits].slice(-1);
    mine?.end();
    assert.equal((await colleague).kind, 'admitted');
  });
});

test('who gave way is told that it is busy, and was not counted', async () => {
  const tried = bench();
  const results = await fill(tried, ['2001:db8:1:100::1']);
  assert.equal(tried.waits.size, 50);
  assert.ok(results.includes('busy'));
  const more = tried.guess('chosen0', '2001:db8:1:100::1');
  assert.equal((await more).kind, 'busy');
});

test('a burst of one network over many names waits for the verdicts of those before it', async () => {
  const tried = bench();
  const admitted: { settle(verdict: 'wrong'): Promise<void> }[] = [];
  let busy = 0;
  for (let count = 0; count < 400; count += 1) {
    void tried.guess(`name${count}`, `192.0.2.${count % 200}`).then((admission) => {
      if (admission.kind === 'admitted') admitted.push(admission);
      else busy += 1;
    });
  }
  await settled();
  assert.equal(admitted.length, 10);
  let judged = 0;
  for (; judged < admitted.length; judged += 1) {
    await admitted[judged]?.settle('wrong');
    await settled();
  }
  assert.equal(judged, 39, 'those that were on their way when the 30th was refused, and no more');
  assert.equal(busy, 400 - judged - 50);
  const delays = [...tried.waits].map(({ ms }) => ms);
  assert.equal(delays.length, 50);
  assert.deepEqual(new Set(delays.slice(4)), new Set([15_000]));
});

test('a mail server that hangs does not keep a network waiting for its verdicts', async () => {
  const tried = bench();
  for (let count = 0; count < 10; count += 1)
    assert.equal((await tried.guess(`name${count}`, '192.0.2.7')).kind, 'admitted');
  const next = tried.guess('another', '192.0.2.8');
  await settled();
  const [patience] = tried.waits;
  assert.equal(patience?.ms, 3_000);
  patience?.end();
  assert.equal((await next).kind, 'admitted');
});

test('a right password gives its place among those that are tried to the next', async () => {
  const tried = bench();
  const first = await Promise.all(Array.from({ length: 10 }, (_, count) => tried.guess(`name${count}`, '192.0.2.7')));
  const next = tried.guess('another', '192.0.2.7');
  const [one] = first;
  assert.ok(one?.kind === 'admitted');
  await one.settle('right');
  await one.settle('wrong');
  const admission = await next;
  assert.deepEqual([admission.kind, admission.kind === 'admitted' && admission.waitedMs], ['admitted', 0]);
});

describe('a program that hangs up while its penalty is waited out', () => {
  const check = { user: 'alice', backend: 'a', address: '192.0.2.7', password: new Secret('x') };

  test('leaves the waiting room, and its attempt is not counted', async () => {
    const tried = bench();
    const checks = createVerifiedPasswords({ clock: { nowMs: () => 0 }, randomBytes });
    await tried.refused('alice', '192.0.2.7');
    const gone = new AbortController();
    const verdict = checks.verdict(check, gone.signal, async (allGone) => {
      await tried.guess('alice', '192.0.2.7', allGone);
      return 'right';
    });
    await settled();
    assert.equal(tried.waits.size, 1);
    gone.abort();
    await assert.rejects(verdict, { name: 'AbortError' });
    await settled();
    assert.equal(tried.waits.size, 0);
    void tried.guess('alice', '192.0.2.7');
    await settled();
    assert.deepEqual(
      [...tried.waits].map(({ ms }) => ms),
      [2_000],
      'as before',
    );
  });

  test('takes nothing from others who wait for the same', async () => {
    const checks = createVerifiedPasswords({ clock: { nowMs: () => 0 }, randomBytes });
    const answer = Promise.withResolvers<'right'>();
    const [gone, stays] = [new AbortController(), new AbortController()];
    const signals: AbortSignal[] = [];
    const ask = (allGone: AbortSignal) => {
      signals.push(allGone);
      return answer.promise;
    };
    const leaving = checks.verdict(check, gone.signal, ask);
    const staying = checks.verdict(check, stays.signal, ask);
    gone.abort();
    await assert.rejects(leaving, { name: 'AbortError' });
    assert.deepEqual([signals.length, signals[0]?.aborted], [1, false]);
    answer.resolve('right');
    assert.equal(await staying, 'right');
  });
});

describe('who gives way in a full waiting room', () => {
  const victim = '198.51.100.7';
  const crowds: readonly (readonly [what: string, addresses: readonly string[]])[] = [
    ['a home line with many /64', ['2001:db8:1:100::1', '2001:db8:1:101::1', '2001:db8:1:1ff::1']],
    ['a site with many /56', ['2001:db8:1:100::1', '2001:db8:1:200::1', '2001:db8:1:300::1']],
    ['neighbours of one /24', ['192.0.2.1', '192.0.2.2', '192.0.2.3']],
  ];
  for (const [what, addresses] of crowds) {
    test(`is one of the crowd, however much longer somebody else waits: ${what}`, () => {
      const room = createWaitingRoom({ inAll: addresses.length + 1, perNetwork: 100 });
      const enter = (address: string, delayMs: number) => {
        const from = clientNetworks(address);
        return room.enter({ from, network: from.at(-2), delayMs });
      };
      const longest = enter(victim, 15_000);
      const crowd = addresses.map((address) => enter(address, 2_000));
      assert.notEqual(enter('203.0.113.9', 2_000), undefined);
      assert.equal(longest?.givenUp.aborted, false);
      assert.equal(crowd.filter((place) => place?.givenUp.aborted === true).length, 1);
    });
  }
});
