import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { startNginx } from '../integrations/own-web-server.fixture.ts';
import { freePort, listening } from '../ports.fixture.ts';
import { startRedisServer } from '../redis-server.fixture.ts';

/*
 * A file of tests that does everything wrong: it starts servers and stops none, keeps a socket open, hangs, and fails.
 * endings.test.ts runs it and looks whether anything of it is left. It is told in POSTERN_TEST_PIDS where to note the
 * processes that it has, and in POSTERN_TEST_FAULT how to go wrong.
 */

const pidFile = process.env['POSTERN_TEST_PIDS'] ?? '';
const fault = process.env['POSTERN_TEST_FAULT'] ?? '';

function withDescendants(pid: string): readonly string[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  return [pid, ...children.flatMap(withDescendants)];
}

before(async () => {
  const port = await freePort();
  await startNginx(`server { listen 127.0.0.1:${port}; }`, port);
  await startRedisServer();
  await listening(createServer());
  writeFileSync(pidFile, withDescendants(String(process.pid)).join('\n'));
});

after(async () => {
  if (fault === 'hangs in a hook') await new Promise(() => {});
});

test('fails', () => {
  if (fault === 'throws') throw new Error('on purpose');
});

test('never ends', async () => {
  if (fault === 'hangs') await new Promise(() => {});
});

test('is killed', () => {
  if (fault === 'dies') process.kill(process.pid, 'SIGKILL');
});
