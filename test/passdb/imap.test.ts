import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackendHost, BackendLimits } from '../../src/core/backend.ts';
import { PosternError } from '../../src/core/error.ts';
import type { CanonicalUser } from '../../src/core/names.ts';
import type { PasswordCheck } from '../../src/core/passdb.ts';
import { Secret } from '../../src/core/secrets.ts';
import { createImapPassdb } from '../../src/passdb/imap.ts';
import { backendLimits } from '../backend-limits.fixture.ts';
import { makeCertificate } from './certificates.fixture.ts';
import { type Script, ScriptedImap, type Turn } from './scripted-imap.fixture.ts';

const certificate = makeCertificate('IP:127.0.0.1');
const stranger = makeCertificate('IP:127.0.0.1');
const named = makeCertificate('DNS:imap.postern.test');

interface Ask {
  readonly user?: string;
  readonly password?: string;
  readonly security?: 'tls' | 'starttls';
  readonly ca?: string;
  readonly servername?: string;
  readonly limits?: Partial<BackendLimits>;
  readonly signal?: AbortSignal;
}

function isUser(_text: string): _text is CanonicalUser {
  return true;
}

function hostOn(port: number, ask: Ask): BackendHost {
  const trust = {
    ca: ask.ca ?? certificate.cert,
    ...(ask.servername === undefined ? {} : { servername: ask.servername }),
  };
  return {
    name: 'a',
    imap: { hostname: '127.0.0.1', port, security: ask.security ?? 'tls', trust },
    webmail: { origin: 'http://127.0.0.1', landing: '/', trust: {} },
  };
}

async function verify(server: ScriptedImap, ask: Ask = {}): Promise<PasswordCheck> {
  const user = ask.user ?? 'alice@example.test';
  assert.ok(isUser(user));
  const client = { address: '203.0.113.77', port: 1234, userAgent: undefined };
  return createImapPassdb().verify(
    { user, password: new Secret(ask.password ?? 'alice-pw') },
    hostOn(server.port, ask),
    { client, reference: 'ref-1', limits: { ...backendLimits, ...ask.limits } },
    ask.signal ?? new AbortController().signal,
  );
}

/** A well-behaved server, parts of which a test replaces. */
function wellBehaved(
  special: Partial<Record<string, (turn: Turn) => void>> = {},
  capabilities = 'IMAP4rev1 ID AUTH=PLAIN',
): Script {
  return {
    certificate,
    greeting: '* OK ready',
    answer(turn) {
      const own = special[turn.command];
      if (own !== undefined) own(turn);
      else if (turn.command === 'CAPABILITY') turn.say(`* CAPABILITY ${capabilities}`, `${turn.tag} OK`);
      else if (turn.command === 'ID') turn.say('* ID ("name" "test" "version" "1")', `${turn.tag} OK`);
      else if (turn.command === 'AUTHENTICATE') turn.say('+ ');
      else if (turn.command === 'LOGOUT') turn.say('* BYE', `${turn.tag} OK`);
      else if (turn.command === 'LIST') turn.say('* LIST () "/" ""', `${turn.tag} OK`);
      else if (turn.command === 'LOGIN') turn.say(`${turn.tag} OK`);
      else if (turn.command === '') turn.say(`${tagOfAuthenticate} OK`);
      else turn.say(`${turn.tag} BAD unknown`);
      if (turn.command === 'AUTHENTICATE') tagOfAuthenticate = turn.tag;
    },
  };
}
let tagOfAuthenticate = '';

/** A server that answers the password with one tagged line. */
function answering(line: string): Script {
  return wellBehaved({ '': (turn) => turn.say(`${tagOfAuthenticate} ${line}`) });
}

async function failure(attempt: Promise<PasswordCheck>): Promise<PosternError> {
  const outcome = await attempt.then(
    (check) => assert.fail(`answered ${check.kind}`),
    (error: unknown) => error,
  );
  assert.ok(outcome instanceof PosternError, String(outcome));
  assert.equal(outcome.source, 'imap');
  assert.doesNotMatch(`${outcome.message} ${String(outcome.cause)}`, /alice-pw/);
  return outcome;
}

