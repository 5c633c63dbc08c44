import assert from 'node:assert/strict';
import type { ChildProcessByStdio } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { alice, bob, type Person } from '../../demo/people.ts';
import { isPortFree } from '../../demo/port.ts';
import { freePort, listening } from '../ports.fixture.ts';
import { spawn } from '../programs.ts';
import { Browser, fieldsIn, type Landed } from './browser.fixture.ts';

const program = fileURLToPath(new URL('../../demo/demo.ts', import.meta.url));
const readyWithinMs = 30_000;

interface RunningDemo {
  readonly origin: string;
  /** A separate directory instead of the system's for temporary files. */
  readonly scratch: string;
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  /** Its standard output so far. */
  readonly output: () => string;
}

function run(scratch: string, ...args: readonly string[]): ChildProcessByStdio<null, Readable, Readable> {
  const env = { ...process.env, TMPDIR: scratch };
  return spawn(process.execPath, [program, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
}

async function scratchOf(t: TestContext): Promise<string> {
  const scratch = await mkdtemp(join(tmpdir(), 'demo-test-'));
  t.after(() => rm(scratch, { recursive: true, force: true }));
  return scratch;
}

async function textOf(stream: Readable): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}

/** Starts the demo on a free port and waits for its ready line. */
async function startDemo(t: TestContext): Promise<RunningDemo> {
  const scratch = await scratchOf(t);
  const port = await freePort();
  const child = run(scratch, '--port', String(port));
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  let problems = '';
  child.stderr.on('data', (chunk: Buffer) => (problems += chunk.toString()));
  let tooLate: NodeJS.Timeout | undefined;
  await new Promise<void>((resolve, reject) => {
    tooLate = setTimeout(() => reject(new Error(`Not ready in time. ${problems}`)), readyWithinMs);
    child.once('exit', () => reject(new Error(`It ended. ${problems}`)));
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (/^ready \S+$/m.test(output)) resolve();
    });
  }).finally(() => clearTimeout(tooLate));
  return { origin: `http://127.0.0.1:${port}`, scratch, child, output: () => output };
}

/** Signs in at the gateway, from the page to which a visitor without a session is led. */
async function signIn(browser: Browser, person: Person): Promise<Landed> {
  const asked = await browser.open('/');
  const fields = fieldsIn(asked.body.toString());
  fields.set('user', person.address);
  fields.set('password', person.password);
  return browser.submit(asked.path, fields);
}

function tokenIn(page: string): string {
  return fieldsIn(page).get('token') ?? '';
}

test('the demo is ready, says whom to try, lets each user in on the right backend, and ends without a trace', async (t) => {
  const demo = await startDemo(t);
  assert.match(demo.output(), new RegExp(`^ready ${demo.origin}$`, 'm'));
  for (const { address, password } of [alice, bob]) {
    assert.ok(demo.output().includes(address));
    assert.ok(demo.output().includes(password));
  }

  const [hers, his] = [new Browser(demo.origin), new Browser(demo.origin)];
  const landed = await signIn(hers, alice);
  assert.equal(landed.path, '/mail/INBOX');
  assert.match(landed.body.toString(), /data-backend="a"[^]*alice@example\.test/);
  assert.match((await signIn(his, bob)).body.toString(), /data-backend="b"[^]*bob@example\.test/);
  assert.deepEqual(
    [...hers.cookies.keys()].filter((name) => name.startsWith('demo')),
    [],
  );

  await t.test('a message with an attachment goes from one backend to the other', async () => {
    const bytes = randomBytes(500_000);
    const form = new FormData();
    form.set('token', tokenIn(await hers.text('/compose')));
    form.set('to', bob.address);
    form.set('subject', 'Across');
    form.set('files', new Blob([new Uint8Array(bytes)]), 'across.bin');
    assert.equal((await hers.submit('/compose', form)).path, '/mail/INBOX?sent=1');
    const [, newest = ''] = /href="(\/mail\/INBOX\/\d+)"/.exec(await his.text('/mail/INBOX')) ?? [];
    assert.match(await his.text(newest), /Across[^]*across\.bin/);
    assert.ok((await his.open(`${newest}/part/2`)).body.equals(bytes));
  });

  await t.test('a session that the webmail lost is healed without a second sign-in', async () => {
    const token = tokenIn(await hers.text('/arrived'));
    const { path, body } = await hers.submit('/expire', new URLSearchParams({ token }));
    assert.equal(path, '/arrived');
    assert.match(body.toString(), /data-backend="a"[^]*alice@example\.test/);
  });

  await t.test('a WebSocket is carried to the backend', async () => {
    const headers = { cookie: his.cookieField };
    const socket = new WebSocket(`${demo.origin.replace('http', 'ws')}/api/echo`, { headers, origin: demo.origin });
    const [greeting]: unknown[] = await once(socket, 'message');
    assert.equal(String(greeting), 'Hello from backend b');
    const closed = once(socket, 'close');
    socket.close();
    await closed;
  });

  await t.test('signing out in the webmail ends the session of the gateway', async () => {
    const token = tokenIn(await hers.text('/compose'));
    assert.match((await hers.submit('/logout', new URLSearchParams({ token }))).path, /^\/-\/login/);
    assert.match((await hers.open('/mail/INBOX')).path, /^\/-\/login/);
  });

  const exited = once(demo.child, 'exit');
  demo.child.kill('SIGINT');
  assert.deepEqual(await exited, [0, null]);
  assert.equal(await isPortFree(Number(new URL(demo.origin).port)), true);
  assert.deepEqual(await readdir(demo.scratch), []);
});

test('a port that is in use is named, with what to do', async (t) => {
  const scratch = await scratchOf(t);
  const other = createServer();
  const port = await listening(other);
  t.after(() => other.close());
  const child = run(scratch, '--port', String(port));
  const [message, [code]] = await Promise.all([textOf(child.stderr), once(child, 'exit')]);
  assert.match(
    message,
    new RegExp(`^Port ${port} of 127\\.0\\.0\\.1 is in use\\. Name another one: .*--port \\d+\\n$`),
  );
  assert.equal(code, 1);
  assert.deepEqual(await readdir(scratch), []);
});

for (const args of [['--port', 'x'], ['--port', '70000'], ['--nonsense'], ['8081']]) {
  test(`arguments that make no sense are answered with the usage: ${args.join(' ')}`, async (t) => {
    const child = run(await scratchOf(t), ...args);
    const [message, [code]] = await Promise.all([textOf(child.stderr), once(child, 'exit')]);
    assert.match(message, /^Usage: npm run demo -- \[--port N\]/);
    assert.equal(code, 2);
  });
}
