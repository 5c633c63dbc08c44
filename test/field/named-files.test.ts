import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chownSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { openApiSocket } from '../../src/admin/listeners.ts';
import { appendLines } from '../../src/audit/file.ts';
import { loadConfig } from '../../src/config/load.ts';
import { ConfigInvalid } from '../../src/config/problems.ts';
import { openEmbeddedDatabase } from '../../src/core/embedded-database.ts';
import { makeFolder } from '../../src/core/named-files.ts';
import { buildDirectory } from '../../src/gateway.ts';
import { openTlsCertificates } from '../../src/proxy/tls-certificates.ts';
import { makeKeysFile, readKeysFile } from '../../src/sessions/keys-file.ts';
import { gatewayWith, run } from '../cli/cli.fixture.ts';
import { filesOf, someCertificate } from '../config/config.fixture.ts';
import { recordingLog, testDirectory } from '../directory/directory.fixture.ts';
import { spawn } from '../programs.ts';

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');

function smallest(more = '', source = '{ type: static, backend: a }'): string {
  return `public_url: http://127.0.0.1:8080
directory: { sources: [${source}] }
backends: { a: { imap: imaps://mx1.test, webmail: http://mx1.test/, driver: none } }
${more}
`;
}

/** Paths that are no readable file, by the message about them. */
const kinds = {
  fifo: /is not a regular file but a device, a pipe or a socket: name a file/,
  device: /is not a regular file but a device, a pipe or a socket: name a file/,
  socket: /is not a regular file but a device, a pipe or a socket: name a file/,
  folder: /is a directory: name a file/,
  missing: /there is no file \S+: create it, or name another/,
} as const;

async function make(kind: keyof typeof kinds, t: TestContext, file: string): Promise<void> {
  if (kind === 'folder') mkdirSync(file);
  else if (kind === 'device') symlinkSync('/dev/zero', file);
  else if (kind === 'fifo') await once(spawn('mkfifo', [file]), 'close');
  else if (kind === 'socket') {
    const server = createServer().listen(file);
    t.after(() => server.close());
    await once(server, 'listening');
  }
}

describe('what a configuration names as a file', () => {
  const places: Readonly<Record<string, string>> = {
    'a map': smallest('', '{ type: map, file: it }'),
    'a pattern file': smallest('', '{ type: regex, file: it }'),
    'a constant database': smallest('', '{ type: cdb, file: it }'),
    'an included file': smallest('include: it'),
    'a secret': smallest('operators: { token: { file: it } }'),
    'a secret of a source': smallest(
      '',
      '{ type: ldap, url: ldap://x, base: dc=x, filter: "(uid=%u)", home: h, bind: { dn: cn=x, password: { file: it } } }',
    ),
    'authorities of a backend': smallest('backend_defaults: { tls_ca_file: it }'),
    'authorities of a password check': smallest('passdb: { type: imap, tls_ca_file: it }'),
    'authorities of a source': smallest('', '{ type: http, url: https://x/%u, tls_ca_file: it }'),
    'a certificate': smallest('tls: { certificate_file: it, key_file: it }'),
    'a key': smallest('tls: { certificate_file: good, key_file: it }'),
    'the keys of the servers': smallest('sessions: { keys_file: it }'),
    'a logo': smallest('login: { branding: { logo: it.svg } }'),
    'the audit': smallest('audit: { file: it }'),
    'the embedded store': smallest('sessions: { store_file: it }'),
  };
  const made = new Set(['the keys of the servers', 'the audit', 'the embedded store']);
  for (const [place, yaml] of Object.entries(places)) {
    for (const [name, said] of Object.entries(kinds)) {
      const kind = name === 'fifo' || name === 'device' || name === 'socket' || name === 'folder' ? name : 'missing';
      if (kind === 'missing' && made.has(place)) continue;
      test(`is refused by check as ${place} where it is a ${kind}`, async (t) => {
        const folder = filesOf(t, { 'postern.yaml': yaml, good: someCertificate });
        await make(kind, t, join(folder, place === 'a logo' ? 'it.svg' : 'it'));
        const { code, out, err } = await run(['check', '-c', join(folder, 'postern.yaml')], {
          loadGateway: gatewayWith({ buildDirectory }),
        });
        assert.ok(code === 1 || code === 2, `${code}: ${out}${err}`);
        const isWritten = place === 'the audit' || place === 'the embedded store';
        assert.match(
          out + err,
          isWritten ? /it is not a regular file: choose another path in the configuration/ : said,
        );
      });
    }
  }

  test('opens nothing that would wait where serve opens it', async (t) => {
    const folder = filesOf(t, { good: someCertificate });
    const it = join(folder, 'it');
    await make('fifo', t, it);
    const pipe = /is not a regular file/;
    for (const type of ['map', 'regex', 'cdb']) await assert.rejects(testDirectory([{ type, file: it }]), pipe);
    await assert.rejects(testDirectory([{ type: 'http', url: 'https://x/%u', tls_ca_file: it }]), pipe);
    await assert.rejects(readKeysFile(it), pipe);
    const files = [{ certificateFile: join(folder, 'good'), keyFile: it }];
    const clock = { nowMs: () => 0, monotonicMs: () => 0 };
    await assert.rejects(openTlsCertificates({ files, log: recordingLog(), clock }), pipe);
    assert.throws(() => openEmbeddedDatabase(it, '', 'a store'), pipe);
    assert.match(String((await appendLines(it, ['line'])).failure), /is a pipe/);
  });

  test('includes what a pattern finds beside links that lead nowhere', async (t) => {
    const folder = filesOf(t, { 'postern.yaml': smallest('include: "*.inc"'), 'b.inc': 'backends: {}\n' });
    symlinkSync(join(folder, 'gone'), join(folder, 'a.inc'));
    await loadConfig(join(folder, 'postern.yaml'), { env: {}, checksDrivers: true });
  });

  test('may be a pipe as the main file, from the command line', async (t) => {
    const folder = filesOf(t, { text: smallest() });
    await make('fifo', t, join(folder, 'pipe'));
    const writer = spawn('sh', ['-c', 'cat "$0" >"$1"', join(folder, 'text'), join(folder, 'pipe')]);
    const config = await loadConfig(join(folder, 'pipe'), { env: {} });
    await once(writer, 'close');
    assert.equal(config.backends.size, 1);
  });
});