test('a right password is right, and the connection is closed', async () => {
  await using server = await ScriptedImap.start(wellBehaved());
  assert.deepEqual(await verify(server), { kind: 'right' });
  await server.abandoned();
  assert.equal(server.connections, 1);
});

test('the exact bytes of user and password arrive by SASL PLAIN', async () => {
  await using server = await ScriptedImap.start(wellBehaved());
  const password = ' Paß "wört" \\1 €\t🙂 ';
  await verify(server, { password });
  const sent = server.lines
    .filter((line) => !line.includes(' '))
    .map((line) => Buffer.from(line, 'base64').toString('utf8'));
  assert.deepEqual(sent, [`\0alice@example.test\0${password}`]);
});

test('a server without AUTH=PLAIN is asked by LOGIN', async () => {
  await using server = await ScriptedImap.start(wellBehaved({}, 'IMAP4rev1'));
  assert.deepEqual(await verify(server), { kind: 'right' });
  assert.ok(
    server.lines.some((line) => /^\S+ LOGIN "?alice@example.test"? "?alice-pw"?$/.test(line)),
    server.lines.join('\n'),
  );
});

test('the client is named by ID before the password is sent', async () => {
  await using server = await ScriptedImap.start(wellBehaved());
  await verify(server);
  const id = server.lines.findIndex((line) => line.includes(' ID '));
  assert.match(
    server.lines[id] ?? '',
    /^\S+ ID \("name" "Postern" "x-originating-ip" "203\.0\.113\.77" "x-originating-port" "1234" "x-session-id" "ref-1"\)$/,
  );
  assert.ok(id < server.lines.findIndex((line) => line.includes('AUTHENTICATE')));
});

test('a server that does not announce ID is not sent one', async () => {
  await using server = await ScriptedImap.start(wellBehaved({}, 'IMAP4rev1 AUTH=PLAIN'));
  assert.deepEqual(await verify(server), { kind: 'right' });
  assert.ok(!server.lines.some((line) => / ID\b/.test(line)));
});

const verdicts: readonly (readonly [line: string, kind: PasswordCheck['kind']])[] = [
  ['NO [AUTHENTICATIONFAILED] Authentication failed.', 'wrong'],
  ['NO [AUTHORIZATIONFAILED] no', 'wrong'],
  ['NO Login failed: authentication failure', 'wrong'],
  ['NO [ALERT] Invalid credentials', 'wrong'],
  ['NO [authenticationfailed] lower case', 'wrong'],
  ['NO [EXPIRED] Password expired', 'expired'],
  ['NO [CONTACTADMIN] blocked', 'contact-admin'],
  ['NO [PRIVACYREQUIRED] use TLS', 'insecure'],
];
for (const [line, kind] of verdicts) {
  test(`"${line}" is a verdict: ${kind}`, async () => {
    await using server = await ScriptedImap.start(answering(line));
    assert.deepEqual(await verify(server), { kind });
  });
}

const failures: readonly (readonly [line: string, code: string, retryable: boolean])[] = [
  ['NO [UNAVAILABLE] Temporary authentication failure.', 'ERR_IMAP_UNAVAILABLE', true],
  ['NO [INUSE] busy', 'ERR_IMAP_UNAVAILABLE', true],
  ['NO [LIMIT] too many', 'ERR_IMAP_UNAVAILABLE', true],
  ['NO [SERVERBUG] oops', 'ERR_IMAP_UNAVAILABLE', true],
  ['NO [REFERRAL imap://alice@b.example.test/] elsewhere', 'ERR_IMAP_UNAVAILABLE', false],
  ['BAD Unrecognised command', 'ERR_IMAP_PROTOCOL', false],
  ['MAYBE perhaps', 'ERR_IMAP_PROTOCOL', false],
];
for (const [line, code, retryable] of failures) {
  test(`"${line}" is no verdict: ${code}`, async () => {
    await using server = await ScriptedImap.start(answering(line));
    const error = await failure(verify(server));
    assert.deepEqual([error.code, error.retryable], [code, retryable]);
  });
}

test('a connection that drops after the password was sent is no verdict', async () => {
  await using server = await ScriptedImap.start(wellBehaved({ '': (turn) => turn.socket.destroy() }));
  assert.equal((await failure(verify(server))).code, 'ERR_IMAP_UNAVAILABLE');
});

