import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { eventually } from '../eventually.fixture.ts';
import { listening } from '../ports.fixture.ts';
import {
  ask,
  type Gate,
  get,
  RawClient,
  request,
  startGate,
  startRecordingBackend,
  startScriptedBackend,
} from './gate.fixture.ts';

const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
const handshake = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  key,
  'Sec-WebSocket-Version: 13',
  'Origin: http://mail.example.test',
];
const accepted =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n';

/** A backend that says yes and then echoes; it keeps the heads that it saw. */
async function startEcho(more = '') {
  const heads: string[] = [];
  const backend = await startScriptedBackend((socket) => {
    socket.once('data', (part) => {
      heads.push(part.toString('latin1'));
      socket.write(`${accepted}${more}\r\n`);
      socket.on('data', (bytes) => socket.write(bytes));
    });
  });
  return { backend, heads };
}

async function opened(port: number, ...more: string[]): Promise<RawClient> {
  const client = await RawClient.to(port);
  client.send(get('/ws', ...handshake, ...more));
  await client.until((received) => received.includes('\r\n\r\n'));
  return client;
}

test('a WebSocket speaks with its backend through the gateway', async () => {
  const server = createServer();
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) =>
    socket.on('message', (data) =>
      socket.send(Buffer.concat([Buffer.from('echo '), Buffer.isBuffer(data) ? data : Buffer.alloc(0)])),
    ),
  );
  const port = await listening(server);
  await using gate = await startGate({ backendPort: port });
  const client = new WebSocket(`ws://127.0.0.1:${gate.port}/socket?x=1`, {
    headers: { Host: 'mail.example.test', Cookie: 'postern=alice', Origin: 'http://mail.example.test' },
  });
  await once(client, 'open');
  client.send('hello');
  const [data] = await once(client, 'message');
  assert.equal(String(data), 'echo hello');
  assert.deepEqual(gate.upgrades.stats(), [{ backend: 'a', count: 1 }]);
  client.close();
  await once(client, 'close');
  await eventually(() => gate.upgrades.stats().length === 0 && gate.session.attachments === 0);
  sockets.close();
  server.close();
});

