import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type ProxyHeaderReading, readProxyHeader } from '../../src/proxy/proxy-protocol-header.ts';
import { addresses6, binaryHeader, tlsField } from './proxy-headers.fixture.ts';

const line = (text: string): Buffer => Buffer.from(text, 'latin1');
const whole = (reading: ProxyHeaderReading) => (reading.kind === 'header' ? reading.header : reading);
const client4 = { kind: 'proxied', source: { address: '192.0.2.7', port: 12345 }, destinationPort: 443 } as const;
const client6 = { kind: 'proxied', source: { address: '2001:db8::7', port: 12345 }, destinationPort: 443 } as const;

const good: readonly (readonly [name: string, bytes: Buffer, header: object])[] = [
  ['TCP4', line('PROXY TCP4 192.0.2.7 198.51.100.1 12345 443\r\n'), { ...client4, tls: undefined }],
  ['TCP6', line('PROXY TCP6 2001:DB8:0::7 2001:db8::1 12345 443\r\n'), { ...client6, tls: undefined }],
  ['UNKNOWN', line('PROXY UNKNOWN\r\n'), { kind: 'local' }],
  ['UNKNOWN with addresses', line('PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n'), { kind: 'local' }],
  ['version 2, IPv4', binaryHeader(), { ...client4, tls: undefined }],
  [
    'version 2, IPv6',
    binaryHeader({ familyAndTransport: 0x21, addresses: addresses6 }),
    { ...client6, tls: undefined },
  ],
  ['version 2, over TLS', binaryHeader({ extras: tlsField(true) }), { ...client4, tls: true }],
  ['version 2, not over TLS', binaryHeader({ extras: tlsField(false) }), { ...client4, tls: false }],
  [
    'version 2, TLS behind other fields',
    binaryHeader({ extras: [0x04, 0, 2, 9, 9, 0xea, 0, 0, ...tlsField(true), 0x02, 0, 1, 65] }),
    { ...client4, tls: true },
  ],
  ['version 2, LOCAL', binaryHeader({ versionAndCommand: 0x20 }), { kind: 'local' }],
  ['version 2, LOCAL without addresses', binaryHeader({ versionAndCommand: 0x20, addresses: [] }), { kind: 'local' }],
  ['version 2, unspecified', binaryHeader({ familyAndTransport: 0, addresses: [] }), { kind: 'local' }],
  [
    'version 2, UNIX',
    binaryHeader({ familyAndTransport: 0x31, addresses: Array.from({ length: 216 }, () => 47) }),
    { kind: 'local' },
  ],
];

for (const [name, bytes, header] of good) {
  test(`a header is read: ${name}`, () => {
    assert.deepEqual(whole(readProxyHeader(bytes)), header);
    assert.deepEqual(readProxyHeader(Buffer.concat([bytes, line('GET / HTTP/1.1\r\n')])), {
      kind: 'header',
      header,
      length: bytes.length,
    });
  });

  test(`each beginning of a header waits for the rest: ${name}`, () => {
    for (let length = 0; length < bytes.length; length += 1) {
      assert.equal(readProxyHeader(bytes.subarray(0, length)).kind, 'incomplete');
    }
  });
}

