import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { eventually } from '../eventually.fixture.ts';
import { type Cluster, type Node, startCluster } from './cluster.fixture.ts';
import { startHaproxy } from './haproxy.fixture.ts';
import { startNginx } from './nginx.fixture.ts';
import { Visitor } from './visitor.fixture.ts';

const origin = 'https://mail.example.test';
const client = '127.0.0.77';
/** The setting of docs/load-balancers.md for a proxy behind another one. */
const appendingNginx = {
  'proxy_set_header X-Forwarded-For $remote_addr;': 'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;',
  'proxy_set_header X-Forwarded-Proto $scheme;':
    'proxy_set_header X-Forwarded-Proto "$http_x_forwarded_proto, $scheme";',
  'proxy_set_header X-Forwarded-Host $host;': 'proxy_set_header X-Forwarded-Host $http_x_forwarded_host;',
};
const appendingHaproxy = {
  'http-request set-header X-Forwarded-For %[src]': 'option forwardfor',
  'http-request set-header X-Forwarded-Proto https': 'http-request add-header X-Forwarded-Proto http',
};
/** Removes TLS between the samples, so that one speaks plain HTTP to the other. */
const plainNginx = { ' ssl http2;': ';', 'proxy_set_header Host $host;': 'proxy_set_header Host postern_nodes;' };
const plainHaproxy = {
  'http-request redirect scheme https code 308 unless { ssl_fc }': '',
  'http-request set-header X-Forwarded-Host %[req.hdr(Host)]': '',
};

let cluster: Cluster;
let node: Node;

before(async () => {
  cluster = await startCluster();
  const config = `public_url: ${origin}
trusted_proxies: [127.0.0.1]
sessions: { store_file: two.sqlite, keys_file: two.keys }`;
  node = await cluster.startNode(await cluster.configure('two', config));
});
after(() => cluster[Symbol.asyncDispose]());

async function seenThrough(port: number): Promise<void> {
  using visitor = new Visitor(origin, port, client);
  await eventually(async () => (await visitor.get('/-/login')).status === 200, 'both proxies let through');
  assert.equal((await visitor.signIn()).status, 303);
  assert.ok(visitor.cookies.has('__Host-postern'));
  const forged = { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-proto': 'http', 'x-forwarded-host': 'evil.test' };
  const seen = await visitor.arrived(forged);
  assert.equal(seen['x-forwarded-for'], client);
  assert.equal(seen['x-forwarded-proto'], 'https');
  assert.equal(seen['x-forwarded-host'], 'mail.example.test');
}

test('HAProxy ends TLS, nginx behind it appends: the client and https arrive', async () => {
  await using inner = await startNginx({ g1: node.port, g2: node.port }, { ...appendingNginx, ...plainNginx });
  await using outer = await startHaproxy('haproxy.cfg', { g1: inner.port });
  await seenThrough(outer.port);
});

test('nginx ends TLS, HAProxy behind it appends: the client and https arrive', async () => {
  await using inner = await startHaproxy('haproxy.cfg', { g1: node.port }, { ...appendingHaproxy, ...plainHaproxy });
  await using outer = await startNginx({ g1: inner.plainPort, g2: inner.plainPort });
  await seenThrough(outer.port);
});

test('a proxy behind another one that writes its own scheme sends clients round in a circle, and the log says so', async () => {
  const fields = {
    ...appendingNginx,
    'proxy_set_header X-Forwarded-Proto $scheme;': 'proxy_set_header X-Forwarded-Proto $scheme ;',
  };
  await using inner = await startNginx({ g1: node.port, g2: node.port }, { ...fields, ...plainNginx });
  await using outer = await startHaproxy('haproxy.cfg', { g1: inner.port });
  using visitor = new Visitor(origin, outer.port, client);
  await eventually(async () => (await visitor.get('/-/ready')).status === 200, 'both proxies let through');
  for (let i = 0; i < 3; i += 1) {
    const { status, headers } = await visitor.get('/-/login?circle');
    assert.deepEqual([status, headers.location], [308, `${origin}/-/login?circle`]);
  }
  const line = await node.logged('redirect-loop');
  assert.equal(line['forwardedProto'], 'http');
  assert.equal(line['client'], client);
});

test('the documentation shows the lines that these tests use', async () => {
  const text = await readFile(new URL('../../docs/load-balancers.md', import.meta.url), 'utf8');
  for (const line of [...Object.values(appendingNginx), ...Object.values(appendingHaproxy)]) {
    assert.ok(text.includes(line), line);
  }
});
