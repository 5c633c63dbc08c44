import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Backend } from '../../src/core/backend.ts';
import type { HttpExchange } from '../../src/core/http.ts';
import { createLoginNameParser, nameForServer } from '../../src/core/names.ts';
import type { BasicAuthentication } from '../../src/core/passdb.ts';
import { Secret } from '../../src/core/secrets.ts';
import { loadDrivers } from '../../src/gateway/drivers.ts';
import { createProbeLogin } from '../../src/login/probe-login.ts';
import { createImapMailboxes } from '../../src/passdb/imap-mailboxes.ts';
import { createImapPassdb } from '../../src/passdb/imap.ts';
import { backendLimits } from '../backend-limits.fixture.ts';
import { backendName, canonicalUser } from '../login/named.fixture.ts';
import { makeCertificate } from '../passdb/certificates.fixture.ts';
import { ScriptedImap } from '../passdb/scripted-imap.fixture.ts';
import { ask, request, startGate, startRecordingBackend } from '../proxy/gate.fixture.ts';
import { field, responseOf, scriptedExchange } from '../webmail/scripted-exchange.fixture.ts';
import { serverOf } from './imap-dialogue.fixture.ts';
import { readFieldInput } from './input.fixture.ts';

const certificate = makeCertificate('IP:127.0.0.1');
const going = new AbortController().signal;
const user = canonicalUser('alice@example.org');
const client = { address: '203.0.113.77', port: 1234, userAgent: undefined };
const context = { client, reference: 'ref-1', limits: backendLimits };

function server(capabilities: string) {
  const answers = new Map([
    ['CAPABILITY', [`* CAPABILITY ${capabilities}`, '<tag> OK']],
    ['LOGIN', ['<tag> OK']],
    ['AUTHENTICATE', ['+ ']],
    ['reply', ['<tag> OK']],
    ['NAMESPACE', ['* NAMESPACE (("" "/")) NIL NIL', '<tag> OK']],
    ['LOGOUT', ['* BYE', '<tag> OK']],
  ]);
  return serverOf({ greeting: '* OK ready', answers, otherRuns: [] }, certificate);
}

const nobody: HttpExchange = { send: () => Promise.reject(new Error('is not asked')) };

const hostOn = (port: number, loginName: string) => ({
  name: 'a',
  imap: { hostname: '127.0.0.1', port, security: 'tls', trust: { ca: certificate.cert }, loginName } as const,
  webmail: { origin: 'http://127.0.0.1', landing: '/', trust: {} },
});

describe('a server that wants bare names', () => {
  it('gets what Perdition with strip_domain remote_login would have sent on', async () => {
    // "strip_domain remote_login": the whole name is looked up, and the real server gets the local part.
    const conf = (await readFieldInput('M5-perdition-strip.conf')).toString();
    assert.match(conf, /^strip_domain remote_login\b/m);
    await using imap = await ScriptedImap.start(server('IMAP4rev1'));
    const credentials = { user, password: new Secret('secret') };
    const check = await createImapPassdb().verify(credentials, hostOn(imap.port, '%n'), context, going);
    assert.deepEqual(check, { kind: 'right' });
    assert.ok(
      imap.lines.some((line) => line.endsWith(' LOGIN "alice" "secret"')),
      imap.lines.join('\n'),
    );
  });

  it('is opened by a master identity under that name, too', async () => {
    await using imap = await ScriptedImap.start(server('IMAP4rev1 AUTH=PLAIN NAMESPACE'));
    const master = { user: 'postern', password: new Secret('master-pw'), separator: '*' };
    const answer = await createImapMailboxes().open({ user, master, host: hostOn(imap.port, '%n'), context }, going);
    assert.equal(answer.kind, 'done');
    assert.ok(imap.lines.includes(Buffer.from('alice\0postern\0master-pw').toString('base64')));
  });

  const forms: readonly (readonly [template: string | undefined, name: string])[] = [
    [undefined, 'alice@example.org'],
    ['%u', 'alice@example.org'],
    ['%n', 'alice'],
    ['%n#%d', 'alice#example.org'],
    ['%d/%n%%', 'example.org/alice%'],
  ];
  for (const [template, name] of forms) {
    it(`is sent ${name} for ${template ?? 'nothing'}`, () => assert.equal(nameForServer(user, template), name));
  }
});

describe('a webmail that wants bare names', () => {
  it('is entered under them, at the sign-in and with each request', async () => {
    const named = {
      name: backendName('a'),
      driver: 'header',
      driverSettings: { user_field: 'X-Remote-User', secret: new Secret('0123456789abcdef0123456789abcdef') },
      hosts: [hostOn(1, '%n')],
      limits: backendLimits,
      webmailLoginName: '%n',
    } as const;
    const clock = { nowMs: () => 0 };
    const { byBackend } = await loadDrivers(new Map([[named.name, named]]), { exchange: nobody, clock });
    const driver = byBackend.get(named.name)?.driver;
    const as = { user, password: undefined, client, timeZone: undefined, publicOrigin: 'http://x', session: undefined };
    const fields = driver?.requestHeaders?.({ method: 'GET', target: '/', header: () => undefined }, as) ?? [];
    assert.deepEqual(
      fields.filter(([name]) => name.toLowerCase() === 'x-remote-user').map(([, value]) => value),
      ['alice'],
    );
  });
});

