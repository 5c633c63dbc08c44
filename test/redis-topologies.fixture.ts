import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from 'redis';
import type { RedisSettings } from '../src/redis/topology.ts';
import { eventually } from './eventually.fixture.ts';
import { freePort } from './ports.fixture.ts';
import { runProgram, spawn } from './programs.ts';

/** Several real Redis processes that make one store. */
export interface RedisTopology extends AsyncDisposable {
  readonly settings: RedisSettings;
  /** The ports of the servers with data, including those that are down. */
  readonly ports: readonly number[];
  /** The port of a server that accepts writes now. */
  master(): Promise<number>;
  /** SIGKILL. */
  kill(port: number): Promise<void>;
  /** Removes all data. */
  empty(): Promise<void>;
}

export interface RedisCluster extends RedisTopology {
  /**
   * Leads all slots of a master that hold keys to another one, as `redis-cli --cluster reshard` does. Resolves with
   * their number.
   */
  moveSlots(from: number): Promise<number>;
}

const host = '127.0.0.1';

/** The number of replicas that have their master's data; only these can take its place. */
async function awaitReplicas(ports: readonly number[], count: number): Promise<void> {
  await eventually(async () => {
    const told = await Promise.all(ports.map((port) => cli(port, 'info', 'replication')));
    return told.filter((text) => text.includes('master_link_status:up')).length === count;
  }, 'the replicas have the data of their masters');
}

/** A master with a replica and three Sentinels, which take a master for gone after a second of silence. */
export async function startSentinels(): Promise<RedisTopology> {
  const group = await startGroup();
  try {
    const master = await group.launch('master');
    const replica = await group.launch('replica', ['--replicaof', host, String(master)]);
    const sentinels: number[] = [];
    for (const name of ['s1', 's2', 's3']) {
      const port = await freePort();
      const file = join(group.folder, `${name}.conf`);
      const lines = [
        `port ${port}`,
        `bind ${host}`,
        `dir ${group.folder}`,
        `sentinel monitor mymaster ${host} ${master} 2`,
        'sentinel down-after-milliseconds mymaster 1000',
        'sentinel failover-timeout mymaster 3000',
      ];
      await writeFile(file, `${lines.join('\n')}\n`);
      await group.spawn(port, [file, '--sentinel']);
      sentinels.push(port);
    }
    const masterNow = async (): Promise<number> => {
      for (const port of sentinels) {
        const told = await cli(port, 'sentinel', 'get-master-addr-by-name', 'mymaster').catch(() => '');
        const [, found] = told.split('\n');
        if (found !== undefined) return Number(found);
      }
      throw new Error('no Sentinel tells of a master');
    };
    await eventually(async () => {
      const told = await Promise.all(sentinels.map((port) => cli(port, 'info', 'sentinel')));
      return told.every((text) => text.includes('slaves=1,sentinels=3'));
    }, 'the Sentinels know each other and the replica');
    await awaitReplicas([replica], 1);
    return {
      settings: {
        sentinels: sentinels.map((port) => ({ host, port })),
        name: 'mymaster',
        database: 0,
        tls: false,
      },
      ports: [master, replica],
      master: masterNow,
      kill: (port) => group.kill(port),
      empty: async () => flush(await masterNow()),
      [Symbol.asyncDispose]: () => group.end(),
    };
  } catch (error) {
    await group.end();
    throw error;
  }
}

