import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createNetworkMatch, plainAddress } from '../../src/core/ip-networks.ts';

const addresses: readonly (readonly [shown: string, plain: string])[] = [
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::FFFF:192.0.2.1', '192.0.2.1'],
  ['::ffff:c000:201', '192.0.2.1'],
  ['0:0:0:0:0:ffff:192.0.2.1', '192.0.2.1'],
  ['::ffff:0:c000:201', '::ffff:0:c000:201'],
  ['::ffff:what', '::ffff:what'],
  ['fe80::1%eth0', 'fe80::1'],
  ['2001:db8::ffff:1', '2001:db8::ffff:1'],
  ['unknown', 'unknown'],
];
for (const [shown, plain] of addresses) {
  test(`${shown} is ${plain}`, () => assert.equal(plainAddress(shown), plain));
}

test('an address matches the networks it lies in, in IPv6 form too', () => {
  const lies = createNetworkMatch(['192.0.2.0/24', '198.51.100.7', '2001:db8:1::/48']);
  assert.equal(lies('192.0.2.255'), true);
  assert.equal(lies('::ffff:192.0.2.1'), true);
  assert.equal(lies('192.0.3.1'), false);
  assert.equal(lies('198.51.100.7'), true);
  assert.equal(lies('198.51.100.8'), false);
  assert.equal(lies('2001:db8:1:ffff::1'), true);
  assert.equal(lies('2001:db8:2::1'), false);
  assert.equal(lies('unknown'), false);
});

for (const network of [
  '',
  'here',
  '192.0.2.0/33',
  '192.0.2.0/',
  '192.0.2/24',
  '2001:db8::/129',
  '192.0.2.0/-1',
  '192.0.2.0/2.5',
]) {
  test(`${JSON.stringify(network)} is refused as a network`, () => {
    assert.throws(() => createNetworkMatch([network]), RangeError);
  });
}
