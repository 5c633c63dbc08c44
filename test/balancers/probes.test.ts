import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { type AgentState, createAgentCheck } from '../../src/admin/listeners.ts';
import { eventually } from '../eventually.fixture.ts';
import { freePort, listening } from '../ports.fixture.ts';
import { runProgram } from '../programs.ts';
import { type Cluster, type Node, startCluster } from './cluster.fixture.ts';
import { startHaproxy } from './haproxy.fixture.ts';

const origin = 'https://mail.example.test';

let cluster: Cluster;
let nodes = 0;

before(async () => {
  cluster = await startCluster();
});
after(() => cluster[Symbol.asyncDispose]());

interface NodeWithAgent {
  readonly node: Node;
  readonly agent: number;
  /** Writes the configuration anew; resolves with its file. */
  readonly weigh: (weight: number) => Promise<string>;
}

async function nodeWithAgent(): Promise<NodeWithAgent> {
  const name = `agent${(nodes += 1)}`;
  const [agent, port] = [await freePort(), await freePort()];
  const weigh = (weight: number) =>
    cluster.configure(
      name,
      `public_url: ${origin}
trusted_proxies: [127.0.0.1]
sessions: { store_file: ${name}.sqlite, keys_file: ${name}.keys }
operators: { listen: "127.0.0.1:0", agent_check: "127.0.0.1:${agent}", agent_weight: ${weight} }
shutdown: { delay: 2s, deadline: 1s }`,
      { public: port },
    );
  return { node: await cluster.startNode(await weigh(100)), agent, weigh };
}

async function say(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(bytes);
  return Buffer.concat(await socket.toArray()).toString('latin1');
}

test('/-/live and /-/ready answer on both listeners in HTTP/1.0, without a Host', async () => {
  const { node } = await nodeWithAgent();
  for (const port of [node.port, node.operators]) {
    for (const text of ['live', 'ready']) {
      assert.match(
        await say(port, `GET /-/${text} HTTP/1.0\r\n\r\n`),
        new RegExp(`^HTTP/1\\.1 200 OK\r\n.*${text}\n$`, 's'),
      );
      assert.match(await say(port, `HEAD /-/${text} HTTP/1.0\r\n\r\n`), /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n$/s);
    }
  }
});

test('the HTTP_GET of keepalived gets its digest, in HTTP/1.0 and 1.1, under the address as Host', async () => {
  const { node } = await nodeWithAgent();
  // keepalived's own tool: it asks as the checker does, and prints the digest for keepalived.conf.
  for (const [path, text] of [
    ['/-/live', 'live\n'],
    ['/-/ready', 'ready\n'],
  ] as const) {
    const digest = createHash('md5').update(text).digest('hex');
    for (const port of [node.port, node.operators]) {
      for (const version of ['1.0', '1.1']) {
        const args = ['-P', version, '-s', '127.0.0.1', '-p', String(port), '-u', path];
        assert.equal((await runProgram('genhash', args)).trim(), digest);
      }
    }
  }
});

test('the agent says one line: up with its weight, weight 0 when it drains, down when it does not serve', async () => {
  let state: AgentState = 'down';
  const agent = createAgentCheck({ state: () => state, weight: () => 50 });
  const port = await listening(agent);
  try {
    assert.equal(await say(port, ''), 'down\n');
    state = 'up';
    assert.equal(await say(port, ''), 'up 50%\n');
    // The server discards the bytes of agent-send.
    assert.equal(await say(port, 'node g1\n'), 'up 50%\n');
    state = 'drain';
    assert.equal(await say(port, ''), 'up 0%\n');
  } finally {
    agent.close();
    await once(agent, 'close');
  }
});

test('a real HAProxy follows checks, weight, drain and a new start, and keeps what was set there by hand', async () => {
  const { node, agent, weigh } = await nodeWithAgent();
  await using haproxy = await startHaproxy(
    'haproxy.cfg',
    { g1: node.port, agent },
    { 'fall 2 rise 2': 'fall 2 rise 2 weight 100' },
  );
  const g1 = () => haproxy.server('g1');
  await eventually(async () => (await g1()).status === 'UP', 'up');
  assert.equal((await g1()).weight, 100);

  await weigh(10);
  node.child.kill('SIGHUP');
  await eventually(async () => (await g1()).weight === 10, 'a tenth of the weight');

  await haproxy.ask('set server postern/g1 state drain');
  await weigh(20);
  node.child.kill('SIGHUP');
  await eventually(async () => (await haproxy.ask('get weight postern/g1')).startsWith('20 '), 'another weight');
  assert.match((await g1()).status, /^DRAIN/);
  await haproxy.ask('set server postern/g1 state ready');
  await eventually(async () => (await g1()).status === 'UP', 'up by hand');

  node.child.kill('SIGTERM');
  await eventually(async () => (await haproxy.ask('get weight postern/g1')).startsWith('0 '), 'no weight');
  await eventually(async () => (await g1()).status === 'DOWN', 'down');
  assert.deepEqual(await node.exited, [0, null]);

  await cluster.startNode(await weigh(100));
  await eventually(async () => (await g1()).status === 'UP' && (await g1()).weight === 100, 'up again');
});
