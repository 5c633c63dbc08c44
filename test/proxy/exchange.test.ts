import assert from 'node:assert/strict';
import { createServer as createTlsServer } from 'node:https';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { BackendHost, BackendLimits, TlsTrust } from '../../src/core/backend.ts';
import { createConnections } from '../../src/proxy/connections.ts';
import { createExchange } from '../../src/proxy/exchange.ts';
import { eventually } from '../eventually.fixture.ts';
import { makeCertificate } from '../passdb/certificates.fixture.ts';
import { freePort, listening } from '../ports.fixture.ts';
import { defaultLimits, startRecordingBackend, startScriptedBackend } from './gate.fixture.ts';

function hostAt(port: number, scheme = 'http', trust: TlsTrust = {}): BackendHost {
  return {
    name: 'a',
    imap: { hostname: '127.0.0.1', port: 1, security: 'tls', trust: {} },
    webmail: { origin: `${scheme}://127.0.0.1:${port}`, landing: '/', trust },
  };
}

function exchanging(limits: Partial<BackendLimits> = {}) {
  const connections = createConnections();
  const refused: string[] = [];
  const exchange = createExchange({
    connections,
    limits: () => ({ ...defaultLimits, ...limits }),
    refused: ({ name }) => void refused.push(name),
  });
  return { connections, exchange, refused, [Symbol.asyncDispose]: () => connections.close() };
}

const soon = (): AbortSignal => AbortSignal.timeout(5000);

test('an exchange sends what it is given and follows nothing', async () => {
  await using backend = await startRecordingBackend((_request, response) => {
    response.writeHead(302, { Location: '/next', 'Set-Cookie': ['a=1', 'b=2'] });
    response.end('moved');
  });
  await using peer = exchanging();
  const headers = [
    ['Host', 'mail.example.test'],
    ['Cookie', 'sid=1'],
    ['Content-Type', 'application/x-www-form-urlencoded'],
  ] as const;
  const response = await peer.exchange.send(
    hostAt(backend.port),
    { method: 'POST', target: '/?_task=login', headers, body: 'pw=Paß€' },
    soon(),
  );
  assert.deepEqual(
    [response.status, response.header('location'), response.setCookies, response.body],
    [302, '/next', ['a=1', 'b=2'], 'moved'],
  );
  const [seen] = backend.seen;
  assert.equal(Buffer.from(seen?.body ?? '', 'latin1').toString('utf8'), 'pw=Paß€');
  assert.equal(seen?.fields[seen.fields.indexOf('host') + 1], 'mail.example.test');
});

test('a coded body is decoded, and a long one is cut at 1 MiB, and says so', async () => {
  await using backend = await startRecordingBackend((incoming, response) => {
    response.setHeader('Content-Encoding', 'gzip');
    response.end(gzipSync(incoming.url === '/long' ? 'x'.repeat(2_000_000) : 'Grüße'));
  });
  await using peer = exchanging();
  const host = hostAt(backend.port);
  assert.equal((await peer.exchange.send(host, { method: 'GET', target: '/', headers: [] }, soon())).body, 'Grüße');
  const long = await peer.exchange.send(host, { method: 'GET', target: '/long', headers: [] }, soon());
  assert.deepEqual([long.body.length, long.isCut], [1_048_576, true]);
});

for (const [what, contentType, page, text] of [
  ['its head', 'text/html; charset="ISO-8859-1"', 'Gr\u00fc\u00dfe', 'Grüße'],
  ['its meta', 'text/html', '<meta charset="iso-8859-2">\u00a3', '<meta charset="iso-8859-2">Ł'],
  ['nothing', 'text/html', 'Gr\u00c3\u00bc\u00c3\u009fe', 'Grüße'],
] as const) {
  test(`a page is read in the coding that ${what} says`, async () => {
    await using backend = await startRecordingBackend((_request, response) => {
      response.setHeader('Content-Type', contentType);
      response.end(Buffer.from(page, 'latin1'));
    });
    await using peer = exchanging();
    const answer = await peer.exchange.send(hostAt(backend.port), { method: 'GET', target: '/', headers: [] }, soon());
    assert.deepEqual([answer.body, answer.isCut], [text, false]);
  });
}

test('an endless body is cut, and its connection given up', async () => {
  await using backend = await startScriptedBackend((socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      const more = (): void => {
        while (!socket.destroyed && socket.write('x'.repeat(65_536)));
      };
      socket.on('drain', more);
      more();
    });
  });
  await using peer = exchanging();
  const response = await peer.exchange.send(hostAt(backend.port), { method: 'GET', target: '/', headers: [] }, soon());
  assert.equal(response.body.length, 1_048_576);
  await eventually(() => backend.sockets.size === 0);
});

const failures: readonly [name: string, script: Parameters<typeof startScriptedBackend>[0], code: string][] = [
  ['closes at once', (socket) => void socket.destroy(), 'ERR_WEBMAIL_UNAVAILABLE'],
  [
    'answers garbage',
    (socket) => void socket.once('data', () => socket.write('garbage\r\n\r\n')),
    'ERR_WEBMAIL_UNAVAILABLE',
  ],
  [
    'cuts its body',
    (socket) => void socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')),
    'ERR_WEBMAIL_UNAVAILABLE',
  ],
  ['never answers', (socket) => void socket.resume(), 'ERR_DEADLINE'],
];

