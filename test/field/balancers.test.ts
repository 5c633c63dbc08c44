import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { describe, it } from 'node:test';
import { createWarnings, type Log } from '../../src/core/log.ts';
import { createIngress } from '../../src/proxy/ingress.ts';
import {
  ask,
  type Gate,
  RawClient,
  startGate,
  startRecordingBackend,
  startScriptedBackend,
} from '../proxy/gate.fixture.ts';
import { headOf } from '../proxy/heads.fixture.ts';
import { readFieldInput } from './input.fixture.ts';

const origin = 'https://mail.example.test';

/** A gateway behind a balancer on loopback. */
function behindBalancer(backendPort: number): Promise<Gate> {
  return startGate({ backendPort, publicOrigin: origin, trustedProxies: ['127.0.0.1', '10.0.0.0/8'] });
}

async function answerTo(bytes: string, gate: Gate): Promise<string> {
  using client = await RawClient.to(gate.port);
  const closing = bytes.includes('Connection: ') ? bytes : bytes.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n');
  return await client.send(closing).closed();
}

describe('a probe of a balancer', () => {
  const probes: readonly [name: string, bytes: string | (() => Promise<Buffer>)][] = [
    ['F5, with an empty Host', () => readFieldInput('L1-f5-ready.http')],
    ['a container, by a name with underscores', () => readFieldInput('L2-underscore-ready.http')],
    ['F5, with two blank lines', 'GET /-/ready HTTP/1.1\r\nHost: \r\nConnection: Close\r\n\r\n\r\n\r\n'],
    ['F5 by HTTP/1.0, with two blank lines', 'GET /-/ready HTTP/1.0\r\n\r\n\r\n'],
    ['one that begins with a blank line', '\r\nGET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['OPTIONS', 'OPTIONS /-/ready HTTP/1.1\r\nHost: www\r\n\r\n'],
    ['OPTIONS by HTTP/1.0, as HAProxy asks by default', 'OPTIONS /-/ready HTTP/1.0\r\n\r\n'],
    ['HTTP/1.1 without a Host', 'GET /-/ready HTTP/1.1\r\n\r\n'],
    ['an absolute target', 'GET http://10.0.0.21:8080/-/ready HTTP/1.1\r\nHost: 10.0.0.21:8080\r\n\r\n'],
    ['a query', 'GET /-/ready?t=1 HTTP/1.1\r\nHost: 10.0.0.21:8080\r\n\r\n'],
    ['a name with an empty port', 'GET /-/ready HTTP/1.1\r\nHost: 10.0.0.21:\r\n\r\n'],
    ['an IPv6 address as Host', 'GET /-/ready HTTP/1.1\r\nHost: [fd00::21]:8080\r\n\r\n'],
  ];

  for (const [name, bytes] of probes) {
    it(`is answered: ${name}`, async () => {
      await using gate = await behindBalancer(1);
      const text = typeof bytes === 'string' ? bytes : (await bytes()).toString('latin1');
      assert.match(await answerTo(text, gate), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nready$/);
      assert.deepEqual(gate.warnings, []);
    });
  }

  it('that is no probe is refused, and the log says what to configure', async () => {
    await using gate = await behindBalancer(1);
    assert.match(await answerTo('POST /-/ready HTTP/1.1\r\nContent-Length: 0\r\n\r\n', gate), /^HTTP\/1\.1 400 /);
    assert.match(await answerTo('GET /-/ready HTTP/1.1\r\nHost: a/b\r\n\r\n', gate), /^HTTP\/1\.1 400 /);
    const many = Array.from({ length: 101 }, (_, i) => `X-${i}: v\r\n`).join('');
    assert.match(await answerTo(`GET /-/ready HTTP/1.1\r\n${many}\r\n`, gate), /^HTTP\/1\.1 431 /);
    assert.equal(gate.warnings[0]?.event, 'host-missing');
    assert.match(JSON.stringify(gate.warnings[1]), /request-refused.*Host field is malformed.*load balancer/);
    assert.match(JSON.stringify(gate.warnings[2]), /request-refused.*requests\.header_fields/);
  });
});

describe('what balancers say of a request', () => {
  it('a Host with underscores is the pool’s own name, and X-Forwarded-Host the public one', async () => {
    await using gate = await behindBalancer(1);
    const bytes = (await readFieldInput('L2-underscore-forwarded.http')).toString('latin1');
    assert.match(await answerTo(bytes, gate), /^HTTP\/1\.1 200 OK\r\n[\s\S]*own page$/);
    const bare = bytes.replace(/X-Forwarded-Host: .*\r\n/, '');
    assert.match(await answerTo(bare, gate), /^HTTP\/1\.1 421 /);
    assert.match(JSON.stringify(gate.warnings[0]), /host-foreign.*X-Forwarded-Host/);
  });

  const ownNames: readonly (readonly [host: string, location: string | undefined])[] = [
    ['MAIL.Example.test', undefined],
    ['mail.example.test:443', undefined],
    ['mail.example.test:', undefined],
    ['mail.example.test.', `${origin}/-/login?a=1`],
    ['Mail.example.test.:443', `${origin}/-/login?a=1`],
  ];
  for (const [host, location] of ownNames) {
    it(`${host} is the public name, and a browser goes where its forms and cookies are ours`, async () => {
      await using gate = await behindBalancer(1);
      const proxied = 'X-Forwarded-Proto: https\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n';
      const answer = await answerTo(`GET /-/login?a=1 HTTP/1.1\r\nHost: ${host}\r\n${proxied}`, gate);
      assert.match(answer, location === undefined ? /^HTTP\/1\.1 200 / : /^HTTP\/1\.1 308 /);
      assert.equal(/\r\nLocation: (.*)\r\n/.exec(answer)?.[1], location);
      assert.deepEqual(gate.warnings, []);
    });
  }

  for (const field of [
    'X-Forwarded-Proto: "https"',
    'X-Forwarded-Proto: on',
    'X-Forwarded-Ssl: on',
    'Forwarded: proto=https',
  ]) {
    it(`no scheme is read into ${field}, and the log says what came`, async () => {
      await using gate = await behindBalancer(1);
      const answer = await answerTo(`GET /-/login HTTP/1.1\r\nHost: mail.example.test\r\n${field}\r\n\r\n`, gate);
      assert.match(answer, /^HTTP\/1\.1 400 /);
      const [{ event, fields } = { event: '', fields: {} }] = gate.warnings;
      assert.equal(event, 'scheme-missing');
      const said = /^X-Forwarded-Proto: (.*)/.exec(field)?.[1] ?? '';
      assert.deepEqual(fields, { peer: '127.0.0.1', forwardedProto: said, forwardedFor: '' });
    });
  }

  it('wss is https: a WebSocket opens', async () => {
    await using backend = await startScriptedBackend((socket) => {
      socket.once('data', () =>
        socket.write(
          'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
            'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n',
        ),
      );
    });
    await using gate = await behindBalancer(backend.port);
    using client = await RawClient.to(gate.port);
    const bytes = (await readFieldInput('L3-traefik-websocket.http')).toString('latin1');
    client.send(bytes.replace(/^Cookie: .*$/m, 'Cookie: postern=alice'));
    assert.match(await client.until((received) => received.includes('\r\n\r\n')), /^HTTP\/1\.1 101 /);
  });

  it('of two proxies in a row the first, to which the client spoke, names the scheme', async () => {
    await using gate = await behindBalancer(1);
    const bytes = (await readFieldInput('L5-xfp-list.http')).toString('latin1');
    assert.match(await answerTo(bytes, gate), /^HTTP\/1\.1 200 OK\r\n[\s\S]*own page$/);
  });

  type Scheme = readonly [proto: string, addresses: string, scheme: 'https' | 'http' | 'unknown'];
  const schemes: readonly Scheme[] = [
    ['https', '203.0.113.9', 'https'],
    ['HTTPS', '203.0.113.9', 'https'],
    ['wss', '203.0.113.9', 'https'],
    ['WSS', '203.0.113.9', 'https'],
    ['http', '203.0.113.9', 'http'],
    ['ws', '203.0.113.9', 'http'],
    ['https, http', '203.0.113.9, 10.0.0.10', 'https'],
    ['wss,ws', '203.0.113.9, 10.0.0.10', 'https'],
    ['http, https', '203.0.113.9, 10.0.0.10', 'http'],
    ['https, http, http', '203.0.113.9, 10.0.0.11, 10.0.0.10', 'https'],
    // Entries left of the first proxy's entry come from the client.
    ['https, http', '203.0.113.9', 'http'],
    ['https, http, http', '203.0.113.9, 10.0.0.10', 'http'],
    ['http, https', '198.51.100.1, 203.0.113.9', 'https'],
    // The first proxy set the field, and the second passed it on.
    ['https', '203.0.113.9, 10.0.0.10', 'https'],
    ['gopher', '203.0.113.9', 'unknown'],
    ['', '203.0.113.9', 'unknown'],
    ['https,', '203.0.113.9', 'unknown'],
  ];

  for (const [proto, addresses, scheme] of schemes) {
    it(`X-Forwarded-Proto "${proto}" for ${addresses} is ${scheme}`, () => {
      const { log } = collecting();
      const ingress = createIngress({
        publicUrls: [{ origin, authority: 'mail.example.test', secure: true }],
        trustedProxies: ['10.0.0.0/8'],
        log,
        clock: { nowMs: () => 0 },
      });
      const fields = ['Host', 'mail.example.test', 'X-Forwarded-Proto', proto, 'X-Forwarded-For', addresses];
      const decision = ingress(from('10.0.0.12'), headOf('GET', '/x', fields));
      const kind = { https: 'accepted', http: 'redirect', unknown: 'refused' }[scheme];
      assert.equal(decision.kind, kind);
    });
  }

  it('X-Forwarded-Host counts from the right, too', () => {
    const { log } = collecting();
    const ingress = createIngress({
      publicUrls: [{ origin, authority: 'mail.example.test', secure: true }],
      trustedProxies: ['10.0.0.0/8'],
      log,
      clock: { nowMs: () => 0 },
    });
    const decide = (host: string, addresses: string) => {
      const forwarded = ['X-Forwarded-Host', host, 'X-Forwarded-Proto', 'https', 'X-Forwarded-For', addresses];
      return ingress(from('10.0.0.12'), headOf('GET', '/x', ['Host', 'inner', ...forwarded])).kind;
    };
    assert.equal(decide('mail.example.test, inner', '203.0.113.9, 10.0.0.10'), 'accepted');
    assert.equal(decide('mail.example.test, evil.test', '203.0.113.9'), 'refused');
  });

  it('a client that is sent to https again and again is told of in the log, with the remedy', () => {
    const { log, lines } = collecting();
    let nowMs = 0;
    const ingress = createIngress({
      publicUrls: [{ origin, authority: 'mail.example.test', secure: true }],
      trustedProxies: ['10.0.0.0/8'],
      log,
      clock: { nowMs: () => nowMs },
    });
    const fields = ['Host', 'mail.example.test', 'X-Forwarded-Proto', 'http', 'X-Forwarded-For', '203.0.113.9'];
    const come = () => ingress(from('10.0.0.12'), headOf('GET', '/x', fields));
    for (let i = 0; i < 2; i += 1) assert.equal(come().kind, 'redirect');
    assert.deepEqual(lines, [], 'a link with http that is followed twice is no circle');
    nowMs = 11_000;
    for (let i = 0; i < 20; i += 1) assert.equal(come().kind, 'redirect');
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /^redirect-loop /);
  });

  it('an absolute target of our own address is served, whatever Host says', async () => {
    await using backend = await startRecordingBackend();
    await using gate = await startGate({ backendPort: backend.port });
    assert.match(await ask(gate.port, absolute('mail.example.test', 'other.test')), /^HTTP\/1\.1 200 /);
    assert.match(await ask(gate.port, absolute('other.test', 'mail.example.test')), /^HTTP\/1\.1 421 /);
    assert.deepEqual(
      backend.seen.map(({ target }) => target),
      ['/mail?x=1'],
    );
    const fields = backend.seen[0]?.fields ?? [];
    assert.equal(fields[fields.indexOf('host') + 1], 'mail.example.test');
    assert.ok(!fields.includes('other.test'));
    assert.match(await ask(gate.port, 'GET http://mail.example.test/-/login HTTP/1.1\r\nHost: x\r\n\r\n'), /own page$/);
  });

  it('a program without a session is refused with a challenge that makes no browser ask for a password', async () => {
    await using gate = await behindBalancer(1);
    const bytes = (await readFieldInput('H10-autodiscover.http')).toString('latin1');
    const answer = await answerTo(bytes, gate);
    assert.match(answer, /^HTTP\/1\.1 401 /);
    assert.match(answer, /^WWW-Authenticate: Cookie realm="sign-in", form-action="\/-\/login"\r$/m);
    assert.doesNotMatch(answer, /^WWW-Authenticate: Basic/m);
  });
});

