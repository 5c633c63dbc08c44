import assert from 'node:assert/strict';
import { once } from 'node:events';
import { symlinkSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { filesOf } from '../config/config.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { spawn, stopProgram } from '../programs.ts';
import { startRedisServer } from '../redis-server.fixture.ts';
import { type NoticeSocket, startNoticeSocket } from './notice-socket.fixture.ts';

const startMs = 60_000;
const bin = fileURLToPath(new URL('../../bin/postern.mjs', import.meta.url));

/** A configuration that a reload takes. */
function configuration(port: number, more = ''): string {
  return `listen: 127.0.0.1:${port}
public_url: http://127.0.0.1:${port}
operators: { listen: 127.0.0.1:0 }
directory: { sources: [{ type: static, backend: a }] }
backends: { a: { imap: imaps://127.0.0.1, webmail: http://127.0.0.1/, driver: none } }
shutdown: { delay: 0s, deadline: 5s }
${more}`;
}

/** Starts `postern serve` as a unit of Type=notify does, and stops it at the end of the test. */
async function startUnit(t: TestContext, env: Readonly<Record<string, string>>, more = '') {
  const port = await freePort();
  const file = join(filesOf(t, { 'postern.yaml': configuration(port, more) }), 'postern.yaml');
  const child = spawn(process.execPath, [bin, 'serve', '-c', file], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => stopProgram(child, 'SIGKILL'));
  const said = text(child.stderr);
  let log = '';
  child.stdout.on('data', (chunk: Buffer) => (log += chunk.toString()));
  return {
    port,
    file,
    child,
    said,
    logged: (event: string) => eventually(() => log.includes(`"event":"${event}"`), `the log has ${event}`),
  };
}

/** The status with which a listener answers. */
async function statusAt(port: number): Promise<number | undefined> {
  const asked = request({ host: '127.0.0.1', port, path: '/-/live', agent: false });
  asked.end();
  const [response]: unknown[] = await once(asked, 'response');
  if (typeof response !== 'object' || response === null || !('statusCode' in response)) return undefined;
  asked.destroy();
  return Number(response.statusCode);
}

async function awaitNotices(socket: NoticeSocket, count: number): Promise<readonly (readonly string[])[]> {
  // A start with workers loads everything three times.
  const deadlineMs = performance.now() + startMs;
  while ((await socket.notices()).length < count) {
    assert.ok(performance.now() < deadlineMs, `there are not ${count} notices`);
    await pause(20);
  }
  return (await socket.notices()).map((notice) => notice.map((line) => line.replace(/^(MONOTONIC_USEC)=\d+$/, '$1')));
}

const reloading = ['RELOADING=1', 'MONOTONIC_USEC', 'STATUS=Reloading the configuration'];

describe('a service manager that asks for notices', () => {
  test('hears that the gateway serves, reloads, refuses a reload, and drains', async (t) => {
    await using socket = await startNoticeSocket();
    const unit = await startUnit(t, { NOTIFY_SOCKET: socket.path });
    assert.deepEqual(await awaitNotices(socket, 1), [['READY=1', 'STATUS=Serving']]);
    assert.equal(await statusAt(unit.port), 200, 'it answers by then');

    unit.child.kill('SIGHUP');
    assert.deepEqual((await awaitNotices(socket, 3)).slice(1), [reloading, ['READY=1', 'STATUS=Serving']]);

    await writeFile(unit.file, 'listen: nowhere\n');
    unit.child.kill('SIGHUP');
    assert.deepEqual((await awaitNotices(socket, 5)).slice(3), [
      reloading,
      ['READY=1', 'STATUS=Serving; the reload was refused, see the log'],
    ]);

    const exited = once(unit.child, 'exit');
    unit.child.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
    assert.deepEqual((await awaitNotices(socket, 6)).slice(5), [
      ['STOPPING=1', 'STATUS=Draining: open requests finish'],
    ]);
  });

  test('hears the first process alone when there are workers', async (t) => {
    await using socket = await startNoticeSocket();
    await using redis = await startRedisServer();
    const more = `workers: 2\nsessions: { redis: "${redis.url}" }\n`;
    const unit = await startUnit(t, { NOTIFY_SOCKET: socket.path }, more);
    await awaitNotices(socket, 1);
    const children = async () => {
      const pids = await readFile(`/proc/${unit.child.pid}/task/${unit.child.pid}/children`, 'utf8');
      return pids.trim().split(' ');
    };
    // systemd-notify has ended by then.
    await eventually(async () => (await children()).length === 2);
    const workers = await children();
    for (const pid of workers) assert.doesNotMatch(await readFile(`/proc/${pid}/environ`, 'utf8'), /NOTIFY_SOCKET/);
    const exited = once(unit.child, 'exit');
    unit.child.kill('SIGTERM');
    await exited;
    assert.deepEqual(
      (await socket.notices()).map(([first]) => first),
      ['READY=1', 'STOPPING=1'],
    );
  });

  test('hears nothing of a gateway that cannot start', async (t) => {
    await using socket = await startNoticeSocket();
    const unit = await startUnit(t, { NOTIFY_SOCKET: socket.path }, 'nonsense: 1\n');
    assert.match(await unit.said, /nonsense: is not a valid key here/);
    assert.deepEqual(await socket.notices(), []);
  });
});

/** A folder of programs without systemd-notify; setpriv starts what a test starts. */
function pathWithoutSystemd(t: TestContext): string {
  const folder = filesOf(t, {});
  symlinkSync('/usr/bin/setpriv', join(folder, 'setpriv'));
  return folder;
}

describe('without a service manager', () => {
  test('nothing is sent, and nothing is said', async (t) => {
    const unit = await startUnit(t, { PATH: pathWithoutSystemd(t) });
    await unit.logged('ready');
    unit.child.kill('SIGTERM');
    assert.equal(await unit.said, '');
  });

  test('a machine without systemd-notify is told what to do, and the gateway serves', async (t) => {
    const unit = await startUnit(t, { PATH: pathWithoutSystemd(t), NOTIFY_SOCKET: '/run/no-such-socket' });
    await unit.logged('ready');
    assert.equal(await statusAt(unit.port), 200);
    unit.child.kill('SIGTERM');
    assert.match(
      await unit.said,
      /^systemd-notify cannot reach \/run\/no-such-socket \(.*\): install it in PATH, or set Type=exec in the unit\n$/,
    );
  });
});
