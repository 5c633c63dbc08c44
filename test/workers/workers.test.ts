import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { alice } from '../../demo/people.ts';
import { readBuild } from '../../src/core/build.ts';
import { type Cluster, type Node, startCluster } from '../balancers/cluster.fixture.ts';
import { Visitor } from '../balancers/visitor.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';

const origin = 'http://mail.example.test';
const workers = 3;

let cluster: Cluster;
let redis: RedisServer;
let node: Node;
let agent: number;

before(async () => {
  cluster = await startCluster();
  redis = await startRedisServer();
  agent = await freePort();
  await writeFile(join(cluster.folder, 'token'), 'open-sesame\n');
  node = await cluster.startNode(await configure('warn'));
});
after(async () => {
  await cluster[Symbol.asyncDispose]();
  await redis[Symbol.asyncDispose]();
});

function configure(dropped: string, name = 'workers'): Promise<string> {
  return cluster.configure(
    name,
    `public_url: ${origin}
workers: ${workers}
sessions: { redis: "${redis.url}", keys_file: workers.keys }
login: { refusal_after: 0s }
requests: { drop_headers: [X-${dropped}] }
operators: { listen: "127.0.0.1:0", agent_check: "127.0.0.1:${name === 'workers' ? agent : 0}", token: { file: token } }
backend_defaults: { health: { http_interval: 200ms, imap_interval: 0s, timeout: 5s, path: /check } }
shutdown: { delay: 500ms, deadline: 5s }`,
  );
}

/** Sends requests on new connections, which go to the workers in turn. */
async function visitAll<T>(
  visit: (visitor: Visitor) => Promise<T>,
  cookies: Visitor['cookies'],
): Promise<readonly T[]> {
  const all: T[] = [];
  for (let nth = 0; nth < 2 * workers; nth += 1) {
    using visitor = new Visitor(origin, node.port);
    for (const [name, value] of cookies) visitor.cookies.set(name, value);
    all.push(await visit(visitor));
  }
  return all;
}

const operatorsSay = async (path: string) => {
  const answer = await fetch(`http://127.0.0.1:${node.operators}${path}`);
  return { status: answer.status, text: await answer.text() };
};

test('one session is served by every worker, and each worker says that it is ready', async () => {
  using visitor = new Visitor(origin, node.port);
  assert.equal((await visitor.signIn()).status, 303);
  const statuses = await visitAll(async (other) => (await other.get('/arrived')).status, visitor.cookies);
  assert.deepEqual(new Set(statuses), new Set([200]));
  assert.equal(node.log.filter(({ event }) => event === 'worker-ready').length, workers);
});

test('the operators’ listener shows the metrics of all workers as one', async () => {
  using visitor = new Visitor(origin, node.port);
  assert.equal((await visitor.signIn()).status, 303);
  const before = served((await operatorsSay('/metrics')).text);
  await visitAll((other) => other.get('/arrived'), visitor.cookies);
  const { text } = await operatorsSay('/metrics');
  assert.equal(served(text), before + 2 * workers);
  assert.match(text, /^postern_store_up 1$/m);
  assert.deepEqual(await operatorsSay('/-/ready'), { status: 200, text: 'ready\n' });
});

