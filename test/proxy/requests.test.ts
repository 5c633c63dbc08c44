import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, get, startGate, startRecordingBackend } from './gate.ts';

test('a request of a session reaches its backend and the answer comes back', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({ backendPort: backend.port });
  const answer = await ask(gate.port, get('/mail?x=1'));
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(answer, /\r\n\r\nok$|ok\r\n0\r\n\r\n$/);
  assert.equal(backend.seen[0]?.target, '/mail?x=1');
});
