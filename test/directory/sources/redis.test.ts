import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createClient } from 'redis';
import { checkSource, type SourceSettings } from '../../../src/directory/registry.ts';
import { connectRedis } from '../../../src/gateway/stores.ts';
import { startRedisServer } from '../../redis-server.fixture.ts';
import { outcomeOf, testDirectory } from '../directory.fixture.ts';
import { sourceContract } from '../source-contract.fixture.ts';

const forms: readonly (readonly [
  name: string,
  settings: SourceSettings,
  store: (user: string) => [string, string?],
])[] = [
  ['a string per user', { key: 'home:%u' }, (user) => [`home:${user}`]],
  ['one hash', { key: 'homes', field: '%u' }, (user) => ['homes', user]],
  [
    'a hash per user',
    { key: 'user:%n:%d', field: 'backend' },
    (user) => [`user:${user.replace(/@(?=[^@]*$)/, ':')}`, 'backend'],
  ],
];

for (const [name, settings, store] of forms) {
  sourceContract(`redis (${name})`, async () => {
    const server = await startRedisServer();
    const put = async (user: string, home: string): Promise<void> => {
      const client = await createClient({ url: server.url }).connect();
      const [key, field] = store(user);
      await (field === undefined ? client.set(key, home) : client.hSet(key, field, home));
      client.destroy();
    };
    await put('alice@example.test', 'a');
    await put('bob@example.test', 'b');
    return {
      settings: { type: 'redis', url: server.url, ...settings },
      options: { connectRedis },
      put,
      outage: { begin: () => server.kill(), end: () => server.restart() },
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  });
}

const problems = async (url: string): Promise<string[]> =>
  (await checkSource({ type: 'redis', url, key: '%u' })).map(({ message }) => message);

describe('a redis source', () => {
  test('may have the role of a member of staff in another field', async () => {
    await using server = await startRedisServer();
    const client = await createClient({ url: server.url }).connect();
    await client.hSet('user:alice@example.test', { backend: 'a', role: 'helpdesk' });
    await client.hSet('user:bob@example.test', { backend: 'b' });
    await client.hSet('user:carol@example.test', { role: 'helpdesk' });
    await client.hSet('user:dora@example.test', { backend: 'b', role: 'help\ndesk' });
    client.destroy();
    const settings = { type: 'redis', url: server.url, key: 'user:%u', field: 'backend', role_field: 'role' };
    await using directory = await testDirectory([settings], { connectRedis });
    assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test (helpdesk)');
    assert.equal(await outcomeOf(directory, 'bob'), 'b bob@example.test');
    assert.equal(await outcomeOf(directory, 'carol'), 'unknown');
    assert.equal(await outcomeOf(directory, 'dora'), 'ERR_DIRECTORY_ANSWER');
  });

  test('rejects for a key of another type', async () => {
    await using server = await startRedisServer();
    const client = await createClient({ url: server.url }).connect();
    await client.lPush('home:alice@example.test', 'a');
    client.destroy();
    await using directory = await testDirectory([{ type: 'redis', url: server.url, key: 'home:%u' }], { connectRedis });
    assert.equal(await outcomeOf(directory, 'alice'), 'ERR_DIRECTORY_UNAVAILABLE');
  });

  test('wants a Redis URL without a password', async () => {
    assert.deepEqual(await problems('redis://postern:pw@127.0.0.1/0'), [
      'holds a password: write it as password: { file: … }',
    ]);
    assert.deepEqual(await problems('http://127.0.0.1/'), ['is not a URL of Redis: write redis://host:port/database']);
    assert.deepEqual(await problems('redis://postern@127.0.0.1:6379/3'), []);
    assert.deepEqual(
      (await checkSource({ type: 'redis', url: 'redis://h', key: 'x%y' })).map(({ path, message }) => [path, message]),
      [[['key'], '%y is not known here: write %u, %n, %d, or %% for a per cent sign']],
    );
  });
});
