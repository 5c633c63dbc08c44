import assert from 'node:assert/strict';
import type { ChildProcessByStdio } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { alice, bob, type Person } from '../../demo/people.ts';
import { isPortFree } from '../../demo/port.ts';
import { eventually } from '../eventually.fixture.ts';
import { freePort, listening } from '../ports.fixture.ts';
import { spawn } from '../programs.ts';
import { Browser, fieldsIn, type Landed } from './browser.fixture.ts';
import { startDemo } from './running-demo.fixture.ts';

const program = fileURLToPath(new URL('../../demo/demo.ts', import.meta.url));

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
  const scratch = await scratchOf(t);
  const port = await freePort();
  await using demo = await startDemo(['--port', String(port)], { TMPDIR: scratch });
  assert.equal(demo.origin, `http://127.0.0.1:${port}`);
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

  assert.deepEqual(await demo.interrupt(), [0, null]);
  assert.match(demo.output(), /The demo ends\.\n$/);
  assert.doesNotMatch(demo.output(), /is gone/, 'the machines end with it, and none before');
  assert.equal(await isPortFree(port), true);
  assert.deepEqual(await readdir(scratch), []);
  assert.deepEqual(await processesOf(scratch), []);
});

test('two demos at once, on a machine whose port 8080 is taken, choose their ports, say so, and do not meet', async (t) => {
  const other = createServer().listen(8080, '127.0.0.1');
  // If another program has it, it is taken all the same.
  await once(other, 'listening').catch(() => undefined);
  t.after(() => other.close());
  const scratch = await scratchOf(t);
  const demos = await Promise.all([startDemo([], { TMPDIR: scratch }), startDemo([], { TMPDIR: scratch })]);
  await using all = new AsyncDisposableStack();
  for (const demo of demos) all.use(demo);
  assert.equal(new Set(demos.map(({ origin }) => origin)).size, 2);
  for (const demo of demos) {
    assert.notEqual(demo.origin, 'http://127.0.0.1:8080');
    assert.match(demo.output(), /^Port 8080 is in use: this demo has \d+\.\nready /);
    const { port } = new URL(demo.origin);
    assert.equal(demo.consoleOrigin, `http://support.localhost:${port}`);
    assert.match((await signIn(new Browser(demo.origin), alice)).body.toString(), /data-backend="a"/);
    const list = await demo.paste(demo.line('session list'));
    assert.match(list, /\n1 session of 1 user\n$/, 'one session each');
  }
  for (const demo of demos) assert.deepEqual(await demo.interrupt(), [0, null]);
  assert.deepEqual(await readdir(scratch), []);
});

test('a demo that is killed takes its machines with it', async (t) => {
  const scratch = await scratchOf(t);
  await using demo = await startDemo(['--port', String(await freePort())], { TMPDIR: scratch });
  assert.equal((await processesOf(scratch)).length, 3);
  process.kill(demo.pid, 'SIGKILL');
  await eventually(async () => (await processesOf(scratch)).length === 0);
});

/** The machines with a directory here, as process ids. */
async function processesOf(scratch: string): Promise<readonly string[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const commands = await Promise.all(
    ids.map(async (id) => [id, await readFile(join('/proc', id, 'cmdline'), 'utf8').catch(() => '')] as const),
  );
  return commands.filter(([, command]) => command.includes(`${scratch}/`)).map(([id]) => id);
}

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
