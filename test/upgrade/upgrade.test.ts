import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { type Cluster, type Node, startCluster } from '../balancers/cluster.fixture.ts';
import { type Haproxy, startHaproxy } from '../balancers/haproxy.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { freePorts } from '../ports.fixture.ts';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';
import { Correspondent, createMarkingWebmail } from './correspondent.fixture.ts';
import { lacksHistory, type VersionBefore, versionBefore } from './version-before.fixture.ts';

const origin = 'https://mail.example.test';
const count = 1_000;
const signInsAtOnce = 16;
const readsAtOnce = 50;
const nodes = ['g1', 'g2'] as const;
const until = new Date(Date.now() + 3_600_000).toISOString().replace(/\.\d+/, '');

const skip = await lacksHistory();

describe(`an upgrade of two nodes under ${count} sessions with a WebSocket each`, { timeout: 280_000, skip }, () => {
  const opened = new AsyncDisposableStack();
  const running = new Map<string, Node>();
  const ports = new Map<string, number>();
  let former: VersionBefore;
  let cluster: Cluster;
  let redis: RedisServer;
  let haproxy: Haproxy;
  let users: readonly Correspondent[] = [];

  before(async () => {
    former = await versionBefore();
    redis = opened.use(await startRedisServer());
    const accounts = Array.from({ length: count }, (_, nth) => [`user${nth}@example.test`, `secret ${nth}`]);
    cluster = opened.use(await startCluster({ users: Object.fromEntries(accounts), webmail: createMarkingWebmail() }));
    const [g1 = 0, g2 = 0] = await freePorts(2);
    ports.set('g1', g1).set('g2', g2);
    for (const name of nodes) await start(name, 'former');
    haproxy = opened.use(await startHaproxy('haproxy.cfg', { g1, g2 }, haproxyChanges));
    for (const name of nodes) await eventually(isUp(name), `${name} is up`);
    users = accounts.map((_, nth) => opened.use(new Correspondent(origin, haproxy.plainPort, addressOf(nth))));
    await each(signInsAtOnce, async (user, nth) => user.arrive(accounts[nth]?.[0] ?? '', accounts[nth]?.[1] ?? ''));
  });
  after(() => opened.disposeAsync());

  /** Starts a node of this version or of the one before. Both read the same keys and the same store. */
  async function start(name: string, which: 'former' | 'present'): Promise<void> {
    const file = await cluster.configure(
      name,
      `public_url: ${origin}
trusted_proxies: [127.0.0.1]
sessions: { redis: "${redis.url}", keys_file: shared.keys${which === 'present' ? `, accept_unsigned_until: "${until}"` : ''} }
backend_defaults: { health: { http_interval: 10s, imap_interval: 0s, timeout: 9s, path: /check } }
shutdown: { delay: 3s, deadline: 5s }`,
      { public: ports.get(name) ?? 0 },
    );
    running.set(name, await cluster.startNode(file, which === 'former' ? { program: former.program } : {}));
  }

  function isUp(name: string): () => Promise<boolean> {
    return async () => (await haproxy.server(name)).status === 'UP';
  }

  /** Runs one task for each user, some at a time. */
  async function each(atOnce: number, task: (user: Correspondent, nth: number) => Promise<void>): Promise<void> {
    const waiting = users.entries();
    const work = async (): Promise<void> => {
      for (const [nth, user] of waiting) await task(user, nth);
    };
    await Promise.all(Array.from({ length: atOnce }, work));
  }

  /** Drains one node after the other, and starts the other version in its place, while all users read. */
  async function replaceNodes(which: 'former' | 'present'): Promise<void> {
    for (const name of nodes) {
      const node = running.get(name);
      node?.child.kill('SIGTERM');
      const exited = node?.exited;
      await each(readsAtOnce, (user) => user.read());
      assert.deepEqual(await exited, [0, null]);
      await start(name, which);
      await eventually(isUp(name), `${name} is up again`);
      await each(readsAtOnce, (user) => user.read());
    }
  }

  /** Nobody noticed anything, and all WebSockets carry messages again. */
  async function assertNobodyNoticed(t: TestContext): Promise<void> {
    const refusals = users.flatMap((user) => user.refusals);
    const reconnects = users.reduce((sum, user) => sum + user.reconnects, 0);
    t.diagnostic(`${reconnects} WebSockets were opened again; ${refusals.length} refusals`);
    assert.deepEqual([...new Set(refusals)].slice(0, 5), []);
    const waiting = new Set(users);
    await eventually(async () => {
      await Promise.all([...waiting].map(async (user) => (await user.hears()) && waiting.delete(user)));
      return waiting.size === 0;
    }, `all WebSockets go on`);
    assert.ok(reconnects >= count, 'each drain closed the WebSockets of its node');
  }

  it('signs nobody out and refuses nobody', async (t) => {
    await replaceNodes('present');
    await assertNobodyNoticed(t);
  });

  it('can be taken back, and signs nobody out then either', async (t) => {
    await replaceNodes('former');
    await assertNobodyNoticed(t);
  });
});

/** Two thousand clients fit in, and they speak HTTP: a thousand TLS handshakes are no part of an upgrade. */
const haproxyChanges = {
  'maxconn 500': 'maxconn 6000',
  // The machine may be busy: only a node that is gone is late.
  'timeout connect 3s': 'timeout connect 10s\n    timeout check 10s',
  'http-request redirect scheme https code 308 unless { ssl_fc }': '',
};

/** Each user comes from an address of its own: a crowd from one would be slowed down. */
function addressOf(nth: number): string {
  return `127.1.${nth >> 8}.${nth & 255 || 255}`;
}