for (const [name, script, code] of failures) {
  test(`a webmail that ${name} makes the exchange fail with ${code}`, async () => {
    await using backend = await startScriptedBackend(script);
    await using peer = exchanging({ webmailFirstByteMs: 300 });
    await assert.rejects(
      peer.exchange.send(hostAt(backend.port), { method: 'GET', target: '/', headers: [] }, soon()),
      { code, source: 'webmail' },
    );
    assert.deepEqual(peer.refused, []);
  });
}

test('if nothing listens the exchange fails, and the host is reported', async () => {
  await using peer = exchanging();
  const port = await freePort();
  await assert.rejects(peer.exchange.send(hostAt(port), { method: 'GET', target: '/', headers: [] }, soon()), {
    code: 'ERR_WEBMAIL_UNAVAILABLE',
  });
  assert.deepEqual(peer.refused, ['a']);
});

test('an aborted exchange leaves the waiting list or its connection at once', async () => {
  await using backend = await startScriptedBackend((socket) => void socket.resume());
  await using peer = exchanging({ connections: 1, queue: 1 });
  const [first, second] = [new AbortController(), new AbortController()];
  const request = { method: 'GET', target: '/', headers: [] } as const;
  const one = peer.exchange.send(hostAt(backend.port), request, first.signal);
  const two = peer.exchange.send(hostAt(backend.port), request, second.signal);
  await assert.rejects(peer.exchange.send(hostAt(backend.port), request, soon()), { code: 'ERR_BUSY' });
  await eventually(() => backend.sockets.size === 1);
  second.abort();
  await assert.rejects(two, { code: 'ERR_DEADLINE' });
  first.abort();
  await assert.rejects(one, { code: 'ERR_DEADLINE' });
  await eventually(() => backend.sockets.size === 0);
  assert.deepEqual(
    peer.connections.stats().map(({ count }) => count),
    [0, 0, 0],
  );
  await assert.rejects(peer.exchange.send(hostAt(backend.port), request, AbortSignal.abort()), {
    code: 'ERR_DEADLINE',
  });
});

test('requests that undici refuses cost no connection', async () => {
  await using backend = await startRecordingBackend();
  await using peer = exchanging({ connections: 1 });
  const host = hostAt(backend.port);
  for (let i = 0; i < 5; i += 1) {
    const headers = [['X-Bad', 'a\u0000b']] as const;
    await assert.rejects(peer.exchange.send(host, { method: 'GET', target: '/', headers }, soon()));
  }
  assert.equal((await peer.exchange.send(host, { method: 'GET', target: '/', headers: [] }, soon())).body, 'ok');
});

test('a host that a reload changes gets new connections, one that it leaves alone keeps them', async () => {
  await using one = await startRecordingBackend((_request, response) => response.end('one'));
  await using two = await startRecordingBackend((_request, response) => response.end('two'));
  await using peer = exchanging();
  const request = { method: 'GET', target: '/', headers: [] } as const;
  assert.equal((await peer.exchange.send(hostAt(one.port), request, soon())).body, 'one');
  const before = peer.connections.to(hostAt(one.port), defaultLimits);
  assert.equal(peer.connections.to(hostAt(one.port), { ...defaultLimits }), before);
  assert.equal((await peer.exchange.send(hostAt(two.port), request, soon())).body, 'two');
  assert.notEqual(peer.connections.to(hostAt(two.port), defaultLimits), before);
});

test('a webmail over TLS must prove its own name, not the public one', async () => {
  const { cert, key } = makeCertificate('DNS:backend.internal');
  const server = createTlsServer({ cert, key }, (_request, response) => response.end('secret'));
  const port = await listening(server);
  const headers = [['Host', 'mail.example.test']] as const;
  const request = { method: 'GET', target: '/', headers } as const;
  const trusts: readonly [trust: TlsTrust, ok: boolean][] = [
    [{ ca: cert, servername: 'backend.internal' }, true],
    [{ ca: cert }, false],
    [{ ca: cert, servername: 'mail.example.test' }, false],
    [{ servername: 'backend.internal' }, false],
  ];
  for (const [trust, ok] of trusts) {
    await using peer = exchanging();
    const sent = peer.exchange.send(hostAt(port, 'https', trust), request, soon());
    if (ok) assert.equal((await sent).body, 'secret');
    else await assert.rejects(sent, { code: 'ERR_WEBMAIL_UNAVAILABLE' });
  }
  server.close();
  server.closeAllConnections();
});

test('an answer with endless informational heads fails', async () => {
  await using backend = await startScriptedBackend((socket) => {
    socket.on('data', () => socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(200)));
  });
  await using peer = exchanging();
  const asked = peer.exchange.send(hostAt(backend.port), { method: 'GET', target: '/', headers: [] }, soon());
  await assert.rejects(asked, { code: 'ERR_WEBMAIL_UNAVAILABLE', message: /ERR_ANNOUNCED_WITHOUT_END/ });
});

test('a server that hangs up after its answer without announcing it has answered', async () => {
  const body = gzipSync('<p>mail</p>'.repeat(1000));
  await using backend = await startScriptedBackend((socket) => {
    socket.once('data', () => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`);
      socket.end(body);
    });
  });
  await using peer = exchanging();
  const response = await peer.exchange.send(hostAt(backend.port), { method: 'GET', target: '/', headers: [] }, soon());
  assert.equal(response.body, '<p>mail</p>'.repeat(1000));
});