test('the backend gets a rebuilt head and the browser a rebuilt answer', async () => {
  const { backend, heads } = await startEcho(
    'Set-Cookie: sid=1; HttpOnly\r\nSet-Cookie: color=dark; Path=/\r\nX-Sso-Session: x\r\nX-Plain: 1\r\n',
  );
  await using _ = backend;
  await using gate = await startGate({ backendPort: backend.port });
  using client = await RawClient.to(gate.port);
  client.send(
    get(
      '//ws/../x?a=%2f',
      ...handshake,
      'X-Forwarded-For: 1.2.3.4',
      'X-Remote-User: root',
      'Sec-WebSocket-Protocol: a',
      'Sec-WebSocket-Protocol: b',
    ),
  );
  const answer = await client.until((received) => received.includes('\r\n\r\n'));
  const [head = ''] = heads;
  assert.match(head, /^GET \/\/ws\/\.\.\/x\?a=%2f HTTP\/1\.1\r\n/);
  assert.match(head, /\r\nhost: mail\.example\.test\r\n/i);
  assert.match(head, /\r\nsec-websocket-protocol: a, b\r\n/i);
  assert.match(head, /\r\nx-forwarded-for: 127\.0\.0\.1\r\n/i);
  assert.doesNotMatch(head, /1\.2\.3\.4|root|postern/);
  assert.match(answer, /^HTTP\/1\.1 101 /);
  assert.match(answer, /Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/i);
  assert.match(answer, /Set-Cookie: color=dark; Path=\//i);
  assert.match(answer, /X-Plain: 1/i);
  assert.doesNotMatch(answer, /sid=1|sso/i);
  assert.equal(gate.session.jar.value('sid'), '1');
  client.send('frames');
  assert.match(await client.until((received) => received.endsWith('frames')), /frames$/);
});

const refused: readonly [name: string, bytes: string, status: number][] = [
  ['without a session', request('GET', '/ws', handshake), 401],
  ['a foreign Origin', get('/ws', ...handshake.with(4, 'Origin: http://evil.test')), 403],
  ['no Origin', get('/ws', ...handshake.slice(0, 4)), 403],
  ['two Origins', get('/ws', ...handshake, 'Origin: http://evil.test'), 403],
  ['another version', get('/ws', ...handshake.with(3, 'Sec-WebSocket-Version: 12')), 426],
  ['no key', get('/ws', ...handshake.filter((line) => line !== key)), 400],
  ['two Upgrade fields', get('/ws', ...handshake, 'Upgrade: h2c'), 400],
  ['websocket among others', get('/ws', ...handshake.with(1, 'Upgrade: h2c, websocket')), 400],
  ['a POST', request('POST', '/ws', ['Cookie: postern=alice', ...handshake]), 400],
  ['a body', get('/ws', ...handshake, 'Content-Length: 3') + 'abc', 400],
  ['a reserved path', get('/-/login', ...handshake), 404],
  ['a foreign Host', get('/ws', ...handshake).replace('Host: mail.example.test', 'Host: evil.test'), 400],
];

for (const [name, bytes, status] of refused) {
  test(`an upgrade with ${name} is refused with ${status} and reaches no backend`, async () => {
    const { backend } = await startEcho();
    await using _ = backend;
    await using gate = await startGate({ backendPort: backend.port });
    using client = await RawClient.to(gate.port);
    const answer = await client.send(bytes).closed();
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
    assert.equal(backend.accepted, 0);
  });
}

test('upgrades end with the session at once, and a session may hold so many', async () => {
  const { backend } = await startEcho();
  await using _ = backend;
  await using gate = await startGate({ backendPort: backend.port });
  using one = await opened(gate.port);
  using two = await opened(gate.port);
  using three = await opened(gate.port);
  assert.match(three.received, /^HTTP\/1\.1 429 /);
  await gate.session.end('kicked');
  await one.closed();
  await two.closed();
  await eventually(() => backend.sockets.size === 0 && gate.session.attachments === 0);
});

test('draining ends upgrades', async () => {
  const { backend } = await startEcho();
  await using _ = backend;
  await using gate = await startGate({ backendPort: backend.port });
  using client = await opened(gate.port);
  await gate.listener.drain(AbortSignal.timeout(10_000));
  await client.closed();
});

test('an answer other than 101 is passed on rebuilt, and the connection closes', async () => {
  await using backend = await startScriptedBackend((socket) => {
    socket.once('data', () => {
      socket.write(
        'HTTP/1.1 426 Upgrade Required\r\nSet-Cookie: sid=1; HttpOnly\r\nX-Accel-Redirect: /x\r\nContent-Length: 4\r\n\r\nnope',
      );
    });
  });
  await using gate = await startGate({ backendPort: backend.port });
  using client = await RawClient.to(gate.port);
  client.send(get('/ws', ...handshake) + 'more bytes');
  const answer = await client.closed();
  assert.match(answer, /^HTTP\/1\.1 426 [\s\S]*Connection: close\r\n[\s\S]*\r\n\r\nnope$/);
  assert.doesNotMatch(answer, /sid=|accel/i);
  await eventually(() => backend.sockets.size === 0);
});

test('a backend that refuses, breaks or never answers the handshake costs a 502', async () => {
  const scripts = [
    startScriptedBackend((socket) => void socket.destroy()),
    startScriptedBackend((socket) => void socket.once('data', () => socket.write('garbage\r\n\r\n'))),
    startScriptedBackend((socket) => void socket.resume()),
  ];
  for (const script of scripts) {
    await using backend = await script;
    await using gate = await startGate({ backendPort: backend.port, limits: { webmailFirstByteMs: 300 } });
    using client = await RawClient.to(gate.port);
    assert.match(
      await client.send(get('/ws', ...handshake)).closed(),
      /^HTTP\/1\.1 502 [\s\S]*[0-9A-Z]{4}-[0-9A-Z]{4}/,
    );
    await eventually(() => backend.sockets.size === 0);
  }
});

test('clients that leave during the handshake leave nothing behind', async () => {
  await using backend = await startScriptedBackend((socket) => {
    socket.once('data', () => setTimeout(() => socket.write(`${accepted}\r\n`), 50));
    socket.resume();
  });
  await using gate = await startGate({ backendPort: backend.port, limits: { upgradesPerSession: 100 } });
  for (let i = 0; i < 30; i += 1) {
    const client = await RawClient.to(gate.port);
    client.send(get('/ws', ...handshake));
    if (i % 3 === 0) client.socket.resetAndDestroy();
    else if (i % 3 === 1) setTimeout(() => client.socket.destroy(), 20);
    else setTimeout(() => client.socket.resetAndDestroy(), 45);
  }
  await eventually(() => gate.upgrades.stats().length === 0 && backend.sockets.size === 0);
  assert.equal(gate.session.attachments, 0);
});

test('a client that leaves while the backend is silent leaves no connection behind', async () => {
  await using backend = await startScriptedBackend((socket) => void socket.resume());
  await using gate = await startGate({ backendPort: backend.port });
  using client = await RawClient.to(gate.port);
  client.send(get('/ws', ...handshake));
  await eventually(() => backend.sockets.size === 1);
  client.socket.destroy();
  await eventually(() => backend.sockets.size === 0);
});

test('a client that half closes is closed also by a backend that keeps its half open', async () => {
  const backend = await startScriptedBackend(
    (socket) => void socket.once('data', () => void socket.write(`${accepted}\r\n`)),
    { allowHalfOpen: true },
  );
  await using _ = backend;
  await using gate = await startGate({ backendPort: backend.port });
  using client = await opened(gate.port);
  client.socket.end();
  await client.closed();
  await eventually(() => gate.upgrades.stats().length === 0);
});

test('a backend that leaves closes the client, and a client that half closes is closed', async () => {
  const { backend } = await startEcho();
  await using _ = backend;
  await using gate = await startGate({ backendPort: backend.port });
  using one = await opened(gate.port);
  for (const socket of backend.sockets) socket.resetAndDestroy();
  await one.closed();
  using two = await opened(gate.port);
  two.socket.end();
  await two.closed();
  await eventually(() => backend.sockets.size === 0);
});

test('an upgrade asks for the session also when the store must be asked, and bytes sent early are kept', async () => {
  const { backend } = await startEcho();
  await using _ = backend;
  await using gate = await startGate({
    backendPort: backend.port,
    find: async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return { kind: 'found', session: gate.session, rest: '' };
    },
  });
  using client = await RawClient.to(gate.port);
  client.send(`${get('/ws', ...handshake)}early `);
  client.send('and late');
  assert.match(await client.until((received) => received.endsWith('early and late')), /^HTTP\/1\.1 101 /);
});

