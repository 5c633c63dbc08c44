import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import type { BasicPath } from '../../src/core/backend.ts';
import type { BasicAuthentication } from '../../src/core/passdb.ts';
import type { WebmailDriver } from '../../src/core/webmail.ts';
import { backendA, hostA } from '../login/login.fixture.ts';
import { canonicalUser } from '../login/named.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { connects, startProgram } from '../programs.ts';
import { ask, get, request, startGate, startRecordingBackend } from '../proxy/gate.fixture.ts';
import { readFieldInput } from './input.fixture.ts';

const navigation = ['Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document'];
const script = ['Sec-Fetch-Mode: cors', 'Sec-Fetch-Dest: empty'];
const html = 'text/html; charset=utf-8';
const kept = 'private, no-store';

/** Cases of caching: the webmail's type and Cache-Control, the request, and the Cache-Control that the browser gets. */
const cachings: readonly (readonly [
  type: string,
  said: string | undefined,
  how: string[],
  arrives: string | undefined,
])[] = [
  [html, undefined, navigation, kept],
  [html, undefined, script, kept],
  ['application/xhtml+xml', undefined, navigation, kept],
  [html, 'no-cache', navigation, kept],
  [html, 'private', navigation, kept],
  [html, 'private, max-age=0', navigation, kept],
  [html, 'no-store', navigation, 'no-store'],
  [html, 'private, max-age=60', navigation, 'private, max-age=60'],
  [html, 'public', navigation, 'public'],
  ['text/plain', undefined, navigation, kept],
  ['application/pdf', undefined, navigation, kept],
  ['application/pdf', 'private', navigation, 'private'],
  ['text/css', undefined, script, undefined],
  ['application/json', undefined, script, undefined],
  ['image/png', 'max-age=3600', script, 'max-age=3600'],
];

describe('a page of a webmail', () => {
  for (const [type, said, how, arrives] of cachings) {
    const caching = said === undefined ? 'without a word on caching' : `with ${said}`;
    it(`of ${type} ${caching}, asked for by ${how === script ? 'a script' : 'a tab'}, arrives with ${arrives ?? 'none'}`, async () => {
      await using backend = await startRecordingBackend((_request, response) => {
        response.setHeader('Content-Type', type);
        if (said !== undefined) response.setHeader('Cache-Control', said);
        response.end('ok');
      });
      await using gate = await startGate({ backendPort: backend.port });
      const answer = await ask(gate.port, get('/mail', ...how));
      const found = [...answer.matchAll(/\r\ncache-control: ([^\r]*)/gi)].map(([, value]) => value);
      assert.deepEqual(found, arrives === undefined ? [] : [arrives]);
    });
  }
});

