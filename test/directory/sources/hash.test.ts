import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createRendezvous } from '../../../src/core/rendezvous.ts';
import { checkSource } from '../../../src/directory/registry.ts';
import type { SharedStorageStates } from '../../../src/directory/source.ts';
import { backendName, backendsNamed, outcomeOf, testDirectory } from '../directory.fixture.ts';
import { sourceContract } from '../source-contract.fixture.ts';

sourceContract('hash', async () => ({ settings: { type: 'hash' }, async [Symbol.asyncDispose]() {} }), {
  hasNoPeer: true,
  everybody: (user) => [`a ${user}`, `b ${user}`],
});

function states(known: {
  readonly out?: readonly string[];
  readonly draining?: readonly string[];
  readonly sessions?: Record<string, number>;
  readonly at?: string;
}): SharedStorageStates {
  return {
    isServing: (backend) => !(known.out ?? []).includes(backend),
    takesNew: (backend) => ![...(known.out ?? []), ...(known.draining ?? [])].includes(backend),
    sessions: (backend) => known.sessions?.[backend] ?? 0,
    currentHome: () => Promise.resolve(known.at === undefined ? undefined : backendName(known.at)),
  };
}

describe('a hash source', () => {
  const weights = new Map([
    ['a', 1],
    ['b', 1],
  ]);
  const home = createRendezvous('backend', weights).order('alice@example.test')[0] ?? '';
  const other = home === 'a' ? 'b' : 'a';
  const shared = { type: 'hash', shared_storage: true };
  const cases: readonly (readonly [
    name: string,
    settings: Record<string, unknown>,
    states: SharedStorageStates | undefined,
    backend: string,
  ])[] = [
    ['answers for everybody', { type: 'hash' }, undefined, home],
    [
      'gives no users to a backend without weight',
      { type: 'hash', weights: { [home]: 0, [other]: 1 } },
      undefined,
      other,
    ],
    ['keeps pinned users where they are', { type: 'hash', pinned: { Alice: other } }, undefined, other],
    ['never looks at states without shared storage', { type: 'hash' }, states({ out: [home] }), home],
    ['leaves out a backend that is out of the ring', shared, states({ out: [home] }), other],
    ['lets users return', shared, states({}), home],
    ['leaves a user where the sessions are', shared, states({ at: other }), other],
    ['but does not leave a user on a backend that is out', shared, states({ at: other, out: [other] }), home],
    ['sends no new users to a backend that drains', shared, states({ draining: [home] }), other],
    ['leaves users with sessions on a backend that drains', shared, states({ at: home, draining: [home] }), home],
    ['uses a backend that drains if there is no other', shared, states({ draining: [home], out: [other] }), home],
    ['keeps pinned users pinned', { ...shared, pinned: { alice: home } }, states({ out: [home] }), home],
    ['bounds the load', { ...shared, max_load: 1.25 }, states({ sessions: { [home]: 90, [other]: 10 } }), other],
    [
      'moves nobody within the bound',
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
    const homes = await Promise.all(
      Array.from({ length: 50 }, async (_, number) => (await outcomeOf(directory, `user${number}@example.test`))[0]),
    );
    assert.equal(new Set(homes).size, 1);
  });

  test('is checked before it is opened', async () => {
    const problems = await checkSource({ type: 'hash', weights: { a: -1 }, max_load: 0.5 });
    assert.deepEqual(
      problems.map(({ path, message }) => `${path.join('.')}: ${message}`),
      [
        'weights.a: -1 is not a number in this range: write a number from 0 to 1000000',
        'weights: give at least one backend a weight above 0',
        'max_load: 0.5 is not a number in this range: write a number from 1 to 100',
        'max_load: needs shared_storage: true: without it every user has one home',
      ],
    );
    assert.match((await checkSource({ type: 'hash', max_load: 2 }))[0]?.message ?? '', /needs shared_storage: true/);
    await assert.rejects(testDirectory([{ type: 'hash', weights: { c: 1 } }]), /there is no backend c/);
    await assert.rejects(testDirectory([{ type: 'hash', pinned: { alice: 'c' } }]), /there is no backend c/);
    await assert.rejects(
      testDirectory([{ type: 'hash', pinned: { 'a b': 'a' } }]),
      /pinned: a b is not a valid user: character/,
    );
  });
});
