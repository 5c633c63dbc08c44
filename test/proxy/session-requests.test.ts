import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { WebmailDriver } from '../../src/core/webmail.ts';
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

const plain = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

test('a request of a session reaches its backend byte for byte and the answer comes back', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({ backendPort: backend.port });
  const answer = await ask(gate.port, get('//x/..;/%00/\\"?a=%2f', 'X-Forwarded-For: 1.2.3.4'));
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(answer, /\r\n\r\nok$/);
  const [seen] = backend.seen;
  assert.equal(seen?.target, '//x/..;/%00/\\"?a=%2f');
  assert.ok(!seen?.fields.includes('1.2.3.4'));
  assert.ok(!seen?.fields.some((field) => field.includes('postern=')));
  assert.equal(gate.session.touches, 1);
  await eventually(() => gate.finished.length === 1);
  const [finished] = gate.finished;
  assert.deepEqual(
    [finished?.path, finished?.status, finished?.bytes, finished?.method],
    ['//x/..;/%00/\\"', 200, 2, 'GET'],
  );
});

test('connections to the backend are used again', async () => {
  await using backend = await startScriptedBackend((socket) => socket.on('data', () => socket.write(plain)));
  await using gate = await startGate({ backendPort: backend.port });
  for (let i = 0; i < 5; i += 1) assert.match(await ask(gate.port, get('/')), /ok$/);
  assert.equal(backend.accepted, 1);
});

test('bodies go up whole, with a length and chunked, with every method that may have one', async () => {
  await using backend = await startRecordingBackend((_request, response, body) => response.end(String(body.length)));
  await using gate = await startGate({ backendPort: backend.port });
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
    const fields = ['Cookie: postern=alice'];
    const one = await ask(gate.port, request(method, '/up', [...fields, 'Content-Length: 5'], 'hello'));
    assert.match(one, /\r\n\r\n5$/, method);
    const two = await ask(
      gate.port,
      request(
        method,
        '/up',
        [...fields, 'Transfer-Encoding: chunked'],
        '3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: dropped\r\n\r\n',
      ),
    );
    assert.match(two, /\r\n\r\n5$/, method);
  }
  assert.deepEqual(new Set(backend.seen.map(({ body }) => body)), new Set(['hello', 'abcde']));
  assert.ok(!backend.seen.some(({ fields }) => fields.some((field) => /trailer/i.test(field))));
});

test('20 MB go up and down intact', async () => {
  const bytes = randomBytes(20 * 1024 * 1024);
  const expected = createHash('sha256').update(bytes).digest('hex');
  await using backend = await startRecordingBackend((incoming, response, body) => {
    if (incoming.method === 'GET') response.end(bytes);
    else response.end(createHash('sha256').update(body, 'latin1').digest('hex'));
  });
  await using gate = await startGate({ backendPort: backend.port });
  const up = await ask(
    gate.port,
    request('POST', '/up', ['Cookie: postern=alice', `Content-Length: ${bytes.length}`], bytes.toString('latin1')),
  );
  assert.ok(up.endsWith(expected));
  using client = await RawClient.to(gate.port);
  const down = await client.send(get('/down')).until((received) => received.length > bytes.length);
  const body = Buffer.from(down.slice(down.indexOf('\r\n\r\n') + 4), 'latin1');
  assert.equal(createHash('sha256').update(body).digest('hex'), expected);
});

test('a client that does not read holds the backend back', async () => {
  let written = 0;
  await using backend = await startScriptedBackend((socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n');
      const more = (): void => {
        do written += 65_536;
        while (socket.write(Buffer.alloc(65_536)) && written < 200_000_000);
      };
      socket.on('drain', more);
      more();
    });
  });
  await using gate = await startGate({ backendPort: backend.port });
  using client = await RawClient.to(gate.port);
  client.socket.pause();
  client.send(get('/'));
  let before = -1;
  // Until no more is taken: the buffers of four sockets are full.
  for (let still = 0; still < 20; still = written === before ? still + 1 : 0) {
    before = written;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.ok(written < 50_000_000, `${written} bytes were taken from the backend`);
});

