import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { eventually } from '../eventually.fixture.ts';
import {
  ask,
  get,
  isWhole,
  RawClient,
  request,
  startGate,
  startRecordingBackend,
  startScriptedBackend,
} from './gate.fixture.ts';

const status = (answer: string): number => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);

test('the probes answer in HTTP/1.0 without a Host, and under any Host', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({ backendPort: backend.port });
  assert.match(await ask(gate.port, 'GET /-/live HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 200 OK\r\n[\s\S]*live$/);
  for (const host of ['10.0.0.1', '', 'postern_gateway_1:8080', '[::1]:8080']) {
    assert.match(await ask(gate.port, `GET /-/ready HTTP/1.1\r\nHost: ${host}\r\n\r\n`), /ready$/, host);
  }
  using head = await RawClient.to(gate.port);
  head.send('HEAD /-/live HTTP/1.0\r\n\r\n');
  assert.match(await head.closed(), /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\n$/);
  assert.equal(status(await ask(gate.port, 'GET /mail HTTP/1.0\r\n\r\n')), 400);
  assert.equal(status(await ask(gate.port, 'GET /mail HTTP/1.1\r\nHost: evil.test\r\n\r\n')), 421);
});

test('every path under the reserved prefix is the gateway’s own, and nothing else is', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({ backendPort: backend.port });
  for (const target of ['/-/login', '/-/login/..%2f', '/-/login;x', '/-/%00', '/-/\\', '/-/login?a', '/-/../mail']) {
    assert.match(await ask(gate.port, get(target)), /own page/, target);
  }
  assert.equal(backend.seen.length, 0);
  for (const target of ['//-/login', '/%2d/login', '/-', '/x/../-/login', '/-%2flogin']) {
    assert.match(await ask(gate.port, get(target)), /ok$/, target);
    assert.equal(backend.seen.at(-1)?.target, target);
  }
});

test('without a session no method, path or User-Agent reaches a backend', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({ backendPort: backend.port });
  for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'PROPFIND', 'CONNECT']) {
    for (const target of ['/', '/x?postern=alice', '/-/../x', '/..;/x']) {
      using client = await RawClient.to(gate.port);
      client.send(
        request(method, target, [
          'User-Agent: HealthCheck/1.0',
          'X-Postern-Session: alice',
          'Cookie: Postern=alice',
          'Connection: close',
        ]),
      );
      await client.closed();
    }
  }
  assert.equal(backend.seen.length, 0);
});

test('long and unmeasured bodies for the gateway’s own pages are refused before they are read', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({ backendPort: backend.port });
  assert.equal(status(await ask(gate.port, request('POST', '/-/login', ['Content-Length: 10000000000']))), 413);
  assert.equal(status(await ask(gate.port, request('POST', '/-/login', ['Transfer-Encoding: chunked']))), 411);
  assert.equal(status(await ask(gate.port, request('POST', '/-/login', ['Content-Length: 3'], 'a=b'))), 200);
});

test('a connection that waits for its next request keeps nothing of the last one', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  await using backend = await startRecordingBackend();
  await using gate = await startGate({ backendPort: backend.port });
  const made: WeakRef<object>[] = [];
  gate.listener.server.on('request', (incoming: IncomingMessage, response: ServerResponse) => {
    made.push(new WeakRef(incoming), new WeakRef(response));
  });
  using client = await RawClient.to(gate.port);
  for (const asked of [get('/mail'), get('/-/login'), request('GET', '/mail', []), get('/mail', 'X: y')]) {
    client.received = '';
    await client.send(asked).until(isWhole);
    await eventually(() => {
      collect();
      return made.length > 0 && made.every((one) => one.deref() === undefined);
    }, 'request and response are collected');
  }
  assert.equal(made.length, 8);
  assert.equal(client.ended, false);
});

