import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../../src/core/log.ts';
import { createRedisConnection } from '../../src/redis/connection.ts';
import { InvalidationTap } from '../../src/redis/topology.ts';
import { freePort } from '../ports.fixture.ts';
import { runProgram } from '../programs.ts';
import { startRedisServer } from '../redis-server.fixture.ts';

test('a command without a connection says why there is none', async () => {
  const port = await freePort();
  const connection = createRedisConnection({ settings: { url: `redis://127.0.0.1:${port}` }, log: silentLog });
  try {
    await connection.open(new AbortController().signal);
    await assert.rejects(
      connection.run((client) => client.ping()),
      {
        code: 'ERR_STORE_UNAVAILABLE',
        message: new RegExp(`connection refused: nothing listens there \\(127\\.0\\.0\\.1:${port}\\)$`),
      },
    );
  } finally {
    connection.close();
  }
});

test('a server says its role, and a change that the gateway makes is heard of', async () => {
  await using server = await startRedisServer();
  const heard: string[] = [];
  const tap = new InvalidationTap(['ps:h:'], { invalidated: (key) => void heard.push(key), gap: () => {} });
  const connection = createRedisConnection({ settings: { url: server.url }, log: silentLog, tap });
  try {
    assert.deepEqual([await connection.role(), await connection.lagMs()], ['unknown', undefined]);
    await connection.open(new AbortController().signal);
    assert.equal(await connection.role(), 'master');
    const lagMs = await connection.lagMs();
    assert.ok(lagMs !== undefined && lagMs > 0);
    // The listener does not hear of it: it is nobody's session.
    assert.deepEqual(heard, []);
    await runProgram('redis-cli', ['-p', String(server.port), 'replicaof', '127.0.0.1', '1']);
    assert.equal(await connection.role(), 'replica');
    assert.equal(await connection.lagMs(), undefined);
  } finally {
    connection.close();
  }
});
