import assert from 'node:assert/strict';
import { test } from 'node:test';
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
  TestSession,
} from './gate.fixture.ts';

const stallMs = 300;

test('an upload that stalls is cut, and the backend does not take its half for the whole', async () => {
  let got = '';
  await using backend = await startScriptedBackend((socket) =>
    socket.on('data', (part) => (got += part.toString('latin1'))),
  );
  await using gate = await startGate({ backendPort: backend.port, stallMs });
  using client = await RawClient.to(gate.port);
  client.send(request('POST', '/', ['Cookie: postern=alice', 'Transfer-Encoding: chunked'], '4\r\nhalf\r\n'));
  await eventually(() => got.includes('half'));
  assert.equal(await client.closed(), '');
  await eventually(() => backend.sockets.size === 0 && gate.session.attachments === 0);
  assert.ok(!got.endsWith('0\r\n\r\n'));
});

test('an upload that is slow but goes on arrives', async () => {
  await using backend = await startRecordingBackend((_request, response, body) => response.end(body));
  // Each pause is far below `stallMs`, and all together are above it.
  await using gate = await startGate({ backendPort: backend.port, stallMs: 1000 });
  using client = await RawClient.to(gate.port);
  client.send(request('POST', '/', ['Cookie: postern=alice', 'Content-Length: 8']));
  for (let i = 0; i < 8; i += 1) {
    await new Promise((resolve) => setTimeout(resolve, 150));
    client.send(String(i));
  }
  assert.match(await client.until(isWhole), /\r\n\r\n01234567$/);
});

test('uploads that send a byte now and then are cut, and one that is as fast as it must be arrives', async () => {
  await using backend = await startRecordingBackend((_request, response, body) => response.end(`got ${body.length}`));
  await using gate = await startGate({ backendPort: backend.port, stallMs: 1000, uploadBytesPerSecond: 20 });
  const upload = request('POST', '/', ['Cookie: postern=alice', 'Content-Length: 100']);
  using dripping = await RawClient.to(gate.port);
  using steady = await RawClient.to(gate.port);
  dripping.send(upload);
  steady.send(upload);
  const drip = setInterval(() => {
    dripping.send('x');
    steady.send('x'.repeat(5));
  }, 100);
  assert.match(await steady.until(isWhole), /got 100$/);
  assert.equal(await dripping.closed(), '');
  clearInterval(drip);
  assert.deepEqual(
    backend.seen.map(({ body }) => body.length),
    [100],
  );
});

test('a body that does not begin takes no connection of the backend', async () => {
  await using backend = await startRecordingBackend((_request, response, body) => response.end(`got ${body.length}`));
  await using gate = await startGate({ backendPort: backend.port, limits: { connections: 1 } });
  const announced = ['Content-Length: 5', 'Transfer-Encoding: chunked', 'Content-Length: 5\r\nExpect: 100-continue'];
  const clients = await Promise.all(announced.map(() => RawClient.to(gate.port)));
  for (const [i, client] of clients.entries()) {
    client.send(request('POST', '/', ['Cookie: postern=alice', announced[i] ?? '']));
  }
  await eventually(() => gate.session.attachments === 3);
  assert.match(await ask(gate.port, get('/next')), /got 0$/);
  for (const [i, client] of clients.entries()) {
    client.received = '';
    client.send(i === 1 ? '5\r\nhello\r\n0\r\n\r\n' : 'hello');
    assert.match(await client.until(isWhole), /got 5$/);
  }
});

