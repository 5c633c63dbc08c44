import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rename, rm, symlink, writeFile } from 'node:fs/promises';
import { connect as connectPlain } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { systemClock } from '../../src/core/clock.ts';
import { openTlsCertificates } from '../../src/proxy/tls-certificates.ts';
import { eventually } from '../eventually.fixture.ts';
import { makeCertificate, type TestCertificate } from '../passdb/certificates.fixture.ts';
import { type Cluster, type Node, startCluster } from './cluster.fixture.ts';
import { Visitor } from './visitor.fixture.ts';

const origin = 'https://mail.example.test';

let cluster: Cluster;
let node: Node;

before(async () => {
  cluster = await startCluster();
  await write('mail', makeCertificate('DNS:mail.example.test'));
  await write('post', makeCertificate('DNS:*.example.org,DNS:post.example.test'));
  const file = await cluster.configure(
    'tls',
    `public_url: [${origin}, https://post.example.test]
tls:
  - { certificate_file: mail.pem, key_file: mail.key }
  - { certificate_file: post.pem, key_file: post.key }`,
  );
  node = await cluster.startNode(file);
});
after(() => cluster[Symbol.asyncDispose]());

/** A file of the cluster's folder. */
function at(name: string): string {
  return join(cluster.folder, name);
}

async function write(name: string, { cert, key }: TestCertificate): Promise<void> {
  await writeFile(at(`${name}.pem`), cert);
  await writeFile(at(`${name}.key`), key);
}

/** Resolves when the handshake is complete. Rejects if it is refused. */
async function handshake(options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ port: node.port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  await once(socket, 'secureConnect');
  return socket;
}

async function shown(servername: string): Promise<string | undefined> {
  const socket = await handshake(servername === '' ? {} : { servername });
  const { subjectaltname } = socket.getPeerCertificate();
  socket.destroy();
  return subjectaltname;
}

test('a browser signs in over TLS of our own, under a secure cookie', async () => {
  using visitor = new Visitor(origin, node.port);
  assert.equal((await visitor.signIn()).status, 303);
  assert.ok(visitor.cookies.has('__Host-postern'));
  const seen = await visitor.arrived();
  assert.equal(seen['x-forwarded-proto'], 'https');
  assert.equal(seen['x-forwarded-for'], '127.0.0.1');
});

test('the server name picks the certificate; whoever names none or another sees the first', async () => {
  const post = 'DNS:*.example.org, DNS:post.example.test';
  assert.equal(await shown('mail.example.test'), 'DNS:mail.example.test');
  assert.equal(await shown('post.example.test'), post);
  assert.equal(await shown('any.example.org'), post);
  assert.equal(await shown('other.test'), 'DNS:mail.example.test');
  assert.equal(await shown(''), 'DNS:mail.example.test');
});

test('HTTP/1.1 and TLS 1.2 at least', async () => {
  const both = await handshake({ ALPNProtocols: ['h2', 'http/1.1'], maxVersion: 'TLSv1.2' });
  assert.equal(both.alpnProtocol, 'http/1.1');
  both.destroy();
  await assert.rejects(handshake({ ALPNProtocols: ['h2'] }), /alert/);
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' } as const;
  await assert.rejects(handshake(old), /alert|version/);
});

test('plain HTTP on the TLS listener is refused, and the log says what to write', async () => {
  const socket = connectPlain(node.port, '127.0.0.1');
  socket.on('error', () => {});
  const closed = once(socket.resume(), 'close');
  socket.write('GET /-/ready HTTP/1.0\r\n\r\n');
  await closed;
  assert.match(String((await node.logged('tls-expected'))['msg']), /have the load balancer speak TLS/);
});

test('SIGHUP takes new certificates, also the default one, and drops no connection', async () => {
  using visitor = new Visitor(origin, node.port);
  assert.equal((await visitor.get('/-/login')).status, 200);
  await write('mail', makeCertificate('DNS:mail.example.test,DNS:new.example.test'));
  node.child.kill('SIGHUP');
  await eventually(async () => (await shown(''))?.includes('new.example.test') === true, 'the new certificate');
  assert.match((await shown('mail.example.test')) ?? '', /new\.example\.test/);
  // The agent keeps its connection: the gateway did not close it.
  assert.equal((await visitor.get('/-/login')).status, 200);
  assert.equal(visitor.connections, 1);
});

test('a certificate without its key is refused by a reload, and the old one stays', async () => {
  const before = await shown('');
  await writeFile(at('mail.pem'), makeCertificate('DNS:mail.example.test').cert);
  node.child.kill('SIGHUP');
  await node.logged('config-not-read');
  assert.equal(await shown(''), before);
});

test('files that change are read by themselves, once they are a pair, in place or behind a symbolic link', async () => {
  const [first, second, third] = ['one', 'two', 'three'].map((name) => makeCertificate(`DNS:${name}.test`));
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  await write('own', first);
  const lines: string[] = [];
  const note = (event: string): void => void lines.push(event);
  const certificates = await openTlsCertificates({
    files: [{ certificateFile: at('own.pem'), keyFile: at('own.key') }],
    log: { debug: note, info: note, warn: note, error: note },
    clock: systemClock,
    everyMs: 5,
  });
  try {
    await writeFile(at('own.pem'), second.cert);
    await eventually(() => Promise.resolve(lines.includes('certificates-not-read')), 'the complaint');
    lines.length = 0;
    await writeFile(at('own.key'), second.key);
    await eventually(() => Promise.resolve(lines.includes('certificate-in-use')), 'the second');
    lines.length = 0;
    await write('next', third);
    for (const end of ['pem', 'key']) {
      await symlink(at(`next.${end}`), at(`link.${end}`));
      await rename(at(`link.${end}`), at(`own.${end}`));
    }
    await eventually(() => Promise.resolve(lines.includes('certificate-in-use')), 'the third');
  } finally {
    certificates.close();
  }
});

test('an expired certificate is an error in the log, and used', async () => {
  await write('old', makeCertificate('DNS:old.test'));
  const lines: string[] = [];
  const note = (event: string): void => void lines.push(event);
  const certificates = await openTlsCertificates({
    files: [{ certificateFile: at('old.pem'), keyFile: at('old.key') }],
    log: { debug() {}, info() {}, warn() {}, error: note },
    clock: { nowMs: () => Date.now() + 5 * 86_400_000 },
  });
  certificates.close();
  assert.deepEqual(lines, ['certificate-expired']);
  await rm(at('old.pem'));
});

test('requests that are sent ahead over TLS are answered one after the other', async () => {
  const socket = await handshake();
  let received = '';
  socket.setEncoding('latin1').on('data', (part: string) => (received += part));
  const probe = 'GET /-/live HTTP/1.1\r\n\r\n';
  socket.write(`${probe.repeat(500)}GET /-/login HTTP/1.1\r\nHost: mail.example.test\r\n\r\n`);
  await eventually(() => received.includes('</html>'));
  assert.equal(received.match(/HTTP\/1\.1 200 OK/g)?.length, 501);
  socket.destroy();
});
