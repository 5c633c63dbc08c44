import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { alice } from '../../demo/people.ts';
import { enrol } from '../../demo/second-factor.ts';
import { type Cluster, type Node, startCluster } from '../balancers/cluster.fixture.ts';
import { Visitor } from '../balancers/visitor.fixture.ts';
import { openApi } from '../../src/cli/api-client.ts';
import { postern } from '../cli/cli.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { runProgram } from '../programs.ts';
import { startRedisServer } from '../redis-server.fixture.ts';

/** Where a node keeps its sessions and its state, as lines of its configuration. */
interface Place {
  readonly name: string;
  readonly store: string;
}

/** Starts a node with one member of staff, whose server keys and audit are in the folder of that name. */
async function start(cluster: Cluster, { name, store }: Place): Promise<Node & { readonly origin: string }> {
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  await mkdir(join(cluster.folder, name), { recursive: true });
  const file = await cluster.configure(
    name,
    `public_url: ${origin}
sessions: { ${store}, keys_file: ${name}/keys }
audit: { file: ${name}/audit.jsonl }
support:
  console: http://support.localhost:${port}
  assist: http://assist.localhost:${port}
  staff: { ${alice.address}: operator }
operators: { listen: "127.0.0.1:0", socket: ${name}/api.sock }`,
    { public: port },
  );
  return Object.assign(await cluster.startNode(file), { origin });
}

/** Does what a restored node must still know. Resolves with the cookies of the session. */
async function use(cluster: Cluster, name: string, node: Node & { readonly origin: string }) {
  const ask = await openApi(join(cluster.folder, `${name}.yaml`), { env: {} });
  using visitor = new Visitor(node.origin, node.port);
  assert.equal((await visitor.signIn()).status, 303);
  await ask('PUT', '/backends/a/state', { state: 'DRAIN', reason: 'restored with the rest' });
  await enrol(alice, node.origin.replace('127.0.0.1', 'support.localhost'), ask);
  return visitor.cookies;
}

/** Asserts that the session goes on, that the state and the second factor are there, and that the audit is whole. */
async function assertRestored(
  cluster: Cluster,
  name: string,
  node: Node & { readonly origin: string },
  cookies: ReadonlyMap<string, string>,
): Promise<void> {
  const file = join(cluster.folder, `${name}.yaml`);
  using visitor = new Visitor(node.origin, node.port);
  for (const [key, value] of cookies) visitor.cookies.set(key, value);
  assert.equal((await visitor.get('/arrived')).status, 200, 'the session goes on');
  assert.match((await postern(['backend', 'list', '-c', file])).out, /\bDRAIN\b/);
  assert.match((await postern(['staff', 'list', '-c', file])).out, /^alice@example\.test .*enrolled/m);
  const verified = await postern(['audit', 'verify', '-c', file]);
  assert.deepEqual([verified.code, verified.err], [0, ''], verified.out);
}

it('a fresh node on a restored Redis, with keys file and audit, has sessions, states and second factors', async () => {
  await using cluster = await startCluster();
  const { folder } = cluster;
  await using lost = await startRedisServer();
  const before = await start(cluster, { name: 'before', store: `redis: "${lost.url}"` });
  const cookies = await use(cluster, 'before', before);
  await before[Symbol.asyncDispose]();

  await mkdir(join(folder, 'backup'));
  await runProgram('redis-cli', ['-p', String(lost.port), '--rdb', join(folder, 'backup/dump.rdb')]);
  await lost.kill();

  await using restored = await startRedisServer(['--dir', join(folder, 'backup'), '--appendonly', 'no']);
  await mkdir(join(folder, 'after'));
  for (const file of ['keys', 'audit.jsonl']) await copyFile(join(folder, 'before', file), join(folder, 'after', file));
  await using after = await start(cluster, { name: 'after', store: `redis: "${restored.url}"` });
  await assertRestored(cluster, 'after', after, cookies);
});

it('so has a single node on a copy of the embedded store that was made while it ran', async () => {
  await using cluster = await startCluster();
  const { folder } = cluster;
  const before = await start(cluster, { name: 'before', store: 'store_file: before/postern.sqlite' });
  const cookies = await use(cluster, 'before', before);
  await mkdir(join(folder, 'after'));
  await runProgram('sqlite3', [
    join(folder, 'before/postern.sqlite'),
    `.backup ${join(folder, 'after/postern.sqlite')}`,
  ]);
  await before[Symbol.asyncDispose]();
  for (const file of ['keys', 'audit.jsonl']) await copyFile(join(folder, 'before', file), join(folder, 'after', file));
  await using after = await start(cluster, { name: 'after', store: 'store_file: after/postern.sqlite' });
  await assertRestored(cluster, 'after', after, cookies);
});

it('a node with other keys does not start on a restored store, and says which file to bring', async () => {
  await using cluster = await startCluster();
  await using redis = await startRedisServer();
  const before = await start(cluster, { name: 'before', store: `redis: "${redis.url}"` });
  await before[Symbol.asyncDispose]();
  await mkdir(join(cluster.folder, 'after'));
  const file = join(cluster.folder, 'after/keys');
  const made = await postern(['keys', 'create', file]);
  assert.equal(made.code, 0, made.err);
  await writeFile(
    join(cluster.folder, 'after.yaml'),
    (await readFile(join(cluster.folder, 'before.yaml'), 'utf8')).replaceAll('before/', 'after/'),
  );
  const refused = await postern(['serve', '-c', join(cluster.folder, 'after.yaml')]);
  assert.notEqual(refused.code, 0);
  assert.match(refused.err, /after\/keys lacks the key \w+ that other nodes use: copy \S+before\/keys to this node/);
});
