import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import type { Log } from '../../src/core/log.ts';
import { startGateway } from '../../src/gateway.ts';
import { type SmtpSink, startSmtpSink } from '../integrations/smtp-sink.fixture.ts';
import { withLab } from '../lab/lab.ts';
import { freePorts } from '../ports.fixture.ts';
import { type NginxMail, startNginxMail } from './nginx-mail.fixture.ts';

const lab = await withLab('a', 'b');

/** A mail client that sends these lines, each when the one before has its answer, and says the answers. */
async function talk(port: number, lines: readonly string[], isAnswer: (line: string) => boolean): Promise<string[]> {
  const socket = connect(port, '127.0.0.1');
  const answers: string[] = [];
  const signal = AbortSignal.timeout(30_000);
  try {
    await once(socket, 'connect', { signal });
    const heard = createInterface({ input: socket, signal })[Symbol.asyncIterator]();
    const answer = async (): Promise<string> => {
      for (;;) {
        const { value, done } = await heard.next();
        if (done === true) return 'the connection ended';
        if (isAnswer(value)) return value;
      }
    };
    await answer();
    for (const line of lines) {
      socket.write(`${line}\r\n`);
      answers.push(await answer());
    }
    return answers;
  } finally {
    socket.destroy();
  }
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/** Signs in to SMTP and names a sender. Resolves with the answers. */
function smtp(port: number, user: string, password: string): Promise<string[]> {
  const identity = Buffer.from(`\0${user}\0${password}`).toString('base64');
  const lines = ['EHLO test', `AUTH PLAIN ${identity}`, 'MAIL FROM:<sally@example.test>'];
  return talk(port, lines, (line) => /^\d{3} /.test(line));
}

describe('a real nginx mail proxy in front of two real Dovecots', () => {
  let opened: AsyncDisposableStack;
  let nginx: NginxMail;
  let sink: SmtpSink;
  const logged: string[] = [];
  const note = (event: string, fields: object = {}): void => void logged.push(`${event} ${JSON.stringify(fields)}`);
  before(async () => {
    opened = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), 'postern-routes-'));
    opened.defer(() => rm(folder, { recursive: true, force: true }));
    sink = opened.use(await startSmtpSink());
    const [port = 0, service = 0, nobody = 0] = await freePorts(3);
    const backend = (address: string): string =>
      `{ imap: "imaps://${address}:${lab.port(993)}", webmail: "http://${address}:${lab.port(80)}/", driver: roundcube }`;
    await writeFile(join(folder, 'key'), 'lab-key-of-the-proxies\n');
    await writeFile(join(folder, 'users.map'), 'alice: a\nanna: a\nbob: b\nmia: b\nsally: m\n');
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
    - { type: http, url: "http://127.0.0.1:${nobody}/%u", domains: [away.test] }
    - { type: map, file: aliases, answers: user }
    - { type: map, file: users.map }
directory_service:
  listen: 127.0.0.1:${service}
  key_file: key
  ports: { imap: ${lab.port(143)}, pop3: ${lab.port(110)} }
passdb: { tls_ca_file: ${JSON.stringify(lab.caFile)} }
backends:
  a: ${backend('127.0.0.11')}
  b: ${backend('127.0.0.12')}
  m: { imap: imaps://127.0.0.1:9, webmail: http://127.0.0.1:9/, driver: none, ports: { smtp: ${sink.port} } }
`,
    );
    const log: Log = { debug: note, info: note, warn: note, error: note };
    const gateway = await startGateway({ configFile: join(folder, 'postern.yaml'), log });
    opened.defer(() => gateway.close());
    nginx = opened.use(await startNginxMail({ port: service, key: 'lab-key-of-the-proxies' }));
  });
  after(() => opened.disposeAsync());

  const imapLogin = (user: string, password: string) =>
    talk(nginx.imapPort, [`x1 LOGIN ${quoted(user)} ${quoted(password)}`, 'x2 SELECT INBOX'], (line) =>
      /^(?:\* OK IMAP4|x\d) /.test(line),
    );

  it('leads each user to the mailbox, by whatever name', async () => {
    // Each of them has an account on one of the two only, but mia.
    const users = [
      ['alice@example.test', 'alice-pw'],
      ['Alice', 'alice-pw'],
      ['bob@example.test', 'bob-pw'],
      ['robert', 'bob-pw'],
      ['mia@example.test', 'mia-pw'],
    ] as const;
    for (const [user, password] of users) {
      const [login, select] = await imapLogin(user, password);
      assert.match(login ?? '', /^x1 OK/, user);
      assert.match(select ?? '', /^x2 OK/, user);
    }
  });

  it('does so for POP3, too', async () => {
    const answers = await talk(nginx.pop3Port, ['USER bob@example.test', 'PASS bob-pw', 'STAT'], (line) =>
      /^(?:\+OK|-ERR)/.test(line),
    );
    assert.match(answers.join('\n'), /^\+OK.*\n\+OK.*\n\+OK \d+ \d+$/);
  });

  it('does so for SMTP, by the port of the user’s backend, and passes the password on', async () => {
    assert.match((await smtp(nginx.smtpPort, 'Sally', 'sally-pw')).join('\n'), /^250 .*\n235 .*\n250 /);
    assert.deepEqual(sink.logins, [['', 'sally@example.test', 'sally-pw']]);
    assert.match((await smtp(nginx.smtpPort, 'zoe@example.test', 'zoe-pw'))[1] ?? '', /^535 5\.7\.8 /);
    assert.match((await smtp(nginx.smtpPort, 'alice@away.test', 'alice-pw'))[1] ?? '', /^454 4\.7\.0 /);
    assert.equal(sink.logins.length, 1);
  });

  it('lets the mail server itself refuse a wrong password', async () => {
    const [login] = await imapLogin('alice@example.test', 'not-hers');
    assert.match(login ?? '', /^x1 NO .*AUTHENTICATIONFAILED/);
  });

  it('says that nobody is there for an unknown user, and “later” while a source is away', async () => {
    const [unknown] = await imapLogin('zoe@example.test', 'zoe-pw');
    assert.match(unknown ?? '', /^x1 NO \[AUTHENTICATIONFAILED\] Invalid login or password/);
    const [away] = await imapLogin('alice@away.test', 'alice-pw');
    assert.match(away ?? '', /^x1 NO \[UNAVAILABLE\] Temporary server problem/);
  });

  it('never shows a password to a log', () => {
    assert.doesNotMatch(logged.join('\n'), /alice-pw|bob-pw|mia-pw|sally-pw|zoe-pw|not-hers|lab-key/);
  });
});
