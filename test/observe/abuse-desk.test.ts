import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startBackends } from '../../demo/backends.ts';
import { writeConfiguration } from '../../demo/configuration.ts';
import { alice } from '../../demo/people.ts';
import { Browser, fieldsIn } from '../demo/browser.fixture.ts';
import { commandsIn } from '../docs/commands.fixture.ts';
import { blocksOf } from '../docs/pages.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { runProgram, spawn, stopProgram } from '../programs.ts';

const bin = fileURLToPath(new URL('../../bin/postern.mjs', import.meta.url));
const journal = 'journalctl -u postern -o cat';
const reference = /[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}/;

const started = new AsyncDisposableStack();
let file: string;
let shownReference = '';

async function signIn(browser: Browser, password: string): Promise<string> {
  const form = fieldsIn(await browser.text('/-/login'));
  form.set('user', alice.address);
  form.set('password', password);
  const answer = await browser.submit('/-/login', form);
  return answer.body.toString();
}

before(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-desk-'));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  file = join(folder, 'log');
  const backends = started.use(await startBackends(Date.now()));
  const port = await freePort();
  const configFile = await writeConfiguration(backends, { directory: folder, port });
  const yaml = (await readFile(configFile, 'utf8'))
    .replace('log: { level: warn }', 'log: { level: info, requests: all }')
    .replace('login:\n', 'login:\n  refusal_after: 0s\n');
  await writeFile(configFile, yaml);
  const child = spawn(process.execPath, [bin, 'serve', '-c', configFile], { stdio: ['ignore', 'pipe', 'inherit'] });
  started.defer(() => stopProgram(child));
  let log = '';
  child.stdout.on('data', (chunk: Buffer) => (log += chunk.toString()));
  await eventually(() => log.includes('"event":"ready"'));
  const origin = `http://127.0.0.1:${port}`;
  shownReference = reference.exec(await signIn(new Browser(origin), 'wrong'))?.[0] ?? '';
  await signIn(new Browser(origin), alice.password);
  const browser = new Browser(origin);
  await signIn(browser, alice.password);
  await browser.text('/mail/INBOX');
  await browser.submit('/-/logout', fieldsIn(await browser.text('/-/logout')));
  await eventually(() => log.includes('"event":"session-end"'));
  // The journal holds lines of other programs of the unit, too.
  await writeFile(file, `Started Postern.\n${log}`);
});
after(() => started.disposeAsync());

/** Runs a command of the page, over this log in place of the journal and with other samples. */
async function answerTo(sample: string, replacement: string): Promise<string[][]> {
  const commands = blocksOf('docs/operate.md')
    .filter(({ language }) => language === 'sh')
    .flatMap(commandsIn)
    .filter(({ name }) => name.startsWith(journal) && name.includes(sample));
  assert.equal(commands.length, 1, sample);
  const text = commands[0]?.text.replace(journal, `cat ${file}`).replace(sample, replacement) ?? '';
  const said = await runProgram('bash', ['-c', text]);
  return said
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split('\t'));
}

describe('the questions of an abuse desk', () => {
  it('who had this address at that minute?', async () => {
    const now = new Date().toISOString().slice(0, 16);
    const found = await answerTo('203.0.113.9 --arg at 2030-01-31T14:05', `127.0.0.1 --arg at ${now}`);
    assert.deepEqual(
      new Set(found.map(([user, , end]) => `${user} ${end === 'open'}`)),
      new Set([`${alice.address} false`, `${alice.address} true`]),
    );
    assert.equal(found.length, 2);
    assert.deepEqual(
      await answerTo('203.0.113.9 --arg at 2030-01-31T14:05', '127.0.0.1 --arg at 2020-01-31T14:05'),
      [],
    );
  });

  it('which user got this reference?', async () => {
    assert.match(shownReference, reference);
    const found = await answerTo('7K3F-9QXM', shownReference);
    assert.deepEqual(
      found.map(([, event, user, client]) => [event, user, client]),
      [['login', alice.address, '127.0.0.1']],
    );
    assert.match(found[0]?.[4] ?? '', /^[0-9a-f]{32}$/);
  });

  it('who was in this mailbox?', async () => {
    const found = await answerTo('alice@example.org', alice.address);
    assert.deepEqual(
      found.map(([, kind, actor, client]) => [kind, actor, client]),
      [
        ['user', '-', '127.0.0.1'],
        ['user', '-', '127.0.0.1'],
      ],
    );
  });
});

describe('the line of a request', () => {
  it('names the user, the client, the session and the request', async () => {
    const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line.includes('"event":"request"'));
    const start = (await readFile(file, 'utf8'))
      .split('\n')
      .findLast((line) => line.includes('"event":"session-start"'));
    const mail = lines.map((line) => JSON.parse(line)).findLast(({ path }) => path === '/mail/INBOX');
    assert.equal(mail.user, alice.address);
    assert.equal(mail.client, '127.0.0.1');
    assert.equal(mail.session, JSON.parse(start ?? '').session);
    assert.equal(mail.status, 200);
    assert.match(mail.requestId, /^[0-9a-f]{32}$/);
    assert.ok(mail.bytes > 0 && mail.ms >= 0);
  });
});

describe('the lines of a session', () => {
  it('name the requests that began and ended it', async () => {
    const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line.startsWith('{'));
    const told = lines.map((line) => JSON.parse(line));
    const end = told.find(({ event }) => event === 'session-end');
    const start = told.find(({ event, session }) => event === 'session-start' && session === end.session);
    const login = told.find(({ event, requestId }) => event === 'login' && requestId === start.requestId);
    assert.equal(login.result, 'signed-in');
    assert.match(end.requestId, /^[0-9a-f]{32}$/);
    assert.notEqual(end.requestId, start.requestId);
  });
});
