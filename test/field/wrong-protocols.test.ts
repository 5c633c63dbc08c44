import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { describe, it } from 'node:test';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { dialImap, dialWebmail } from '../../src/backends/probes.ts';
import { dialRedis } from '../../src/cli/check-online.ts';
import { explainFailure } from '../../src/core/connection-failure.ts';
import { outcomeOf, recordingLog, temporaryDirectory, testDirectory } from '../directory/directory.fixture.ts';
import { makeCertificate } from '../passdb/certificates.fixture.ts';
import { freePort, listening } from '../ports.fixture.ts';
import { runProgram, startProgram } from '../programs.ts';

const certificate = makeCertificate('IP:127.0.0.1');
const { cert: ca } = certificate;
const soon = (): AbortSignal => AbortSignal.timeout(3_000);

/** A server that accepts connections, with TLS or without, and says as little as possible. */
type Peer = (stack: AsyncDisposableStack) => Promise<number>;

async function listen(stack: AsyncDisposableStack, server: Server): Promise<number> {
  const port = await listening(server);
  stack.defer(() => void server.close());
  return port;
}

const plain =
  (greeting: string): Peer =>
  (stack) =>
    listen(
      stack,
      createServer((socket) => {
        stack.defer(() => void socket.destroy());
        socket.on('error', () => {});
        if (greeting !== '') socket.write(greeting);
      }),
    );

const secure =
  (options: TlsOptions = {}): Peer =>
  (stack) => {
    const { cert, key } = certificate;
    const server = createTlsServer({ cert, key, ...options });
    server.on('tlsClientError', () => {});
    server.on('secureConnection', (socket) => {
      stack.defer(() => void socket.destroy());
      socket.on('error', () => {});
    });
    return listen(stack, server);
  };

async function connected(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect').finally(() => socket.destroy());
}