test('an ordinary request on the same path is answered as such', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({ backendPort: backend.port });
  assert.match(await ask(gate.port, get('/ws')), /ok$/);
});

/** A backend that says yes and then sends `bytes`. */
function sending(bytes: Buffer) {
  return startScriptedBackend((socket) => {
    socket.once('data', () => {
      socket.write(`${accepted}\r\n`);
      socket.write(bytes);
    });
  });
}

const hello = Buffer.from([0x81, 5, ...Buffer.from('hello')]);

test('a WebSocket that the session took along is told so: 1008, and 1001 where the node goes away', async () => {
  const ends = [
    [1008, (gate: Gate) => gate.session.end('signed-out')],
    [1001, (gate: Gate) => gate.listener.drain(AbortSignal.timeout(10_000))],
  ] as const;
  for (const [code, end] of ends) {
    await using backend = await sending(hello);
    await using gate = await startGate({ backendPort: backend.port });
    using client = await opened(gate.port);
    await client.until((received) => received.endsWith('hello'));
    await end(gate);
    assert.ok((await client.closed()).endsWith(`hello\x88\x02${String.fromCharCode(code >> 8, code & 255)}`));
    await eventually(() => backend.sockets.size === 0 && gate.session.attachments === 0);
  }
});

test('nothing is put into the middle of a frame: the connection just ends', async () => {
  await using backend = await sending(hello.subarray(0, 4));
  await using gate = await startGate({ backendPort: backend.port });
  using client = await opened(gate.port);
  await client.until((received) => received.includes('he'));
  await gate.session.end('kicked');
  assert.ok((await client.closed()).endsWith('he'));
});

test('a client that does not close its half is closed half a second later', async () => {
  const { backend } = await startEcho();
  await using _ = backend;
  await using gate = await startGate({ backendPort: backend.port });
  using client = await opened(gate.port);
  client.socket.allowHalfOpen = true;
  const kickedAtMs = performance.now();
  await gate.session.end('kicked');
  await eventually(() => gate.session.attachments === 0);
  assert.ok(performance.now() - kickedAtMs < 1900, 'sooner than the two seconds that others have to close');
  assert.equal(backend.sockets.size, 0);
});
