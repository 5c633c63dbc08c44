import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../eventually.fixture.ts';
import { get, isWhole, RawClient, request, startGate, startScriptedBackend } from './gate.fixture.ts';
import { evil, hostileAnswers, ok } from './hostile-answers.fixture.ts';

for (const [name, bytes, seen] of hostileAnswers) {
  test(`a backend that sends ${name}: one answer for its own client, and nothing of it for the next`, async () => {
    await using backend = await startScriptedBackend((socket) => {
      socket.on('data', (part) => {
        const isFirst = part.toString('latin1').startsWith('POST /x');
        socket.write(isFirst ? bytes : ok, 'latin1');
        // The backend sends nothing more, so an answer without an end of its own is over.
        if (isFirst && !(seen instanceof RegExp)) socket.end();
      });
    });
    await using gate = await startGate({ backendPort: backend.port, limits: { connections: 1 } });
    using client = await RawClient.to(gate.port);
    // This request is not repeatable, so the client gets what became of this one answer.
    client.send(request('POST', '/x', ['Cookie: postern=alice', 'Content-Length: 0']));
    const answer = await client.until(isWhole);
    assert.ok(answer !== '' || seen === 'cut');
    // If the connection is cut at once, perhaps not even the head has left.
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

for (const [name, head] of [
  ['', 'HTTP/1.0 200 OK\r\nCache-Control: max-age=600\r\n\r\n'],
  [' behind a head with a control character', 'HTTP/1.1 200 OK\r\nX: \x01\r\nCache-Control: max-age=600\r\n\r\n'],
] as const) {
  test(`a body that would end with its connection${name}, which is reset, is cut, and is not taken for whole`, async () => {
    await using backend = await startScriptedBackend((socket) => {
      socket.on('data', () => socket.write(`${head}half of it`, 'latin1'));
    });
    await using gate = await startGate({ backendPort: backend.port });
    using client = await RawClient.to(gate.port);
    await client.send(get('/x')).until((received) => received.includes('half of it'));
    for (const socket of backend.sockets) socket.resetAndDestroy();
    assert.ok(!isWhole(await client.until(isWhole)) && client.ended);
    await eventually(() => gate.warnings.some(({ event }) => event === 'webmail-answer-broken'));
  });
}