test('a backend that does not read holds the client back', async () => {
  await using backend = await startScriptedBackend((socket) => socket.pause());
  await using gate = await startGate({ backendPort: backend.port });
  using client = await RawClient.to(gate.port);
  client.send(request('POST', '/', ['Cookie: postern=alice', 'Content-Length: 200000000']));
  let sent = 0;
  while (sent < 200_000_000 && client.socket.writableLength < 8_000_000) {
    client.socket.write(Buffer.alloc(65_536));
    sent += 65_536;
    if (client.socket.writableLength > 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.ok(sent < 100_000_000, `${sent} bytes were taken from the client`);
});

test('a client that leaves ends the request at the backend at once: waiting, uploading and downloading', async () => {
  const cases: readonly [bytes: string, reply: string][] = [
    [get('/'), ''],
    [request('POST', '/', ['Cookie: postern=alice', 'Content-Length: 100'], 'half'), ''],
    [get('/'), 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'],
  ];
  for (const [bytes, answer] of cases) {
    let got = '';
    await using backend = await startScriptedBackend((socket) => {
      socket.on('data', (part) => {
        got += part.toString('latin1');
        if (answer !== '') socket.write(answer);
      });
    });
    await using gate = await startGate({ backendPort: backend.port });
    using client = await RawClient.to(gate.port);
    client.send(bytes);
    await eventually(() => got.includes('\r\n\r\n') && (answer === '' || client.received.endsWith('half')));
    client.socket.destroy();
    await eventually(() => backend.sockets.size === 0);
    assert.equal(gate.session.attachments, 0);
    await eventually(() => gate.finished.length === 1);
  }
});

test('a client that closes its half in the middle of an upload is not taken for one that finished', async () => {
  let got = '';
  await using backend = await startScriptedBackend((socket) =>
    socket.on('data', (part) => (got += part.toString('latin1'))),
  );
  await using gate = await startGate({ backendPort: backend.port });
  using client = await RawClient.to(gate.port);
  client.send(request('POST', '/', ['Cookie: postern=alice', 'Transfer-Encoding: chunked'], '4\r\nhalf\r\n'));
  await eventually(() => got.includes('half'));
  client.socket.end();
  assert.match(await client.closed(), /^HTTP\/1\.1 400 /);
  await eventually(() => backend.sockets.size === 0);
  assert.ok(!got.includes('0\r\n\r\n'));
});

test('an early answer to an upload reaches the client, and both sides get their next request right', async () => {
  await using backend = await startScriptedBackend((socket) => {
    socket.on('data', (part) => {
      const line = part.toString('latin1');
      if (line.startsWith('POST')) socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig');
      if (line.startsWith('GET')) socket.write(plain);
    });
  });
  await using gate = await startGate({ backendPort: backend.port });
  using client = await RawClient.to(gate.port);
  client.send(request('POST', '/', ['Cookie: postern=alice', 'Content-Length: 1000000'], 'x'.repeat(1000)));
  assert.match(await client.until(isWhole), /^HTTP\/1\.1 413 [\s\S]*big$/);
  client.received = '';
  client.send('x'.repeat(999_000)).send(get('/next'));
  assert.match(await client.until(isWhole), /^HTTP\/1\.1 200 [\s\S]*ok$/);
});

test('Expect: 100-continue is answered once the request is let in, and not before', async () => {
  await using backend = await startRecordingBackend((_request, response, body) => response.end(body));
  await using gate = await startGate({ backendPort: backend.port });
  using client = await RawClient.to(gate.port);
  client.send(request('POST', '/', ['Cookie: postern=alice', 'Content-Length: 5', 'Expect: 100-continue']));
  assert.equal(await client.until((received) => received.includes('\r\n\r\n')), 'HTTP/1.1 100 Continue\r\n\r\n');
  client.received = '';
  client.send('hello');
  assert.match(await client.until(isWhole), /^HTTP\/1\.1 200 [\s\S]*hello$/);
  assert.ok(!backend.seen[0]?.fields.some((field) => field.toLowerCase() === 'expect'));
  const refused = await ask(gate.port, request('POST', '/', ['Content-Length: 5', 'Expect: 100-continue']));
  assert.match(refused, /^HTTP\/1\.1 401 [\s\S]*\r\nConnection: close\r\n/);
});

test('HEAD, 204 and 304 have no body, whatever the backend sends', async () => {
  await using backend = await startScriptedBackend((socket) => {
    socket.on('data', (part) => {
      const line = part.toString('latin1').split('\r\n')[0] ?? '';
      if (line.startsWith('HEAD'))
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil');
      else if (line.includes('/204')) socket.write('HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil');
      else if (line.includes('/304'))
        socket.write('HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 4\r\n\r\nevil');
      else socket.write(plain);
    });
  });
  await using gate = await startGate({ backendPort: backend.port });
  using client = await RawClient.to(gate.port);
  client.send(request('HEAD', '/', ['Cookie: postern=alice']));
  await client.until((received) => received.includes('\r\n\r\n'));
  client.send(get('/204')).send(get('/304')).send(get('/last'));
  const all = await client.until((received) => received.endsWith('ok'));
  assert.deepEqual(all.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 204', 'HTTP/1.1 304', 'HTTP/1.1 200']);
  assert.ok(!all.includes('evil'));
});

test('informational answers are skipped', async () => {
  await using backend = await startScriptedBackend((socket) => {
    socket.on('data', () => socket.write(`HTTP/1.1 103 Early Hints\r\nLink: </evil>\r\n\r\n${plain}`));
  });
  await using gate = await startGate({ backendPort: backend.port });
  assert.match(await ask(gate.port, get('/')), /^HTTP\/1\.1 200 OK\r\n(?!.*evil)[\s\S]*ok$/);
});

const broken: readonly [name: string, bytes: string][] = [
  ['two framings', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok'],
  ['garbage', 'this is not HTTP\r\n\r\n'],
  ['an uninvited 101', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'],
  ['an uninvited 100', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ['70 KB of header', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`],
];

for (const [name, bytes] of broken) {
  test(`a backend that answers with ${name} costs one 502, and the next request is answered`, async () => {
    await using backend = await startScriptedBackend((socket, nth) => {
      socket.on('data', () => socket.write(nth === 1 ? bytes : plain));
    });
    await using gate = await startGate({ backendPort: backend.port });
    assert.match(
      await ask(gate.port, request('POST', '/', ['Cookie: postern=alice', 'Content-Length: 0'])),
      /^HTTP\/1\.1 502 [\s\S]*bad-answer$/,
    );
    assert.match(await ask(gate.port, get('/')), /ok$/);
    assert.equal(gate.warnings[0]?.event, 'webmail-request-failed');
  });
}

const truncated: readonly [name: string, bytes: string][] = [
  ['shorter than its length', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'],
  ['without its last chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
];

for (const [name, bytes] of truncated) {
  test(`the client sees that a body ${name} was cut`, async () => {
    await using backend = await startScriptedBackend((socket) => socket.once('data', () => socket.end(bytes)));
    await using gate = await startGate({ backendPort: backend.port });
    using client = await RawClient.to(gate.port);
    const all = await client.send(get('/')).closed();
    assert.ok(!isWhole(all));
  });
}

test('bytes after an answer never become the answer to the next request', async () => {
  await using backend = await startScriptedBackend((socket) => {
    socket.on('data', (part) => {
      const isFirst = part.toString('latin1').startsWith('GET /first');
      socket.write(isFirst ? `${plain}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil` : plain);
    });
  });
  await using gate = await startGate({ backendPort: backend.port });
  for (let i = 0; i < 5; i += 1) {
    assert.match(await ask(gate.port, get('/first')), /ok$/);
    assert.match(await ask(gate.port, get('/second')), /ok$/);
  }
});

test('a stale connection costs a GET nothing, and a POST is never sent twice', async () => {
  let posts = 0;
  await using backend = await startScriptedBackend((socket) => {
    let served = 0;
    socket.on('data', (part) => {
      if (part.toString('latin1').startsWith('POST')) posts += 1;
      served += 1;
      // Each connection dies under its second request.
      if (served === 1) socket.write(plain);
      else socket.destroy();
    });
  });
  await using gate = await startGate({ backendPort: backend.port });
  for (let i = 0; i < 10; i += 1) assert.match(await ask(gate.port, get('/')), /^HTTP\/1\.1 200/);
  const before = posts;
  assert.match(
    await ask(gate.port, request('POST', '/', ['Cookie: postern=alice', 'Content-Length: 2'], 'hi')),
    /^HTTP\/1\.1 502/,
  );
  assert.equal(posts, before + 1);
});

test('a GET that loses a new connection, too, is asked once more a moment later', async () => {
  let asked = 0;
  await using backend = await startScriptedBackend((socket) => {
    socket.on('data', () => (++asked < 3 ? socket.destroy() : socket.write(plain)));
  });
  await using gate = await startGate({ backendPort: backend.port });
  assert.match(await ask(gate.port, get('/')), /^HTTP\/1\.1 200/);
  assert.equal(asked, 3);
});

test('a request whose client has left is not retried', async () => {
  let asked = 0;
  await using backend = await startScriptedBackend((socket) => {
    socket.on('data', () => (++asked < 3 ? socket.destroy() : socket.write(plain)));
  });
  await using gate = await startGate({ backendPort: backend.port });
  {
    using client = await RawClient.to(gate.port);
    client.send(get('/'));
    await eventually(() => asked === 2);
  }
  await eventually(() => gate.finished.length === 1 && gate.session.attachments === 0);
  assert.match(await ask(gate.port, get('/')), /^HTTP\/1\.1 200/);
  assert.equal(asked, 3);
});

test('a GET is tried three times at most', async () => {
  await using backend = await startScriptedBackend((socket) => socket.on('data', () => socket.destroy()));
  await using gate = await startGate({ backendPort: backend.port });
  assert.match(await ask(gate.port, get('/')), /^HTTP\/1\.1 502/);
  assert.equal(backend.accepted, 3);
});

test('a backend that refuses connections is unavailable, one that never answers is late', async () => {
  const gone = await startScriptedBackend(() => {});
  await gone[Symbol.asyncDispose]();
  {
    await using gate = await startGate({ backendPort: gone.port });
    assert.match(await ask(gate.port, get('/')), /^HTTP\/1\.1 503 [\s\S]*unavailable$/);
  }
  await using silent = await startScriptedBackend((socket) => void socket.resume());
  await using gate = await startGate({ backendPort: silent.port, limits: { webmailFirstByteMs: 300 } });
  assert.match(await ask(gate.port, get('/')), /^HTTP\/1\.1 504 [\s\S]*timeout$/);
  await eventually(() => silent.sockets.size === 0);
});

test('an event stream passes event by event and outlives the first-byte deadline', async () => {
  await using backend = await startScriptedBackend((socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n');
      setTimeout(() => socket.write('data: 2\n\n'), 1500);
    });
  });
  await using gate = await startGate({ backendPort: backend.port, limits: { webmailFirstByteMs: 300 } });
  using client = await RawClient.to(gate.port);
  client.send(get('/events', 'Accept: text/event-stream'));
  assert.ok(!(await client.until((received) => received.includes('data: 1'))).includes('data: 2'));
  await client.until((received) => received.includes('data: 2'));
  assert.ok(client.received.includes('data: 2'));
});

test('what is in flight ends with the session', async () => {
  await using backend = await startScriptedBackend((socket) => {
    socket.once('data', (part) => {
      if (part.toString('latin1').startsWith('GET /stream')) socket.write('HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n');
    });
  });
  await using gate = await startGate({ backendPort: backend.port });
  using stream = await RawClient.to(gate.port);
  using waiting = await RawClient.to(gate.port);
  stream.send(get('/stream'));
  waiting.send(get('/wait', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document'));
  await stream.until((received) => received.includes('data: 1'));
  await eventually(() => backend.sockets.size === 2 && gate.session.attachments === 2);
  await gate.session.end('kicked');
  await stream.closed();
  assert.match(
    await waiting.until(isWhole),
    /^HTTP\/1\.1 303 [\s\S]*Location: http:\/\/mail\.example\.test\/-\/login\?next=%2Fwait&ended=kicked/,
  );
  await eventually(() => backend.sockets.size === 0 && gate.session.attachments === 0);
});

test('a session whose backend is no longer configured ends', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({ backendPort: backend.port });
  Object.assign(gate.session.record, { backend: 'gone' });
  assert.match(await ask(gate.port, get('/')), /^HTTP\/1\.1 401 /);
  assert.deepEqual(gate.session.ended, ['backend-removed']);
});

test('polls do not count as use of the session', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({
    backendPort: backend.port,
    driver: { isPoll: (head) => head.target === '/poll' },
  });
  await ask(gate.port, get('/poll'));
  assert.equal(gate.session.touches, 0);
});

test('a webmail that checks no tokens gets only requests that our own pages made', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({ backendPort: backend.port, driver: { checksNoTokens: true } });
  const post = (...lines: string[]) =>
    ask(gate.port, request('POST', '/', ['Cookie: postern=alice', 'Content-Length: 0', ...lines]));
  const foreign = [
    [],
    ['Origin: null'],
    ['Origin: http://evil.test'],
    ['Origin: http://evil.test', 'Sec-Fetch-Site: same-origin'],
    ['Origin: http://mail.example.test', 'Origin: http://evil.test'],
    ['Sec-Fetch-Site: same-site'],
    ['Sec-Fetch-Site: none'],
  ];
  for (const lines of foreign) assert.match(await post(...lines), /^HTTP\/1\.1 403 /, lines.join());
  assert.equal(backend.seen.length, 0);
  assert.match(await post('Origin: http://mail.example.test'), /ok$/);
  assert.match(await post('Sec-Fetch-Site: same-origin'), /ok$/);
  assert.match(await ask(gate.port, get('/', 'Origin: http://evil.test')), /ok$/);
});

const requestHeaders: WebmailDriver['requestHeaders'] = ({ method, target }, as) => [
  ['X-Webmail-Entry', [method, target, as.user, as.client.address, as.publicOrigin, as.session].join(' ')],
];

test('a driver’s fields are made from the session for each request', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({ backendPort: backend.port, driver: { requestHeaders } });
  await ask(gate.port, get('/x?y', 'X-Webmail-Entry: forged'));
  const fields = backend.seen[0]?.fields ?? [];
  const values = fields.filter((_value, i) => fields[i - 1] === 'X-Webmail-Entry');
  assert.deepEqual(values, ['GET /x?y alice@example.test 127.0.0.1 http://mail.example.test alice']);
});

test('a script may not become a service worker unless the driver allows it', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({
    backendPort: backend.port,
    driver: { allowsServiceWorker: (head) => head.target === '/sw.js' },
  });
  for (const asked of [
    get('/attachment.js', 'Service-Worker: script'),
    get('/mail.js', 'Sec-Fetch-Dest: serviceworker'),
    request('GET', '/old.js', ['Service-Worker: script']),
  ]) {
    const answer = await ask(gate.port, asked);
    assert.match(answer, /^HTTP\/1\.1 200 [\s\S]*text\/javascript[\s\S]*self\.registration\.unregister\(\)/);
    assert.doesNotMatch(answer, /fetch/);
  }
  assert.match(await ask(gate.port, get('/sw.js', 'Service-Worker: script')), /^HTTP\/1\.1 200 /);
  assert.equal(backend.seen.length, 1);
});

test('requests wait for a connection in a bounded list for a bounded time, and may leave it', async () => {
  await using backend = await startScriptedBackend(() => {});
  await using gate = await startGate({
    backendPort: backend.port,
    limits: { connections: 1, queue: 1, queueMs: 1000 },
  });
  using first = await RawClient.to(gate.port);
  first.send(get('/'));
  await eventually(() => backend.sockets.size === 1);
  using second = await RawClient.to(gate.port);
  second.send(get('/'));
  await eventually(() => gate.connections.stats().some(({ state, count }) => state === 'waiting' && count === 1));
  assert.match(await ask(gate.port, get('/')), /^HTTP\/1\.1 503 [\s\S]*busy$/);
  assert.match(await second.until(isWhole), /^HTTP\/1\.1 503 [\s\S]*busy$/);
  second.received = '';
  second.send(get('/'));
  await eventually(() => gate.connections.stats().some(({ state, count }) => state === 'waiting' && count === 1));
  second.socket.destroy();
  await eventually(() => gate.connections.stats().some(({ state, count }) => state === 'waiting' && count === 0));
});
