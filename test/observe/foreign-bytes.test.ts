import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '../../src/core/clock.ts';
import { PosternError } from '../../src/core/error.ts';
import type { Log } from '../../src/core/log.ts';
import type { ServerWords } from '../../src/core/passdb.ts';
import { Secret } from '../../src/core/secrets.ts';
import { createDirectoryService } from '../../src/directory-service/listener.ts';
import { createLoginLog } from '../../src/login/attempt.ts';
import { createLog } from '../../src/observe/log.ts';
import { createImapMailboxes } from '../../src/passdb/imap-mailboxes.ts';
import { createImapPassdb } from '../../src/passdb/imap.ts';
import { createConnections } from '../../src/proxy/connections.ts';
import { createExchange } from '../../src/proxy/exchange.ts';
import { createRedisConnection } from '../../src/redis/connection.ts';
import { createImpersonation } from '../../src/support/impersonation.ts';
import { type DriverName, loadDriver } from '../../src/webmail/registry.ts';
import { backendLimits } from '../backend-limits.fixture.ts';
import { loginName, outcomeOf, testDirectory } from '../directory/directory.fixture.ts';
import { startServer } from '../directory/peers/line-server.fixture.ts';
import { canonicalUser } from '../login/named.fixture.ts';
import { answers, certificate, commands, serverThat } from '../passdb/hostile-answers.fixture.ts';
import { ScriptedImap } from '../passdb/scripted-imap.fixture.ts';
import { listening } from '../ports.fixture.ts';
import { defaultLimits, get, isWhole, RawClient, startGate, startScriptedBackend } from '../proxy/gate.fixture.ts';
import { hostileAnswers, mendedHeads, refusedHeads } from '../proxy/hostile-answers.fixture.ts';
import { recordKeyOf } from '../sessions/samples.fixture.ts';
import { auditForTests, staffChecksForTests } from '../support/staff.fixture.ts';
import { identity } from '../webmail/scripted-exchange.fixture.ts';

/** A mark in all that a server sends here: a cookie, the text of a mail, a row of somebody else. */
const marker = 'MARKER-f00d';
const password = 'pa55-word';
const going = new AbortController().signal;
const user = canonicalUser('alice@example.test');
const staffSession = recordKeyOf('of staff');
const client = { address: '203.0.113.77', port: 1234, userAgent: undefined };

/** The real log, at its most talkative, and what it wrote. */
function keptLog(): { readonly log: Log; readonly lines: readonly string[] } {
  const lines: string[] = [];
  return { log: createLog({ level: 'trace', destination: { write: (line) => void lines.push(line) } }), lines };
}

/**
 * Variants of the answer: the marker stands where a word begins, in one variant each, or after all of it. Only the
 * first places of a long answer count, since it ends in one repeated letter.
 */
