import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { silentLog } from '../../src/core/log.ts';
import { startGateway } from '../../src/gateway.ts';
import { postern as command, run } from '../cli/cli.fixture.ts';
import { type DovecotProxy, startDovecotProxy } from '../directory-service/dovecot-proxy.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { type LineSession, openLines } from '../integrations/imap-session.fixture.ts';
import { mailRoot } from '../integrations/mail-root.fixture.ts';
import { withLab } from '../lab/lab.ts';
import { freePorts } from '../ports.fixture.ts';

const lab = await withLab('a', 'b');
const reason = ['--reason', 'test'];

/** Signs in, and waits in IDLE. */
async function idle(port: number, user: string, password: string): Promise<LineSession> {
  const session = await openLines(port);
  const until = async (line: string, sign: RegExp): Promise<void> => {
    let answer = await session.ask(line);
    while (!sign.test(answer)) {
      assert.doesNotMatch(answer, /^\S+ (?:NO|BAD)/, `${user}: ${line.replace(password, '…')}`);
      answer = await session.next();
    }
  };
  await until(`a LOGIN ${user} ${password}`, /^a OK/);
  await until('b SELECT INBOX', /^b OK/);
  await until('c IDLE', /^\+/);
  return session;
}

/** Resolves when the server has closed the connection. */
async function gone(session: LineSession): Promise<void> {
  await assert.rejects(async () => {
    for (;;) await session.next();
  }, /closed the connection/);
}

const logins = (backend: string, user: string): number =>
  readFileSync(`${lab.dataFolder}/${backend}/log/dovecot.log`, 'utf8').split(`Login: user=<${user}>`).length - 1;

for (const generation of ['2.3', '2.4'] as const) {
  suite(`the mail connections behind a real Dovecot ${generation}`, { concurrency: false }, () => {
    const running = new AsyncDisposableStack();
    let proxy: DovecotProxy;
    let folder = '';
    const postern = (...args: readonly string[]) => run([...args, '-c', join(folder, 'postern.yaml')]);

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'postern-mail-proxies-'));
      running.defer(() => rm(folder, { recursive: true, force: true }));
      const [port = 0, service = 0] = await freePorts(2);
      const root = generation === '2.4' ? await mailRoot('trixie') : undefined;
      if (root !== undefined) running.use(root);
      const key = 'lab-key-of-the-proxies';
      proxy = running.use(
        await startDovecotProxy({ service: { port: service, key }, security: '{}', caFile: lab.caFile, root }),
      );
      const backend = (address: string): string =>
        `{ imap: "imaps://${address}:${lab.port(993)}", webmail: "http://${address}:${lab.port(80)}/", driver: roundcube }`;
      await writeFile(join(folder, 'key'), `${key}\n`);
      await writeFile(join(folder, 'doveadm-key'), `${proxy.doveadmKey}\n`);
      // Alice has a mailbox on a, Bob on b, Mia on both.
      await writeFile(join(folder, 'users.map'), 'alice: a\nbob: b\nmia: a\n');
      await writeFile(
        join(folder, 'postern.yaml'),
        `listen: 127.0.0.1:${port}
public_url: http://127.0.0.1:${port}
operators: { listen: 127.0.0.1:0, socket: postern.sock }
shutdown: { delay: 0s, deadline: 1s }
directory: { default_domain: example.test, sources: [{ type: map, file: users.map }] }
directory_service: { listen: 127.0.0.1:${service}, key_file: key, ports: { imap: ${lab.port(143)}, pop3: ${lab.port(110)} } }
mail_proxies:
  - { name: front1, url: "${proxy.doveadmUrl}", api_key: { file: doveadm-key } }
passdb: { tls_ca_file: ${JSON.stringify(lab.caFile)} }
backends: { a: ${backend('127.0.0.11')}, b: ${backend('127.0.0.12')} }
`,
      );
      const gateway = await startGateway({ configFile: join(folder, 'postern.yaml'), log: silentLog });
      running.defer(() => gateway.close());
    });
    after(() => running.disposeAsync());

    test('who shows them, and kick ends those of one user', async () => {
      using alice = await idle(proxy.imapPort, 'alice', 'alice-pw');
      using again = await idle(proxy.imapPort, 'Alice@Example.Test', 'alice-pw');
      using bob = await idle(proxy.imapPort, 'bob', 'bob-pw');
      const { out } = await postern('who', 'alice');
      assert.equal(out.match(/alice@example\.test +mail +front1 +127\.0\.0\.1 .*imap/g)?.length, 2, out);
      assert.doesNotMatch(out, /bob/);
      const kicked = await postern('kick', 'alice', ...reason);
      assert.deepEqual(kicked, {
        code: 0,
        out: 'alice@example.test has no open sessions.\nMail connections ended: 2.\n',
        err: '',
      });
      await Promise.all([gone(alice), gone(again)]);
      assert.match((await postern('who', 'bob')).out, /bob@example\.test +mail +front1/);
      assert.match(await bob.ask('DONE'), /^c OK/);
    });

    test('a lock ends them, and nobody comes in again', async () => {
      using bob = await idle(proxy.imapPort, 'bob', 'bob-pw');
      const locked = await postern('user', 'lock', 'bob', ...reason);
      assert.match(locked.out, /^Mail connections ended: [12]\.$/m);
      await gone(bob);
      await assert.rejects(idle(proxy.imapPort, 'bob', 'bob-pw'), /bob: a LOGIN/);
      assert.equal((await postern('user', 'unlock', 'bob', ...reason)).code, 0);
      using back = await idle(proxy.imapPort, 'bob', 'bob-pw');
      assert.match(
        (await postern('user', 'lock', '--domain', 'example.test', ...reason)).out,
        /connections ended: 1\./,
      );
      await gone(back);
      await postern('user', 'unlock', '--domain', 'example.test', ...reason);
    });

    test('a move ends them, and who comes back is on the new backend', async () => {
      using before = await idle(proxy.imapPort, 'mia', 'mia-pw');
      const had = logins('b', 'mia@example.test');
      const moved = await postern('user', 'move', 'mia', '--to', 'b', ...reason);
      assert.match(moved.out, /mia: moved, a → b; mail connections ended: 1$/m);
      await gone(before);
      using back = await idle(proxy.imapPort, 'mia', 'mia-pw');
      await eventually(() => logins('b', 'mia@example.test') > had);
      assert.match(await back.ask('DONE'), /^c OK/);
    });

    test('the audit says what was ended, and the check that the proxy can be asked', async () => {
      const { out } = await postern('audit', 'list', '--event', 'mail-end', '--format', 'json');
      const occasions = [...out.matchAll(/"occasion": ?"(\w+)"/g)].map(([, occasion]) => String(occasion));
      assert.deepEqual(
        [...new Set(occasions)].toSorted((a, b) => a.localeCompare(b)),
        ['kick', 'lock', 'move'],
      );
      const checked = await command(['check', '--online', '-c', join(folder, 'postern.yaml')]);
      assert.match(checked.out + checked.err, /front1 mail +http:\S+ +ok .*lists and ends connections/);
    });
  });
}