const bareBackend = (driver: string, port = 1): Backend => ({
  name: backendName('a'),
  driver,
  driverSettings: { master_login: true },
  master: { user: 'postern', password: new Secret('master-pw'), separator: '*' },
  hosts: [hostOn(port, '%n')],
  limits: backendLimits,
  webmailLoginName: '%n',
});

async function homeOf(backend: Backend, exchange: HttpExchange = nobody) {
  const parts = { exchange, clock: { nowMs: () => 0 } };
  const { byBackend } = await loadDrivers(new Map([[backend.name, backend]]), parts);
  const home = byBackend.get(backend.name);
  assert.ok(home);
  return home;
}

const basic = (name: string, password: string) => `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;

describe('whoever enters such a webmail', () => {
  it('as user*master, names the user as the webmail does', async () => {
    const { driver } = await homeOf(bareBackend('basic'));
    const as = { user, password: undefined, client, timeZone: undefined, publicOrigin: 'http://x', session: undefined };
    const fields = driver.requestHeaders?.({ method: 'GET', target: '/', header: () => undefined }, as);
    assert.deepEqual(fields, [['Authorization', basic('alice*postern', 'master-pw')]]);
  });

  it('as the test account, is named at both servers as users are', async () => {
    await using imap = await ScriptedImap.start(server('IMAP4rev1'));
    const exchange = scriptedExchange(() => responseOf(200));
    const home = await homeOf(bareBackend('basic', imap.port), exchange);
    const signIn = createProbeLogin({
      passdb: createImapPassdb(),
      publicOrigin: () => 'http://x',
      newReference: () => 'ref-1',
    });
    const account = { user: 'probe@example.org', password: new Secret('secret'), intervalMs: 1000 };
    assert.equal(await signIn({ home, host: home.host, account }, going), 'signed-in');
    assert.ok(imap.lines.some((line) => line.endsWith(' LOGIN "probe" "secret"')));
    assert.equal(field(exchange.requests[0], 'authorization'), basic('probe', 'secret'));
  });
});

describe('a calendar program or phone, whose user is known by a bare name', () => {
  const names: readonly (readonly [target: string, webmail: string, imap: string, name: string])[] = [
    ['/dav/x', '%n', '%u', 'alice'],
    ['/dav/x', '%u', '%n', 'alice@example.org'],
    ['/Microsoft-Server-ActiveSync?Cmd=Sync', '%n', '%u', 'alice@example.org'],
    ['/Microsoft-Server-ActiveSync?Cmd=Sync', '%u', '%n', 'alice'],
  ];
  for (const [target, webmailLoginName, imapLoginName, name] of names) {
    it(`is ${name} at ${target} with ${webmailLoginName} for the webmail, ${imapLoginName} for IMAP`, async () => {
      await using behind = await startRecordingBackend();
      const origin = `http://127.0.0.1:${behind.port}`;
      const host = { ...hostOn(1, imapLoginName), webmail: { origin, landing: '/', trust: {} } };
      const paths = [{ prefix: '/dav' }, { prefix: '/Microsoft-Server-ActiveSync', elsewhere: { a: origin } }];
      const home = await homeOf({
        ...bareBackend('basic'),
        driver: 'none',
        driverSettings: {},
        hosts: [host],
        webmailLoginName,
        basicPaths: paths,
      });
      const authentication: BasicAuthentication = {
        admit: async () => ({ kind: 'admitted', user, ...home }),
        isStillAt: async () => true,
        distrust() {},
      };
      await using gate = await startGate({ backendPort: behind.port, clients: { paths, authentication } });
      await ask(gate.port, request('GET', target, [`Authorization: ${basic('EXAMPLE\\Alice', 'pw')}`]));
      const fields = behind.seen[0]?.fields ?? [];
      assert.equal(fields[fields.findIndex((field) => field.toLowerCase() === 'authorization') + 1], basic(name, 'pw'));
    });
  }
});

describe('a Windows domain before the name', () => {
  const parse = createLoginNameParser({ defaultDomain: 'other.example', windowsDomains: { EXAMPLE: 'example.org' } });
  const names: readonly (readonly [typed: string, name: string])[] = [
    ['EXAMPLE\\alice', 'alice@example.org'],
    ['example\\Alice', 'alice@example.org'],
    ['EXAMPLE\\alice@third.example', 'alice@third.example'],
    ['alice', 'alice@other.example'],
    ['STRANGE\\alice', 'strange\\alice@other.example'],
  ];
  for (const [typed, name] of names) {
    it(`makes ${name} of ${typed}`, () => assert.deepEqual(parse(typed), { kind: 'ok', name }));
  }
});
