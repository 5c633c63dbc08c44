import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../eventually.fixture.ts';
import { get, RawClient, type RecordingBackend, request, startGate, startRecordingBackend } from './gate.fixture.ts';

const cookie = 'Cookie: postern=alice';
/** A second reader of an ambiguous message would take this part for a request of its own. */
const smuggled = `GET /smuggled HTTP/1.1\r\nHost: mail.example.test\r\n${cookie}\r\n\r\n`;

/** A POST with these framing lines, and an ambiguous body. */
function post(lines: readonly string[], body = `0\r\n\r\n${smuggled}`): string {
  return request('POST', '/x', [cookie, ...lines], body);
}

function chunked(body: string, ...lines: string[]): string {
  return post(['Transfer-Encoding: chunked', ...lines], body);
}

const length = `Content-Length: ${5 + smuggled.length}`;

/** `body`: the body of `/x` that the backend may have got; undefined if `/x` must not arrive at all. */
const rows: readonly [name: string, bytes: string, body?: string][] = [
  ['length, then coding', post([length, 'Transfer-Encoding: chunked'])],
  ['coding, then length', post(['Transfer-Encoding: chunked', length])],
  ['coding and a length of nothing', post(['Transfer-Encoding: chunked', 'Content-Length: 0'])],
  ['two lengths that differ', post([length, 'Content-Length: 5'])],
  ['two lengths that agree', post([length, length])],
  ['a list of lengths', post(['Content-Length: 5, 5'])],
  ['a length with a plus', post(['Content-Length: +5'])],
  ['a length with a minus', post(['Content-Length: -5'])],
  ['a hexadecimal length', post(['Content-Length: 0x5'])],
  ['a length with a space inside', post(['Content-Length: 1 0'])],
  ['a length beyond 64 bits', post(['Content-Length: 18446744073709551621'])],
  ['a length of 16 digits', post(['Content-Length: 1000000000000005'])],
  ['an empty length', post(['Content-Length:'])],
  ['a length in exponents', post(['Content-Length: 5e0'])],
  ['a length in full width digits', post(['Content-Length: \xef\xbc\x95'])],
  ['a coding that ends otherwise', post(['Transfer-Encoding: chunked, identity'])],
  ['a coding before chunked', post(['Transfer-Encoding: gzip, chunked'])],
  ['an unknown coding', post(['Transfer-Encoding: xchunked'])],
  ['a quoted coding', post(['Transfer-Encoding: "chunked"'])],
  ['a coding with a parameter', post(['Transfer-Encoding: chunked;q=1'])],
  ['an empty coding', post(['Transfer-Encoding:'])],
  ['two codings in two fields', post(['Transfer-Encoding: chunked', 'Transfer-Encoding: x'])],
  ['a vertical tab in the coding', post(['Transfer-Encoding: \x0bchunked'])],
  ['a space before the colon', post(['Transfer-Encoding : chunked'])],
  ['a tab before the colon', post(['Content-Length\t: 5'])],
  ['a space before the name', post([' Transfer-Encoding: chunked'])],
  ['a folded coding', post(['Transfer-Encoding:\r\n chunked', length])],
  ['a coding under HTTP/1.0', post(['Transfer-Encoding: chunked']).replace('HTTP/1.1', 'HTTP/1.0')],
  ['a length in Connection', post([length, 'Connection: close, content-length'])],
  ['a coding in Connection', post(['Transfer-Encoding: chunked', 'Connection: Transfer-Encoding'])],
  ['a body on GET', request('GET', '/x', [cookie, length], `0\r\n\r\n${smuggled}`)],
  ['a chunked body on GET', request('GET', '/x', [cookie, 'Transfer-Encoding: chunked'], `0\r\n\r\n${smuggled}`)],
  ['a body on HEAD', request('HEAD', '/x', [cookie, length], `0\r\n\r\n${smuggled}`)],
  ['a NUL in a name', post(['Content-Length\0: 5'])],
  ['a carriage return in a value', post(['X: a\rContent-Length: 5'])],
  ['bare line feeds', post(['X: a']).replaceAll('\r\n', '\n')],
  ['a bare line feed between fields', post(['X: a\nTransfer-Encoding: chunked'])],
  ['an upgrade with a body', post(['Upgrade: websocket', 'Connection: Upgrade', length])],
  ['a chunk size with a prefix', chunked(`0x5\r\nhello\r\n0\r\n\r\n${smuggled}`)],
  ['a chunk size with a sign', chunked(`+5\r\nhello\r\n0\r\n\r\n${smuggled}`)],
  ['a chunk size with an underscore', chunked(`0_5\r\nhello\r\n0\r\n\r\n${smuggled}`)],
  ['a chunk size beyond 64 bits', chunked(`10000000000000005\r\nhello\r\n0\r\n\r\n${smuggled}`)],
  ['a chunk that is longer than its size', chunked(`3\r\nhello\r\n0\r\n\r\n${smuggled}`)],
  ['a chunk size that ends in a line feed', chunked(`5\nhello\r\n0\r\n\r\n${smuggled}`)],
  ['a chunk that ends in a line feed', chunked(`5\r\nhello\n0\r\n\r\n${smuggled}`)],
  ['a line feed in a chunk extension', chunked(`5;x\nhello\r\n0\r\n\r\n${smuggled}`)],
  ['a framing field in the trailers', chunked(`5\r\nhello\r\n0\r\nContent-Length: 99\r\n\r\n${smuggled}`)],
  ['an identity in the trailers', chunked('5\r\nhello\r\n0\r\nX-Remote-User: root\r\n\r\n'), 'hello'],
  ['chunk extensions', chunked('5;a=b;c="d"\r\nhello\r\n0\r\n\r\n'), 'hello'],
  ['a coding with an underscore', post(['Transfer_Encoding: chunked', 'Content-Length: 5'], 'hello'), 'hello'],
  ['a length with an underscore', post(['Content_Length: 99', 'Content-Length: 5'], 'hello'), 'hello'],
  ['a length with leading zeros', post(['Content-Length: 0005'], 'hello'), 'hello'],
  ['a coding in mixed case', chunked('5\r\nhello\r\n0\r\n\r\n').replace('chunked', 'cHunKed'), 'hello'],
  ['a body on DELETE', chunked('5\r\nhello\r\n0\r\n\r\n').replace('POST', 'DELETE'), 'hello'],
  ['a body on OPTIONS', post(['Content-Length: 5'], 'hello').replace('POST', 'OPTIONS'), 'hello'],
];

