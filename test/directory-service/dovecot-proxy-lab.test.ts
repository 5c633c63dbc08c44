import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { Log } from '../../src/core/log.ts';
import { startGateway } from '../../src/gateway.ts';
import type { DebianRoot } from '../debian-root.fixture.ts';
import { openImap, openLines } from '../integrations/imap-session.fixture.ts';
import { withLab } from '../lab/lab.ts';
import { freePorts } from '../ports.fixture.ts';
import { type DovecotProxy, startDovecotProxy } from './dovecot-proxy.fixture.ts';
import { mailRoot } from '../integrations/mail-root.fixture.ts';

const lab = await withLab('a', 'b');
const key = 'lab-key-of-the-proxies';

const logged: string[] = [];
const note = (event: string, fields: object = {}): void => void logged.push(`${event} ${JSON.stringify(fields)}`);
const log: Log = { debug: note, info: note, warn: note, error: note };

async function pop3(port: number, user: string, password: string): Promise<string> {
  using session = await openLines(port);
  return (await session.ask(`USER ${user}`)) + (await session.ask(`PASS ${password}`));
}

/** Stores a script by ManageSieve. Resolves with the list of scripts, or with the answer to a sign-in that was refused. */
async function sieve(port: number, user: string, password: string): Promise<string> {
  // It greets with its abilities.
  using session = await openLines(port);
  const answer = async (): Promise<string> => {
    for (let line = await session.next(); ; line = await session.next()) if (/^(?:OK|NO|BYE)\b/.test(line)) return line;
  };
  await answer();
  const identity = Buffer.from(`\0${user}\0${password}`).toString('base64');
  const login = await session.ask(`AUTHENTICATE "PLAIN" "${identity}"`);
  const signedIn = /^(?:OK|NO|BYE)\b/.test(login) ? login : await answer();
  if (!signedIn.startsWith('OK')) return signedIn;
  const script = '# of a test\r\nkeep;\r\n';
  const put = await session.ask(`PUTSCRIPT "held" {${script.length}+}\r\n${script}`);
  if (!put.startsWith('OK')) return put;
  return await session.ask('LISTSCRIPTS');
}