test('a PREAUTH greeting opens nothing', async () => {
  await using server = await ScriptedImap.start({ ...wellBehaved(), greeting: '* PREAUTH welcome' });
  const error = await failure(verify(server));
  assert.deepEqual([error.code, error.retryable], ['ERR_IMAP_PROTOCOL', false]);
  assert.ok(!server.lines.some((line) => /LOGIN|AUTHENTICATE/.test(line)));
});

test('a BYE greeting is an outage', async () => {
  await using server = await ScriptedImap.start({ certificate, greeting: '* BYE [UNAVAILABLE] too many connections' });
  assert.equal((await failure(verify(server))).code, 'ERR_IMAP_UNAVAILABLE');
});

test('LOGINDISABLED without a mechanism for passwords is a protocol failure, and no password is sent', async () => {
  await using server = await ScriptedImap.start(wellBehaved({}, 'IMAP4rev1 LOGINDISABLED AUTH=GSSAPI'));
  assert.equal((await failure(verify(server))).code, 'ERR_IMAP_PROTOCOL');
  assert.ok(!server.lines.some((line) => /LOGIN|AUTHENTICATE/.test(line)));
});

test('STARTTLS upgrades before anything of the user is sent', async () => {
  let secured = false;
  const script = wellBehaved(
    {
      STARTTLS: (turn) => {
        turn.say(`${turn.tag} OK begin`);
        secured = true;
        turn.upgrade(certificate);
      },
      AUTHENTICATE: (turn) => {
        assert.ok(secured);
        turn.say('+ ');
        tagOfAuthenticate = turn.tag;
      },
    },
    'IMAP4rev1 STARTTLS AUTH=PLAIN',
  );
  const { certificate: _none, ...plain } = script;
  await using server = await ScriptedImap.start(plain);
  assert.deepEqual(await verify(server, { security: 'starttls' }), { kind: 'right' });
});

test('a server that does not offer STARTTLS is refused, and no password is sent', async () => {
  const { certificate: _none, ...plain } = wellBehaved();
  await using server = await ScriptedImap.start(plain);
  const error = await failure(verify(server, { security: 'starttls' }));
  assert.deepEqual([error.code, error.retryable], ['ERR_IMAP_PROTOCOL', false]);
  assert.ok(!server.lines.some((line) => /LOGIN|AUTHENTICATE/.test(line)));
});

test('what was slipped in behind the STARTTLS answer is refused', async () => {
  const script = wellBehaved(
    { STARTTLS: (turn) => turn.say(`${turn.tag} OK begin`, '* CAPABILITY IMAP4rev1 AUTH=PLAIN') },
    'IMAP4rev1 STARTTLS',
  );
  const { certificate: _none, ...plain } = script;
  await using server = await ScriptedImap.start(plain);
  assert.equal((await failure(verify(server, { security: 'starttls' }))).code, 'ERR_IMAP_PROTOCOL');
});

for (const security of ['tls', 'starttls'] as const) {
  test(`a certificate of a stranger is refused (${security})`, async () => {
    const upgrading = wellBehaved(
      {
        STARTTLS: (turn) => {
          turn.say(`${turn.tag} OK`);
          turn.upgrade(stranger);
        },
      },
      'IMAP4rev1 STARTTLS',
    );
    const { certificate: _none, ...plain } = upgrading;
    await using server = await ScriptedImap.start(
      security === 'tls' ? { ...wellBehaved(), certificate: stranger } : plain,
    );
    const error = await failure(verify(server, { security }));
    assert.deepEqual([error.code, error.retryable], ['ERR_IMAP_PROTOCOL', false]);
    assert.match(error.message, /tls_ca_file/);
  });
}

test('the certificate must carry the configured name, not the address', async () => {
  await using server = await ScriptedImap.start({ ...wellBehaved(), certificate: named });
  const right = await verify(server, { ca: named.cert, servername: 'imap.postern.test' });
  assert.deepEqual(right, { kind: 'right' });
  assert.equal((await failure(verify(server, { ca: named.cert }))).code, 'ERR_IMAP_PROTOCOL');
  const other = await failure(verify(server, { ca: named.cert, servername: 'other.postern.test' }));
  assert.equal(other.code, 'ERR_IMAP_PROTOCOL');
});

