import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { IncomingHead } from '../../src/proxy/request-head.ts';
import { validateRequest as screenWith } from '../../src/proxy/request-validation.ts';
import { headOf } from './heads.fixture.ts';

const host = ['Host', 'mail.example.test'];
const screen = (head: IncomingHead) => screenWith(head, 100);

const refused: readonly [name: string, head: ReturnType<typeof headOf>, status: number][] = [
  ['TRACE', headOf('TRACE', '/'), 405],
  ['CONNECT', headOf('CONNECT', 'evil.test:443'), 405],
  ['a DAV method', headOf('PROPFIND', '/'), 405],
  ['a method in lower case', headOf('get', '/'), 405],
  ['HTTP/2.0', headOf('GET', '/', host, '2.0'), 505],
  ['HTTP/0.9', headOf('GET', '/', host, '0.9'), 505],
  ['an asterisk as target', headOf('OPTIONS', '*'), 400],
  ['an absolute target with a user', headOf('GET', 'http://a:b@mail.example.test/'), 400],
  ['an absolute target without a host', headOf('GET', 'http:///x'), 400],
  ['an absolute target of another scheme', headOf('GET', 'ftp://mail.example.test/'), 400],
  ['an absolute target with a fragment', headOf('GET', 'http://mail.example.test#x'), 400],
  ['a target without a slash', headOf('GET', 'evil'), 400],
  ['an empty target', headOf('GET', ''), 400],
  ['a fragment', headOf('GET', '/a#b'), 400],
  ['a space in the target', headOf('GET', '/a b'), 400],
  ['a control character in the target', headOf('GET', '/a\u0001'), 400],
  ['a byte above ASCII in the target', headOf('GET', '/\u00e4'), 400],
  ['two Hosts', headOf('GET', '/', [...host, 'hOST', 'mail.example.test']), 400],
  ['a Host with a path', headOf('GET', '/', ['Host', 'mail.example.test/x']), 400],
  ['a Host with user and password', headOf('GET', '/', ['Host', 'a:b@mail.example.test']), 400],
  ['two Hosts in one field', headOf('GET', '/', ['Host', 'a.test, b.test']), 400],
  ['two lengths', headOf('POST', '/', [...host, 'Content-Length', '3', 'content-length', '3']), 400],
  ['a list of lengths', headOf('POST', '/', [...host, 'Content-Length', '3, 3']), 400],
  ['a signed length', headOf('POST', '/', [...host, 'Content-Length', '+3']), 400],
  ['a hexadecimal length', headOf('POST', '/', [...host, 'Content-Length', '0x3']), 400],
  ['a huge length', headOf('POST', '/', [...host, 'Content-Length', '9'.repeat(20)]), 400],
  ['an empty length', headOf('POST', '/', [...host, 'Content-Length', '']), 400],
  ['a length and a coding', headOf('POST', '/', [...host, 'Content-Length', '3', 'Transfer-Encoding', 'chunked']), 400],
  ['two codings', headOf('POST', '/', [...host, 'Transfer-Encoding', 'gzip, chunked']), 400],
  ['an unknown coding', headOf('POST', '/', [...host, 'Transfer-Encoding', 'identity']), 400],
  [
    'a coding twice',
    headOf('POST', '/', [...host, 'Transfer-Encoding', 'chunked', 'Transfer-Encoding', 'chunked']),
    400,
  ],
  ['a coding by HTTP/1.0', headOf('POST', '/', [...host, 'Transfer-Encoding', 'chunked'], '1.0'), 400],
  ['a GET with a body', headOf('GET', '/', [...host, 'Content-Length', '3']), 400],
  ['a HEAD with a body', headOf('HEAD', '/', [...host, 'Transfer-Encoding', 'chunked']), 400],
  [
    'Connection naming the length',
    headOf('POST', '/', [...host, 'Content-Length', '3', 'Connection', 'close, Content-Length']),
    400,
  ],
  ['Connection naming the host', headOf('GET', '/', [...host, 'Connection', 'HOST']), 400],
  [
    '101 fields',
    headOf(
      'GET',
      '/',
      Array.from({ length: 202 }, (_, i) => (i % 2 === 0 ? `X-${i}` : 'v')),
    ),
    431,
  ],
];

for (const [name, head, status] of refused) {
  test(`${name} is refused with ${status}`, () => {
    assert.equal(screen(head)?.status, status);
  });
}

const accepted: readonly [name: string, head: ReturnType<typeof headOf>][] = [
  ['a plain GET', headOf('GET', '/')],
  ['a GET that says its body is empty', headOf('GET', '/', [...host, 'Content-Length', '0'])],
  ['a probe by HTTP/1.0 without a Host', headOf('GET', '/-/live', [], '1.0')],
  ['odd but visible characters in the target', headOf('GET', '//x/..;/%00/\\"<>^`{|}?a=%2f&b')],
  ['a DELETE with a body', headOf('DELETE', '/', [...host, 'Content-Length', '3'])],
  ['a chunked POST, whatever the case', headOf('POST', '/', [...host, 'TRANSFER-ENCODING', 'Chunked'])],
  ['an empty Host', headOf('GET', '/', ['Host', ''])],
  ['a Host with underscores', headOf('GET', '/', ['Host', 'postern_nodes_1:8080'])],
  ['an absolute target', headOf('GET', 'HTTP://mail.example.test:443/x?y')],
  ['an absolute target without a path', headOf('OPTIONS', 'http://mail.example.test')],
  ['an IPv6 Host with a port', headOf('GET', '/', ['Host', '[2001:db8::1]:8443'])],
  [
    '100 fields',
    headOf(
      'GET',
      '/',
      Array.from({ length: 200 }, (_, i) => (i % 2 === 0 ? `X-${i}` : 'v')),
    ),
  ],
];

for (const [name, head] of accepted) {
  test(`${name} is let through`, () => {
    assert.equal(screen(head), undefined);
  });
}

test('what is let through has one Host at most and one framing, whatever the fields', () => {
  const name = fc.constantFrom(
    'Host',
    'HOST',
    'Content-Length',
    'content-length',
    'Transfer-Encoding',
    'Connection',
    'X',
  );
  const value = fc.oneof(fc.constantFrom('mail.test', '3', '0', 'chunked', 'close', 'content-length', ''), fc.string());
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 6 }), (pairs) => {
      const head = headOf('POST', '/', pairs.flat());
      if (screen(head) !== undefined) return;
      const framings = [...head.all('content-length'), ...head.all('transfer-encoding')];
      assert.ok(head.all('host').length <= 1);
      assert.ok(framings.length <= 1);
      assert.match(framings[0] ?? '0', /^(?:\d{1,15}|chunked)$/i);
    }),
  );
});

test('how many fields a head may have is as configured', () => {
  const fields = Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? `X-${i}` : 'v'));
  assert.equal(screenWith(headOf('GET', '/', fields), 30), undefined);
  const refusal = screenWith(headOf('GET', '/', fields), 29);
  assert.equal(refusal?.status, 431);
  assert.match(refusal?.remedy ?? '', /requests\.header_fields/);
});
