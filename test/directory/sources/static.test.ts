import assert from 'node:assert/strict';
import { test } from 'node:test';
import { outcomeOf, testDirectory } from '../directory.fixture.ts';
import { sourceContract } from '../source-contract.fixture.ts';

sourceContract(
  'static',
  async () => ({ settings: { type: 'static', backend: 'a' }, async [Symbol.asyncDispose]() {} }),
  {
    hasNoPeer: true,
    everybody: (user) => [`a ${user}`],
  },
);

test('unknown users have a home only if a static source gives one', async () => {
  const known = { type: 'hash', weights: { b: 1 }, domains: 'known.test' };
  await using strict = await testDirectory([known]);
  assert.equal(await outcomeOf(strict, 'nobody'), 'unknown');
  await using generous = await testDirectory([known, { type: 'static', backend: 'a' }]);
  assert.equal(await outcomeOf(generous, 'nobody'), 'a nobody@example.test');
  assert.equal(await outcomeOf(generous, 'bob@known.test'), 'b bob@known.test');
});