describe('a page that hides its origin', () => {
  const sent: readonly (readonly [name: string, lines: readonly string[], status: number])[] = [
    ['null, and the browser says same-origin', ['Origin: null', 'Sec-Fetch-Site: same-origin'], 200],
    ['null, and the browser says same-site', ['Origin: null', 'Sec-Fetch-Site: same-site'], 403],
    ['null, and the browser says cross-site', ['Origin: null', 'Sec-Fetch-Site: cross-site'], 403],
    ['null, and the browser says none', ['Origin: null', 'Sec-Fetch-Site: none'], 403],
    ['null, and the browser says nothing', ['Origin: null'], 403],
    ['null twice', ['Origin: null', 'Origin: null', 'Sec-Fetch-Site: same-origin'], 403],
    ['another, and the browser says same-origin', ['Origin: https://evil.test', 'Sec-Fetch-Site: same-origin'], 403],
  ];
  for (const [name, lines, status] of sent) {
    it(`is ${status === 200 ? 'ours' : 'refused'}: ${name}`, async () => {
      await using backend = await startRecordingBackend();
      await using gate = await startGate({ backendPort: backend.port, driver: { checksNoTokens: true } });
      const bytes = request('POST', '/mail/compose', ['Cookie: postern=alice', ...lines, 'Content-Length: 3'], 'a=b');
      assert.match(await ask(gate.port, bytes), new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.equal(backend.seen.length, status === 200 ? 1 : 0);
    });
  }

  it('is ours as it was sent', async () => {
    const input = (await readFieldInput('H11-origin-null.http')).toString('latin1');
    await using backend = await startRecordingBackend();
    await using gate = await startGate({
      backendPort: backend.port,
      driver: { checksNoTokens: true },
      publicOrigin: 'https://mail.example.test',
      trustedProxies: ['127.0.0.1'],
    });
    const bytes = input.replace(/__Host-postern=<[^>]*>/, 'postern=alice');
    assert.match(await ask(gate.port, bytes), /^HTTP\/1\.1 200 /);
    assert.equal(backend.seen[0]?.body, 'a=b');
  });
});

/** A gateway whose clients are all alice, with `/dav` at this port. */
function davGate(port: number, origin = 'https://mail.example.test') {
  const paths: readonly BasicPath[] = [{ prefix: '/dav' }];
  const webmail = { origin: `http://127.0.0.1:${port}`, landing: '/', trust: {} };
  const driver: WebmailDriver = {
    ownsCookie: () => false,
    masterEntry: { kind: 'own-account' },
    signIn: () => Promise.reject(new Error('not in this test')),
    signOut: () => Promise.resolve(),
    judge: () => 'alive',
  };
  const authentication: BasicAuthentication = {
    admit: async () => ({
      kind: 'admitted',
      user: canonicalUser('alice@example.test'),
      backend: { ...backendA, basicPaths: paths },
      host: { ...hostA, webmail },
      driver,
    }),
    isStillAt: async () => true,
    distrust() {},
  };
  const clients = { paths, authentication };
  return startGate({ backendPort: port, publicOrigin: origin, trustedProxies: ['127.0.0.1'], clients });
}

describe('a MOVE that names where to', () => {
  const secure = 'https://mail.example.test';
  const cases: readonly (readonly [origin: string, destination: string, arrives: string])[] = [
    [secure, `${secure}/dav/b.txt`, 'http://mail.example.test:443/dav/b.txt'],
    [secure, `${secure}:443/dav/b%2f.txt`, 'http://mail.example.test:443/dav/b%2f.txt'],
    [secure, 'HTTPS://MAIL.example.test/dav/b', 'http://mail.example.test:443/dav/b'],
    [secure, '/dav/b.txt', '/dav/b.txt'],
    [secure, 'https://elsewhere.test/dav/b', 'https://elsewhere.test/dav/b'],
    [secure, `${secure}.evil.test/dav/b`, `${secure}.evil.test/dav/b`],
    [secure, `${secure}@evil.test/dav/b`, `${secure}@evil.test/dav/b`],
    [secure, 'http://mail.example.test/dav/b', 'http://mail.example.test/dav/b'],
    ['https://mail.example.test:8443', `${secure}:8443/dav/b`, 'http://mail.example.test:8443/dav/b'],
    ['http://mail.example.test', 'http://mail.example.test/dav/b', 'http://mail.example.test/dav/b'],
  ];
  for (const [origin, destination, arrives] of cases) {
    it(`from ${origin} to ${destination}`, async () => {
      await using backend = await startRecordingBackend();
      await using gate = await davGate(backend.port, origin);
      const { host, protocol } = new URL(origin);
      const lines = [
        `Host: ${host}`,
        `X-Forwarded-Proto: ${protocol.slice(0, -1)}`,
        'Authorization: Basic YTpi',
        `Destination: ${destination}`,
        'Content-Length: 0',
      ];
      await ask(gate.port, `MOVE /dav/a.txt HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
      const fields = backend.seen[0]?.fields ?? [];
      assert.equal(fields[fields.indexOf('Destination') + 1], arrives);
    });
  }

  const conditions: readonly (readonly [condition: string, arrives: string])[] = [
    ['<https://mail.example.test/dav/a> (<urn:uuid:1>)', '<http://mail.example.test:443/dav/a> (<urn:uuid:1>)'],
    [
      '<https://mail.example.test/a> (["x)"] <https://mail.example.test/token>) <HTTPS://mail.example.test:443/b%2f> (Not <urn:uuid:2>)',
      '<http://mail.example.test:443/a> (["x)"] <https://mail.example.test/token>) <http://mail.example.test:443/b%2f> (Not <urn:uuid:2>)',
    ],
    ['(<https://mail.example.test/token>)', '(<https://mail.example.test/token>)'],
    ['</dav/a> (<urn:uuid:1>)', '</dav/a> (<urn:uuid:1>)'],
    ['<https://elsewhere.test/dav/a> (<urn:uuid:1>)', '<https://elsewhere.test/dav/a> (<urn:uuid:1>)'],
    ['<https://mail.example.test/dav/a', '<https://mail.example.test/dav/a'],
    ['(["x) <https://mail.example.test/dav/a>', '(["x) <https://mail.example.test/dav/a>'],
  ];
  for (const [condition, arrives] of conditions) {
    it(`under the condition ${condition}`, async () => {
      await using backend = await startRecordingBackend();
      await using gate = await davGate(backend.port, secure);
      const lines = ['Host: mail.example.test', 'X-Forwarded-Proto: https', 'Authorization: Basic YTpi'];
      await ask(gate.port, `DELETE /dav/a HTTP/1.1\r\n${lines.join('\r\n')}\r\nIf: ${condition}\r\n\r\n`);
      const fields = backend.seen[0]?.fields ?? [];
      assert.equal(fields[fields.indexOf('If') + 1], arrives);
    });
  }

  // With a lookbehind at each bracket each of these bodies blocks the gateway for a second.
  for (const unclosed of ['(', '("', '<http://', '("a"']) {
    it(`under 15 KB of ${unclosed} that are never closed, at once`, { timeout: 5_000 }, async () => {
      await using backend = await startRecordingBackend();
      await using gate = await davGate(backend.port, secure);
      const condition = unclosed.repeat(15_000 / unclosed.length);
      const lines = ['Host: mail.example.test', 'X-Forwarded-Proto: https', 'Authorization: Basic YTpi'];
      for (let count = 0; count < 16; count += 1) {
        await ask(gate.port, `DELETE /dav/a HTTP/1.1\r\n${lines.join('\r\n')}\r\nIf: ${condition}\r\n\r\n`);
      }
      const fields = backend.seen.at(-1)?.fields ?? [];
      assert.equal(fields[fields.indexOf('If') + 1], condition);
    });
  }

  it('is done by mod_dav behind a gateway that is spoken to by https', async () => {
    await using files = await startModDav({ 'dav/alice/a.txt': 'a letter' });
    await using gate = await davGate(files.port);
    const input = (await readFieldInput('H5-move.http')).toString('latin1');
    assert.match(await ask(gate.port, input), /^HTTP\/1\.1 201 [^]*\r\nLocation: https:\/\/mail\.example\.test\/dav/);
    assert.equal(await files.read('dav/alice/b.txt'), 'a letter');
  });
});

/** An Apache that serves these files by mod_dav, on a port of its own. */
async function startModDav(contents: Readonly<Record<string, string>>) {
  await using opened = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'postern-dav-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  // Apache started by root drops its privileges.
  await chmod(folder, 0o777);
  for (const [name, content] of Object.entries(contents)) {
    const file = join(folder, 'files', name);
    await mkdir(dirname(file), { recursive: true });
    await chmod(dirname(file), 0o777);
    await writeFile(file, content, { mode: 0o666 });
  }
  const port = await freePort();
  const config = join(folder, 'apache.conf');
  const modules = ['mpm_event', 'authz_core', 'dav', 'dav_fs'];
  await writeFile(
    config,
    `ServerName lab.test
Listen 127.0.0.1:${port}
${modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join('\n')}
User www-data
Group www-data
ErrorLog ${folder}/error.log
PidFile ${folder}/apache.pid
DavLockDB ${folder}/locks
DocumentRoot ${folder}/files
<Directory ${folder}/files>
  Dav On
</Directory>
`,
  );
  opened.use(
    await startProgram('/usr/sbin/apache2', ['-f', config, '-D', 'FOREGROUND'], { isReady: () => connects(port) }),
  );
  const owned = opened.move();
  return {
    port,
    read: (name: string) => readFile(join(folder, 'files', name), 'utf8'),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
