import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { bracketed, isLoopback, parseHost, parseListen, parseNetwork } from '../../src/schema/value-parsers.ts';

const hosts: readonly (readonly [text: string, host: string | undefined])[] = [
  ['mx1.example.org', 'mx1.example.org'],
  ['MX1.Example.ORG.', 'mx1.example.org'],
  ['bücher.example', 'xn--bcher-kva.example'],
  ['mail_server', 'mail_server'],
  ['127.0.0.1', '127.0.0.1'],
  ['2001:DB8:0:0::1', '2001:db8::1'],
  ['[::1]', '::1'],
  ['', undefined],
  ['1.2.3', undefined],
  ['300.1.1.1', undefined],
  ['0x7f.1', undefined],
  ['fe80::1%eth0', undefined],
  ['[127.0.0.1]', undefined],
  ['a b', undefined],
  ['-a.example', undefined],
  ['a..b', undefined],
  ['a/b', undefined],
  ['user@host', undefined],
];
for (const [text, host] of hosts) {
  test(`the host ${JSON.stringify(text)} is ${host ?? 'refused'}`, () => assert.equal(parseHost(text), host));
}

test('a host that is accepted is one for a URL, and is read back as the same', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.domain(), fc.ipV4(), fc.ipV6()), (text) => {
      const host = parseHost(text);
      if (host === undefined) return;
      assert.equal(parseHost(host), host);
      assert.equal(new URL(`http://${bracketed(host)}/`).hostname, bracketed(host));
    }),
  );
});

describe('addresses to listen on', () => {
  const good: readonly (readonly [text: string, host: string, port: number])[] = [
    ['127.0.0.1:8080', '127.0.0.1', 8080],
    ['[::]:0', '::', 0],
    ['localhost:65535', 'localhost', 65_535],
  ];
  for (const [text, host, port] of good) {
    test(text, () => assert.deepEqual(parseListen(text), { kind: 'ok', value: { host, port } }));
  }
  for (const text of [
    '',
    '8080',
    ':8080',
    '127.0.0.1',
    '127.0.0.1:65536',
    '::1:8080',
    'mx.test:80',
    'http://127.0.0.1:80',
  ]) {
    test(`${JSON.stringify(text)} is refused`, () => assert.equal(parseListen(text).kind, 'wrong'));
  }
});

describe('networks', () => {
  const good: readonly (readonly [text: string, network: string])[] = [
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['10.1.2.3', '10.1.2.3/32'],
    ['2001:DB8::/32', '2001:db8::/32'],
    ['::1', '::1/128'],
    ['fc00::/7', 'fc00::/7'],
    ['fe80::/10', 'fe80::/10'],
    ['::ffff:10.0.0.0/104', '10.0.0.0/8'],
    ['::ffff:a01:203', '10.1.2.3/32'],
    ['0:0:0:0:0:ffff:10.1.2.3', '10.1.2.3/32'],
  ];
  for (const [text, network] of good) {
    test(text, () => assert.deepEqual(parseNetwork(text), { kind: 'ok', value: network }));
  }
  for (const text of [
    '',
    'mx.test',
    '10.0.0.0/33',
    '::/129',
    '0.0.0.0/0',
    '::/0',
    '0.0.0.0/1',
    '128.0.0.0/1',
    '64.0.0.0/2',
    '10.0.0.0/7',
    '::/1',
    '::/16',
    '::/80',
    '8000::/1',
    '2000::/3',
    '::ffff:0:0/96',
    '::ffff:0.0.0.0/97',
    '::ffff:0:0/95',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '10/8',
  ]) {
    test(`${JSON.stringify(text)} is refused`, () => assert.equal(parseNetwork(text).kind, 'wrong'));
  }
  test('whatever is accepted is an address and a prefix above 0', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[\d.:a-f]{1,20}\/\d{1,3}$/)), (text) => {
        const reading = parseNetwork(text);
        if (reading.kind === 'wrong') return;
        const [address = '', prefix] = reading.value.split('/');
        assert.notEqual(isIP(address), 0);
        assert.ok(Number(prefix) > 0);
      }),
    );
  });
});

test('loopback is what only this machine reaches', () => {
  const answers = ['127.0.0.1', '127.8.0.1', '::1', '::ffff:7f00:1', 'localhost', '0.0.0.0', '::', '10.0.0.1'].map(
    isLoopback,
  );
  assert.deepEqual(answers, [true, true, true, true, true, false, false, false]);
});