test('one user’s requests take no more than a share of the connections, and of the waiting list', async () => {
  await using backend = await startRecordingBackend((incoming, response) => {
    if (incoming.url !== '/hang') response.end('ok');
  });
  const bob = new TestSession('bob', 'a', () => false);
  await using gate = await startGate({
    backendPort: backend.port,
    limits: { connections: 4, connectionsPerUser: 3, queue: 8, queueMs: 60_000 },
    find: (cookie) => ({ kind: 'found', session: cookie === 'postern=bob' ? bob : gate.session, rest: '' }),
  });
  const clients = await Promise.all(Array.from({ length: 20 }, () => RawClient.to(gate.port)));
  // Some clients begin an upload, the others read.
  for (const [i, client] of clients.entries()) {
    client.send(i < 10 ? get('/hang') : request('POST', '/hang', ['Cookie: postern=alice', 'Content-Length: 9'], 'b'));
  }
  await eventually(() => clients.filter(({ received }) => received.startsWith('HTTP/1.1 503 ')).length === 14);
  assert.deepEqual(gate.connections.stats().slice(0, 1), [{ host: 'a', state: 'busy', count: 3 }]);
  assert.match(await ask(gate.port, request('GET', '/mail', ['Cookie: postern=bob'])), /ok$/);
  for (const client of clients) client.socket.destroy();
  await eventually(() => gate.session.attachments === 0);
  // The connections that were held are free again.
  assert.match(await ask(gate.port, get('/mail')), /ok$/);
});

test('a client that stops reading is cut, and its backend is free again', async () => {
  await using backend = await startRecordingBackend((incoming, response) =>
    response.end(incoming.url === '/big' ? Buffer.alloc(64_000_000) : 'ok'),
  );
  await using gate = await startGate({ backendPort: backend.port, stallMs, limits: { connections: 1 } });
  using client = await RawClient.to(gate.port);
  client.socket.pause();
  client.send(get('/big'));
  await eventually(() => gate.session.attachments === 1);
  await eventually(() => gate.session.attachments === 0);
  assert.match(await ask(gate.port, get('/next')), /ok$/);
});

test('a client that waits for its answer is not cut, however long it says nothing', async () => {
  await using backend = await startRecordingBackend(
    (_request, response) => void setTimeout(() => response.end('at last'), 4 * stallMs),
  );
  await using gate = await startGate({ backendPort: backend.port, stallMs });
  assert.match(await ask(gate.port, get('/')), /at last$/);
  const upload = request('POST', '/', ['Cookie: postern=alice', 'Content-Length: 2'], 'hi');
  assert.match(await ask(gate.port, upload), /at last$/);
});

test('the body of one of our own forms must arrive in time, also byte by byte', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({
    backendPort: backend.port,
    headMs: stallMs,
    pages: (incoming, response) => void incoming.on('end', () => response.end('read')).resume(),
  });
  using silent = await RawClient.to(gate.port);
  silent.send(request('POST', '/-/login', ['Content-Length: 100'], 'user='));
  assert.equal(await silent.closed(), '');
  using trickling = await RawClient.to(gate.port);
  trickling.send(request('POST', '/-/login', ['Content-Length: 100']));
  const drip = setInterval(() => trickling.send('x'), 20);
  assert.equal(await trickling.closed(), '');
  clearInterval(drip);
  const whole = await ask(gate.port, request('POST', '/-/login', ['Content-Length: 3'], 'a=b'));
  assert.match(whole, /read/);
});

test('400 idle connections keep nobody from being served, and 300 requests at once are all answered', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({
    backendPort: backend.port,
    limits: { connections: 8, queue: 300, queueMs: 10_000 },
  });
  const idle = await Promise.all(Array.from({ length: 400 }, () => RawClient.to(gate.port)));
  const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => ask(gate.port, get(`/${i}`))));
  for (const client of idle) client.socket.destroy();
  for (const answer of answers) assert.match(answer, /^HTTP\/1\.1 200 [^]*ok$/);
  assert.equal(backend.seen.length, 300);
});

test('beyond the queue requests are refused at once, and each gets its own answer', async () => {
  await using backend = await startScriptedBackend(() => {});
  await using gate = await startGate({ backendPort: backend.port, limits: { connections: 4, queue: 8, queueMs: 500 } });
  const answers = await Promise.all(Array.from({ length: 100 }, () => askUntilClosed(gate.port)));
  assert.equal(answers.filter((answer) => /^HTTP\/1\.1 503 [^]*busy$/.test(answer)).length, 96);
  assert.equal(backend.accepted, 4);
});

/** A request that is given up after two seconds without an answer. */
async function askUntilClosed(port: number): Promise<string> {
  using client = await RawClient.to(port);
  const timer = setTimeout(() => client.socket.destroy(), 2000);
  const answer = await client.send(get('/')).until(isWhole);
  clearTimeout(timer);
  return answer;
}
