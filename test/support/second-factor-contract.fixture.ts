import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { suite, test } from 'node:test';
import type { StateStore } from '../../src/core/state-store.ts';
import { createServerKey } from '../../src/sessions/key-derivation.ts';
import { codeOf, enrol, ringOf, startFactorNode } from './support.fixture.ts';

const sam = 'sam@example.test';
const minuteMs = 60_000;
const stepMs = 30_000;

/** The contract of second factors over any shared store, given as two stores over the same state. */
export function secondFactorContract(name: string, open: () => Promise<readonly [StateStore, StateStore]>): void {
  /** Two nodes with one clock, which the test moves. */
  async function start() {
    const clock = { now: Date.UTC(2026, 10, 26, 12), nowMs: () => clock.now };
    const [first, second] = await open();
    const here = await startFactorNode(first, clock);
    const there = await startFactorNode(second, clock);
    return { clock, here: here.factors, there: there.factors, nodes: [here, there] as const };
  }

  async function running(work: (started: Awaited<ReturnType<typeof start>>) => Promise<void>) {
    const started = await start();
    try {
      await work(started);
    } finally {
      for (const node of started.nodes) await node[Symbol.asyncDispose]();
    }
  }

  suite(`second factors over ${name}`, () => {
    test('without an invitation no code makes one', () =>
      running(async ({ here }) => {
        assert.equal(here.stateOf(sam), 'none');
        assert.deepEqual(await here.accept(sam, 's', 'x7kd-92mp-x7kd-92mp'), { kind: 'wrong' });
        assert.equal(here.offered(sam, 's'), undefined);
        assert.deepEqual(await here.check(sam, '123456'), { kind: 'wrong' });
      }));

    test('an invitation is good once, for its own user, and for a day', () =>
      running(async ({ here, there, clock }) => {
        const invited = await here.invite(sam);
        assert.ok(invited !== undefined);
        const code = invited.code.reveal();
        assert.equal(invited.untilMs, clock.now + 24 * 60 * minuteMs);
        assert.equal(here.stateOf(sam), 'invited');
        assert.deepEqual(await here.accept('mia@example.test', 's', code), { kind: 'wrong' });
        const outcomes = await Promise.all([here.accept(sam, 's1', code), there.accept(sam, 's2', code)]);
        assert.deepEqual(outcomes.map(({ kind }) => kind).sort(), ['right', 'wrong']);
        assert.deepEqual(await here.accept(sam, 's3', code), { kind: 'wrong' });
        const again = await here.invite(sam);
        clock.now += 24 * 60 * minuteMs;
        assert.equal(here.stateOf(sam), 'none');
        assert.deepEqual(await here.accept(sam, 's4', again?.code.reveal() ?? ''), { kind: 'wrong' });
      }));

    test('a new invitation ends the one before, and nobody who has a second factor is invited', () =>
      running(async ({ here, clock }) => {
        const first = await here.invite(sam);
        const second = await here.invite(sam);
        assert.deepEqual(await here.accept(sam, 's', first?.code.reveal() ?? ''), { kind: 'wrong' });
        assert.deepEqual(await here.accept(sam, 's', second?.code.reveal().toUpperCase().replaceAll('-', ' ') ?? ''), {
          kind: 'right',
        });
        const key = here.offered(sam, 's')?.reveal() ?? '';
        assert.equal((await here.confirm(sam, 's', codeOf(key, clock.now))).kind, 'right');
        assert.equal(await here.invite(sam), undefined);
        assert.equal(here.stateOf(sam), 'enrolled');
      }));

    test('the key is shown to the session that had the invitation, for a quarter of an hour', () =>
      running(async ({ here, clock }) => {
        const invited = await here.invite(sam);
        await here.accept(sam, 'mine', invited?.code.reveal() ?? '');
        const key = here.offered(sam, 'mine')?.reveal() ?? '';
        assert.match(key, /^[A-Z2-7]{32}$/);
        assert.equal(here.offered(sam, 'other'), undefined);
        assert.equal((await here.confirm(sam, 'other', codeOf(key, clock.now))).kind, 'wrong');
        clock.now += 15 * minuteMs;
        assert.equal(here.offered(sam, 'mine'), undefined);
        assert.equal((await here.confirm(sam, 'mine', codeOf(key, clock.now))).kind, 'wrong');
      }));

    test('a code is good for one use, on whatever nodes it is shown at once; so is the one that confirmed', () =>
      running(async ({ here, there, clock }) => {
        const { key } = await enrol(here, sam, clock.now);
        assert.deepEqual(await here.check(sam, codeOf(key, clock.now)), { kind: 'used' });
        clock.now += stepMs;
        const code = codeOf(key, clock.now);
        const outcomes = await Promise.all([there.check(sam, code), here.check(sam, code), there.check(sam, code)]);
        assert.deepEqual(outcomes.map(({ kind }) => kind).sort(), ['right', 'used', 'used']);
      }));

    test('a clock may be off by one step, not by two, and no older code counts after a newer one', () =>
      running(async ({ here, clock }) => {
        const { key } = await enrol(here, sam, clock.now);
        clock.now += 10 * minuteMs;
        assert.equal((await here.check(sam, codeOf(key, clock.now - 2 * stepMs))).kind, 'wrong');
        assert.equal((await here.check(sam, codeOf(key, clock.now + 2 * stepMs))).kind, 'wrong');
        assert.equal((await here.check(sam, codeOf(key, clock.now + stepMs))).kind, 'right');
        assert.equal((await here.check(sam, codeOf(key, clock.now))).kind, 'used');
        assert.equal((await here.check(sam, codeOf(key, clock.now - stepMs))).kind, 'used');
        clock.now += 2 * stepMs;
        assert.equal((await here.check(sam, ` ${codeOf(key, clock.now)} `)).kind, 'right');
      }));

    test('a clock that is set back or forward revives no code', () =>
      running(async ({ here, there, clock }) => {
        const { key } = await enrol(here, sam, clock.now);
        clock.now += 10 * minuteMs;
        const used = codeOf(key, clock.now);
        assert.equal((await here.check(sam, used)).kind, 'right');
        const usedAtMs = clock.now;
        clock.now -= 60 * minuteMs;
        assert.equal((await there.check(sam, codeOf(key, clock.now))).kind, 'used');
        clock.now = usedAtMs;
        assert.equal((await there.check(sam, used)).kind, 'used');
        clock.now += 60 * minuteMs;
        assert.equal((await there.check(sam, used)).kind, 'wrong');
        assert.equal((await there.check(sam, codeOf(key, clock.now))).kind, 'right');
      }));

    test('each of ten recovery codes is good once', () =>
      running(async ({ here, there, clock }) => {
        const { recovery } = await enrol(here, sam, clock.now);
        assert.equal(new Set(recovery).size, 10);
        const [first = '', second = ''] = recovery;
        const outcomes = await Promise.all([here.check(sam, first), there.check(sam, first)]);
        assert.deepEqual(outcomes.map(({ kind }) => kind).sort(), ['right', 'wrong']);
        assert.deepEqual(await there.check(sam, second.replaceAll('-', '')), {
          kind: 'right',
          by: 'recovery',
          recoveryLeft: 8,
        });
      }));

    test('five wrong codes in a row let the second factor rest for five minutes, on every node', () =>
      running(async ({ here, there, clock }) => {
        const { key } = await enrol(here, sam, clock.now);
        clock.now += stepMs;
        const wrong = codeOf(key, clock.now) === '000000' ? '111111' : '000000';
        const kinds: string[] = [];
        for (const node of [here, there, here, there, here]) kinds.push((await node.check(sam, wrong)).kind);
        assert.deepEqual(kinds, ['wrong', 'wrong', 'wrong', 'wrong', 'locked']);
        assert.deepEqual(await there.check(sam, codeOf(key, clock.now)), {
          kind: 'locked',
          untilMs: clock.now + 5 * minuteMs,
        });
        clock.now += 5 * minuteMs;
        assert.equal((await there.check(sam, codeOf(key, clock.now))).kind, 'right');
      }));

    test('guesses get harder: each rest is longer until a code is right, and the second is an alarm', () =>
      running(async ({ here, there, clock, nodes }) => {
        const { key } = await enrol(here, sam, clock.now);
        const fiveWrong = async () => {
          const kinds: string[] = [];
          const wrong = codeOf(key, clock.now) === '000000' ? '111111' : '000000';
          for (const node of [here, there, here, there, here]) kinds.push((await node.check(sam, wrong)).kind);
          assert.equal(kinds.at(-1), 'locked');
        };
        for (const [rest, minutes] of [5, 15, 60, 240, 240].entries()) {
          await fiveWrong();
          assert.equal(nodes[0].alarms.length, rest);
          clock.now += minutes * minuteMs - 1;
          assert.equal((await there.check(sam, codeOf(key, clock.now))).kind, 'locked');
          clock.now += 1;
        }
        assert.equal((await there.check(sam, codeOf(key, clock.now))).kind, 'right');
        await fiveWrong();
        clock.now += 5 * minuteMs;
        assert.equal((await here.check(sam, codeOf(key, clock.now))).kind, 'right');
      }));

    test('parallel guesses are all counted', () =>
      running(async ({ here, there, clock }) => {
        const { key } = await enrol(here, sam, clock.now);
        clock.now += stepMs;
        const right = codeOf(key, clock.now);
        const guesses = ['000001', '000002', '000003', '000004', '000005'].filter((guess) => guess !== right);
        await Promise.all(guesses.map((guess, at) => (at % 2 === 0 ? here : there).check(sam, guess)));
        if (guesses.length < 5) await here.check(sam, '000006');
        assert.equal((await here.check(sam, right)).kind, 'locked');
      }));

    test('a reset takes it away, and an invitation makes another', () =>
      running(async ({ here, there, clock }) => {
        const { key, recovery } = await enrol(here, sam, clock.now);
        assert.equal(await there.reset(sam), true);
        assert.equal(await there.reset(sam), false);
        clock.now += stepMs;
        assert.equal((await here.check(sam, codeOf(key, clock.now))).kind, 'wrong');
        assert.equal((await here.check(sam, recovery[0] ?? '')).kind, 'wrong');
        await enrol(here, sam, clock.now);
        assert.deepEqual(
          here.all().map(({ user, state }) => ({ user, state })),
          [{ user: sam, state: 'enrolled' }],
        );
      }));

    test('what the store holds shows neither the key nor any code, and opens for nobody else', async () => {
      const clock = { now: Date.UTC(2026, 10, 26, 12), nowMs: () => clock.now };
      const [store, other] = await open();
      await using node = await startFactorNode(store, clock);
      const { key, recovery } = await enrol(node.factors, sam, clock.now);
      const { entries } = await other.changesSince(0);
      const text = entries.find((entry) => entry.table === 'staff')?.value ?? '';
      assert.match(text, /sealedKey/);
      for (const secret of [key, ...recovery, ...recovery.map((code) => code.replaceAll('-', ''))]) {
        assert.ok(!text.includes(secret));
      }
      // An attacker who can write to the store puts sam's entry under mia's name.
      await other.put('staff', 'mia@example.test', text);
      await node.replica.refresh();
      clock.now += stepMs;
      await assert.rejects(node.factors.check('mia@example.test', codeOf(key, clock.now)), {
        code: 'ERR_KEY_UNKNOWN',
      });
      await other[Symbol.asyncDispose]();
    });

    test('it outlives the server key of its first day, once it was used under the next', async () => {
      const clock = { now: Date.UTC(2026, 10, 26, 12), nowMs: () => clock.now };
      const [old, fresh] = [createServerKey('00000001', randomBytes(32)), createServerKey('00000002', randomBytes(32))];
      let ring = ringOf(old);
      const [store, other] = await open();
      await using node = await startFactorNode(store, clock, () => ring);
      const { key } = await enrol(node.factors, sam, clock.now);
      ring = ringOf(fresh, old);
      clock.now += stepMs;
      assert.equal((await node.factors.check(sam, codeOf(key, clock.now))).kind, 'right');
      ring = ringOf(fresh);
      clock.now += stepMs;
      assert.equal((await node.factors.check(sam, codeOf(key, clock.now))).kind, 'right');
      await other[Symbol.asyncDispose]();
    });
  });
}
