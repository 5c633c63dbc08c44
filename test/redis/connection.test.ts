import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../../src/core/log.ts';
import { createRedisConnection } from '../../src/redis/connection.ts';
import { freePort } from '../ports.fixture.ts';

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
