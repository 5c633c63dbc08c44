import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '../eventually.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { type Cluster, type Node, startCluster } from './cluster.fixture.ts';
import { startHaproxy } from './haproxy.fixture.ts';
import { Visitor } from './visitor.fixture.ts';

const origin = 'https://mail.example.test';
const sampleFile = 'haproxy-proxy-protocol.cfg';

let cluster: Cluster;
let required: Node;
let nodes = 0;

before(async () => {
  cluster = await startCluster();
  required = await nodeWith('required');
});
after(() => cluster[Symbol.asyncDispose]());

/** A gateway that trusts HAProxy on 127.0.0.1, and no other address of loopback. */
async function nodeWith(mode: string, publicUrl = origin): Promise<Node> {
  const name = `node${(nodes += 1)}`;
  const file = await cluster.configure(
    name,
    `public_url: ${publicUrl}
trusted_proxies: [127.0.0.1]
proxy_protocol: ${mode}
sessions: { store_file: ${name}.sqlite, keys_file: ${name}.keys }`,
  );
  return cluster.startNode(file);
}

for (const mode of ['required', 'optional']) {
  test(`send-proxy-v2-ssl of a real HAProxy names client and scheme, from sign-in to the webmail: ${mode}`, async () => {
    const node = mode === 'required' ? required : await nodeWith(mode);
    await using haproxy = await startHaproxy(sampleFile, { g1: node.port });
    await eventually(async () => (await haproxy.server('g1')).status === 'UP', 'the node is up');
    using visitor = new Visitor(origin, haproxy.port, '127.0.0.77');
    assert.equal((await visitor.signIn()).status, 303);
    assert.ok(visitor.cookies.has('__Host-postern'));
    // The client's own claim does not count: HAProxy did not check it.
    const seen = await visitor.arrived({ 'x-forwarded-for': '203.0.113.9', 'x-forwarded-proto': 'http' });
    assert.equal(seen['x-forwarded-for'], '127.0.0.77');
    assert.equal(seen['x-forwarded-proto'], 'https');
    const login = await node.logged('login');
    assert.equal(login['client'], '127.0.0.77');
  });
}

for (const how of ['send-proxy', 'send-proxy-v2']) {
  test(`${how} of a real HAProxy says nothing of TLS: the port that the client connected to does`, async () => {
    const port = await freePort();
    const named = `https://mail.example.test:${port}`;
    const node = await nodeWith('required', named);
    await using haproxy = await startHaproxy(sampleFile, { g1: node.port, port }, { 'send-proxy-v2-ssl': how });
    await eventually(async () => (await haproxy.server('g1')).status === 'UP', 'the node is up');
    using visitor = new Visitor(named, port, '127.0.0.78');
    assert.equal((await visitor.signIn()).status, 303);
    const seen = await visitor.arrived();
    assert.equal(seen['x-forwarded-for'], '127.0.0.78');
    assert.equal(seen['x-forwarded-proto'], 'https');
    // A port that no public URL names is refused, and the log says what to configure.
    await using elsewhere = await startHaproxy(sampleFile, { g1: node.port }, { 'send-proxy-v2-ssl': how });
    using lost = new Visitor(named, elsewhere.port);
    assert.equal((await lost.get('/-/login')).status, 400);
    assert.match(String((await node.logged('proxy-header-without-tls'))['msg']), /send-proxy-v2-ssl/);
  });
}

test('the plain port of the sample leads to HTTPS', async () => {
  await using haproxy = await startHaproxy(sampleFile, { g1: required.port });
  using plain = new Visitor('http://mail.example.test', haproxy.plainPort);
  const { status, headers } = await plain.get('/mail?x=1');
  assert.deepEqual([status, headers.location], [308, `${origin}/mail?x=1`]);
});

test('a check without check-send-proxy is refused, and the log says what to write', async () => {
  const node = await nodeWith('required');
  await using haproxy = await startHaproxy(
    sampleFile,
    { g1: node.port },
    { 'check check-send-proxy': `check port ${node.port}` },
  );
  await eventually(async () => (await haproxy.server('g1')).status === 'DOWN', 'the node is down');
  const { msg, peer } = await node.logged('proxy-header-missing');
  assert.match(String(msg), /check-send-proxy/);
  assert.equal(peer, '127.0.0.1');
});

test('a plain client against required, and a header against off, are refused and told', async () => {
  using plain = new Visitor(origin, required.port);
  await assert.rejects(plain.get('/-/ready'));
  const off = await nodeWith('off');
  await using haproxy = await startHaproxy(sampleFile, { g1: off.port });
  await eventually(async () => (await haproxy.server('g1')).status === 'DOWN', 'the node is down');
  const { remedy } = await off.logged('proxy-header-unexpected');
  assert.match(String(remedy), /proxy_protocol is off/);
});
