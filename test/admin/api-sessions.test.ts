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

/** The routes over some sessions, and the keys of those that were ended. */
function routesOver(sessions: readonly PlacedSession[]) {
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
    mail: { list: async () => undefined, end: async () => undefined },
    backends: () => new Map(),
    userNamed: () => alice,
    lookUp: async () => ({ kind: 'unknown-user' }),
    reports: { read: async () => [] },
    audit: { record: async () => {} },
  });
  return { routes, ended };
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
  const { routes, ended } = routesOver(sessions);
  const endSession = (id: string) =>
    routes
      .find(({ name }) => name === 'endSession')
      ?.handle({
        path: { session: id },
        query: new URLSearchParams(),
        body: { reason: 'a test' },
        by: 'test',
        way: 'socket',
      });
  await assert.rejects(async () => endSession('4fQ_x9Zk'), {
    status: 409,
    message:
      '4fQ_x9Zk begins the ids of 2 sessions: write 4fQ_x9ZkA of alice@example.test, or 4fQ_x9ZkB of bob@example.test',
  });
  assert.deepEqual(ended, []);
  await endSession('4fQ_x9ZkB');
  assert.deepEqual(ended, [keyOf('4fQ_x9ZkB')]);
});

test('ending the sessions of a backend leaves staff at the console, and no misspelt filter ends anything', async () => {
  const place = { at: 0, key: keyOf('x'), rank: 0 };
  const staff = { step: 'second-factor', provenAtMs: 1 } as const;
  const { routes, ended } = routesOver([
    { key: keyOf('webmail'), record: sampleRecord({ user: alice }), lastUseMs: 0, place },
    { key: keyOf('console'), record: sampleRecord({ user: bob, staff }), lastUseMs: 0, place },
  ]);
  const endSessions = async (query: string) => {
    const route = routes.find(({ name }) => name === 'endSessions') ?? assert.fail();
    const answer = await route.handle({
      path: {},
      query: new URLSearchParams(query),
      body: { reason: 'a test' },
      by: 'test',
      way: 'socket',
    });
    return [answer.body, ...ended.splice(0)];
  };
  await assert.rejects(endSessions('backend=a&usr=alice'), {
    status: 400,
    message: 'there is no filter usr: there are user, backend, host, address, network, kind',
  });
  assert.deepEqual(await endSessions('backend=a'), [{ ended: 1, users: 1 }, keyOf('webmail')]);
  assert.deepEqual(await endSessions('host=a'), [{ ended: 1, users: 1 }, keyOf('webmail')]);
  assert.deepEqual(await endSessions('backend=a&kind=console'), [{ ended: 1, users: 1 }, keyOf('console')]);
  assert.deepEqual(await endSessions('address=192.0.2.1'), [
    { ended: 2, users: 2 },
    keyOf('webmail'),
    keyOf('console'),
  ]);
});
