import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { alice, bob, greta, type Person } from '../../demo/people.ts';
import { type Cluster, type Node, startCluster } from '../balancers/cluster.fixture.ts';
import { Visitor } from '../balancers/visitor.fixture.ts';
import { type MupdateMaster, startMupdateMaster } from '../directory/peers/mupdate.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';
import { startTcpWay, type TcpWay } from '../tcp-way.fixture.ts';

const origin = 'http://mail.example.test';
const workers = 3;
const here = '127.0.0.1!default';

let cluster: Cluster;
let redis: RedisServer;
let master: MupdateMaster;
let way: TcpWay;
let node: Node;

before(async () => {
  cluster = await startCluster();
  redis = await startRedisServer();
  master = await startMupdateMaster();
  await master.activate(new Map([['user.alice', here]]));
  await master.send(`RESERVE "user.greta" "${here}"`);
  way = await startTcpWay(master.port);
  await writeFile(join(cluster.folder, 'murder.password'), `${master.password}\n`);
  const source = `type: mupdate, servers: "127.0.0.1:${way.port}", user: ${master.user}, password: { file: murder.password }`;
  const file = await cluster.configure(
    'murder',
    `public_url: ${origin}
workers: ${workers}
sessions: { redis: "${redis.url}", keys_file: murder.keys }
login: { refusal_after: 0s }
directory: { default_domain: example.test, sources: [{ ${source}, tls_ca_file: ${master.caFile} }] }`,
  );
  node = await cluster.startNode(file);
});
after(async () => {
  await way?.close();
  await cluster[Symbol.asyncDispose]();
  await master[Symbol.asyncDispose]();
  await redis[Symbol.asyncDispose]();
});

/** The results of sign-ins on new connections, which go to the workers in turn. */
async function signIns({ address, password }: Pick<Person, 'address' | 'password'>): Promise<string> {
  const statuses = new Set<number>();
  for (let nth = 0; nth < 2 * workers; nth += 1) {
    using visitor = new Visitor(origin, node.port);
    // Each attempt has another unknown name: a repeated one would wait.
    statuses.add((await visitor.signIn(password, address.replace('NTH', String(nth)))).status);
  }
  return [...statuses].join(' ');
}

const strangers = { address: 'stranger-NTH@example.test', password: bob.password };

test('one process of a node holds the stream of a Murder, and every worker is told who lives where', async () => {
  assert.equal(await signIns(alice), '303');
  assert.equal(await signIns(strangers), '403');
  assert.equal(node.log.filter(({ event }) => event === 'worker-ready').length, workers);
  assert.equal(way.count(), 1);
});

test('what the master changes is so in every worker at once', async () => {
  assert.equal(await signIns(greta), '503');
  await master.activate(new Map([['user.greta', here]]));
  await eventually(async () => (await signIns(greta)) === '303', 'greta has a home everywhere');
  assert.equal(way.count(), 1);
});

test('a reload takes another stream, and the workers ask it', async () => {
  const before = way.count();
  await writeFile(join(cluster.folder, 'murder.password'), master.password);
  node.child.kill('SIGHUP');
  await node.logged('config-reloaded');
  await eventually(async () => (await signIns(alice)) === '303', 'alice has a home everywhere');
  assert.equal(way.count(), before + 1);
});

test('without its master nobody is unknown: who is in the copy signs in, others are asked to come later', async () => {
  await way.close();
  await eventually(async () => (await signIns(bob)) === '503', 'nobody can say whether there is a bob');
  assert.equal(await signIns(alice), '303');
});
