import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { clientNetwork, clientNetworks } from '../../src/core/ip-networks.ts';

const networks: readonly (readonly [address: string, network: string])[] = [
  ['192.0.2.77', '192.0.2.0/24'],
  ['::ffff:192.0.2.77', '192.0.2.0/24'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:db8:0:0:1:2:3:4', '2001:db8:0:0::/64'],
  ['2001:DB8:00ab:0cd0::', '2001:db8:ab:cd0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['::', '0:0:0:0::/64'],
  ['fe80::1:2:3', 'fe80:0:0:0::/64'],
  ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
  ['1::3:4:5:6:192.0.2.1', '1:0:3:4::/64'],
  ['unknown', 'unknown'],
];
for (const [address, network] of networks) {
  test(`${address} is counted under ${network}`, () => {
    assert.equal(clientNetwork(address), network);
  });
}

test('addresses that differ in their last 64 bits only share a network, however they are written', () => {
  const group = fc.integer({ min: 0, max: 0xffff }).map((value) => value.toString(16));
  const groups = fc.array(group, { minLength: 4, maxLength: 4 });
  fc.assert(
    fc.property(groups, groups, groups, (head, one, other) => {
      const compressed = new URL(`http://[${[...head, ...one].join(':')}]/`).hostname.slice(1, -1);
      assert.equal(clientNetwork(compressed), clientNetwork([...head, ...other].join(':')));
    }),
  );
});

const nested: readonly (readonly [address: string, networks: readonly string[]])[] = [
  ['192.0.2.77', ['192.0.2.0/24', '192.0.2.77']],
  ['::ffff:192.0.2.77', ['192.0.2.0/24', '192.0.2.77']],
  ['2001:db8:1:12ab::5', ['2001:db8:1::/48', '2001:db8:1:1200::/56', '2001:db8:1:12ab::/64', '2001:db8:1:12ab::5']],
  ['2001:db8::5', ['2001:db8:0::/48', '2001:db8:0:0::/56', '2001:db8:0:0::/64', '2001:db8::5']],
  ['unknown', ['unknown']],
];
for (const [address, networks] of nested) {
  test(`${address} belongs to ${networks.join(', ')}`, () => {
    assert.deepEqual(clientNetworks(address), networks);
  });
}
