import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { buildDirectory } from '../../src/gateway.ts';
import { filesOf } from '../config/config.fixture.ts';
import { makeCertificate } from '../passdb/certificates.fixture.ts';
import { ScriptedImap, type Turn } from '../passdb/scripted-imap.fixture.ts';
import { listening } from '../ports.fixture.ts';
import { startRedisServer } from '../redis-server.fixture.ts';
import { gatewayWith, run } from './cli.fixture.ts';

const certificate = makeCertificate('IP:127.0.0.1');
const greeting = '* OK [CAPABILITY IMAP4rev1] ready.';

interface Row {
  readonly server: string;
  readonly result: string;
  readonly note: string;
}

function withDriver(line: string): string {
  return line.includes('driver: ') ? line : `${line}, driver: none`;
}

function withoutTime(note: string): string {
  return note.replace(/ in \d+ ms\)/, ')');
}

/** Runs `check --online` over backends `b1: …` and returns its exit code and what it says of each server. */
async function dial(t: TestContext, backends: readonly string[], more = '', source = 'type: static, backend: b1') {
  const lines = backends.map((line, index) => `  b${index + 1}: { ${withDriver(line)} }\n`).join('');
  const text = `public_url: https://mail.test\ndirectory: { sources: [{ ${source} }] }\nbackends:\n${lines}${more}`;
  const directory = filesOf(t, {
    'postern.yaml': text,
    'ca.crt': certificate.cert,
    'header.secret': 'one that only the webmail knows'.replaceAll(' ', '-'),
  });
  const { code, out, err } = await run(
    ['check', '--online', '--format', 'json', '-c', join(directory, 'postern.yaml')],
    { loadGateway: gatewayWith({ buildDirectory }) },
  );
  assert.equal(err, '');
  const { servers }: { servers: readonly Row[] } = JSON.parse(out);
  const [asked, ...rows] = servers.map(({ server, result, note }) => [server, result, withoutTime(note)]);
  return { code, directory: asked, rows };
}

async function startImap(t: TestContext, script: Parameters<typeof ScriptedImap.start>[0]): Promise<ScriptedImap> {
  const server = await ScriptedImap.start(script);
  t.after(() => server[Symbol.asyncDispose]());
  return server;
}

/** A webmail that answers with one status, and remembers the heads that it was sent. */
async function startWebmail(t: TestContext, status: number) {
  const heads: http.IncomingMessage[] = [];
  const server = http.createServer((request, response) => {
    heads.push(request);
    response.writeHead(status).end('page');
  });
  const origin = await listen(t, server);
  return { origin, heads };
}

async function listen(t: TestContext, server: net.Server): Promise<string> {
  const port = await listening(server);
  t.after(() => server.close());
  return `http://127.0.0.1:${port}`;
}

function startTls(turn: Turn): void {
  if (turn.command !== 'STARTTLS') return;
  turn.say(`${turn.tag} OK go ahead`);
  turn.upgrade(certificate);
}

test('servers that answer are ok, over TLS and STARTTLS, and are asked as the gateway asks', async (t) => {
  const tls = await startImap(t, { greeting, certificate, answer: (turn) => turn.say('* BYE', `${turn.tag} OK`) });
  const plain = await startImap(t, { greeting, answer: startTls });
  const webmail = await startWebmail(t, 302);
  const { code, rows } = await dial(t, [
    `imap: imaps://127.0.0.1:${tls.port}, webmail: ${webmail.origin}/mail/?x, tls_ca_file: ca.crt`,
    `imap: imap://127.0.0.1:${plain.port}, webmail: ${webmail.origin}/, tls_ca_file: ca.crt`,
  ]);
  assert.deepEqual(rows, [
    ['b1 imap', 'ok', 'ready.'],
    ['b1 webmail', 'ok', 'answers 302; each check requests /mail/favicon.ico (1 KB)'],
    ['b2 imap', 'ok', 'ready.'],
    ['b2 webmail', 'ok', 'answers 302; each check requests /favicon.ico (1 KB)'],
  ]);
  assert.equal(code, 0);
  assert.deepEqual(tls.lines, ['x LOGOUT']);
  assert.deepEqual(plain.lines, ['x STARTTLS']);
  const seen = webmail.heads.map(({ method, url, headers }) => [method, url, headers.host]);
  assert.deepEqual(
    new Set(seen.map(String)),
    new Set(['/', '/favicon.ico', '/mail/?x', '/mail/favicon.ico'].map((url) => `GET,${url},mail.test`)),
  );
});

