import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../eventually.ts';
import { get, isWhole, RawClient, request, startGate, startScriptedBackend } from './gate.ts';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nSet-Cookie: evil=1\r\n\r\nevil';

/** What the client may see of it: a 502, an answer that was cut, or an answer that is whole. */
type Seen = 'failure' | 'cut' | RegExp;

const rows: readonly [name: string, bytes: string, seen: Seen][] = [
  [
    'a length and a coding',
    `HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n${evil}`,
    'failure',
  ],
  [
    'a coding and a length',
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n${evil}`,
    'failure',
  ],
  ['two lengths that differ', `HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\nok${evil}`, 'failure'],
  ['a list of lengths', `HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok${evil}`, 'failure'],
  ['a negative length', `HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok${evil}`, 'failure'],
  ['a length beyond 64 bits', `HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\nok${evil}`, 'failure'],
  [
    'a carriage return in a value',
    `HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nok`,
    'failure',
  ],
  [
    'a bare line feed between fields',
    `HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nok`,
    'failure',
  ],
  ['a NUL in a value', `HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok`, 'failure'],
  ['a space before the colon', `HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok`, 'failure'],
  ['a status of two digits', `HTTP/1.1 99 Odd\r\nContent-Length: 2\r\n\r\nok`, 'failure'],
  ['a status of four digits', `HTTP/1.1 2000 Odd\r\nContent-Length: 2\r\n\r\nok`, 'failure'],
  ['HTTP/0.9', `<html>evil</html>\r\n\r\n`, 'failure'],
  ['HTTP/2', `HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok`, 'failure'],
  ['an endless line', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(70_000)}`, 'failure'],
  [
    'an uninvited 101',
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: evil\r\nConnection: Upgrade\r\n\r\n${evil}`,
    'failure',
  ],
  ['a wrong chunk size', `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nevil\r\n`, 'cut'],
  [
    'a chunk that is longer than its size',
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok${evil}`,
    'cut',
  ],
  [
    'a chunk size with a prefix',
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n`,
    'failure',
  ],
  ['no chunks where its head says so', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n<html>evil=1', 'failure'],
  ['a head with a length, and hangs up', 'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n', 'failure'],
  ['a second answer behind the first', `${ok}${evil}`, /\r\n\r\nok$/],
  [
    'a body on 204',
    `HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil`,
    /^HTTP\/1\.1 204 (?![^]*Content-Length)[^]*\r\n\r\n$/,
  ],
  ['a body on 304', `HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n${evil}`, /^HTTP\/1\.1 304 [^]*\r\n\r\n$/],
  [
    'a hundred early hints',
    `${'HTTP/1.1 103 Early Hints\r\nLink: </evil>\r\n\r\n'.repeat(100)}${ok}`,
    /^HTTP\/1\.1 200 [^]*\r\n\r\nok$/,
  ],
  ['early hints without end', `${'HTTP/1.1 103 Early Hints\r\nLink: </evil>\r\n\r\n'.repeat(101)}${ok}`, 'failure'],
  [
    'trailers',
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Set-Cookie\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: evil=1\r\n\r\n`,
    /^HTTP\/1\.1 200 [^]*2\r\nok\r\n0\r\n\r\n$/,
  ],
  [
    'a folded line',
    `HTTP/1.1 200 OK\r\nX: a\r\n Set-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nok`,
    /^(?:HTTP\/1\.1 502 |HTTP\/1\.1 200 (?![^]*\r\n(?: |Set-Cookie))[^]*ok$)/,
  ],
  [
    'our own cookie',
    `HTTP/1.1 200 OK\r\nSet-Cookie: postern=evil; Path=/\r\nSet-Cookie: __Host-postern=evil; Path=/; Secure\r\nContent-Length: 2\r\n\r\nok`,
    /^HTTP\/1\.1 200 (?![^]*Set-Cookie)[^]*ok$/,
  ],
  [
    'our own internal fields',
    `HTTP/1.1 200 OK\r\nX-Accel-Redirect: /evil\r\nX-Sendfile: /evil\r\nX-Postern-User: evil\r\nClear-Site-Data: "evil"\r\nAlt-Svc: evil\r\nContent-Length: 2\r\n\r\nok`,
    /^HTTP\/1\.1 200 (?![^]*evil)[^]*ok$/,
  ],
  [
    'a field that Connection names',
    `HTTP/1.1 200 OK\r\nConnection: close, X-Evil\r\nX-Evil: evil\r\nContent-Length: 2\r\n\r\nok`,
    /^HTTP\/1\.1 200 (?![^]*evil)[^]*ok$/,
  ],
  [
    'a thousand cookies',
    `HTTP/1.1 200 OK\r\n${Array.from({ length: 300 }, (_, i) => `Set-Cookie: c${i}=1; HttpOnly`).join('\r\n')}\r\nContent-Length: 2\r\n\r\nok`,
    /^HTTP\/1\.1 200 (?![^]*Set-Cookie)[^]*ok$/,
  ],
];