/** Three masters with a replica each, which take a master for gone after a second of silence. */
export async function startRedisCluster(): Promise<RedisCluster> {
  const group = await startGroup();
  try {
    const ports: number[] = [];
    for (const name of ['n1', 'n2', 'n3', 'n4', 'n5', 'n6']) {
      const busPort = await freePort();
      const settings = [
        '--cluster-enabled',
        'yes',
        '--cluster-node-timeout',
        '1000',
        '--cluster-port',
        String(busPort),
      ];
      ports.push(await group.launch(name, settings));
    }
    const nodes = ports.map((port) => `${host}:${port}`);
    const isWhole = async (port: number) => {
      const [info, told] = [await cli(port, 'cluster', 'info'), await cli(port, 'cluster', 'nodes')];
      const replicas = told.split('\n').filter((line) => /\bslave\b/.test(line));
      return info.includes('cluster_state:ok') && replicas.length === 3;
    };
    await runProgram('redis-cli', ['--cluster', 'create', ...nodes, '--cluster-replicas', '1', '--cluster-yes']);
    await eventually(async () => (await Promise.all(ports.map(isWhole))).every(Boolean), 'the cluster is whole');
    await awaitReplicas(ports, 3);
    const masters = async (): Promise<readonly number[]> => {
      for (const port of ports) {
        const told = await cli(port, 'cluster', 'nodes').catch(() => '');
        const living = told.split('\n').filter((line) => /\bmaster\b/.test(line) && !/\bfail\b/.test(line));
        const found = living.map((line) => Number(/:(\d+)@/.exec(line)?.[1]));
        if (found.length > 0) return found;
      }
      throw new Error('no node tells of the cluster');
    };
    return {
      settings: { cluster: ports.slice(0, 3).map((port) => ({ host, port })), tls: false },
      ports,
      async master() {
        const [first] = await masters();
        if (first === undefined) throw new Error('a cluster has masters');
        return first;
      },
      kill: (port) => group.kill(port),
      empty: async () => void (await Promise.all((await masters()).map(flush))),
      async moveSlots(from) {
        const all = await masters();
        const to = all.find((port) => port !== from);
        if (to === undefined) throw new Error('a cluster has several masters');
        await using opened = new AsyncDisposableStack();
        const nodes = new Map<number, Ask>();
        for (const port of all) nodes.set(port, await openNode(port, opened));
        return await moveAllSlots(nodes, from, to);
      },
      [Symbol.asyncDispose]: () => group.end(),
    };
  } catch (error) {
    await group.end();
    throw error;
  }
}

type Ask = (...command: readonly string[]) => Promise<unknown>;

async function openNode(port: number, opened: AsyncDisposableStack): Promise<Ask> {
  const client = createClient({ url: `redis://${host}:${port}` });
  client.on('error', () => undefined);
  await client.connect();
  opened.defer(() => client.close());
  return (...command) => client.sendCommand([...command]);
}

/** While a slot is half moved, the old master answers ASK for keys that have gone, and TRYAGAIN for some of each. */
async function moveAllSlots(nodes: ReadonlyMap<number, Ask>, from: number, to: number): Promise<number> {
  const [old, fresh] = [nodes.get(from), nodes.get(to)];
  if (old === undefined || fresh === undefined) throw new Error('both are masters');
  const [oldId, freshId] = [String(await old('CLUSTER', 'MYID')), String(await fresh('CLUSTER', 'MYID'))];
  const slots = new Set<string>();
  for (const key of texts(await old('KEYS', '*'))) slots.add(String(await old('CLUSTER', 'KEYSLOT', key)));
  for (const slot of slots) {
    await fresh('CLUSTER', 'SETSLOT', slot, 'IMPORTING', oldId);
    await old('CLUSTER', 'SETSLOT', slot, 'MIGRATING', freshId);
    for (const key of texts(await old('CLUSTER', 'GETKEYSINSLOT', slot, '1000'))) {
      await old('MIGRATE', host, String(to), key, '0', '5000');
      // The time that a big slot takes.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const others = [...nodes.values()].filter((node) => node !== fresh && node !== old);
    for (const node of [fresh, old, ...others]) await node('CLUSTER', 'SETSLOT', slot, 'NODE', freshId);
  }
  return slots.size;
}

function texts(reply: unknown): readonly string[] {
  return Array.isArray(reply) ? reply.map(String) : [];
}

async function startGroup() {
  const folder = await mkdtemp(join(tmpdir(), 'postern-redis-'));
  const running = new Map<number, ChildProcess>();

  async function spawnOne(port: number, args: readonly string[]): Promise<void> {
    const child = spawn('redis-server', args, { stdio: 'ignore' });
    running.set(port, child);
    await eventually(async () => (await cli(port, 'ping')).startsWith('PONG'), `Redis on ${port}`);
  }
  async function kill(port: number): Promise<void> {
    const child = running.get(port);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
  return {
    folder,
    spawn: spawnOne,
    kill,
    async launch(name: string, more: readonly string[] = []): Promise<number> {
      const port = await freePort();
      const dir = join(folder, name);
      await mkdir(dir);
      await spawnOne(port, [
        '--port',
        String(port),
        '--bind',
        host,
        '--dir',
        dir,
        '--save',
        '',
        '--repl-diskless-sync-delay',
        '0',
        ...more,
      ]);
      return port;
    },
    async end(): Promise<void> {
      await Promise.all([...running.keys()].map(kill));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function cli(port: number, ...command: readonly string[]): Promise<string> {
  return runProgram('redis-cli', ['-h', host, '-p', String(port), ...command]);
}

async function flush(port: number): Promise<void> {
  const client = createClient({ url: `redis://${host}:${port}` });
  try {
    await client.connect();
    await client.flushAll();
  } finally {
    client.destroy();
  }
}