test('servers that fail are told apart, with what to do, and the command ends with 1', async (t) => {
  const tls = await startImap(t, { greeting, certificate });
  const noTls = await startImap(t, { greeting, answer: (turn) => turn.say(`${turn.tag} BAD unknown command`) });
  const strange = await startImap(t, { greeting: '220 mail ESMTP', answer: (turn) => turn.say('x 500 what?') });
  const broken = await startWebmail(t, 502);
  const elsewhere = await startWebmail(t, 404);
  const gone = net.createServer();
  const closed = await listen(t, gone);
  gone.close();
  const { code, rows } = await dial(t, [
    `imap: imaps://127.0.0.1:${tls.port}, webmail: ${broken.origin}`,
    `imap: imap://127.0.0.1:${noTls.port}, webmail: ${elsewhere.origin}`,
    `imap: imap://127.0.0.1:${strange.port}, webmail: ${closed}`,
    `imap: { url: imaps://127.0.0.1:${tls.port}, tls_ca_file: ca.crt, tls_server_name: mx.test }, webmail: ${elsewhere.origin}/x`,
    `imap: imaps://127.0.0.1:${noTls.port}, webmail: ${elsewhere.origin.replace('http:', 'https:')}`,
  ]);
  const noTlsThere =
    'the server does not speak TLS on this port: is the port right, or did you mean imap:// or ldap:// (STARTTLS), http:// or redis://?';
  const is404 = 'answers 404: is this the right path, and does the webmail accept the public host name?';
  assert.deepEqual(rows, [
    ['b1 imap', 'failed', 'the certificate is from an unknown authority: set tls_ca_file'],
    ['b1 webmail', 'failed', "answers 502: look at the webmail's own log"],
    ['b2 imap', 'failed', 'the server refuses STARTTLS: x BAD unknown command'],
    ['b2 webmail', 'warning', is404],
    ['b3 imap', 'failed', 'no IMAP greeting: 220 mail ESMTP'],
    ['b3 webmail', 'failed', 'connection refused: nothing listens there'],
    [
      'b4 imap',
      'failed',
      "the certificate is for another name: use that name in the address, or set tls_server_name on a backend (Hostname/IP does not match certificate's altnames: Host: mx.test. is not cert's CN: postern test)",
    ],
    ['b4 webmail', 'warning', is404],
    ['b5 imap', 'failed', noTlsThere],
    ['b5 webmail', 'failed', noTlsThere],
  ]);
  assert.equal(code, 1);
});

test('a directory whose file is missing, or whose server is away, fails; the servers are dialled all the same', async (t) => {
  const imap = await startImap(t, { greeting, answer: startTls });
  const webmail = await startWebmail(t, 200);
  const backend = `imap: imap://127.0.0.1:${imap.port}, webmail: ${webmail.origin}, tls_ca_file: ca.crt`;
  const gone = net.createServer();
  const closed = new URL(await listen(t, gone)).host;
  gone.close();
  const cases: readonly (readonly [source: string, code: number, result: string, note: RegExp])[] = [
    ['type: static, backend: b1', 0, 'ok', /^answers$/],
    [
      'type: map, file: nowhere.map',
      1,
      'failed',
      /^directory source 1 map: there is no file .*nowhere\.map: create it/,
    ],
    [`type: tcp_table, server: "${closed}"`, 1, 'failed', /cannot be reached/],
  ];
  for (const [source, expected, result, note] of cases) {
    const { code, directory, rows } = await dial(t, [backend], '', source);
    assert.deepEqual(directory?.slice(0, 2), ['directory', result]);
    assert.match(directory?.[2] ?? '', note);
    assert.deepEqual([code, rows.length], [expected, 2]);
  }
});

test('servers that never answer are given up together, each after its own time', async (t) => {
  const silent = await startImap(t, {});
  const webmail = await startWebmail(t, 200);
  const backends = Array.from(
    { length: 5 },
    (_, index) => `imap: imap://127.0.0.1:${silent.port}, webmail: ${webmail.origin}/${index}`,
  );
  const timeouts = 'backend_defaults: { timeouts: { imap_connect: 100ms, imap_greeting: 100ms } }\n';
  const { rows } = await dial(t, backends, timeouts);
  assert.deepEqual(
    rows.filter(([server]) => server?.endsWith('imap')),
    [1, 2, 3, 4, 5].map((n) => [`b${n} imap`, 'failed', 'no answer in time']),
  );
  await silent.abandoned();
});

test('a policy server that answers is ok, one that answers otherwise fails', async (t) => {
  const server = http.createServer((request, response) => {
    const isPolicy = request.url === '/?command=allow' && request.method === 'POST';
    response.end(isPolicy ? '{"status":-1,"msg":"nobody knows you"}' : 'no');
  });
  const origin = await listen(t, server);
  const policy = (path: string) =>
    `login: { policy: { url: "${origin}${path}", hash_nonce: { file: header.secret } } }\n`;
  const away = ['imap: imaps://127.0.0.1:1, webmail: http://127.0.0.1:1/'];
  const ok = await dial(t, away, policy('/'));
  assert.deepEqual(ok.rows.at(-1), ['policy server', 'ok', 'answers with status -1 (nobody knows you)']);
  const failed = await dial(t, away, policy('/elsewhere'));
  const [name, result, note] = failed.rows.at(-1) ?? [];
  assert.deepEqual([name, result], ['policy server', 'failed']);
  assert.match(String(note), /its answer is not JSON/);
});

