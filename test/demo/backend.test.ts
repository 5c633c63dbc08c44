import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chown, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ImapFlow } from 'imapflow';
import { alice, bob, support } from '../../demo/people.ts';
import { openSharedDirectory } from '../../demo/shared-directory.ts';
import { spawn } from '../programs.ts';
import { Visitor } from './mail-site.fixture.ts';

const program = fileURLToPath(new URL('../../demo/backend.ts', import.meta.url));

interface Machine {
  readonly imapPort: number;
  readonly origin: string;
  readonly visitor: Visitor;
  end(): Promise<void>;
}

async function scratchOf(t: TestContext): Promise<string> {
  const scratch = await mkdtemp(join(tmpdir(), 'demo-backend-'));
  t.after(() => rm(scratch, { recursive: true, force: true }));
  return scratch;
}

async function start(t: TestContext, ...args: readonly string[]): Promise<Machine> {
  const listen = args[args.indexOf('--listen') + 1];
  const host = args.includes('--listen') ? listen : '127.0.0.1';
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  for await (const line of createInterface({ input: child.stdout })) {
    const [, imap, web] = /^ready imap (\d+) web (\d+)$/.exec(line) ?? [];
    assert.ok(imap !== undefined && web !== undefined, line);
    const origin = `http://${host}:${web}`;
    return {
      imapPort: Number(imap),
      origin,
      visitor: new Visitor(origin),
      async end() {
        const exited = once(child, 'exit');
        child.kill('SIGTERM');
        assert.deepEqual(await exited, [0, null]);
      },
    };
  }
  throw new Error('it ended before it was ready');
}

test('machines of one directory have one mail: a standby shows what the primary stored, and what was read there', async (t) => {
  const directory = await scratchOf(t);
  const [first, standby] = await Promise.all([
    start(t, '--name', 'a', '--directory', directory),
    start(t, '--name', 'a', '--host', 'a/2', '--directory', directory),
  ]);
  for (const { visitor } of [first, standby]) {
    assert.equal((await visitor.signIn(alice.address, alice.password)).status, 303);
  }
  const letter = new FormData();
  letter.set('token', await first.visitor.token('/compose'));
  letter.set('to', alice.address);
  letter.set('subject', 'Stored by the primary');
  assert.equal((await first.visitor.ask('/compose', { method: 'POST', body: letter })).status, 303);
  const [, newest = ''] = /href="(\/mail\/INBOX\/5)"/.exec(await pageOf(first, '/mail/INBOX')) ?? [];
  assert.match(await pageOf(first, newest), /Stored by the primary/);
  await first.end();

  const inbox = await pageOf(standby, '/mail/INBOX');
  assert.match(inbox, /<li><a href="\/mail\/INBOX\/5">[^]*?Stored by the primary/, 'there, and read');
  assert.match(inbox, /<li class="unseen"><a href="\/mail\/INBOX\/4">/);
  assert.match(inbox, /data-backend="a"[^]*host a\/2/);
  assert.match(await pageOf(standby, '/mail/Sent'), /Stored by the primary/);
  await standby.end();
  assert.deepEqual(await readdir(directory), ['shared']);
});

test('its certificate holds for the names that it is given, and support opens a mailbox by the master user', async (t) => {
  const directory = await scratchOf(t);
  const machine = await start(t, '--name', 'b', '--directory', directory, '--tls-name', 'backend-b');
  const client = new ImapFlow({
    host: '127.0.0.1',
    port: machine.imapPort,
    secure: true,
    servername: 'backend-b',
    tls: { ca: await readFile(join(directory, 'shared', 'imap.crt'), 'utf8') },
    auth: { user: bob.address, pass: bob.password },
    logger: false,
  });
  await client.connect();
  await client.logout();
  const signedIn = await machine.visitor.signIn(`${bob.address}*${support.name}`, support.password);
  assert.equal(signedIn.status, 303);
  assert.match(await pageOf(machine, '/mail/INBOX'), /Invoice 2041/);
  const other = new Visitor(machine.origin);
  assert.equal((await other.signIn(`${bob.address}*${support.name}`, bob.password)).status, 401);
});

test('it serves mail at an address of the machine, on the port of the scheme', async (t) => {
  const directory = await scratchOf(t);
  const listen = `127.9.${process.pid % 250}.1`;
  const { origin, visitor } = await start(
    t,
    '--name',
    'a',
    '--directory',
    directory,
    '--listen',
    listen,
    '--web-port',
    '80',
  );
  assert.equal(origin, `http://${listen}:80`);
  assert.equal((await visitor.signIn(alice.address, alice.password)).status, 303);
});

test('without a directory it leaves nothing', async (t) => {
  const scratch = await scratchOf(t);
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = scratch;
  t.after(() => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  });
  const machine = await start(t, '--name', 'a');
  assert.equal((await readdir(scratch)).length, 1);
  await machine.end();
  assert.deepEqual(await readdir(scratch), []);
});

test('a machine without a name, or on a port that is taken, says in a sentence what is wrong', async (t) => {
  const directory = await scratchOf(t);
  const { imapPort } = await start(t, '--name', 'a', '--directory', directory);
  const port = String(imapPort);
  for (const [args, code, words] of [
    [[], 2, /^Usage: node demo\/backend\.ts --name NAME/],
    [['--name', 'a', '--web-port', 'x'], 2, /^Usage:/],
    [
      ['--name', 'a', '--directory', directory, '--imap-port', port],
      1,
      new RegExp(`^Not started: .*EADDRINUSE.*${port}\n$`),
    ],
    [
      ['--name', 'b', '--directory', directory, '--tls-name', 'backend-b'],
      1,
      /^Not started: .* made the certificate without backend-b: give every --tls-name to the first/,
    ],
  ] as const) {
    const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const exited: unknown[] = await once(child, 'close');
    assert.deepEqual(exited, [code, null]);
    assert.match(said, words);
  }
});

async function pageOf({ visitor }: Machine, path: string): Promise<string> {
  return (await visitor.ask(path)).text();
}

test('a directory that another user made is refused', { skip: process.getuid?.() !== 0 }, async (t) => {
  const scratch = await scratchOf(t);
  await chown(scratch, 65_534, 65_534);
  await assert.rejects(
    openSharedDirectory(scratch, [], Date.now()),
    /belongs to another user \(uid 65534\): name a directory/,
  );
  assert.deepEqual(await readdir(scratch), []);
});
