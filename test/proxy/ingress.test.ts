import assert from 'node:assert/strict';
import { createServer, type IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { systemClock } from '../../src/core/clock.ts';
import type { PublicUrl } from '../../src/core/http.ts';
import { createIngress, type IngressDecision } from '../../src/proxy/ingress.ts';
import { IncomingHead } from '../../src/proxy/request-head.ts';
import { listening } from '../ports.fixture.ts';
import { ask } from './gate.fixture.ts';

const https: PublicUrl = { origin: 'https://mail.example.test', authority: 'mail.example.test', secure: true };
const other: PublicUrl = {
  origin: 'https://post.example.test:8443',
  authority: 'post.example.test:8443',
  secure: true,
};
const plain: PublicUrl = { origin: 'http://127.0.0.1:8080', authority: '127.0.0.1:8080', secure: false };

interface Given {
  readonly lines: readonly string[];
  readonly urls?: readonly PublicUrl[];
  readonly trusted?: readonly string[];
  readonly method?: string;
  readonly target?: string;
}

/** Sends real requests over loopback, one for each entry of `given`, to one ingress. */
async function decide(...given: Given[]): Promise<{ decisions: IngressDecision[]; warnings: string[] }> {
  const decisions: IngressDecision[] = [];
  const warnings: string[] = [];
  let read: ((request: IncomingMessage) => void) | undefined;
  const server = createServer({ requireHostHeader: false }, (request, response) => {
    read?.(request);
    response.end('ok');
  });
  const port = await listening(server);
  const log = {
    debug() {},
    info() {},
    error() {},
    warn: (event: string, fields: object = {}) => void warnings.push(`${event} ${JSON.stringify(fields)}`),
  };
  for (const { lines, urls = [https, other, plain], trusted = [], method = 'GET', target = '/mail?x=1' } of given) {
    const ingress = createIngress({ publicUrls: urls, trustedProxies: trusted, log, clock: systemClock });
    read = (request) => void decisions.push(ingress(request, new IncomingHead(request)));
    await ask(port, `${[`${method} ${target} HTTP/1.1`, ...lines].join('\r\n')}\r\nConnection: close\r\n\r\n`);
  }
  server.close();
  return { decisions, warnings };
}

async function one(given: Given): Promise<{ decision: IngressDecision | undefined; warnings: string[] }> {
  const { decisions, warnings } = await decide(given);
  return { decision: decisions[0], warnings };
}

const loopback = ['127.0.0.0/8'];
const tls = 'X-Forwarded-Proto: https';

test('the public URL is found by the Host, in any case and with the port of the scheme', async () => {
  const { decisions } = await decide(
    { lines: ['Host: Mail.Example.Test', tls], trusted: loopback },
    { lines: ['Host: mail.example.test:443', tls], trusted: loopback },
    { lines: ['Host: post.example.test:8443', tls], trusted: loopback },
    { lines: ['Host: 127.0.0.1:8080'] },
  );
  const origins = decisions.map((decision) =>
    decision.kind === 'accepted' ? decision.ingress.publicUrl.origin : decision,
  );
  assert.deepEqual(origins, [https.origin, https.origin, other.origin, plain.origin]);
});

test('a foreign Host is refused, and the log says what to add', async () => {
  const { decision, warnings } = await one({ lines: ['Host: evil.test'] });
  assert.deepEqual(decision, { kind: 'refused', why: 'foreign-host' });
  assert.match(warnings[0] ?? '', /^host-foreign .*"authority":"evil\.test".*public_url/);
});

test('a request without a Host is refused', async () => {
  const { decision } = await one({ lines: ['X: y'] });
  assert.deepEqual(decision, { kind: 'refused', why: 'no-host' });
});

test('X-Forwarded-Host of a trusted proxy names the public URL, that of a stranger nothing', async () => {
  const lines = ['Host: 127.0.0.1:8080', 'X-Forwarded-Host: mail.example.test', tls];
  const { decisions } = await decide({ lines, trusted: loopback }, { lines });
  const [believed, ignored] = decisions;
  assert.equal(believed?.kind === 'accepted' && believed.ingress.publicUrl.origin, https.origin);
  assert.equal(ignored?.kind === 'accepted' && ignored.ingress.publicUrl.origin, plain.origin);
});

test('plain http from a trusted proxy is redirected for reading and refused for anything else', async () => {
  const lines = ['Host: mail.example.test', 'X-Forwarded-Proto: http'];
  const { decisions } = await decide(
    { lines, trusted: loopback },
    { lines: [...lines, 'Content-Length: 0'], trusted: loopback, method: 'POST' },
    { lines, trusted: loopback, target: '//evil.test/x' },
  );
  assert.deepEqual(decisions, [
    { kind: 'redirect', location: 'https://mail.example.test/mail?x=1' },
    { kind: 'refused', why: 'not-https' },
    { kind: 'redirect', location: 'https://mail.example.test//evil.test/x' },
  ]);
});

test('a peer that is not trusted is not believed about https, and the log says where to add it', async () => {
  const { decision, warnings } = await one({ lines: ['Host: mail.example.test', tls] });
  assert.deepEqual(decision, { kind: 'refused', why: 'not-https' });
  assert.match(warnings[0] ?? '', /^http-not-public .*"peer":"127\.0\.0\.1"/);
});

test('a trusted proxy that does not say the scheme is named in the log', async () => {
  const { decision, warnings } = await one({ lines: ['Host: mail.example.test'], trusted: loopback });
  assert.deepEqual(decision, { kind: 'refused', why: 'not-https' });
  assert.match(warnings[0] ?? '', /^scheme-missing /);
});

test('of several schemes the last one counts where one proxy is known of: it wrote it', async () => {
  const { decision } = await one({
    lines: ['Host: mail.example.test', 'X-Forwarded-Proto: http, https'],
    trusted: loopback,
  });
  assert.equal(decision?.kind, 'accepted');
});

test('one event is logged once a minute', async () => {
  const warnings: string[] = [];
  let nowMs = 0;
  const ingress = createIngress({
    publicUrls: [plain],
    trustedProxies: [],
    log: { debug() {}, info() {}, error() {}, warn: (event) => void warnings.push(event) },
    clock: { nowMs: () => nowMs },
  });
  const server = createServer((request, response) => {
    ingress(request, new IncomingHead(request));
    response.end();
  });
  const port = await listening(server);
  const evil = 'GET / HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n';
  await ask(port, evil);
  await ask(port, evil);
  assert.equal(warnings.length, 1);
  nowMs = 60_000;
  await ask(port, evil);
  assert.equal(warnings.length, 2);
  server.close();
});

const walks: readonly [name: string, field: string, trusted: readonly string[], address: string, port?: number][] = [
  [
    'the right-most hop that is not trusted is the client',
    '198.51.100.9, 203.0.113.7, 10.0.0.1',
    ['127.0.0.1', '10.0.0.0/8'],
    '203.0.113.7',
  ],
  [
    'what stands left of the client is the client talking',
    '10.9.9.9, 203.0.113.7',
    ['127.0.0.1', '10.0.0.0/8'],
    '203.0.113.7',
  ],
  [
    'if all hops are trusted the first one is the client',
    '10.0.0.2, 10.0.0.1',
    ['127.0.0.1', '10.0.0.0/8'],
    '10.0.0.2',
  ],
  ['an IPv6 address in brackets with a port', '[2001:db8::1]:4711', ['127.0.0.1'], '2001:db8::1', 4711],
  ['an IPv6 address without brackets', '2001:db8::1', ['127.0.0.1'], '2001:db8::1'],
  ['an IPv4 address with a port', '203.0.113.7:4711', ['127.0.0.1'], '203.0.113.7', 4711],
  ['a port that no host has ends the walk at the hop that wrote it', '203.0.113.7:99999', ['127.0.0.1'], '127.0.0.1'],
  ['an IPv4 address mapped into IPv6', '::ffff:203.0.113.7', ['127.0.0.1'], '203.0.113.7'],
  ['a word ends the walk at the hop that wrote it', '203.0.113.7, unknown', ['127.0.0.1'], '127.0.0.1'],
  ['trusted IPv6 networks', '203.0.113.7, 2001:db8::5', ['127.0.0.1', '2001:db8::/32'], '203.0.113.7'],
];

for (const [name, field, trusted, address, port] of walks) {
  test(`X-Forwarded-For: ${name}`, async () => {
    const lines = ['Host: 127.0.0.1:8080', 'X-Forwarded-Proto: http', `X-Forwarded-For: ${field}`];
    const { decision } = await one({ lines, trusted });
    const client = decision?.kind === 'accepted' ? decision.ingress.client : undefined;
    assert.equal(client?.address, address);
    if (port !== undefined) assert.equal(client?.port, port);
  });
}

test('X-Forwarded-For of a stranger is ignored, and the User-Agent is kept', async () => {
  const { decision } = await one({
    lines: ['Host: 127.0.0.1:8080', 'X-Forwarded-For: 203.0.113.7', 'User-Agent: Browser/1'],
  });
  const client = decision?.kind === 'accepted' ? decision.ingress.client : undefined;
  assert.equal(client?.address, '127.0.0.1');
  assert.equal(client?.userAgent, 'Browser/1');
});

const proxyId = '7b1f0c52-6a0f-4d0e-9a39-5f5b1f0a7e11';
const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
const traceparent = `00-${trace}-00f067aa0ba902b7-01`;
const madeId = /^[0-9a-f]{32}$/;

async function idsFor(trusted: readonly string[], ...lines: string[]) {
  const { decision } = await one({ lines: ['Host: mail.example.test', tls, ...lines], trusted, urls: [https] });
  assert.ok(decision?.kind === 'accepted', JSON.stringify(decision));
  const { requestId, traceparent: parent, tracestate } = decision.ingress;
  return { requestId, traceparent: parent, tracestate };
}

test('a trusted proxy names the request and its trace', async () => {
  const lines = [`X-Request-Id: ${proxyId}`, `traceparent: ${traceparent}`, 'tracestate: a=1', 'tracestate: b=2'];
  assert.deepEqual(await idsFor(loopback, ...lines), { requestId: proxyId, traceparent, tracestate: 'a=1,b=2' });
});

test('a request without an id has the id of its trace', async () => {
  const { requestId, traceparent: parent } = await idsFor(loopback, `Traceparent: ${traceparent}`);
  assert.deepEqual([requestId, parent], [trace, traceparent]);
  const made = await idsFor(loopback);
  assert.match(made.requestId, madeId);
  assert.match(made.traceparent, new RegExp(`^00-${made.requestId}-[0-9a-f]{16}-00$`));
  assert.notEqual((await idsFor(loopback)).requestId, made.requestId);
});

test('nobody else names a request', async () => {
  const { decision } = await one({
    lines: ['Host: 127.0.0.1:8080', `X-Request-Id: ${proxyId}`, `Traceparent: ${traceparent}`, 'Tracestate: a=1'],
  });
  assert.ok(decision?.kind === 'accepted');
  assert.match(decision.ingress.requestId, madeId);
  assert.ok(!decision.ingress.traceparent.includes(trace));
  assert.equal(decision.ingress.tracestate, undefined);
});

for (const [what, ...lines] of [
  ['that is too short', 'X-Request-Id: 7'],
  ['that is too long', `X-Request-Id: ${'a'.repeat(129)}`],
  ['with a quote', 'X-Request-Id: "5f5b1f0a7e11"'],
  ['that comes twice', `X-Request-Id: ${proxyId}`, `X-Request-Id: ${proxyId}`],
  ['in a trace of zeros', `Traceparent: 00-${'0'.repeat(32)}-00f067aa0ba902b7-01`],
  ['in a trace of version ff', `Traceparent: ff-${trace}-00f067aa0ba902b7-01`],
] as const) {
  test(`an id ${what} is replaced, even from a trusted proxy`, async () => {
    const { requestId, traceparent: parent } = await idsFor(loopback, ...lines);
    assert.match(requestId, madeId);
    assert.ok(parent.startsWith(`00-${requestId}-`));
  });
}