test('a Redis that may forget is warned of, one that keeps is ok, one that is away fails', async (t) => {
  await using redis = await startRedisServer();
  const imap = await startImap(t, { greeting, answer: startTls });
  const webmail = await startWebmail(t, 200);
  const backend = `imap: imap://127.0.0.1:${imap.port}, webmail: ${webmail.origin}, tls_ca_file: ca.crt`;
  const sessions = `sessions: { redis: ${redis.url} }\n`;
  const { createClient } = await import('redis');
  const client = createClient({ url: redis.url });
  await client.connect();

  await client.configSet('appendonly', 'no');
  await client.configSet('maxmemory-policy', 'allkeys-lru');
  const forgetful = await dial(t, [backend], sessions);
  assert.deepEqual(forgetful.rows[0], [
    'redis',
    'warning',
    'appendonly is no: a restart of Redis signs everybody out and loses states and moves; maxmemory-policy is allkeys-lru: sessions, states and moves are lost when memory runs short; set noeviction',
  ]);
  assert.equal(forgetful.code, 0);

  const ownState = `${sessions}state: { redis: ${redis.url} }\n`;
  assert.deepEqual(
    (await dial(t, [backend], ownState)).rows
      .slice(0, 2)
      .map(([server = '', , note = '']) => [server, note.split(';')[0]]),
    [
      ['redis', 'appendonly is no: a restart of Redis signs everybody out'],
      ['state redis', 'appendonly is no: a restart of Redis loses states and moves'],
    ],
  );
  await client.configSet('appendonly', 'yes');
  await client.configSet('maxmemory-policy', 'noeviction');
  assert.deepEqual((await dial(t, [backend], sessions)).rows[0], ['redis', 'ok', '']);

  client.destroy();
  await redis.kill();
  const away = await dial(t, [backend], sessions);
  assert.equal(away.rows[0]?.[1], 'failed');
  assert.match(away.rows[0]?.[2] ?? '', /^connection refused|^the connection was reset/);
  assert.equal(away.code, 1);
});

test('what a check of a webmail costs is said, and warned of where it is a page or begins a session', async (t) => {
  const imap = await startImap(t, { greeting, certificate, answer: (turn) => turn.say('* BYE', `${turn.tag} OK`) });
  const server = http.createServer((request, response) => {
    if (request.url === '/session/favicon.ico') response.setHeader('Set-Cookie', 'session=1');
    response.end(request.url?.startsWith('/page/') === true ? 'x'.repeat(643_000) : 'small');
  });
  const origin = await listen(t, server);
  const at = (path: string) => `imap: imaps://127.0.0.1:${imap.port}, webmail: ${origin}/${path}/, tls_ca_file: ca.crt`;
  const { rows } = await dial(t, [
    at('page'),
    at('session'),
    `${at('page/in')}, health: { path: /robots.txt }`,
    at('file'),
    ...drivers.map(([settings], index) => `${at(`file/${index}`)}, ${settings}`),
  ]);
  const notes = rows.filter(([server]) => server?.endsWith('webmail')).map(([, result, note]) => `${result}: ${note}`);
  const instead = 'name a small file in health: { path }';
  assert.deepEqual(notes, [
    `warning: answers 200; each check requests /page/favicon.ico, which is not a small file (628 KB): ${instead}`,
    `warning: answers 200; each check requests /session/favicon.ico, which sets a cookie (1 KB): ${instead}`,
    'ok: answers 200; each check requests /robots.txt (1 KB)',
    'ok: answers 200; each check requests /file/favicon.ico (1 KB)',
    ...drivers.map(([, name], index) => `ok: answers 200; each check requests /file/${index}/${name} (1 KB)`),
  ]);
});

/** Each driver, and what its checks ask for beside the landing page. */
const drivers: readonly (readonly [settings: string, name: string])[] = [
  ['driver: roundcube', 'favicon.ico'],
  ['driver: sogo', 'favicon.ico'],
  ['driver: horde', 'themes/default/graphics/favicon.ico'],
  [
    'driver: form, form: { user_field: u, password_field: p, success: { status: 302 }, failure: { status: 200 } }',
    'favicon.ico',
  ],
  ['driver: basic', 'favicon.ico'],
  ['driver: header, header: { user_field: X-User, secret: { file: header.secret } }', 'favicon.ico'],
];
