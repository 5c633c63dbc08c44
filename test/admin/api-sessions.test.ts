import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sessionRoutes } from '../../src/admin/api-sessions.ts';
import { isRecordKey, type RecordKey } from '../../src/core/names.ts';
import type { PlacedSession } from '../../src/core/session.ts';
import { alice, bob, sampleRecord } from '../sessions/samples.fixture.ts';

function keyOf(beginning: string): RecordKey {
  const text = beginning.padEnd(43, 'a');
  assert.ok(isRecordKey(text));
  return text;
}

test('a short id that could mean several sessions ends none of them, and says which they are', async () => {
  const sessions: PlacedSession[] = [
    {
      key: keyOf('4fQ_x9ZkA'),
      record: sampleRecord({ user: alice }),
      lastUseMs: 0,
      place: { at: 0, key: keyOf('x'), rank: 0 },
    },
    {
      key: keyOf('4fQ_x9ZkB'),
      record: sampleRecord({ user: bob }),
      lastUseMs: 0,
      place: { at: 0, key: keyOf('x'), rank: 1 },
    },
  ];
  const ended: string[] = [];
  const routes = sessionRoutes({
    sessions: {
      async *allSessions() {
        yield sessions;
      },
      sessionsOfUser: async () => [],
      endSessionsOfUser: async () => 0,
      end: async (key) => void ended.push(key),
    },
    backends: () => new Map(),
    userNamed: () => alice,
    lookUp: async () => ({ kind: 'unknown-user' }),
    reports: { read: async () => [] },
    audit: { record: async () => {} },
  });
  const endSession = (id: string) =>
    routes
      .find(({ name }) => name === 'endSession')
      ?.handle({ path: { session: id }, query: new URLSearchParams(), body: { reason: 'a test' }, by: 'test' });
  await assert.rejects(async () => endSession('4fQ_x9Zk'), {
    status: 409,
    message:
      '4fQ_x9Zk begins the ids of 2 sessions: write 4fQ_x9ZkA of alice@example.test, or 4fQ_x9ZkB of bob@example.test',
  });
  assert.deepEqual(ended, []);
  await endSession('4fQ_x9ZkB');
  assert.deepEqual(ended, [keyOf('4fQ_x9ZkB')]);
});