const clean: readonly [name: string, bytes: string, statuses: readonly number[]][] = [
  [
    'length then coding',
    request('POST', '/', ['Cookie: postern=alice', 'Content-Length: 4', 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
    [400],
  ],
  [
    'coding then length',
    request('POST', '/', ['Cookie: postern=alice', 'Transfer-Encoding: chunked', 'Content-Length: 4'], '0\r\n\r\n'),
    [400],
  ],
  [
    'two lengths',
    request('POST', '/', ['Cookie: postern=alice', 'Content-Length: 1', 'Content-Length: 2'], 'ab'),
    [400],
  ],
  ['a space before the colon', request('POST', '/', ['Cookie: postern=alice', 'Content-Length : 1'], 'a'), [400]],
  ['a folded line', request('GET', '/', ['Cookie: postern=alice', 'X: a\r\n b']), [400, 200]],
  ['a bare line feed', 'GET / HTTP/1.1\nHost: mail.example.test\nCookie: postern=alice\n\n', [400]],
  ['a carriage return in a value', request('GET', '/', ['Cookie: postern=alice', 'X: a\rY: b']), [400]],
  ['a NUL in a value', request('GET', '/', ['Cookie: postern=alice', 'X: a\u0000b']), [400]],
  [
    'a wrong chunk size',
    request('POST', '/', ['Cookie: postern=alice', 'Transfer-Encoding: chunked'], '0x3\r\nabc\r\n0\r\n\r\n'),
    [400],
  ],
  [
    'chunk extensions of 20 KiB',
    request(
      'POST',
      '/',
      ['Cookie: postern=alice', 'Transfer-Encoding: chunked'],
      `3;${'x'.repeat(20_000)}\r\nabc\r\n0\r\n\r\n`,
    ),
    [413],
  ],
  [
    'a coding under HTTP/1.0',
    'POST / HTTP/1.0\r\nHost: mail.example.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    [400],
  ],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400, 405, 505]],
  ['a bad version', 'GET / HTTP/9.9\r\nHost: mail.example.test\r\n\r\n', [400, 505]],
  ['a bad start line', 'GET\r\n\r\n', [400]],
  [
    'an absolute target with a user',
    'GET http://a@mail.example.test/ HTTP/1.1\r\nHost: mail.example.test\r\n\r\n',
    [400],
  ],
  ['a target of 20 KiB', request('GET', `/${'x'.repeat(20_000)}`, []), [431]],
  ['fields of 20 KiB', request('GET', '/', [`X: ${'x'.repeat(20_000)}`]), [431]],
  [
    '2,100 fields',
    request(
      'GET',
      '/',
      Array.from({ length: 2100 }, () => 'X: y'),
    ),
    [431],
  ],
];

for (const [name, bytes, statuses] of clean) {
  test(`${name}: refused, and nothing behind it is read as a request`, async () => {
    await using backend = await startRecordingBackend();
    await using gate = await startGate({ backendPort: backend.port });
    using client = await RawClient.to(gate.port);
    client.send(bytes).send(get('/behind'));
    const answer = await client.until((received) => isWhole(received));
    assert.ok(statuses.includes(status(answer)), answer.slice(0, 100));
    if (status(answer) === 200) return;
    await client.closed();
    assert.equal(backend.seen.length, 0);
  });
}

test('h2c is served as the ordinary request that it also is', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({ backendPort: backend.port });
  assert.match(
    await ask(gate.port, get('/', 'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAA')),
    /ok$/,
  );
  assert.ok(!backend.seen[0]?.fields.some((field) => /upgrade|http2/i.test(field)));
});

test('pipelined requests of different sessions each get their own answer, in order', async () => {
  await using backend = await startRecordingBackend((incoming, response) => {
    setTimeout(() => response.end(`answer to ${incoming.url}`), incoming.url === '/one' ? 50 : 0);
  });
  await using gate = await startGate({ backendPort: backend.port });
  using client = await RawClient.to(gate.port);
  client.send(get('/one') + request('GET', '/two', ['Cookie: postern=mallory']) + get('/three'));
  const all = await client.until((received) => received.endsWith('answer to /three'));
  assert.ok(
    all.indexOf('answer to /one') < all.indexOf('HTTP/1.1 401') &&
      all.indexOf('HTTP/1.1 401') < all.indexOf('answer to /three'),
  );
  assert.deepEqual(backend.seen.map(({ target }) => target).sort(), ['/one', '/three']);
});

test('garbage behind a good request does not become its answer', async () => {
  await using backend = await startRecordingBackend(
    (_request, response) => void setTimeout(() => response.end('mine'), 50),
  );
  await using gate = await startGate({ backendPort: backend.port });
  using client = await RawClient.to(gate.port);
  client.send(`${get('/good')}garbage\r\n\r\n`);
  assert.match(await client.closed(), /^HTTP\/1\.1 200 OK\r\n[\s\S]*mine$/);
});

