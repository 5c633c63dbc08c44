import assert from 'node:assert/strict';
import { it } from 'node:test';
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
