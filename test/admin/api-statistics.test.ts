import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ApiRefusal } from '../../src/admin/api-exchange.ts';
import { statisticsRoutes } from '../../src/admin/api-statistics.ts';
import { PosternError } from '../../src/core/error.ts';
import { backendName, canonicalUser } from '../login/named.fixture.ts';

const away = new PosternError('ERR_DIRECTORY_UNAVAILABLE', 'away', { source: 'directory', retryable: true });

it('the user behind an alias is erased; one who is gone, or whom nobody can be asked about, as named', async () => {
  const erased: string[] = [];
  const routes = statisticsRoutes({
    statistics: {
      figures: () => Promise.reject(new Error('not asked for')),
      erase: async (user) => erased.push(user) > 0,
    },
    userNamed: (typed = '') => canonicalUser(typed),
    async lookUp(user) {
      if (user === 'away@example.test') throw away;
      if (user === 'gone@example.test') return { kind: 'unknown-user' };
      return { kind: 'found', user: canonicalUser('alice@example.test'), backend: backendName('a') };
    },
    audit: { record: async () => {} },
    clock: { nowMs: Date.now },
  });
  const erase = routes.find(({ name }) => name === 'eraseStatistics');
  for (const user of ['postmaster@example.test', 'away@example.test', 'gone@example.test']) {
    const request = {
      path: { user },
      query: new URLSearchParams(),
      body: { reason: 'a test' },
      by: 'ops',
      way: 'socket',
    } as const;
    assert.equal((await erase?.handle(request))?.status, 200);
  }
  assert.deepEqual(erased, ['alice@example.test', 'away@example.test', 'gone@example.test']);
});

it('a cursor that the store does not know is refused', async () => {
  const routes = statisticsRoutes({
    statistics: {
      figures: async () => ({
        logins: () => Promise.reject(new Error('not asked for')),
        week: () => Promise.reject(new Error('not asked for')),
        users: () => Promise.reject(new Error('not asked for')),
        lastLoginsOf: () => Promise.reject(new Error('not asked for')),
        lastLogins: () => Promise.reject(new RangeError('the cursor is not that of a page')),
        knownSinceMs: async () => undefined,
      }),
      erase: async () => false,
    },
    userNamed: (typed = '') => canonicalUser(typed),
    lookUp: async () => ({ kind: 'unknown-user' }),
    audit: { record: async () => {} },
    clock: { nowMs: Date.now },
  });
  const list = routes.find(({ name }) => name === 'listLastLogins');
  const query = new URLSearchParams({ cursor: '-64000' });
  const asked = list?.handle({ path: {}, query, body: {}, by: 'ops', way: 'tcp' });
  await assert.rejects(asked ?? Promise.resolve(), (error) => error instanceof ApiRefusal && error.status === 400);
});