/** OpenSSL's own server, with Diffie-Hellman parameters of 1536 bits. */
const shortParameters: Peer = async (stack) => {
  const folder = stack.use(await temporaryDirectory());
  const file = (name: string): string => `${folder.path}/${name}`;
  await runProgram('openssl', [
    'genpkey',
    '-genparam',
    '-algorithm',
    'DH',
    '-pkeyopt',
    'group:modp_1536',
    '-out',
    file('dh.pem'),
  ]);
  const subject = ['-subj', '/CN=old', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
  const files = ['-keyout', file('key.pem'), '-out', file('cert.pem')];
  await runProgram('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...subject, ...files]);
  const port = await freePort();
  const args = [
    '-accept',
    String(port),
    '-cert',
    file('cert.pem'),
    '-key',
    file('key.pem'),
    '-dhparam',
    file('dh.pem'),
  ];
  const weak = ['-cipher', 'DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0', '-tls1_2', '-quiet'];
  stack.use(await startProgram('openssl', ['s_server', ...args, ...weak], { isReady: () => connected(port) }));
  return port;
};

const old = secure({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' });

/** The message for an operator who has an address dialled. */
type Dial = (port: number) => Promise<string>;

const told = async (dialled: Promise<unknown>): Promise<string> =>
  dialled.then(
    () => 'no error',
    (error: unknown) => explainFailure(error),
  );
const imap =
  (security: 'tls' | 'starttls'): Dial =>
  (port) =>
    told(dialImap({ hostname: '127.0.0.1', port, security, trust: { ca } }, soon()));
const webmail =
  (scheme: string, host = '127.0.0.1'): Dial =>
  (port) =>
    told(dialWebmail({ origin: `${scheme}://${host}:${port}`, landing: '/', trust: { ca } }, 'mail.test', soon()));
const redis =
  (scheme: string, host = '127.0.0.1'): Dial =>
  (port) => {
    const store = { kind: 'redis', url: `${scheme}://${host}:${port}/0`, ca } as const;
    return told(dialRedis(store, { sessions: true, state: true }, soon()));
  };
const source =
  (settings: (port: number) => { readonly type: string }): Dial =>
  async (port) => {
    const log = recordingLog();
    await using directory = await testDirectory([settings(port)], {
      log,
      timeouts: { sourceMs: 3_000, lookupMs: 4_000 },
    });
    await outcomeOf(directory, 'alice');
    const [first = {}] = log.fields;
    return 'why' in first ? String(first.why) : '';
  };
const ldap = { type: 'ldap', base: 'dc=example', filter: '(mail=%u)', backend_attribute: 'mailHost' };
const ldaps = source((port) => ({ ...ldap, servers: `ldaps://127.0.0.1:${port}` }));
const https = source((port) => ({ type: 'http', url: `https://127.0.0.1:${port}/%u` }));

const noTls =
  /the server does not speak TLS on this port: is the port right, or did you mean imap:\/\/ or ldap:\/\/ \(STARTTLS\), http:\/\/ or redis:/;
const tooOld = /the server supports only TLS 1\.1 or older: upgrade it to TLS 1\.2/;
const tooShort = /Diffie-Hellman parameters are too short \(under 2048 bits\): renew them/;
const otherName = /the certificate is for another name: use that name in the address/;
const reset = /the connection was reset: the server refuses this client, or expects TLS/;

const cases: readonly (readonly [what: string, peer: Peer, dial: Dial, says: RegExp])[] = [
  ['imaps: to a plain port', plain('* OK ready\r\n'), imap('tls'), noTls],
  ['https: to a plain port', plain('HTTP/1.1 400 Bad\r\n\r\n'), webmail('https'), noTls],
  ['ldaps: to a plain port', plain('no TLS here\r\n'), ldaps, noTls],
  ['a directory by https: to a plain port', plain('HTTP/1.1 400 Bad\r\n\r\n'), https, noTls],
  ['rediss: to a port that says something plain', plain('-ERR Protocol error\r\n'), redis('rediss'), noTls],
  [
    'rediss: to a port that says nothing',
    plain(''),
    redis('rediss'),
    /where that server speaks none, write redis:\/\//,
  ],
  ['redis: to a TLS port', secure(), redis('redis'), /where that server does, write rediss:\/\//],
  ['http: to a TLS port', secure(), webmail('http'), reset],
  ['imaps: to a server of old', old, imap('tls'), tooOld],
  ['https: to a server of old', old, webmail('https'), tooOld],
  ['ldaps: to a server of old', old, ldaps, tooOld],
  ['a directory by https: to a server of old', old, https, tooOld],
  ['rediss: to a server of old', old, redis('rediss'), tooOld],
  ['imaps: to short parameters', shortParameters, imap('tls'), tooShort],
  ['rediss: to short parameters', shortParameters, redis('rediss'), tooShort],
  ['https: by a name that is not in the certificate', secure(), webmail('https', 'localhost'), otherName],
  ['rediss: by a name that is not in the certificate', secure(), redis('rediss', 'localhost'), otherName],
];

describe('an address that cannot be dialled', () => {
  for (const [what, peer, dial, says] of cases) {
    it(`is told with what to do: ${what}`, async () => {
      await using stack = new AsyncDisposableStack();
      assert.match(await dial(await peer(stack)), says);
    });
  }
});

const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`;

/** A Sentinel that names this address as the master. */
const sentinelOf = (gone: number): Peer => {
  const facts = ['name', 'mymaster', 'ip', '127.0.0.1', 'port', String(gone), 'flags', 'master'].map(bulk).join('');
  const replies: readonly (readonly [asked: RegExp, reply: string])[] = [
    [/HELLO/i, `%1\r\n${bulk('proto')}:3\r\n`],
    [/\r\nMASTER\r\n/i, `%4\r\n${facts}`],
    [/\r\nSENTINEL\r\n/i, '*0\r\n'],
  ];
  return (stack) => {
    const server = createServer((socket) => {
      stack.defer(() => void socket.destroy());
      socket.on('error', () => {});
      socket.on('data', (bytes: Buffer) => {
        for (const command of bytes.toString().split(/(?=\*\d+\r\n\$)/)) {
          socket.write(replies.find(([asked]) => asked.test(command))?.[1] ?? '+OK\r\n');
        }
      });
    });
    return listen(stack, server);
  };
};

describe('a Sentinel that names a server out of reach', () => {
  it('is told with that address, and how to ask for it', async () => {
    await using stack = new AsyncDisposableStack();
    const gone = await freePort();
    const port = await sentinelOf(gone)(stack);
    const sentinels = [{ host: '127.0.0.1', port }] as const;
    const store = { kind: 'redis', sentinels, name: 'mymaster', database: 0, tls: false } as const;
    const why = await told(dialRedis(store, { sessions: true, state: true }, soon()));
    assert.match(why, new RegExp(`127\\.0\\.0\\.1:${gone}\\b`));
    assert.match(
      why,
      /the Sentinels say where mymaster is: can that address be reached from here\? \(sentinel get-master-addr-by-name mymaster\)/,
    );
  });
});