describe('lines in the log of who was refused', () => {
  it('are ten a minute for one event, and the next says how many were left out', () => {
    const { log, lines } = collecting();
    let nowMs = 0;
    const warn = createWarnings(log, { nowMs: () => nowMs });
    for (let i = 0; i < 5000; i += 1) warn('host-foreign', `host${i}.test`, { authority: i });
    warn('host-missing', '', {});
    assert.equal(lines.length, 11);
    nowMs = 60_000;
    warn('host-foreign', 'again.test', { authority: 'again' });
    assert.match(lines[11] ?? '', /"leftOut":4990/);
    warn('host-foreign', 'again.test', { authority: 'again' });
    assert.equal(lines.length, 12);
  });
});

function collecting(): { readonly log: Log; readonly lines: string[] } {
  const lines: string[] = [];
  const note = (event: string, fields: object = {}): void => void lines.push(`${event} ${JSON.stringify(fields)}`);
  return { log: { debug() {}, info() {}, warn: note, error: note }, lines };
}

function absolute(authority: string, host: string): string {
  return `GET http://${authority}/mail?x=1 HTTP/1.1\r\nHost: ${host}\r\nCookie: postern=alice\r\n\r\n`;
}

/** A request with the connection that the ingress reads. */
function from(remoteAddress: string): IncomingMessage {
  const socket: unknown = { remoteAddress, remotePort: 4711 };
  return Object.assign(Object.create(null), { socket });
}