for (const [name, bytes, seen] of rows) {
  test(`a backend that sends ${name}: one answer for its own client, and nothing of it for the next`, async () => {
    await using backend = await startScriptedBackend((socket) => {
      socket.on('data', (part) => {
        const isFirst = part.toString('latin1').startsWith('POST /x');
        socket.write(isFirst ? bytes : ok, 'latin1');
        // Nothing more comes: what has no end of its own is over.
        if (isFirst && !(seen instanceof RegExp)) socket.end();
      });
    });
    await using gate = await startGate({ backendPort: backend.port, limits: { connections: 1 } });
    using client = await RawClient.to(gate.port);
    // Not repeatable: what the client gets is what this one answer became.
    client.send(request('POST', '/x', ['Cookie: postern=alice', 'Content-Length: 0']));
    const answer = await client.until(isWhole);
    assert.ok(answer !== '' || seen === 'cut');
    // Where the connection is cut at once not even the head may have left.
    assert.equal(answer.match(/HTTP\/1\.1 \d/g)?.length ?? 0, answer === '' ? 0 : 1);
    assert.ok(!answer.includes('evil=1'));
    if (seen === 'failure') assert.match(answer, /^HTTP\/1\.1 502 /);
    else if (seen === 'cut') assert.ok(!isWhole(answer) && client.ended, answer);
    else assert.match(answer, seen);
    await eventually(() => gate.session.attachments === 0);
    for (let i = 0; i < 2; i += 1) {
      using next = await RawClient.to(gate.port);
      assert.match(await next.send(get('/next')).until(isWhole), /^HTTP\/1\.1 200 [^]*\r\n\r\nok$/);
    }
  });
}

test('an answer to HEAD has no body, whatever comes behind its head', async () => {
  await using backend = await startScriptedBackend((socket) => {
    socket.on('data', (part) => {
      socket.write(
        part.toString('latin1').startsWith('HEAD') ? `HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n${evil}` : ok,
      );
    });
  });
  await using gate = await startGate({ backendPort: backend.port, limits: { connections: 1 } });
  using client = await RawClient.to(gate.port);
  client.send(request('HEAD', '/x', ['Cookie: postern=alice']));
  await client.until((received) => received.includes('\r\n\r\n'));
  assert.match(client.received, /^HTTP\/1\.1 200 [^]*\r\nContent-Length: 4\r\n[^]*\r\n\r\n$/);
  client.received = '';
  assert.match(await client.send(get('/next')).until(isWhole), /^HTTP\/1\.1 200 [^]*\r\n\r\nok$/);
});

test('a body that ends with its connection arrives, and ends there', async () => {
  await using backend = await startScriptedBackend((socket) => {
    socket.once('data', () => socket.end('HTTP/1.0 200 OK\r\n\r\nto the end'));
  });
  await using gate = await startGate({ backendPort: backend.port });
  using client = await RawClient.to(gate.port);
  assert.match(await client.send(get('/x')).until(isWhole), /^HTTP\/1\.1 200 [^]*to the end\r\n0\r\n\r\n$/);
});
