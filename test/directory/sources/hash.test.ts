import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { checkSource } from '../../../src/directory/registry.ts';
import type { RingStates } from '../../../src/directory/source.ts';
import { createRing } from '../../../src/directory/sources/hash.ts';
import { backendName, backendsNamed, outcomeOf, testDirectory } from '../directory.fixture.ts';
import { sourceContract } from '../source-contract.fixture.ts';

const users = Array.from({ length: 20_000 }, (_, number) => `user${number}@example.test`);
const weightsOf = (weights: Record<string, number>): ReadonlyMap<string, number> => new Map(Object.entries(weights));

function homesOf(weights: Record<string, number>): Map<string, string> {
  const ring = createRing(weightsOf(weights));
  return new Map(users.map((user) => [user, ring.order(user)[0] ?? '']));
}

sourceContract('hash', async () => ({ settings: { type: 'hash' }, async [Symbol.asyncDispose]() {} }), {
  hasNoPeer: true,
  everybody: (user) => [`a ${user}`, `b ${user}`],
});

describe('the ring', () => {
  test('gives each backend users by its weight', () => {
    const counts = new Map<string, number>();
    for (const home of homesOf({ a: 1, b: 2, c: 5 }).values()) counts.set(home, (counts.get(home) ?? 0) + 1);
    for (const [name, share] of [
      ['a', 1 / 8],
      ['b', 2 / 8],
      ['c', 5 / 8],
    ] as const) {
      const expected = users.length * share;
      // Five standard deviations of a binomial: the hash has no favourites.
      assert.ok(Math.abs((counts.get(name) ?? 0) - expected) < 5 * Math.sqrt(expected * (1 - share)), name);
    }
  });

  test('moves nobody but the users of a backend that goes', () => {
    const [before, after] = [homesOf({ a: 1, b: 1, c: 1, d: 1 }), homesOf({ a: 1, b: 1, d: 1 })];
    for (const [user, home] of before) if (home !== 'c') assert.equal(after.get(user), home);
  });

  test('moves users only to a backend whose weight grows, and only from it when it shrinks', () => {
    const [before, after] = [homesOf({ a: 1, b: 1, c: 1 }), homesOf({ a: 1, b: 2, c: 1 })];
    for (const [user, home] of after) if (home !== before.get(user)) assert.equal(home, 'b');
  });

  test('sends the users of a backend that goes to the next in their own order', () => {
    const after = homesOf({ a: 1, b: 1, d: 1 });
    const ring = createRing(weightsOf({ a: 1, b: 1, c: 1, d: 1 }));
    for (const user of users)
      assert.equal(
        ring.order(user).find((name) => name !== 'c'),
        after.get(user),
      );
  });

  test('is the same on every node and in every version: these homes must never change', () => {
    const ring = createRing(weightsOf({ a: 1, b: 2, c: 3 }));
    assert.deepEqual(
      ['alice@example.test', 'bob@example.test', 'carol@example.test', 'jörg@example.test', ''].map((user) =>
        ring.order(user).join(''),
      ),
      ['acb', 'bca', 'bca', 'cba', 'bca'],
    );
  });

  test('does not depend on the order in which backends are written, and leaves out those without weight', () => {
    const ring = createRing(weightsOf({ a: 1, b: 1, c: 0 }));
    const turned = createRing(weightsOf({ c: 0, b: 1, a: 1 }));
    fc.assert(
      fc.property(fc.string(), (user) => {
        assert.deepEqual(ring.order(user), turned.order(user));
        assert.equal(ring.order(user).length, 2);
      }),
    );
  });
});

function states(known: {
  readonly out?: readonly string[];
  readonly draining?: readonly string[];
  readonly sessions?: Record<string, number>;
  readonly at?: string;
}): RingStates {
  return {
    isInRing: (backend) => !(known.out ?? []).includes(backend),
    takesNew: (backend) => ![...(known.out ?? []), ...(known.draining ?? [])].includes(backend),
    sessions: (backend) => known.sessions?.[backend] ?? 0,
    currentHome: () => Promise.resolve(known.at === undefined ? undefined : backendName(known.at)),
  };
}

