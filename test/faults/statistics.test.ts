import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createClient } from 'redis';
import { alice } from '../../demo/people.ts';
import { type Cluster, type Node, startCluster } from '../balancers/cluster.fixture.ts';
import { Visitor } from '../balancers/visitor.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';

const origin = 'http://mail.example.test';

/** All sign-ins, as a node tells them. */
async function counted(node: Node): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${node.operators}/api/v1/statistics/logins?by=backend`, {
    headers: { authorization: 'Bearer open-sesame' },
  });
  assert.equal(answer.status, 200);
  const { rows } = (await answer.json()) as { rows: { backend: string; signed_in: number }[] };
  return rows.find(({ backend }) => backend === 'a')?.signed_in ?? 0;
}

function linesOf(node: Node, event: string): readonly object[] {
  return node.log.filter((line) => line['event'] === event);
}

async function lastUser(node: Node): Promise<{ user: string }> {
  const answer = await fetch(`http://127.0.0.1:${node.operators}/api/v1/statistics/last`, {
    headers: { authorization: 'Bearer open-sesame' },
  });
  const { users } = (await answer.json()) as { users: { user: string }[] };
  assert.equal(users.length, 1);
  return users[0] ?? { user: '' };
}

describe('the statistics of two nodes, one of them with two workers, in a Redis for the state', () => {
  let cluster: Cluster;
  let sessions: RedisServer;
  let state: RedisServer;
  let one: Node;
  let two: Node;
  let done = 0;

  before(async () => {
    cluster = await startCluster();
    sessions = await startRedisServer();
    state = await startRedisServer();
    await writeFile(join(cluster.folder, 'token'), 'open-sesame\n');
    one = await cluster.startNode(await configure('one', 1));
    two = await cluster.startNode(await configure('two', 2));
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
    await sessions[Symbol.asyncDispose]();
    await state[Symbol.asyncDispose]();
  });

  const configure = (name: string, workers: number) =>
    cluster.configure(
      name,
      `public_url: ${origin}
workers: ${workers}
sessions: { redis: "${sessions.url}", keys_file: shared.keys }
state: { redis: "${state.url}" }
statistics: { flush_interval: 200ms }
operators: { listen: "127.0.0.1:0", token: { file: token } }
shutdown: { delay: 0s, deadline: 1s }`,
    );

  async function signIn(node: Node, times: number): Promise<void> {
    for (let left = times; left > 0; left -= 1) {
      using visitor = new Visitor(origin, node.port);
      assert.equal((await visitor.signIn()).status, 303);
      done += 1;
    }
  }

  async function tell(...command: readonly string[]): Promise<void> {
    const client = await createClient({ url: state.url }).connect();
    await client.sendCommand([...command]);
    client.destroy();
  }

  it('are the sum of all their processes, whichever node is asked', async () => {
    await signIn(one, 2);
    await signIn(two, 4);
    await eventually(async () => (await counted(one)) === 6 && (await counted(two)) === 6);
  });

  for (const [name, begin, end] of [
    ['hangs', async () => state.freeze(), async () => state.thaw()],
    ['is full', () => tell('CONFIG', 'SET', 'maxmemory', '1mb'), () => tell('CONFIG', 'SET', 'maxmemory', '0')],
    ['is a read-only replica', () => tell('REPLICAOF', '127.0.0.1', '1'), () => tell('REPLICAOF', 'NO', 'ONE')],
    ['is killed', () => state.kill(), () => state.restart()],
  ] as const) {
    it(`cost no sign-in while that Redis ${name}, raise one alarm, and are whole afterwards`, async () => {
      const [alarms, ends] = ['statistics-not-stored', 'statistics-stored'].map((event) => linesOf(one, event).length);
      await begin();
      try {
        await signIn(one, 1);
        await eventually(() => linesOf(one, 'statistics-not-stored').length === (alarms ?? 0) + 1);
        await signIn(one, 5);
        await signIn(two, 2);
      } finally {
        await end();
      }
      await eventually(() => linesOf(one, 'statistics-stored').length === (ends ?? 0) + 1);
      await eventually(async () => (await counted(two)) === done);
      assert.equal(linesOf(one, 'statistics-not-stored').length, (alarms ?? 0) + 1, 'one alarm for one outage');
    });
  }

  it('are stored by a node that closes', async () => {
    const before = await counted(two);
    await signIn(one, 2);
    one.child.kill('SIGTERM');
    assert.deepEqual(await one.exited, [0, null]);
    assert.equal(await counted(two), before + 2);
    assert.equal(alice.address, (await lastUser(two)).user);
  });
});
