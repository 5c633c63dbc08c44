import assert from 'node:assert/strict';
import { test } from 'node:test';
import { staffRoutes } from '../../src/admin/api-staff.ts';
import { alice } from '../sessions/samples.fixture.ts';

test('a link to the console is made over the socket only, also where a client over TCP has lost its address', async () => {
  const made: string[] = [];
  const audited: string[] = [];
  const routes = staffRoutes({
    staff: {
      configured: () => new Map(),
      isStaff: async () => false,
      consoleLink: async (by) => {
        made.push(by);
        return { link: 'https://mail.example.org/-/console', untilMs: 0 };
      },
      console: () => 'https://mail.example.org/-/console',
      factors: { all: () => [], invite: async () => undefined, reset: async () => false },
    },
    sessions: { sessionsOfUser: async () => [], end: async () => {} },
    userNamed: () => alice,
    audit: { record: async ({ event }) => void audited.push(event) },
  });
  const route = routes.find(({ name }) => name === 'makeConsoleLink');
  const ask = async (way: 'tcp' | 'socket') =>
    route?.handle({ path: {}, query: new URLSearchParams(), body: {}, by: way, way });
  await assert.rejects(async () => ask('tcp'), { status: 403 });
  assert.deepEqual([made, audited], [[], []]);
  assert.equal((await ask('socket'))?.status, 200);
  assert.deepEqual([made, audited], [['socket'], ['console-link-made']]);
});
