import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { systemClock } from '../../src/core/clock.ts';
import { NodeSessions } from '../../src/sessions/node-sessions.ts';
import { RedisSessionStore } from '../../src/sessions/redis-store.ts';
import { openServerKeys } from '../../src/sessions/server-keys.ts';

/*
 * node --expose-gc held-sessions.ts PORT REDIS-URL KEYS-FILE COOKIE-FILE
 *
 * Holds the sessions of these cookies, one a line, as a gateway node does. GET / answers how many bytes of heap each
 * of them takes.
 */

const [port = '', url = '', file = '', cookieFile = ''] = process.argv.slice(2);
const log = { debug() {}, info() {}, warn() {}, error: console.error };
const store = new RedisSessionStore({ settings: { url }, tombstoneMs: 3_600_000, log });
await store.open(AbortSignal.timeout(5_000));
const keys = await openServerKeys({ file, store, clock: systemClock, log, randomBytes });
const sessions = new NodeSessions({
  store,
  keys,
  clock: systemClock,
  log,
  ownsCookie: () => () => false,
  holder: { config: { sessions: { idleTimeoutMs: 3_600_000, serveStaleMs: 3_600_000 } } },
});

function heap(): number {
  if (gc === undefined) throw new TypeError('run it with --expose-gc');
  gc();
  return process.memoryUsage().heapUsed;
}

const before = heap();
let held = 0;
for (const line of readFileSync(cookieFile, 'utf8').split('\n')) {
  // Each cookie is a string of its own, not a slice of one big string.
  const field = Buffer.from(line).toString('latin1');
  if ((await sessions.find(field, false)).kind === 'found') held += 1;
}
const bytes = (heap() - before) / held;

createServer((_request, response) => response.end(JSON.stringify({ held, bytes }))).listen(Number(port), '127.0.0.1');