describe('a hash source', () => {
  const home = createRing(weightsOf({ a: 1, b: 1 })).order('alice@example.test')[0] ?? '';
  const other = home === 'a' ? 'b' : 'a';
  const shared = { type: 'hash', shared_storage: true };
  const cases: readonly (readonly [
    name: string,
    settings: Record<string, unknown>,
    states: RingStates | undefined,
    backend: string,
  ])[] = [
    ['answers for everybody', { type: 'hash' }, undefined, home],
    ['gives a backend without weight nobody', { type: 'hash', weights: { [home]: 0, [other]: 1 } }, undefined, other],
    ['keeps who is pinned', { type: 'hash', pinned: { Alice: other } }, undefined, other],
    ['never looks at states without shared storage', { type: 'hash' }, states({ out: [home] }), home],
    ['leaves out who is out of the ring', shared, states({ out: [home] }), other],
    ['lets users return', shared, states({}), home],
    ['leaves a user where the sessions are', shared, states({ at: other }), other],
    ['but not on a backend that is out', shared, states({ at: other, out: [other] }), home],
    ['sends nobody new to one that drains', shared, states({ draining: [home] }), other],
    ['leaves who is there on one that drains', shared, states({ at: home, draining: [home] }), home],
    ['has one that drains where there is no other', shared, states({ draining: [home], out: [other] }), home],
    ['keeps pinned users pinned', { ...shared, pinned: { alice: home } }, states({ out: [home] }), home],
    ['bounds the load', { ...shared, max_load: 1.25 }, states({ sessions: { [home]: 90, [other]: 10 } }), other],
    [
      'within the bound nobody moves',
      { ...shared, max_load: 1.25 },
      states({ sessions: { [home]: 55, [other]: 45 } }),
      home,
    ],
  ];
  for (const [name, settings, known, backend] of cases) {
    test(name, async () => {
      await using directory = await testDirectory([settings], known === undefined ? {} : { states: known });
      assert.equal(await outcomeOf(directory, 'alice'), `${backend} alice@example.test`);
    });
  }

  test('is a tempfail when no backend is left', async () => {
    await using directory = await testDirectory([shared], { states: states({ out: ['a', 'b'] }) });
    assert.equal(await outcomeOf(directory, 'alice'), 'ERR_DIRECTORY_UNAVAILABLE');
  });

  test('may hash the domain alone', async () => {
    await using directory = await testDirectory([{ type: 'hash', key: '%d' }], {
      backends: backendsNamed('a', 'b', 'c', 'd'),
    });
    const homes = await Promise.all(users.slice(0, 50).map(async (user) => (await outcomeOf(directory, user))[0]));
    assert.equal(new Set(homes).size, 1);
  });

  test('is checked before it is opened', async () => {
    const problems = await checkSource({ type: 'hash', weights: { a: -1 }, max_load: 0.5 });
    assert.deepEqual(
      problems.map(({ path, message }) => `${path.join('.')}: ${message}`),
      [
        'weights.a: -1 is not such a number: write a number from 0 to 1000000',
        'weights: give at least one backend a weight above 0',
        'max_load: 0.5 is not such a number: write a number from 1 to 100',
        'max_load: needs shared_storage: true: without it every user has one home',
      ],
    );
    assert.match((await checkSource({ type: 'hash', max_load: 2 }))[0]?.message ?? '', /needs shared_storage: true/);
    await assert.rejects(testDirectory([{ type: 'hash', weights: { c: 1 } }]), /there is no backend c/);
    await assert.rejects(testDirectory([{ type: 'hash', pinned: { alice: 'c' } }]), /there is no backend c/);
    await assert.rejects(
      testDirectory([{ type: 'hash', pinned: { 'a b': 'a' } }]),
      /pinned: a b is no user: character/,
    );
  });
});
