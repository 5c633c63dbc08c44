import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { after, before, test, type TestContext } from 'node:test';
import { eventually } from '../eventually.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';
import { type Cluster, type Node, startCluster } from './cluster.fixture.ts';
import { type Haproxy, startHaproxy } from './haproxy.fixture.ts';
import { startNginx } from './nginx.fixture.ts';
import { Visitor } from './visitor.fixture.ts';

const origin = 'https://mail.example.test';
const clients = 8;

let cluster: Cluster;
let redis: RedisServer;

before(async () => {
  cluster = await startCluster();
  redis = await startRedisServer();
});
after(async () => {
  await cluster[Symbol.asyncDispose]();
  await redis[Symbol.asyncDispose]();
});

interface Place {
  readonly port: number;
  start(): Promise<Node>;
}

/** A node that can be restarted on the same port. */
async function place(name: string, shutdown: string): Promise<Place> {
  const port = await freePort();
  const file = await cluster.configure(
    name,
    `public_url: ${origin}
trusted_proxies: [127.0.0.1]
sessions: { redis: "${redis.url}", keys_file: shared.keys }
shutdown: ${shutdown}`,
    { public: port },
  );
  return { port, start: () => cluster.startNode(file) };
}

/** Clients that read and write without a pause, each on one session. */
interface Load {
  readonly reads: number;
  readonly writes: number;
  readonly failures: readonly string[];
  stop(): Promise<void>;
}