for (const [name, bytes, body] of rows) {
  test(`${name}: refused whole, or passed on once with one framing`, async () => {
    await using backend = await startRecordingBackend((incoming, response) =>
      response.end(`answer to ${incoming.url}`),
    );
    await using gate = await startGate({ backendPort: backend.port });
    using client = await RawClient.to(gate.port);
    client.send(bytes);
    if (body === undefined) {
      const answer = await client.closed();
      assert.match(answer, /^(?:HTTP\/1\.1 (?:400|405|408|501) [^]*)?$/);
      assert.equal(answer.match(/HTTP\/1\.1 \d/g)?.length ?? 0, answer === '' ? 0 : 1);
      assert.deepEqual(backend.seen, []);
    } else {
      client.send(get('/behind'));
      const answers = await client.until((received) => received.includes('answer to /behind'));
      assert.ok(answers.indexOf('answer to /x') < answers.indexOf('answer to /behind'));
      assert.deepEqual(
        backend.seen.map(({ target }) => target),
        ['/x', '/behind'],
      );
      assert.equal(backend.seen[0]?.body, body);
      assertOneFraming(backend);
    }
    await eventually(() => gate.session.attachments === 0);
  });
}

function assertOneFraming(backend: RecordingBackend): void {
  for (const { fields } of backend.seen) {
    const names = fields.filter((_field, i) => i % 2 === 0).map((name) => name.toLowerCase());
    const framing = names.filter((name) => /^(?:content.length|transfer.encoding)$/.test(name));
    assert.ok(framing.length <= 1, framing.join());
    assert.ok(!names.some((name) => /remote.user|trailer|_/.test(name)), names.join());
  }
}

test('the backend’s connection stays in step after a refused and an interrupted message', async () => {
  await using backend = await startRecordingBackend((incoming, response) => response.end(`answer to ${incoming.url}`));
  await using gate = await startGate({ backendPort: backend.port, limits: { connections: 1 } });
  for (let i = 0; i < 5; i += 1) {
    using broken = await RawClient.to(gate.port);
    broken.send(chunked('5\r\nhel'));
    await eventually(() => gate.session.attachments === 1);
    broken.socket.destroy();
    await eventually(() => gate.session.attachments === 0);
    using good = await RawClient.to(gate.port);
    good.send(get(`/good${i}`));
    await good.until((received) => received.includes(`answer to /good${i}`));
    assert.match(good.received, new RegExp(`answer to /good${i}`));
  }
  assert.ok(!backend.seen.some(({ target }) => target === '/x'));
});