describe('a place where serve would write', () => {
  const cases: readonly (readonly [what: string, yaml: string, said: RegExp])[] = [
    [
      'keys below /proc',
      'sessions: { keys_file: /proc/postern/keys }',
      /keys +\S+ +failed .*nothing can be created in \/proc/,
    ],
    [
      'an audit below /sys',
      'audit: { file: /sys/postern/audit }',
      /audit +\S+ +failed .*nothing can be created in \/sys/,
    ],
    ['a store below /proc', 'sessions: { store_file: /proc/x/s }', /sessions +\S+ +failed .*created in \/proc/],
    ['a socket below /proc', 'operators: { socket: /proc/x/api }', /api socket +\S+ +failed .*created in \/proc/],
    [
      'a socket below a file',
      'operators: { socket: postern.yaml/api }',
      /api socket +\S+ +failed .*postern\.yaml is not a folder/,
    ],
    [
      'keys below a file',
      'sessions: { keys_file: postern.yaml/x/keys }',
      /keys +\S+ +failed .*there is no file|is not a folder/,
    ],
    [
      'a folder in a socket’s place',
      'operators: { socket: folder }',
      /api socket +\S+ +failed .*exists and is not a socket/,
    ],
    [
      'a file in a socket’s place',
      'operators: { socket: folder/file }',
      /api socket +\S+ +failed .*exists and is not a socket/,
    ],
    [
      'too long a socket',
      `operators: { socket: ${'x'.repeat(120)} }`,
      /api socket +\S+ +failed .*longer than 107 bytes/,
    ],
  ];
  for (const [what, yaml, said] of cases) {
    test(`is found by check where nothing can be made: ${what}`, async (t) => {
      const folder = filesOf(t, { 'postern.yaml': smallest(yaml), 'folder/file': 'mine\n' });
      const { code, out } = await run(['check', '-c', join(folder, 'postern.yaml')], {
        loadGateway: gatewayWith({ buildDirectory }),
      });
      assert.equal(code, 1, out);
      assert.match(out, said);
      assert.ok(!existsSync(join(folder, 'state')), 'check makes nothing');
    });
  }

  test('ends serve, and does not keep it busy for ever, below /proc', async () => {
    assert.throws(() => makeFolder('/proc/postern/state'), /ENOENT|EACCES/);
    await assert.rejects(makeKeysFile('/proc/postern/keys'), {
      code: 'ERR_KEYS_UNUSABLE',
      message: /^\/proc\/postern\/keys cannot be made \(E\w+\): let the user \w+ write there, or choose another path/,
    });
    await assert.rejects(
      openApiSocket('/proc/postern/api', { mode: 0o600 }, async () => {}),
      { code: 'ERR_CONFIG_INVALID' },
    );
    assert.throws(() => openEmbeddedDatabase('/proc/postern/db', '', 'a store'), { code: 'ERR_STORE_UNAVAILABLE' });
    assert.match(String((await appendLines('/proc/postern/audit', ['line'])).failure), /ENOENT|EACCES/);
  });

  test('belongs to the owner of the folder if root makes it, as by a first start by hand', async (t) => {
    const folder = filesOf(t, {});
    if (process.getuid?.() === 0) chownSync(folder, 65_534, 65_534);
    const state = join(folder, 'state');
    await makeKeysFile(join(state, 'keys'));
    const schema = 'PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)';
    await using _ = openEmbeddedDatabase(join(state, 'db'), schema, 'a store');
    const made = ['', 'keys', 'db', 'db-wal', 'db-shm'];
    assert.deepEqual(
      made.map((name) => statSync(join(state, name)).uid),
      made.map(() => statSync(folder).uid),
    );
  });

  test('keeps a file that stands where the socket would be', async (t) => {
    const folder = filesOf(t, { file: 'mine\n' });
    await assert.rejects(
      openApiSocket(join(folder, 'file'), { mode: 0o600 }, async () => {}),
      /something else stands there/,
    );
    assert.ok(existsSync(join(folder, 'file')));
  });
});

