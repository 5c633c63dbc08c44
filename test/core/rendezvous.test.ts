import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { createRendezvous, isInShare } from '../../src/core/rendezvous.ts';

const users = Array.from({ length: 20_000 }, (_, number) => `user${number}@example.test`);

function backends(weights: Readonly<Record<string, number>>) {
  return createRendezvous('backend', new Map(Object.entries(weights)));
}

function homesOf(weights: Readonly<Record<string, number>>): Map<string, string> {
  const rendezvous = backends(weights);
  return new Map(users.map((user) => [user, rendezvous.order(user)[0] ?? '']));
}

/** Five standard deviations of a binomial: the hash has no favourites. */
function assertShare(count: number, of: number, share: number, what: string): void {
  assert.ok(Math.abs(count - of * share) < 5 * Math.sqrt(of * share * (1 - share)), `${what}: ${count} of ${of}`);
}

describe('rendezvous hashing', () => {
  test('gives each member keys by its weight', () => {
    const homes = [...homesOf({ a: 1, b: 2, c: 5 }).values()];
    for (const [name, weight] of Object.entries({ a: 1, b: 2, c: 5 })) {
      assertShare(homes.filter((home) => home === name).length, users.length, weight / 8, name);
    }
  });

  test('moves no key but those of a member that goes', () => {
    const [before, after] = [homesOf({ a: 1, b: 1, c: 1, d: 1 }), homesOf({ a: 1, b: 1, d: 1 })];
    for (const [user, home] of before) if (home !== 'c') assert.equal(after.get(user), home);
  });

  test('moves keys only to a member whose weight grows, and only from it when it shrinks', () => {
    const [before, after] = [homesOf({ a: 1, b: 1, c: 1 }), homesOf({ a: 1, b: 2, c: 1 })];
    for (const [user, home] of after) if (home !== before.get(user)) assert.equal(home, 'b');
  });

  test('sends the keys of a member that goes to the next in their own order', () => {
    const after = homesOf({ a: 1, b: 1, d: 1 });
    const rendezvous = backends({ a: 1, b: 1, c: 1, d: 1 });
    for (const user of users) {
      const next = rendezvous.order(user).find((name) => name !== 'c');
      assert.equal(next, after.get(user));
    }
  });

  test('is the same on every node and in every version: these homes must never change', () => {
    const rendezvous = backends({ a: 1, b: 2, c: 3 });
    const orders = ['alice@example.test', 'bob@example.test', 'carol@example.test', 'jörg@example.test', ''].map(
      (user) => rendezvous.order(user).join(''),
    );
    assert.deepEqual(orders, ['acb', 'bca', 'bca', 'cba', 'bca']);
  });

  // Digests of the homes that these users have had since the first version, and of those that they have while b drains.
  const knownHomes = [
    [
      'of equal weight',
      { a: 1, b: 1, c: 1, d: 1 },
      '7b22bff2d3954fd56461c901808eb8468695c1c6714ac346274c958b475269a0',
      'f3792335c0354e8dd864b56e51791757984d7ab00a9e8baff3ffd5deba5548db',
    ],
    [
      'of unequal weights',
      { a: 1, b: 2, c: 3.5, d: 0.25 },
      '6385985ea8d809307294ca00e60d9cb9e69bd0c558652c00dfc98ba43a4d352e',
      '5fb8cba8850a104f2470f3442885baa57b340a9e91ed0c146b855372f29288d0',
    ],
  ] as const;
  for (const [name, weights, homes, whileDraining] of knownHomes) {
    test(`leaves 100,000 users of backends ${name} on the homes that they always had`, () => {
      const rendezvous = backends(weights);
      const [all, drained] = [createHash('sha256'), createHash('sha256')];
      for (let number = 0; number < 100_000; number += 1) {
        const order = rendezvous.order(`user${number}@example${number % 7}.test`);
        all.update(`${order[0]}\n`);
        drained.update(`${order.find((backend) => backend !== 'b')}\n`);
      }
      assert.equal(all.digest('hex'), homes);
      assert.equal(drained.digest('hex'), whileDraining);
    });
  }

  test('does not depend on the order in which members are written, and leaves out those without weight', () => {
    const rendezvous = backends({ a: 1, b: 1, c: 0 });
    const turned = backends({ c: 0, b: 1, a: 1 });
    fc.assert(
      fc.property(fc.string(), (user) => {
        assert.deepEqual(rendezvous.order(user), turned.order(user));
        assert.equal(rendezvous.order(user).length, 2);
      }),
    );
  });

  test('has nobody to give where there is nobody', () => assert.deepEqual(backends({}).order('alice'), []));

  test('spreads the users of a backend over its hosts, even if a host is called like the backend', () => {
    const hosts = createRendezvous('host', new Map(Object.entries({ a: 1, 'a/2': 1 })));
    const ofA = [...homesOf({ a: 1, b: 1 })].filter(([, home]) => home === 'a').map(([user]) => user);
    assertShare(ofA.filter((user) => hosts.order(user)[0] === 'a').length, ofA.length, 1 / 2, 'a');
  });
});

describe('a share of the users', () => {
  test('has its size, also among the users of one backend', () => {
    for (const [backend, homes] of Map.groupBy(homesOf({ a: 1, b: 1 }), ([, home]) => home)) {
      const share = homes.filter(([user]) => isInShare(user, 20)).length;
      assertShare(share, homes.length, 0.2, backend);
    }
  });

  test('holds every smaller share; 100 percent are all users', () => {
    for (const user of users.slice(0, 2000)) {
      if (isInShare(user, 20)) assert.ok(isInShare(user, 50));
      assert.ok(isInShare(user, 100));
      assert.ok(!isInShare(user, 0));
    }
  });
});