test('a silent server is given up after the greeting time', async () => {
  await using server = await ScriptedImap.start({ certificate });
  const error = await failure(verify(server, { limits: { imapGreetingMs: 50 } }));
  assert.deepEqual([error.code, error.retryable], ['ERR_IMAP_UNAVAILABLE', true]);
  await server.abandoned();
});

test('a server that accepts and never speaks TLS is given up after the connect time', async () => {
  await using server = await ScriptedImap.start({});
  assert.equal((await failure(verify(server, { limits: { imapConnectMs: 50 } }))).code, 'ERR_IMAP_UNAVAILABLE');
  await server.abandoned();
});

test('a server that never answers the password is given up after the authentication time', async () => {
  await using server = await ScriptedImap.start(wellBehaved({ '': () => {} }));
  assert.equal((await failure(verify(server, { limits: { imapAuthMs: 50 } }))).retryable, true);
  await server.abandoned();
});

test('a server that trickles is given up when all times together are over', async () => {
  await using running = new AsyncDisposableStack();
  const trickle = (turn: { say(line: string): void }) => {
    const timer = setInterval(() => turn.say('* OK wait'), 10);
    running.defer(() => clearInterval(timer));
  };
  const server = running.use(await ScriptedImap.start(wellBehaved({ '': trickle })));
  const limits = { imapConnectMs: 800, imapGreetingMs: 800, imapAuthMs: 800 };
  const error = await failure(verify(server, { limits }));
  assert.equal(error.code, 'ERR_DEADLINE');
  await server.abandoned();
});

const endlessLine = `* OK ${'x'.repeat(200_000)}`;
test('an endless line and a huge literal are cut off', async () => {
  await using endless = await ScriptedImap.start(wellBehaved({ CAPABILITY: (turn) => turn.socket.write(endlessLine) }));
  assert.equal((await failure(verify(endless))).code, 'ERR_IMAP_PROTOCOL');
  await using literal = await ScriptedImap.start(wellBehaved({ CAPABILITY: (turn) => turn.say('* OK {999999999}') }));
  assert.equal((await failure(verify(literal))).code, 'ERR_IMAP_PROTOCOL');
});

test('a refused connection is an outage', async () => {
  const server = await ScriptedImap.start({});
  const { port } = server;
  await server[Symbol.asyncDispose]();
  await using other = await ScriptedImap.start({});
  Object.defineProperty(other, 'port', { value: port });
  assert.equal((await failure(verify(other))).code, 'ERR_IMAP_UNAVAILABLE');
});

const moments: readonly (readonly [name: string, script: (reached: () => void) => Script])[] = [
  ['while TLS is negotiated', (reached) => ({ connected: reached })],
  ['while the greeting is awaited', (reached) => ({ certificate, connected: reached })],
  ['while the password is checked', (reached) => wellBehaved({ '': reached })],
];
for (const [name, script] of moments) {
  test(`an abort ${name} ends the call and closes the socket`, async () => {
    const cancel = new AbortController();
    await using server = await ScriptedImap.start(script(() => cancel.abort()));
    assert.equal((await failure(verify(server, { signal: cancel.signal }))).code, 'ERR_DEADLINE');
    await server.abandoned();
  });
}

test('an aborted call does not dial', async () => {
  await using server = await ScriptedImap.start(wellBehaved());
  assert.equal((await failure(verify(server, { signal: AbortSignal.abort() }))).code, 'ERR_DEADLINE');
  assert.equal(server.connections, 0);
});

const unsendable: readonly (readonly [user: string, password: string])[] = [
  ['alice@example.test', ''],
  ['alice@example.test', 'a\0b'],
  ['alice@example.test', 'a\rb'],
  ['alice@example.test', 'a\nb LOGOUT'],
  ['alice\0@example.test', 'pw'],
  ['alice\r\n@example.test', 'pw'],
];
test('what no IMAP command can carry is wrong without asking', async () => {
  await using server = await ScriptedImap.start(wellBehaved());
  for (const [user, password] of unsendable)
    assert.deepEqual(await verify(server, { user, password }), { kind: 'wrong' });
  assert.equal(server.connections, 0);
});