describe('the text of a configuration or of a secret', () => {
  const secrets: readonly (readonly [what: string, bytes: Buffer, token: string | RegExp])[] = [
    ['UTF-8', Buffer.from('gehäuse\n'), 'gehäuse'],
    ['UTF-8 with a mark, as Windows writes it', Buffer.from('\ufeffgehäuse\r\n'), 'gehäuse'],
    ['Latin-1', latin1('gehäuse\n'), /token is not UTF-8 text, which would change the secret/],
    ['UTF-16 with a mark', Buffer.from('\ufeffsecret\r\n', 'utf16le'), /token is not UTF-8 text/],
    ['UTF-16 without a mark', Buffer.from('secret', 'utf16le'), /token is not UTF-8 text/],
    ['a text that was spoilt before', Buffer.from('geh\ufffduse\n'), /token is not UTF-8 text/],
  ];
  for (const [what, bytes, token] of secrets) {
    test(`is read or refused, and never becomes another: a secret in ${what}`, async (t) => {
      const folder = filesOf(t, { 'postern.yaml': smallest('operators: { token: { file: token } }') });
      writeFileSync(join(folder, 'token'), bytes);
      const outcome = await loadConfig(join(folder, 'postern.yaml'), { env: {} }).then(
        ({ operators }) => operators.token?.reveal() ?? '',
        (error: unknown) => (error instanceof ConfigInvalid ? (error.problems[0]?.text ?? '') : String(error)),
      );
      if (typeof token === 'string') return assert.equal(outcome, token);
      assert.match(outcome, token);
      assert.doesNotMatch(outcome, /geh|use/);
    });
  }

  const texts: readonly (readonly [what: string, bytes: Buffer, said: readonly string[]])[] = [
    ['a comment in Latin-1', latin1(`${smallest()}# für alle\n`), []],
    [
      'a value in Latin-1',
      latin1(`${smallest()}login:\n  title: Universität\n`),
      [
        '6: is not UTF-8 text: byte 0xe4 would be "ä" in ISO-8859-1; convert the file with iconv -f ISO-8859-1 -t UTF-8',
      ],
    ],
    [
      'UTF-16',
      Buffer.from(`\ufeff${smallest()}`, 'utf16le'),
      ['1: is not UTF-8 text but UTF-16LE: convert it with iconv -f UTF-16LE -t UTF-8'],
    ],
  ];
  for (const [what, bytes, said] of texts) {
    test(`is refused with its line where it is not UTF-8: ${what}`, async (t) => {
      const folder = filesOf(t, {});
      writeFileSync(join(folder, 'postern.yaml'), bytes);
      const outcome = await loadConfig(join(folder, 'postern.yaml'), { env: {} }).then(
        () => [],
        (error: unknown) =>
          error instanceof ConfigInvalid ? error.problems.map(({ line, text }) => `${line}: ${text}`) : [String(error)],
      );
      assert.deepEqual(outcome, said);
    });
  }
});