function marked(bytes: string): readonly string[] {
  const places = [...bytes.slice(0, 300).matchAll(/(?<=[\s:;=,"</>]|^)(?=\S)/g)].map(({ index }) => index);
  const step = Math.max(1, Math.floor(places.length / 12));
  const chosen = places.filter((_, nth) => nth % step === 0);
  return [
    bytes.replaceAll('evil', marker),
    `${bytes}${marker}`,
    ...chosen.map((at) => `${bytes.slice(0, at)}${marker}${bytes.slice(at)}`),
  ];
}

const faulty: readonly (readonly [name: string, bytes: string])[] = [
  ...[...hostileAnswers, ...mendedHeads, ...refusedHeads].map(([name, bytes]) => [name, bytes] as const),
  [
    'a cookie beside a control character',
    `HTTP/1.1 200 OK\r\nX: \x01\r\nSet-Cookie: sid=evil\r\n\r\n${'evil '.repeat(9000)}`,
  ],
  [
    'a coding that is none',
    `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/html\r\n\r\n${'evil '.repeat(100)}`,
  ],
  ['a page for a failure', `HTTP/1.1 503 evil\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nevil`],
];

describe('a webmail behind the gateway', () => {
  for (const [name, bytes] of faulty) {
    it(`has none of its bytes in the log: ${name}`, async () => {
      const { log, lines } = keptLog();
      const variants = marked(bytes);
      await using backend = await startScriptedBackend((socket, nth) => {
        socket.once('data', () => socket.end(variants[nth % variants.length] ?? '', 'latin1'));
      });
      await using gate = await startGate({ backendPort: backend.port, log });
      while (backend.accepted < variants.length) {
        using client = await RawClient.to(gate.port);
        await client.send(get('/mail')).until(isWhole);
      }
      assert.doesNotMatch(lines.join(''), /MARKER/);
    });
  }
});

function hostAt(port: number) {
  return {
    name: 'a',
    imap: { hostname: '127.0.0.1', port, security: 'tls', trust: { ca: certificate.cert } },
    webmail: { origin: `http://127.0.0.1:${port}`, landing: '/mail/', trust: {} },
  } as const;
}

const form = {
  page: '/mail/',
  user_field: 'u',
  password_field: 'p',
  success: { status: 303, location: '/in' },
  failure: { status: 401 },
  lost: { status: 302, location: '/mail/' },
  signed_out: { path: '/logout', removes_cookie: 'sid' },
};
const drivers: readonly (readonly [name: DriverName, settings: object])[] = [
  ['roundcube', {}],
  ['roundcube', { entry_key: new Secret('k'.repeat(32)) }],
  ['sogo', {}],
  ['horde', {}],
  ['basic', {}],
  ['header', { user_field: 'X-User', secret_field: 'X-Key', secret: new Secret('k'.repeat(32)) }],
  ['form', form],
];

/** The log and the audit of sign-ins at a webmail that answers so. */
async function signInsAt(driverName: DriverName, settings: object, variants: readonly string[]) {
  const { log, lines } = keptLog();
  const audit = auditForTests();
  await using backend = await startScriptedBackend((socket, nth) => {
    socket.once('data', () => socket.end(variants[nth % variants.length] ?? '', 'latin1'));
  });
  const connections = createConnections();
  const exchange = createExchange({ connections, limits: () => defaultLimits });
  const driver = await loadDriver(driverName, { exchange, clock: systemClock, settings: { ...settings } });
  for (let tried = 0; tried < variants.length; tried += 1) {
    const signIn = driver.signIn(hostAt(backend.port), identity(password), AbortSignal.timeout(5000));
    await signIn.catch((error: unknown) => tell(error, log, audit));
  }
  await connections.close();
  return { lines, audited: JSON.stringify(audit.lines) };
}

const never = () => assert.fail('not in this test');

/** Reports a failed sign-in, and a mailbox that could not be opened, as the gateway does. */
async function tell(error: unknown, log: Log, audit: ReturnType<typeof auditForTests>, said?: ServerWords) {
  const facts = {
    reference: 'ref-1',
    requestId: '4bf92f3577b34da6a3ce929d0e0e4736',
    client: '203.0.113.77',
    ms: {},
    ...(said === undefined ? {} : { said }),
  };
  createLoginLog(log, systemClock, 3000)({ result: 'unavailable', phase: 'webmail', ...facts, error });
  log.error('api-failed', { err: error });
  const impersonation = createImpersonation({
    permission: never,
    staffChecks: staffChecksForTests({}),
    links: { issue: never, use: never },
    audit,
    placeOf: never,
    checkMaster: never,
    assistOrigin: 'https://assist.example.test',
    clock: systemClock,
  });
  const opening = { subject: user, reason: 'cannot send', ticket: '', minutes: 15 } as const;
  await impersonation.failed({ ...opening, actor: canonicalUser('sam@example.test'), staffSession }, client, error);
}

const page = (body: string, fields = '') =>
  `HTTP/1.1 200 OK\r\nSet-Cookie: sid=SECRET-f00d\r\nContent-Type: text/html\r\n${fields}\r\n${body}<p>SECRET-f00d</p>`;
const moved = (to: string) => `HTTP/1.1 302 Found\r\nLocation: ${to}\r\nContent-Length: 0\r\n\r\n`;

describe('a webmail that a driver signs in to', () => {
  const pages = faulty.filter(([name]) => name !== 'an endless line');
  for (const [driverName, settings] of drivers) {
    it(`has none of its bytes in the log and the audit: ${driverName} ${Object.keys(settings).join()}`, async () => {
      const { lines, audited } = await signInsAt(
        driverName,
        settings,
        pages.flatMap(([, bytes]) => marked(bytes).slice(0, 4)),
      );
      // The form driver names the fields that it found; there are none here.
      assert.doesNotMatch(lines.join('').replaceAll(/and \\"[^"]{0,62}\\": check the webmail URL/g, ''), /MARKER/);
      assert.doesNotMatch(audited.replaceAll(/and \\"[^"]{0,62}\\": check the webmail URL/g, ''), /MARKER/);
    });
  }

  const long = `${marker}\r\n\0${marker}`.repeat(500);
  const login =
    '<form action="?_task=login"><input name="_user"><input name="_pass"><input name="_token" value="t"></form>';
  /** Parts of an answer that an operator needs to see, and the driver that reports them. */
  const needed: readonly (readonly [what: string, name: DriverName, settings: object, answers: readonly string[]])[] = [
    [
      'the warning of Roundcube',
      'roundcube',
      {},
      [
        page(login),
        page(`<script>rcmail.display_message(${JSON.stringify(long)},"warning",0)</script>`).replace('200', '404'),
      ],
    ],
    [
      'where Roundcube leads',
      'roundcube',
      {},
      [moved(`/x?a=${marker}&token=SECRET-f00dSECRET-f00d&b=${'x'.repeat(9000)}`)],
    ],
    ['the notice of Horde', 'horde', {}, [page(`<div class="noticetext">${marker}\u0001${'x'.repeat(150)}`)]],
    ['the fields of a form', 'form', form, [page(`<form><input name="${marker}\u0001${'x'.repeat(5000)}"></form>`)]],
    ['where a form leads', 'form', form, [moved(`/${marker}?token=SECRET-f00dSECRET-f00d&b=${'x'.repeat(9000)}`)]],
    ['the type of what SOGo sent', 'sogo', {}, [page('').replace('text/html', `text/${marker}${'x'.repeat(5000)}`)]],
    [
      'the word of the plugin',
      'roundcube',
      { entry_key: new Secret('k'.repeat(32)) },
      [page('', `X-Postern-Refused: ${marker}${'x'.repeat(5000)}\r\n`)],
    ],
  ];
  for (const [what, driverName, settings, variants] of needed) {
    it(`has that in it, short and printable, and nothing beside it: ${what}`, async () => {
      // A backend counts its connections from one.
      const inOrder = [variants.at(-1) ?? '', ...variants.slice(0, -1)];
      const { lines, audited } = await signInsAt(driverName, settings, inOrder);
      const [first = ''] = lines.filter((line) => line.includes('"event":"login"'));
      assert.match(first, /MARKER-f00d/);
      for (const text of [...lines.map((line) => line.replace(/"stack":"[^"]*"/g, '')), audited]) {
        assert.doesNotMatch(text, /SECRET|x{130}|\\u0001|\\r/);
        assert.ok((text.match(/MARKER/g)?.length ?? 0) < 40, text);
      }
    });
  }
});

describe('an IMAP server that is asked for a password', () => {
  const echoes = [
    password,
    Buffer.from(`\0${user}\0${password}`).toString('base64'),
    Buffer.from(password).toString('base64'),
  ];
  const open = { user, master: { user: 'postern', password: new Secret(password), separator: '*' } };
  for (const [command, capabilities] of commands) {
    it(`has its words in "said" of a refusal alone, short, and never with the password: ${command}`, async () => {
      const { log, lines } = keptLog();
      const audit = auditForTests();
      for (const { bytes, closes } of answers) {
        for (const echo of [undefined, echoes.join(' ')]) {
          const words = `${marker} ${echo ?? ''} ${'w'.repeat(600)}`;
          await using server = await ScriptedImap.start({
            ...serverThat(capabilities, {
              bytes: (tag) => bytes(tag).replace(/\r\n$/, ` ${words}\r\n`),
              ...(closes === undefined ? {} : { closes }),
            }),
            greeting: `* OK ${marker}`,
          });
          const heard: ServerWords[] = [];
          const context = {
            client,
            reference: 'ref-1',
            limits: { ...backendLimits, imapAuthMs: 400 },
            heard: (said: ServerWords) => void heard.push(said),
          };
          const host = hostAt(server.port);
          const asked = createImapPassdb().verify({ user, password: new Secret(password) }, host, context, going);
          const error = await asked.then(
            () => undefined,
            (failure: unknown) => failure,
          );
          await tell(error, log, audit, heard[0]);
          if (echo !== undefined || !capabilities.includes('AUTH=PLAIN')) continue;
          const opened = createImapMailboxes().open({ ...open, host, context }, going);
          await tell(
            await opened.then(
              (answer) => new Error(answer.kind),
              (failure: unknown) => failure,
            ),
            log,
            audit,
          );
        }
      }
      const all = `${lines.join('')}${JSON.stringify(audit.lines)}`;
      for (const echo of echoes) assert.ok(!all.includes(echo), echo);
      const texts = lines.flatMap(
        (line) => /"said":\{(?:"code":"[^"]{1,40}",?)?(?:"text":"((?:[^"\\]|\\.)*)")?\}/.exec(line)?.[1] ?? [],
      );
      assert.ok(texts.some((text) => text.includes(marker)));
      for (const text of texts) assert.ok(text.length <= 210, text);
      assert.doesNotMatch(all.replaceAll(/"said":\{[^}]*\}/g, ''), /MARKER/);
    });
  }
});

const length = (size: number) => Buffer.from([0x82, size >> 8, size & 0xff]);

/** An LDAP result (RFC 4511) to the first operation of a client of ldapts, with a diagnostic message. */
function ldapResult(application: number, code: number, text: string): Buffer {
  const message = Buffer.from(text);
  const body = Buffer.concat([Buffer.from([0x0a, 1, code, 0x04, 0, 0x04]), length(message.length), message]);
  const operation = Buffer.concat([Buffer.from([2, 1, 2, application]), length(body.length), body]);
  return Buffer.concat([Buffer.from([0x30]), length(operation.length), operation]);
}

function postgresError(text: string): Buffer {
  const fields = Buffer.from(`SFATAL\0C28000\0M${text}\0\0`);
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeUInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}

function mysqlError(text: string): Buffer {
  const body = Buffer.concat([Buffer.from([0xff, 0x10, 0x04]), Buffer.from(`#08004${text}`)]);
  return Buffer.concat([Buffer.from([body.length & 0xff, body.length >> 8, 0, 0]), body]);
}

interface Spoken {
  readonly source: (port: number) => { readonly type: string };
  readonly replies: readonly (string | Buffer)[];
  /** Whether the server speaks first. */
  readonly greets?: true;
  /** Whether the server leaves it to the client to hang up. */
  readonly stays?: true;
}

const http = [...hostileAnswers, ...refusedHeads].flatMap(([, bytes]) => marked(bytes).slice(0, 2));
const netstring = (text: string) => `${text.length}:${text},`;
const db = { database: 'd', user: 'u', password, query: 'select backend from homes where login = %u', tls: 'none' };

/** Sources whose servers explain a failure in words that no operator needs. */
const silent: Readonly<Record<string, Spoken>> = {
  http: { source: (port) => ({ type: 'http', url: `http://127.0.0.1:${port}/%u` }), replies: http },
  auth_http: {
    source: (port) => ({ type: 'http', protocol: 'auth_http', url: `http://127.0.0.1:${port}/` }),
    replies: [...http, `HTTP/1.1 200 OK\r\nAuth-Status: ${marker}\r\nContent-Length: 0\r\n\r\n`],
  },
  doveadm: {
    source: (port) => ({ type: 'doveadm', url: `http://127.0.0.1:${port}/doveadm/v1`, api_key: password }),
    replies: [
      ...http,
      ...[`[["error",{"type":"${marker}"},"t"]]`, `[["doveadmResponse",["${marker}"],"t"]]`, marker].map(
        (body) => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      ),
    ],
  },
  socketmap: {
    source: (port) => ({ type: 'socketmap', server: `127.0.0.1:${port}`, map: 'homes' }),
    replies: [
      ...['TEMP', 'TIMEOUT', 'PERM', 'EVIL', ''].map((word) => netstring(`${word} ${marker}`)),
      marker,
      `5:${marker}`,
    ],
  },
  tcp_table: {
    source: (port) => ({ type: 'tcp_table', server: `127.0.0.1:${port}` }),
    replies: [`400 ${marker}\n`, `999 ${marker}\n`, `${marker}\n`, `500 x\n${marker}\n`],
  },
  mupdate: {
    source: (port) => ({
      type: 'mupdate',
      mode: 'find',
      servers: `127.0.0.1:${port}`,
      user: 'u',
      password,
      tls: 'none',
    }),
    replies: [
      `* BYE "${marker}"\r\n`,
      `* OK MUPDATE "${marker}"\r\nP1 NO "${marker}"\r\n`,
      `${marker}\r\n`,
      `* OK "${marker}\r\n`,
    ],
    greets: true,
  },
};

/** Sources whose words an operator needs: a table is missing, a bind is refused. */
const telling: Readonly<Record<string, Spoken>> = {
  ldap: {
    source: (port) => ({
      type: 'ldap',
      servers: `ldap://127.0.0.1:${port}`,
      base: 'dc=x',
      filter: '(mail=%u)',
      backend_attribute: 'b',
      tls: 'none',
      bind_dn: 'cn=x',
      bind_password: password,
    }),
    stays: true,
    replies: [49, 1, 53].map((code) => ldapResult(0x61, code, `${marker}\u0001${'x'.repeat(5000)}`)),
  },
  postgresql: {
    source: (port) => ({ type: 'postgresql', servers: `127.0.0.1:${port}`, ...db }),
    replies: [postgresError(`${marker}\u0001${'x'.repeat(5000)}`)],
  },
  mysql: {
    source: (port) => ({ type: 'mysql', servers: `127.0.0.1:${port}`, ...db }),
    replies: [mysqlError(`${marker}\u0001${'x'.repeat(5000)}`)],
    greets: true,
  },
};

/** The log of lookups at a server that answers so, and what other proxies are told. */
async function lookUps({ source, replies, greets, stays }: Spoken) {
  const { log, lines } = keptLog();
  const told: string[] = [];
  for (const reply of replies) {
    await using server = await startServer((socket) => {
      const speak = () => (stays === true ? socket.write(reply) : socket.end(reply));
      if (greets === true) speak();
      else socket.once('data', speak);
    });
    await using directory = await testDirectory([source(server.port)], {
      log,
      timeouts: { sourceMs: 400, lookupMs: 800 },
    });
    told.push(await outcomeOf(directory, 'alice'));
    const service = createDirectoryService({
      routeMail: async (_typed, signal) => {
        await directory.lookup(parsed, signal);
        return { kind: 'unknown-user' };
      },
      addresses: { of: async (name) => name },
      settings: () => ({ ports: { imap: 143, pop3: 110, smtp: 587, submission: 587, lmtp: 24, sieve: 4190 } }),
      isAllowed: () => true,
      observe: () => {},
      log,
    });
    const port = await listening(service);
    told.push(await (await fetch(`http://127.0.0.1:${port}/lookup?user=alice`)).text());
    service.closeAllConnections();
    service.close();
  }
  return { lines, told };
}

const parsed = loginName('alice');

describe('a server of the directory', () => {
  for (const [name, spoken] of Object.entries(silent)) {
    it(`has none of its words in the log: ${name}`, async () => {
      const { lines, told } = await lookUps(spoken);
      assert.ok(told.some((outcome) => outcome.startsWith('ERR_')));
      assert.doesNotMatch(`${lines.join('')}${told.join('')}`, /MARKER|pa55-word/);
    });
  }

  for (const [name, spoken] of Object.entries(telling)) {
    it(`has its words in the log, short and printable: ${name}`, async () => {
      const { lines, told } = await lookUps(spoken);
      const all = lines.map((line) => line.replace(/"stack":"[^"]*"/g, '')).join('');
      assert.match(all, /MARKER/);
      assert.doesNotMatch(all, /x{210}|\\u0001|pa55-word/);
      assert.doesNotMatch(told.join(''), /MARKER/);
    });
  }
});

describe('a Redis that refuses', () => {
  const refusals: readonly (readonly [what: string, said: string])[] = [
    ['with many words', `-ERR ${marker}${'x'.repeat(5000)}`],
    // Servers before 6.0 give this answer to HELLO 3 AUTH user password.
    [
      'what it does not know, and repeats it',
      `-ERR unknown command \`HELLO\`, with args beginning with: \`3\`, \`AUTH\`, \`postern\`, \`${password}\`, `,
    ],
  ];
  for (const [what, said] of refusals) {
    it(`has few words in the log, and no password: ${what}`, async () => {
      const { log, lines } = keptLog();
      await using server = await startServer((socket) => {
        socket.on('data', (bytes: Buffer) => {
          for (const _ of bytes.toString().matchAll(/\*\d+\r\n/g)) socket.write(`${said}\r\n`);
        });
      });
      const settings = { url: `redis://postern@127.0.0.1:${server.port}/0`, password: new Secret(password) };
      const connection = createRedisConnection({ settings, log });
      await connection.open(going);
      const failed = await connection.run((redis) => redis.get('x')).catch((error: unknown) => error);
      connection.close();
      assert.ok(failed instanceof PosternError);
      log.error('directory-file-broken', { why: failed.message });
      log.error('api-failed', { err: failed });
      const all = lines.join('');
      assert.match(all, /"event":"redis-refused"/);
      assert.doesNotMatch(all, /pa55-word|x{210}/);
    });
  }
});