// oxlint-disable-next-line typescript/no-explicit-any -- JSON that a test looks into.
async function askApi(method: string, path: string, body?: object): Promise<any> {
  const answer = await fetch(`http://127.0.0.1:${node.operators}/api/v1${path}`, {
    method,
    headers: { authorization: 'Bearer open-sesame', 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  assert.equal(answer.status, 200);
  return answer.json();
}

async function firstHost() {
  return (await askApi('GET', '/backends')).backends[0].hosts[0];
}

function served(metrics: string): number {
  return Number(/^postern_requests_total\{.*class="2xx".*\} (\d+)$/m.exec(metrics)?.[1] ?? 0);
}

test('the first process alone looks at the hosts: as often as one process would', async () => {
  const { checks } = cluster.webmail;
  await eventually(() => Promise.resolve(checks.length >= 4), 'the host is looked at');
  const [first, last] = [checks.at(-4), checks.at(-1)];
  assert.ok(first !== undefined && last !== undefined);
  // Three workers with their own checks would need a quarter of the time.
  assert.ok(last - first >= 3 * 180 - 20, `four checks within ${last - first} ms`);
});

test('a host that the first process finds down is down in every worker, and up again with it', async () => {
  using visitor = new Visitor(origin, node.port);
  assert.equal((await visitor.signIn()).status, 303);
  cluster.webmail.isIll = true;
  await eventually(async () => (await firstHost()).state === 'DOWN', 'it is found down');
  const statuses = () => visitAll(async (other) => (await other.get('/arrived')).status, visitor.cookies);
  // One request a second goes through.
  await eventually(async () => (await statuses()).filter((status) => status === 503).length > workers, 'all know');
  cluster.webmail.isIll = false;
  await eventually(async () => (await firstHost()).state === 'READY', 'it is found up');
  await eventually(async () => (await statuses()).every((status) => status === 200), 'all know');
});

test('a lock is known to every worker when the command says so', async () => {
  using visitor = new Visitor(origin, node.port);
  assert.equal((await visitor.signIn()).status, 303);
  const statuses = () => visitAll(async (other) => (await other.get('/arrived')).status, visitor.cookies);
  assert.deepEqual(new Set(await statuses()), new Set([200]));
  const locked = await askApi('POST', '/locks', { users: [alice.address], reason: 'a test' });
  assert.deepEqual([locked.nodes, locked.unreached], [1, []]);
  assert.ok(locked.ended >= 1);
  assert.equal((await statuses()).includes(200), false);
  const tried = await visitAll(async (other) => (await other.signIn()).status, new Map());
  assert.deepEqual(new Set(tried), new Set([403]));
  await askApi('DELETE', '/locks', { users: [alice.address], reason: 'a test' });
  assert.equal((await visitor.signIn()).status, 303);
});

test('the operators’ API is the first process’: it counts the sessions of all workers and ends them everywhere', async () => {
  using visitor = new Visitor(origin, node.port);
  assert.equal((await visitor.signIn()).status, 303);
  await visitAll((other) => other.get('/arrived'), visitor.cookies);
  await eventually(
    async () => (await firstHost()).sessions_here >= workers,
    'each worker has told that it holds the session',
  );
  assert.ok((await askApi('DELETE', `/users/${alice.address}/sessions`, { reason: 'a test' })).ended >= 1);
  const statuses = () => visitAll(async (other) => (await other.get('/arrived')).status, visitor.cookies);
  await eventually(async () => (await statuses()).every((status) => status === 303), 'all lead to the sign-in page');
});

async function agentSays(): Promise<string> {
  return (await text(connect(agent, '127.0.0.1'))).trim();
}

test('a node that is taken out says so in every worker and to agents, and serves on until it is taken back', async () => {
  using visitor = new Visitor(origin, node.port);
  assert.equal((await visitor.signIn()).status, 303);
  const seen = async (path: string) =>
    new Set(await visitAll(async (other) => (await other.get(path)).status, visitor.cookies));
  assert.equal(await agentSays(), 'up 100%');
  const drained = await askApi('PUT', '/node/state', { state: 'DRAIN', reason: 'a test' });
  assert.deepEqual([drained.state, drained.ready], ['DRAIN', false]);
  await eventually(async () => String([...(await seen('/-/ready'))]) === '503', 'all say so');
  assert.equal(await agentSays(), 'up 0%');
  assert.equal((await operatorsSay('/-/ready')).status, 503);
  assert.deepEqual(await seen('/arrived'), new Set([200]));
  await askApi('PUT', '/node/state', { state: 'READY', reason: 'a test' });
  await eventually(async () => String([...(await seen('/-/ready'))]) === '200', 'all are ready');
  assert.equal(await agentSays(), 'up 100%');
});

test('a node says once which version it is, however many workers it has', async () => {
  const build = readBuild();
  const shown = await askApi('GET', '/node');
  assert.deepEqual(shown.build, build);
  const { text } = await operatorsSay('/metrics');
  const { version, commit, node: runtime } = build;
  assert.ok(text.includes(`postern_build_info{version="${version}",commit="${commit}",node="${runtime}"} 1\n`), text);
});

test('SIGHUP reaches every worker, and a bad configuration none', async () => {
  using visitor = new Visitor(origin, node.port);
  assert.equal((await visitor.signIn()).status, 303);
  const arrives = () =>
    visitAll(async (other) => (await other.arrived({ 'x-house': '1' }))['x-house'], visitor.cookies);
  assert.deepEqual(new Set(await arrives()), new Set(['1']));
  await configure('House');
  node.child.kill('SIGHUP');
  await eventually(async () => (await arrives()).every((value) => value === undefined), 'all drop the field');
  await configure('Nonsense: [');
  node.child.kill('SIGHUP');
  await node.logged('config-not-read');
  assert.ok((await arrives()).every((value) => value === undefined));
  await configure('House');
});

function isAsBefore(fields: readonly string[]): boolean {
  return fields.includes('x-later') && !fields.includes('x-house');
}

test('what is on disk counts for no worker before the first process has taken it over, also for one that comes later', async () => {
  using visitor = new Visitor(origin, node.port);
  assert.equal((await visitor.signIn()).status, 303);
  const arrived = () =>
    visitAll(async (other) => Object.keys(await other.arrived({ 'x-house': '1', 'x-later': '1' })), visitor.cookies);
  assert.ok((await arrived()).every(isAsBefore));
  for (const dropped of ['Later', 'Nonsense: [']) {
    await configure(dropped);
    const before = await childrenOf(node.child.pid ?? 0);
    const ready = () => node.log.filter(({ event }) => event === 'worker-ready').length;
    const readyBefore = ready();
    process.kill(before[0] ?? 0, 'SIGKILL');
    await eventually(() => ready() === readyBefore + 1, 'another one takes its place');
    assert.ok((await arrived()).every(isAsBefore));
  }
  await configure('House');
});

test('a worker that dies is replaced, and its sessions live', async () => {
  using visitor = new Visitor(origin, node.port);
  assert.equal((await visitor.signIn()).status, 303);
  const [victim] = await childrenOf(node.child.pid ?? 0);
  assert.ok(victim !== undefined);
  const ready = node.log.filter(({ event }) => event === 'worker-ready').length;
  process.kill(victim, 'SIGKILL');
  await eventually(async () => {
    const children = await childrenOf(node.child.pid ?? 0);
    return children.length === workers && !children.includes(victim);
  }, 'a new worker');
  await eventually(() => node.log.filter(({ event }) => event === 'worker-ready').length === ready + 1, 'it is ready');
  const statuses = await visitAll(async (other) => (await other.get('/arrived')).status, visitor.cookies);
  assert.deepEqual(new Set(statuses), new Set([200]));
});

test('SIGTERM drains all workers, with the whole process group signalled as a service manager does', async () => {
  const own = await cluster.startNode(await configure('warn', 'other'));
  const pids = await childrenOf(own.child.pid ?? 0);
  assert.equal(pids.length, workers);
  for (const pid of [own.child.pid ?? 0, ...pids]) process.kill(pid, 'SIGTERM');
  await own.logged('draining');
  const ready = await fetch(`http://127.0.0.1:${own.port}/-/ready`);
  assert.equal(ready.status, 503);
  assert.deepEqual(await own.exited, [0, null]);
});

test('kill -9 of the first process leaves no worker behind', async () => {
  const own = await cluster.startNode(await configure('warn', 'third'));
  const pids = await childrenOf(own.child.pid ?? 0);
  own.child.kill('SIGKILL');
  await own.exited;
  await eventually(() => Promise.resolve(pids.every((pid) => !isAlive(pid))), 'all workers are gone');
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text
    .trim()
    .split(' ')
    .filter((part) => part !== '')
    .map(Number);
}