const malformed: readonly (readonly [name: string, bytes: Buffer])[] = [
  ['another protocol', line('PROXY UDP4 192.0.2.7 192.0.2.8 1 2\r\n')],
  ['no addresses', line('PROXY TCP4\r\n')],
  ['a name for an address', line('PROXY TCP4 localhost 192.0.2.8 1 2\r\n')],
  ['IPv6 under TCP4', line('PROXY TCP4 ::1 ::2 1 2\r\n')],
  ['IPv4 under TCP6', line('PROXY TCP6 192.0.2.7 192.0.2.8 1 2\r\n')],
  ['a zone', line('PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n')],
  ['two spaces', line('PROXY TCP4  192.0.2.7 192.0.2.8 1 2\r\n')],
  ['a port too large', line('PROXY TCP4 192.0.2.7 192.0.2.8 65536 2\r\n')],
  ['a signed port', line('PROXY TCP4 192.0.2.7 192.0.2.8 +1 2\r\n')],
  ['a leading zero', line('PROXY TCP4 192.0.2.7 192.0.2.8 01 2\r\n')],
  ['one port', line('PROXY TCP4 192.0.2.7 192.0.2.8 1\r\n')],
  ['more than it holds', line('PROXY TCP4 192.0.2.7 192.0.2.8 1 2 3\r\n')],
  ['an endless line', line(`PROXY UNKNOWN ${'x'.repeat(200)}\r\n`)],
  ['a bare line feed', line(`PROXY UNKNOWN\n${' '.repeat(200)}`)],
  ['version 1 in version 2', binaryHeader({ versionAndCommand: 0x11 })],
  ['an unknown command', binaryHeader({ versionAndCommand: 0x22 })],
  ['UDP', binaryHeader({ familyAndTransport: 0x12 })],
  ['an unknown family', binaryHeader({ familyAndTransport: 0x41 })],
  ['addresses cut off', binaryHeader({ addresses: [192, 0, 2, 7] })],
  ['IPv6 in the room of IPv4', binaryHeader({ familyAndTransport: 0x21 })],
  ['a field without a length', binaryHeader({ extras: [0x20] })],
  ['a field beyond the end', binaryHeader({ extras: [0x20, 0, 9, 1] })],
  ['a TLS field without flags', binaryHeader({ extras: [0x20, 0, 1, 1] })],
  ['a length beyond reason', binaryHeader({ length: 65_535 })],
];

for (const [name, bytes] of malformed) {
  test(`a broken header is refused: ${name}`, () => {
    assert.equal(readProxyHeader(bytes).kind, 'malformed');
  });
}

test('what is no header is told as soon as it differs', () => {
  for (const text of [
    'GET / HTTP/1.1\r\n',
    'PROPFIND /',
    'PROXYX',
    'PA',
    '\r\nG',
    '\r\n\r\n\0\r\nQUIX',
    '\u0016\u0003\u0001',
  ]) {
    assert.equal(readProxyHeader(line(text)).kind, 'absent', JSON.stringify(text));
  }
});

test('an IPv4 client is read as it was written, from either version', () => {
  const octet = fc.integer({ min: 0, max: 255 });
  const port = fc.integer({ min: 0, max: 65_535 });
  fc.assert(
    fc.property(fc.array(octet, { minLength: 8, maxLength: 8 }), port, port, (octets, from, to) => {
      const [source, destination] = [octets.slice(0, 4).join('.'), octets.slice(4).join('.')];
      const expected = {
        kind: 'proxied',
        source: { address: source, port: from },
        destinationPort: to,
        tls: undefined,
      };
      const text = `PROXY TCP4 ${source} ${destination} ${from} ${to}\r\n`;
      assert.deepEqual(whole(readProxyHeader(line(text))), expected);
      const addresses = [...octets, from >> 8, from & 0xff, to >> 8, to & 0xff];
      assert.deepEqual(whole(readProxyHeader(binaryHeader({ addresses }))), expected);
    }),
  );
});

test('no bytes make the reader throw, and what it took lies within them', () => {
  const hostile = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.concat([binaryHeader().subarray(0, 12), bytes])),
    fc.uint8Array({ maxLength: 120 }).map((bytes) => Buffer.concat([line('PROXY '), bytes])),
    fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 80 }).map((extras) => binaryHeader({ extras })),
  );
  fc.assert(
    fc.property(hostile, (bytes) => {
      const reading = readProxyHeader(Buffer.from(bytes));
      if (reading.kind === 'header') assert.ok(reading.length > 0 && reading.length <= bytes.length);
    }),
    { numRuns: 2000 },
  );
});