/** A source of the directory that has suspended everybody at gone.test, and cannot say anything of others. */
async function startDesk() {
  const server = createServer((request, response) => {
    const isGone = request.url?.includes('gone.test') === true;
    response.writeHead(isGone ? 200 : 503, { 'content-type': 'application/json' });
    response.end(isGone ? '{"backend":"a","refuse":"Please call 1234."}' : '{}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return { port: address.port, [Symbol.asyncDispose]: async () => void server.close() };
}

/** A server in the place of the directory service, such as that of a wrong address. */
async function startStranger() {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    const answers: readonly (readonly [name: string, status: number, text: string])[] = [
      ['page', 404, '<h1>Not Found</h1>'],
      ['other', 404, '{"error":"there is no such page"}'],
      ['moved', 302, ''],
      ['list', 200, '[]'],
      ['number', 200, '7'],
      ['null', 200, '{"ports":null}'],
      ['bare', 200, '{"ports":{"imap":143}}'],
    ];
    const [, status, text] = answers.find(([name]) => request.url?.includes(`=${name}`)) ?? ['', 404, ''];
    response.writeHead(status, { location: '/elsewhere' }).end(text);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return { port: address.port, asked, [Symbol.asyncDispose]: async () => void server.close() };
}

for (const generation of ['2.3', '2.4'] as const) {
  suite(`a Dovecot ${generation} that asks the directory service, in front of two real Dovecots`, {
    concurrency: false,
  }, () => {
    const running = new AsyncDisposableStack();
    let root: DebianRoot | undefined;
    let proxy: DovecotProxy;
    let service = 0;
    before(async () => {
      const folder = await mkdtemp(join(tmpdir(), 'postern-routes-'));
      running.defer(() => rm(folder, { recursive: true, force: true }));
      const [port = 0, listen = 0] = await freePorts(2);
      const desk = running.use(await startDesk());
      service = listen;
      const backend = (address: string): string =>
        `{ imap: "imaps://${address}:${lab.port(993)}", webmail: "http://${address}:${lab.port(80)}/", driver: roundcube }`;
      await writeFile(join(folder, 'key'), `${key}\n`);
      await writeFile(join(folder, 'users.map'), 'alice: a\nbob: b\nmia: b\n');
      await writeFile(join(folder, 'aliases'), 'robert: bob\n');
      await writeFile(
        join(folder, 'postern.yaml'),
        `listen: 127.0.0.1:${port}
public_url: http://127.0.0.1:${port}
operators: { listen: 127.0.0.1:0 }
shutdown: { delay: 0s, deadline: 1s }
directory:
  default_domain: example.test
  sources:
    - { type: http, url: "http://127.0.0.1:${desk.port}/%u", domains: [away.test, gone.test] }
    - { type: map, file: aliases, answers: user }
    - { type: map, file: users.map }
directory_service:
  listen: 127.0.0.1:${service}
  key_file: key
  ports: { imap: ${lab.port(143)}, pop3: ${lab.port(110)}, sieve: ${lab.port(4190)} }
passdb: { tls_ca_file: ${JSON.stringify(lab.caFile)} }
backends: { a: ${backend('127.0.0.11')}, b: ${backend('127.0.0.12')} }
`,
      );
      const gateway = await startGateway({ configFile: join(folder, 'postern.yaml'), log });
      running.defer(() => gateway.close());
      if (generation === '2.4') {
        root = running.use(await mailRoot('trixie'));
      }
      proxy = running.use(await startProxy('{}'));
    });
    after(() => running.disposeAsync());

    const startProxy = (security: string): Promise<DovecotProxy> =>
      startDovecotProxy({ service: { port: service, key }, security, caFile: lab.caFile, root });

    async function login(user: string, password: string, through = proxy): Promise<string> {
      using session = await openImap(through.imapPort);
      const answer = await session.send(`LOGIN ${user} ${password}`);
      if (!answer.at(-1)?.startsWith('OK')) return answer.at(-1) ?? '';
      return (await session.send('SELECT INBOX')).at(-1) ?? '';
    }

    test('leads each user to the mailbox, by whatever name', async () => {
      for (const [user, password] of [
        ['alice@example.test', 'alice-pw'],
        ['Alice', 'alice-pw'],
        ['bob@example.test', 'bob-pw'],
        ['robert', 'bob-pw'],
        ['mia@example.test', 'mia-pw'],
      ] as const) {
        assert.match(await login(user, password), /^OK \[READ-WRITE\]/, `${user}\n${await proxy.log()}`);
      }
      const [a, b] = ['a', 'b'].map((backend) => readFileSync(`${lab.dataFolder}/${backend}/log/dovecot.log`, 'utf8'));
      assert.match(a ?? '', /Login: user=<alice@example\.test>/);
      assert.match(b ?? '', /Login: user=<bob@example\.test>/);
    });

    test('connects to mail servers by TLS, and checks their certificates', async () => {
      await using secured = await startProxy('{ starttls = "yes" }');
      assert.match(await login('bob', 'bob-pw', secured), /^OK \[READ-WRITE\]/, await secured.log());
    });

    test('POP3 goes the same way, and hears the same', async () => {
      assert.match(await pop3(proxy.pop3Port, 'bob', 'bob-pw'), /^\+OK\+OK/);
      assert.match(await pop3(proxy.pop3Port, 'zoe@example.test', 'zoe-pw'), /^\+OK-ERR \[AUTH\]/);
      assert.match(await pop3(proxy.pop3Port, 'alice@away.test', 'alice-pw'), /^\+OK-ERR \[SYS\/TEMP\]/);
    });

    test('ManageSieve goes the same way, and scripts are stored on the user’s own server', async () => {
      for (const [user, password, backend] of [
        ['alice@example.test', 'alice-pw', 'a'],
        ['robert', 'bob-pw', 'b'],
      ] as const) {
        assert.equal(await sieve(proxy.sievePort, user, password), '"held"', await proxy.log());
        const folder = `${lab.dataFolder}/${backend}/data/mail/${backend === 'a' ? 'alice' : 'bob'}@example.test/sieve`;
        assert.match(readFileSync(join(folder, 'held.sieve'), 'utf8'), /^# of a test/);
        await rm(folder, { recursive: true });
      }
      assert.match(await sieve(proxy.sievePort, 'zoe@example.test', 'zoe-pw'), /^NO "Authentication failed/);
      assert.match(await sieve(proxy.sievePort, 'alice@away.test', 'alice-pw'), /^NO \(TRYLATER\)/);
    });

    test('a wrong password is refused by the mail server itself', async () => {
      assert.match(await login('alice', 'not-hers'), /^NO \[AUTHENTICATIONFAILED\]/);
    });

    test('an unknown user and a suspended one are refused alike, and “later” is never “no”', async () => {
      assert.match(await login('zoe@example.test', 'zoe-pw'), /^NO \[AUTHENTICATIONFAILED\]/);
      assert.match(await login('sam@gone.test', 'sam-pw'), /^NO \[AUTHENTICATIONFAILED\] Authentication failed/);
      assert.match(await login('alice@away.test', 'alice-pw'), /^NO \[UNAVAILABLE\]/);
      await using lost = await startDovecotProxy({
        service: { port: (await freePorts(1))[0] ?? 0, key },
        security: '{}',
        caFile: lab.caFile,
        root,
      });
      assert.match(await login('alice', 'alice-pw', lost), /^NO \[UNAVAILABLE\]/);
      await using stranger = await startDovecotProxy({
        service: { port: service, key: 'another-key' },
        security: '{}',
        caFile: lab.caFile,
        root,
      });
      assert.match(await login('alice', 'alice-pw', stranger), /^NO \[UNAVAILABLE\]/);
      assert.match(await stranger.log(), /postern: the directory service said 403/);
    });

    test('what is not of the directory service never means that a user is unknown, and no redirect gets the key', async () => {
      await using stranger = await startStranger();
      await using lost = await startDovecotProxy({
        service: { port: `${stranger.port}/`, key },
        security: '{}',
        caFile: lab.caFile,
        root,
      });
      const users = ['page', 'other', 'moved', 'list', 'number', 'null', 'bare'];
      const answers = await Promise.all(users.map(async (user) => login(user, 'x-pw', lost)));
      for (const answer of answers)
        assert.match(answer, /^NO \[UNAVAILABLE\]/, `${answers.join(' ')}\n${await lost.log()}`);
      assert.equal(new Set(stranger.asked).size, users.length);
      for (const path of stranger.asked) assert.match(path, /^\/lookup\?user=/);
      assert.doesNotMatch(await lost.log(), /Lua script|attempt to/);
    });

    test('no log has a password', async () => {
      assert.doesNotMatch(
        logged.join('\n') + (await proxy.log()),
        /alice-pw|bob-pw|mia-pw|sam-pw|zoe-pw|not-hers|lab-key/,
      );
    });
  });
}