async function startLoad(port: number): Promise<Load> {
  const load = { reads: 0, writes: 0, failures: new Array<string>() };
  let stopped = false;
  const visitors: Visitor[] = [];
  // One after another: sign-ins of one user at the same moment count as guesses.
  while (visitors.length < clients) {
    const visitor = new Visitor(origin, port);
    assert.equal((await visitor.signIn()).status, 303);
    visitors.push(visitor);
  }
  const run = async (visitor: Visitor): Promise<void> => {
    for (let nth = 0; !stopped; nth += 1) {
      const writes = nth % 4 === 3;
      try {
        const { status, body } = writes
          ? await visitor.send('POST', '/upload', { body: 'x'.repeat(20_000) })
          : await visitor.get('/arrived');
        if (status !== 200) load.failures.push(`${writes ? 'POST' : 'GET'} ${status} ${body.slice(0, 60)}`);
      } catch (error) {
        load.failures.push(`${writes ? 'POST' : 'GET'} ${String(error)}`);
      }
      load[writes ? 'writes' : 'reads'] += 1;
      // The pace of a browser, not of a benchmark: the machine runs HAProxy, two nodes and the clients.
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    visitor[Symbol.dispose]();
  };
  const running = visitors.map(run);
  return Object.assign(load, {
    async stop() {
      stopped = true;
      await Promise.all(running);
    },
  });
}

const isUp = (haproxy: Haproxy, name: string) => async () => (await haproxy.server(name)).status === 'UP';

function report(t: TestContext, load: Load): void {
  t.diagnostic(`${load.reads} reads and ${load.writes} writes of ${clients} clients, ${load.failures.length} failed`);
}

test('rolling restart of two nodes behind HAProxy under load: no request fails, nobody signs in again', async (t) => {
  const [first, second] = [
    await place('g1', '{ delay: 4s, deadline: 10s }'),
    await place('g2', '{ delay: 4s, deadline: 10s }'),
  ];
  const nodes = { g1: await first.start(), g2: await second.start() };
  await using haproxy = await startHaproxy('haproxy.cfg', { g1: first.port, g2: second.port });
  await eventually(async () => (await isUp(haproxy, 'g1')()) && (await isUp(haproxy, 'g2')()), 'both are up');
  const load = await startLoad(haproxy.port);
  for (const name of ['g1', 'g2'] as const) {
    nodes[name].child.kill('SIGTERM');
    assert.deepEqual(await nodes[name].exited, [0, null]);
    nodes[name] = await (name === 'g1' ? first : second).start();
    await eventually(isUp(haproxy, name), `${name} is up again`);
  }
  await load.stop();
  report(t, load);
  assert.deepEqual(load.failures, []);
  assert.ok(load.reads > 200 && load.writes > 50);
  for (const node of Object.values(nodes)) node.child.kill('SIGKILL');
});

test('rolling restart of two nodes behind nginx, which makes no checks, under load: no read fails', async (t) => {
  const [first, second] = [
    await place('n1', '{ delay: 2s, deadline: 10s }'),
    await place('n2', '{ delay: 2s, deadline: 10s }'),
  ];
  const nodes = [await first.start(), await second.start()];
  await using nginx = await startNginx({ g1: first.port, g2: second.port });
  const load = await startLoad(nginx.port);
  for (const [index, from] of [first, second].entries()) {
    nodes[index]?.child.kill('SIGTERM');
    assert.deepEqual(await nodes[index]?.exited, [0, null]);
    nodes[index] = await from.start();
    // nginx asks a node that failed again after fail_timeout.
    await new Promise((resolve) => setTimeout(resolve, 2_500));
  }
  await load.stop();
  report(t, load);
  // A connection that nginx opens at the very moment at which the node closes its listener is reset: what only reads is
  // asked again at the other node, a write is not repeated.
  const reads = load.failures.filter((text) => text.startsWith('GET'));
  assert.deepEqual(reads, []);
  assert.ok(load.failures.length <= nodes.length, load.failures.join('\n'));
  assert.ok(load.reads > 200 && load.writes > 50);
  for (const node of nodes) node.child.kill('SIGKILL');
});

test('kill -9 of a node under load: its users go on at the other one, without a second sign-in', async (t) => {
  const [first, second] = [await place('k1', '{ delay: 1s }'), await place('k2', '{ delay: 1s }')];
  const [victim] = [await first.start(), await second.start()];
  await using haproxy = await startHaproxy('haproxy.cfg', { g1: first.port, g2: second.port });
  await eventually(async () => (await isUp(haproxy, 'g1')()) && (await isUp(haproxy, 'g2')()), 'both are up');
  const load = await startLoad(haproxy.port);
  await eventually(() => Promise.resolve(load.reads > 100), 'load');
  victim.child.kill('SIGKILL');
  await victim.exited;
  const before = load.reads;
  await eventually(() => Promise.resolve(load.reads > before + 200), 'more load');
  await load.stop();
  report(t, load);
  // Reads are repeated by HAProxy; a write that was on its way to the dead node is lost and must not be repeated.
  assert.deepEqual(
    load.failures.filter((text) => text.startsWith('GET')),
    [],
  );
  assert.ok(load.failures.length <= clients, load.failures.join('\n'));
});

test('SIGTERM during an upload of 200 MB: it arrives whole, then the node exits 0', async (t) => {
  const one = await place('u1', '{ delay: 1s, deadline: 60s }');
  const node = await one.start();
  await using haproxy = await startHaproxy('haproxy.cfg', { g1: one.port });
  await eventually(isUp(haproxy, 'g1'), 'the node is up');
  using visitor = new Visitor(origin, haproxy.port);
  await visitor.signIn();

  const part = Buffer.alloc(1 << 20, 'postern');
  const parts = 200;
  const hash = createHash('sha256');
  const { promise: halfSent, resolve: sentHalf } = Promise.withResolvers<void>();
  const { promise: goOn, resolve: continueUpload } = Promise.withResolvers<void>();
  async function* body(): AsyncGenerator<Buffer> {
    for (let nth = 0; nth < parts; nth += 1) {
      if (nth === parts / 2) {
        sentHalf();
        await goOn;
      }
      hash.update(part);
      yield part;
    }
  }
  const upload = visitor.send('POST', '/upload', {
    headers: { 'content-length': String(part.length * parts) },
    body: Readable.from(body(), { objectMode: false, highWaterMark: 1 << 20 }),
  });
  await halfSent;
  const startedAt = performance.now();
  node.child.kill('SIGTERM');
  await node.logged('draining');
  // The listener is closed; only the upload keeps the node.
  await eventually(async () => (await haproxy.server('g1')).status === 'DOWN', 'HAProxy finds nobody there');
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  continueUpload();
  const { status, body: answer } = await upload;
  assert.equal(status, 200);
  assert.deepEqual(JSON.parse(answer), { bytes: part.length * parts, sha256: hash.digest('hex') });
  assert.deepEqual(await node.exited, [0, null]);
  t.diagnostic(`200 MB arrived whole, exit ${Math.round(performance.now() - startedAt)} ms after SIGTERM`);
});

test('a second SIGTERM ends the node at once', async () => {
  const one = await place('s1', '{ delay: 20s, deadline: 60s }');
  const node = await one.start();
  node.child.kill('SIGTERM');
  await node.logged('draining');
  const startedAt = performance.now();
  node.child.kill('SIGTERM');
  assert.deepEqual(await node.exited, [0, null]);
  assert.ok(performance.now() - startedAt < 5_000);
});

test('while a node waits to be taken out, it answers everything, and ends each connection with its answer', async () => {
  const one = await place('w1', '{ delay: 2s, deadline: 5s }');
  const node = await one.start();
  node.child.kill('SIGTERM');
  await node.logged('draining');
  const answers = await Promise.all(
    ['/-/ready', '/-/live'].map((path) => fetch(`http://127.0.0.1:${one.port}${path}`)),
  );
  assert.deepEqual(
    answers.map(({ status, headers }) => [status, headers.get('connection')]),
    [
      [503, 'close'],
      [200, 'close'],
    ],
  );
  await once(node.child, 'exit');
});
