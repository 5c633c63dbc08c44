import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get } from 'node:http';
import { describe, it } from 'node:test';
import { PosternError } from '../../src/core/error.ts';
import type { Log } from '../../src/core/log.ts';
import { Secret } from '../../src/core/secrets.ts';
import { createDirectoryService } from '../../src/directory-service/listener.ts';
import type { MailRoute } from '../../src/directory-service/mail-routes.ts';
import { backendName, hostNamed, userName } from '../backends/samples.fixture.ts';
import { listening } from '../ports.fixture.ts';

const host = { ...hostNamed('a'), imap: { ...hostNamed('a').imap, hostname: 'mx1.test' } };
const found: MailRoute = { kind: 'found', user: userName('alice@example.test'), backend: backendName('a'), host };
const away = new PosternError('ERR_DIRECTORY_UNAVAILABLE', 'ldap1 is away', { source: 'directory', retryable: true });

/** A directory's answers, by the name that was typed. */
const homes: Readonly<Record<string, MailRoute>> = {
  alice: found,
  'jörg %x@example.test': { ...found, user: userName('jörg@example.test') },
  bare: { ...found, host: { ...host, imap: { ...host.imap, loginName: '%n' } } },
  closed: { kind: 'closed' },
  suspended: { kind: 'refused', reason: 'Please call 1234.' },
};

interface Service extends AsyncDisposable {
  ask(path: string, headers?: Record<string, string>): Promise<{ status: number; headers: Headers; body: string }>;
  readonly logged: string[];
  readonly observed: string[];
}