test('whatever bytes arrive, the listener goes on serving', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({ backendPort: backend.port });
  const piece = fc.oneof(
    fc.constantFrom(
      'GET ',
      '/ ',
      'HTTP/1.1',
      '\r\n',
      '\n',
      'Host: mail.example.test',
      'Cookie: postern=alice',
      'Upgrade: websocket',
      ': ',
      'Transfer-Encoding: chunked',
      '0\r\n\r\n',
      'Content-Length: 5',
    ),
    fc.string({ maxLength: 20 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 15 }), async (pieces) => {
      using client = await RawClient.to(gate.port);
      client.socket.end(pieces.join(''), 'latin1');
      await client.closed();
    }),
    { numRuns: 100 },
  );
  assert.match(await ask(gate.port, get('/after')), /ok$/);
});

test('slow heads and silent connections are closed', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({ backendPort: backend.port, headMs: 300 });
  using silent = await RawClient.to(gate.port);
  using slow = await RawClient.to(gate.port);
  slow.send('GET / HTTP/1.1\r\nHost: mail');
  assert.match(await silent.closed(), /^(?:HTTP\/1\.1 408 |$)/);
  assert.match(await slow.closed(), /^(?:HTTP\/1\.1 408 |$)/);
});

test('a session that cannot be read is a 503 for this request, also when the lookup fails', async () => {
  await using backend = await startRecordingBackend();
  {
    await using gate = await startGate({
      backendPort: backend.port,
      find: async () => ({ kind: 'unavailable', why: 'store' }),
    });
    assert.match(await ask(gate.port, get('/')), /^HTTP\/1\.1 503 [\s\S]*store$/);
  }
  await using gate = await startGate({ backendPort: backend.port, find: () => Promise.reject(new Error('down')) });
  assert.match(await ask(gate.port, get('/')), /^HTTP\/1\.1 503 [\s\S]*store$/);
});

test('a session is found also when the store must be asked', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({
    backendPort: backend.port,
    find: async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return { kind: 'found', session: gate.session, rest: '' };
    },
  });
  assert.match(await ask(gate.port, get('/')), /ok$/);
});

test('draining finishes requests and uploads, closes idle connections and accepts no more', async () => {
  let finish: (() => void) | undefined;
  await using backend = await startRecordingBackend((incoming, response, body) => {
    if (incoming.method === 'POST') response.end(`got ${body.length}`);
    else finish = () => response.end('finished');
  });
  await using gate = await startGate({ backendPort: backend.port });
  using idle = await RawClient.to(gate.port);
  await idle.send('GET /-/live HTTP/1.1\r\nHost: x\r\n\r\n').until(isWhole);
  using waiting = await RawClient.to(gate.port);
  waiting.send(get('/'));
  using uploading = await RawClient.to(gate.port);
  uploading.send(request('POST', '/', ['Cookie: postern=alice', 'Content-Length: 10'], 'hello'));
  await eventually(() => finish !== undefined && gate.session.attachments === 2);
  const drained = gate.listener.drain(AbortSignal.timeout(10_000));
  await idle.closed();
  finish?.();
  uploading.send('world');
  assert.match(await waiting.closed(), /finished$/);
  assert.match(await uploading.closed(), /got 10$/);
  await drained;
  await assert.rejects(RawClient.to(gate.port), { code: 'ECONNREFUSED' });
});

test('draining cuts what is left at the deadline', async () => {
  await using backend = await startScriptedBackend((socket) => void socket.resume());
  await using gate = await startGate({ backendPort: backend.port });
  using waiting = await RawClient.to(gate.port);
  waiting.send(get('/'));
  await eventually(() => gate.session.attachments === 1);
  await gate.listener.drain(AbortSignal.timeout(100));
  await waiting.closed();
  await eventually(() => backend.sockets.size === 0);
});

test('requests that wait behind another one on their connection end with it, and reach nobody', async () => {
  await using backend = await startScriptedBackend((socket) => void socket.resume());
  await using gate = await startGate({ backendPort: backend.port });
  using client = await RawClient.to(gate.port);
  client.send(get('/one') + get('/two') + get('/three'));
  await eventually(() => backend.sockets.size === 1);
  client.socket.destroy();
  await eventually(() => backend.sockets.size === 0 && gate.session.attachments === 0);
  assert.equal(backend.accepted, 1);
  assert.equal(gate.finished.length, 1);
});