async function start(more: { key?: string; isAllowed?: boolean } = {}): Promise<Service> {
  const logged: string[] = [];
  const observed: string[] = [];
  const note = (event: string, fields: object = {}): void => void logged.push(`${event} ${JSON.stringify(fields)}`);
  const log: Log = { debug: note, info: note, warn: note, error: note };
  const server = createDirectoryService({
    async routeMail(typed) {
      if (typed === 'away') throw away;
      return Object.hasOwn(homes, typed) ? (homes[typed] ?? { kind: 'unknown-user' }) : { kind: 'unknown-user' };
    },
    addresses: { of: async (name) => (name === 'mx1.test' ? '192.0.2.7' : name) },
    settings: () => ({
      ports: { imap: 143, pop3: 110, smtp: 587, submission: 587, lmtp: 24, sieve: 4190 },
      ...(more.key === undefined ? {} : { key: new Secret(more.key) }),
    }),
    isAllowed: () => more.isAllowed ?? true,
    observe: (protocol, result) => void observed.push(`${protocol} ${result}`),
    log,
  });
  const port = await listening(server);
  return {
    logged,
    observed,
    async ask(path, headers = {}) {
      const request = get({ port, host: '127.0.0.1', path, headers, agent: false });
      const [response] = await once(request, 'response');
      const body = Buffer.concat(await response.toArray()).toString();
      return { status: response.statusCode, headers: new Headers(response.headers), body };
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** The headers that nginx sends, with a password. */
function nginx(user: string, protocol = 'imap', method = 'plain'): Record<string, string> {
  return {
    'auth-method': method,
    'auth-user': user,
    'auth-pass': 'hush-hush',
    'auth-protocol': protocol,
    'auth-login-attempt': '1',
    'client-ip': '203.0.113.9',
  };
}

describe('nginx’s mail proxy', () => {
  const invalid = 'Invalid login or password';
  const later = 'Temporary server problem, try again later';
  const cases: readonly (readonly [name: string, headers: Record<string, string>, answer: Record<string, string>])[] = [
    [
      'is led to the address and the port of the user’s server, under the canonical name',
      nginx('alice'),
      { 'auth-status': 'OK', 'auth-server': '192.0.2.7', 'auth-port': '143', 'auth-user': 'alice@example.test' },
    ],
    [
      'signs in under the name that the server wants',
      nginx('bare'),
      { 'auth-status': 'OK', 'auth-server': '192.0.2.7', 'auth-user': 'alice' },
    ],
    ['gets the port of POP3', nginx('alice', 'pop3'), { 'auth-status': 'OK', 'auth-port': '110' }],
    ['gets the port of SMTP', nginx('alice', 'smtp'), { 'auth-status': 'OK', 'auth-port': '587' }],
    ['sends what a field cannot carry as %XX', nginx('j%C3%B6rg%20%25x@example.test'), { 'auth-status': 'OK' }],
    [
      'is told of an unknown user, and waits',
      nginx('nobody'),
      { 'auth-status': `[AUTHENTICATIONFAILED] ${invalid}`, 'auth-wait': '3' },
    ],
    ['hears the same of a suspended one', nginx('suspended'), { 'auth-status': `[AUTHENTICATIONFAILED] ${invalid}` }],
    ['and in POP3’s words', nginx('nobody', 'pop3'), { 'auth-status': `[AUTH] ${invalid}` }],
    ['and in SMTP’s', nginx('nobody', 'smtp'), { 'auth-status': invalid, 'auth-error-code': '535 5.7.8' }],
    ['and without words where no client waits', nginx('nobody', 'imap', 'none'), { 'auth-status': invalid }],
    ['takes broken escapes for nobody', nginx('%ff'), { 'auth-status': `[AUTHENTICATIONFAILED] ${invalid}` }],
    [
      'is told to come later while the directory is away',
      nginx('away'),
      { 'auth-status': `[UNAVAILABLE] ${later}`, 'auth-wait': '3' },
    ],
    ['and while the user is being moved', nginx('closed'), { 'auth-status': `[UNAVAILABLE] ${later}` }],
    ['in POP3’s words too', nginx('away', 'pop3'), { 'auth-status': `[SYS/TEMP] ${later}` }],
    ['and in SMTP’s too', nginx('away', 'smtp'), { 'auth-status': later, 'auth-error-code': '454 4.7.0' }],
  ];
  for (const [name, headers, answer] of cases) {
    it(name, async () => {
      await using service = await start();
      const { status, headers: got } = await service.ask('/auth_http', headers);
      assert.equal(status, 200);
      assert.deepEqual(Object.fromEntries(Object.keys(answer).map((key) => [key, got.get(key)])), answer);
      assert.ok(answer['auth-status'] === 'OK' || got.get('auth-server') === null);
    });
  }

  it('shows a password that nobody reads, and no log holds', async () => {
    await using service = await start();
    for (const user of ['alice', 'away', 'nobody']) await service.ask('/auth_http', nginx(user));
    assert.equal(service.logged.length, 1);
    assert.doesNotMatch(service.logged.join(), /hush/);
    assert.deepEqual(service.observed, ['auth_http found', 'auth_http tempfail', 'auth_http unknown-user']);
  });

  it('must say whom it asks for', async () => {
    await using service = await start();
    const { 'auth-user': _, ...nameless } = nginx('alice');
    assert.equal((await service.ask('/auth_http', nameless)).status, 400);
    assert.equal((await service.ask('/auth_http', nginx('alice', 'ldap'))).status, 400);
  });
});

describe('a lookup as JSON', () => {
  it('says where, on which host and at which address', async () => {
    await using service = await start();
    const { status, body } = await service.ask('/lookup?user=alice');
    assert.equal(status, 200);
    assert.deepEqual(JSON.parse(body), {
      user: 'alice@example.test',
      login: 'alice@example.test',
      backend: 'a',
      host: 'a',
      name: 'mx1.test',
      address: '192.0.2.7',
      ports: { imap: 143, pop3: 110, smtp: 587, submission: 587, lmtp: 24, sieve: 4190 },
    });
  });

  it('says by which name the server knows the user', async () => {
    await using service = await start();
    const { user, login } = JSON.parse((await service.ask('/lookup?user=bare')).body);
    assert.deepEqual([user, login], ['alice@example.test', 'alice']);
  });

  it('tells no from not now', async () => {
    await using service = await start();
    const statuses: number[] = [];
    for (const user of ['nobody', 'away', 'closed']) statuses.push((await service.ask(`/lookup?user=${user}`)).status);
    assert.deepEqual(statuses, [404, 503, 503]);
    assert.deepEqual(JSON.parse((await service.ask('/lookup?user=suspended')).body), { refuse: 'Please call 1234.' });
    assert.equal((await service.ask('/lookup')).status, 404);
    assert.equal((await service.ask('/elsewhere')).status, 404);
  });
});

describe('who may ask', () => {
  it('is who comes from a listed network', async () => {
    await using service = await start({ isAllowed: false });
    assert.equal((await service.ask('/lookup?user=alice')).status, 403);
    assert.match(service.logged.join(), /^directory-service-refused .*127\.0\.0\.1/);
  });

  it('shows the key, where there is one', async () => {
    await using service = await start({ key: 'open-sesame' });
    const statuses: number[] = [];
    for (const headers of [
      {},
      { 'x-postern-key': 'open-sesam' },
      { authorization: 'Basic open-sesame' },
      { 'x-postern-key': 'open-sesame' },
      { authorization: 'Bearer open-sesame' },
    ]) {
      statuses.push((await service.ask('/lookup?user=alice', headers)).status);
    }
    assert.deepEqual(statuses, [403, 403, 403, 200, 200]);
    assert.doesNotMatch(service.logged.join(), /open-sesam/);
  });
});
