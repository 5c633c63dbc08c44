import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { alice } from '../../demo/people.ts';
import { processMetrics } from '../../src/observe/metric-labels.ts';
import { metricTable } from '../../src/observe/metric-table.ts';
import { type Cluster, type Node, startCluster } from '../balancers/cluster.fixture.ts';
import { Visitor } from '../balancers/visitor.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { makeCertificate } from '../passdb/certificates.fixture.ts';
import { listening } from '../ports.fixture.ts';
import { runProgram } from '../programs.ts';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';

const origin = 'https://mail.example.test';
/** In every text that a client sends in these tests. */
const mark = 'made-up';

/** One series of a scrape. */
interface Series {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

const directory = createServer((request, response) => {
  const isAlice = request.url === `/${encodeURIComponent(alice.address)}`;
  response.writeHead(isAlice ? 200 : 404).end(JSON.stringify({ backend: 'a' }));
});
let cluster: Cluster;
let redis: RedisServer;
let node: Node;
let configFile: string;

before(async () => {
  cluster = await startCluster();
  redis = await startRedisServer();
  const { cert, key } = makeCertificate('DNS:mail.example.test');
  await writeFile(join(cluster.folder, 'mail.pem'), cert);
  await writeFile(join(cluster.folder, 'mail.key'), key);
  configFile = await cluster.configure(
    'scraped',
    `public_url: ${origin}
tls: { certificate_file: mail.pem, key_file: mail.key }
workers: 2
sessions: { redis: "${redis.url}", keys_file: scraped.keys }
login: { refusal_after: 0s }
directory:
  default_domain: example.test
  sources: [{ type: http, url: "http://127.0.0.1:${await listening(directory)}/%u" }]
backend_defaults: { health: { http_interval: 100ms, imap_interval: 100ms, path: /check }, dav: [/dav] }
shutdown: { delay: 0s, deadline: 1s }`,
  );
  const standby = '{ imap: "imaps://127.0.0.1:9", webmail: "http://127.0.0.1:9/" }';
  await rewrite('driver: none }', `driver: none, standby: [${standby}, ${standby.replaceAll(':9', ':19')}] }`);
  node = await cluster.startNode(configFile);
  await eventually(async () => (await valueOf('postern_clock_offset_seconds')) !== undefined, 'Redis told its time');
});
after(async () => {
  await cluster[Symbol.asyncDispose]();
  await redis[Symbol.asyncDispose]();
  directory.close();
  directory.closeAllConnections();
});

async function rewrite(before: string, after: string): Promise<void> {
  const yaml = await readFile(configFile, 'utf8');
  assert.ok(yaml.includes(before), `${before} is not in the configuration`);
  await writeFile(configFile, yaml.replace(before, after));
}

async function scrape(): Promise<string> {
  return (await fetch(`http://127.0.0.1:${node.operators}/metrics`)).text();
}

async function allSeries(): Promise<readonly Series[]> {
  return (await scrape()).split('\n').flatMap((line) => {
    const [, name, labels = '', value] = /^([a-z]\w*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (name === undefined) return [];
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(
      ([, label = '', of = '']) => [label, of] as const,
    );
    return [{ name, labels: new Map(pairs), value: Number(value) }];
  });
}

/** The sum of all series of this name with these labels; undefined if there is none. */
async function valueOf(name: string, wanted: Readonly<Record<string, string>> = {}): Promise<number | undefined> {
  const found = (await allSeries()).filter(
    (one) => one.name === name && Object.entries(wanted).every(([label, value]) => one.labels.get(label) === value),
  );
  return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
}

/** Metrics that come and go: kinds of garbage collections, and a time that may not be known in time. */
const passing = /^(?:nodejs_gc_duration_seconds|postern_invalidation_lag_seconds)/;

/** All lasting series by name and labels. */
async function shapes(): Promise<readonly string[]> {
  return (await allSeries())
    .filter(({ name }) => !passing.test(name))
    .map(({ name, labels }) => `${name} ${[...labels].join(' ')}`);
}

test('the first increment of each counter of a client is seen: what sign-ins and requests count was 0 before', async () => {
  const before = await shapes();
  using visitor = new Visitor(origin, node.port);
  assert.equal((await visitor.signIn()).status, 303);
  await visitor.get('/arrived');
  await visitor.get('/dav/x', { authorization: `Basic ${btoa(`${alice.address}:${alice.password}`)}` });
  assert.equal((await visitor.signIn('not it')).status, 403);
  assert.deepEqual(await shapes(), before);
  assert.equal(await valueOf('postern_logins_total', { result: 'signed-in', backend: 'a', webmail: 'none' }), 1);
  assert.equal(await valueOf('postern_logins_total', { result: 'rejected', backend: 'a', webmail: 'none' }), 1);
  assert.equal(await valueOf('postern_client_checks_total', { result: 'right', backend: 'a' }), 1);
  assert.equal(await valueOf('postern_requests_total', { backend: 'a', class: '2xx' }), 2);
  assert.equal(await valueOf('postern_first_byte_seconds_count', { backend: 'a' }), 2);
});

test('another wrong password waits, which is a penalty given', async () => {
  assert.equal(await valueOf('postern_penalty_delays_total'), 0);
  using visitor = new Visitor(origin, node.port);
  assert.equal((await visitor.signIn('nor that')).status, 403);
  assert.equal(await valueOf('postern_penalty_delays_total'), 1);
  assert.equal(await valueOf('postern_penalty_delay_seconds_total'), 2);
});

test('a host that is down, and its backend with it, is seen by state and by service', async () => {
  assert.equal(await valueOf('postern_backend_state', { backend: 'a', state: 'READY' }), 1);
  assert.equal(await valueOf('postern_host_up', { host: 'a', service: 'webmail' }), 1);
  cluster.webmail.isIll = true;
  await eventually(
    async () => (await valueOf('postern_host_up', { host: 'a', service: 'webmail' })) === 0,
    'the host is down',
  );
  assert.equal(await valueOf('postern_host_up', { host: 'a', service: 'imap' }), 1);
  assert.equal(await valueOf('postern_backend_state', { backend: 'a', state: 'READY' }), 0);
  assert.equal(await valueOf('postern_backend_state', { backend: 'a', state: 'DOWN' }), 1);
  assert.equal(await valueOf('postern_host_state', { host: 'a' }), 3);
  assert.ok(
    ((await valueOf('postern_checks_total', { backend: 'a', service: 'webmail', result: 'failed' })) ?? 0) >= 3,
  );
  cluster.webmail.isIll = false;
  await eventually(async () => (await valueOf('postern_backend_state', { state: 'READY' })) === 1, 'it is up again');
});

test('a refused reload is seen until one succeeds', async () => {
  assert.equal(await valueOf('postern_config_last_reload_successful'), 1);
  await rewrite('workers: 2', 'workers: two');
  node.child.kill('SIGHUP');
  await eventually(async () => (await valueOf('postern_config_last_reload_successful')) === 0, 'it was refused');
  await rewrite('workers: two', 'workers: 2');
  node.child.kill('SIGHUP');
  await eventually(async () => (await valueOf('postern_config_last_reload_successful')) === 1, 'it succeeded');
});

const counted = () => valueOf('postern_requests_total', { backend: 'a', class: '2xx' });

test('what a worker counted stays when it is killed, and the worker is seen to lack until another serves', async () => {
  const before = await counted();
  const [worker] = node.log.filter(({ event }) => event === 'worker-ready');
  process.kill(Number(worker?.['pid']), 'SIGKILL');
  await node.logged('worker-exited');
  await eventually(async () => (await valueOf('postern_workers', { state: 'serving' })) === 2, 'another serves');
  assert.ok(before !== undefined && before > 0);
  assert.equal(await counted(), before);
  using visitor = new Visitor(origin, node.port);
  await visitor.signIn();
  await visitor.get('/arrived');
  assert.equal(await counted(), before + 1);
});

test('each metric that is shown is documented, and each documented one is shown', async () => {
  const shown = [...(await scrape()).matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name ?? '');
  assert.deepEqual(new Set(shown), new Set([...Object.keys(metricTable), ...Object.keys(processMetrics)]));
  const lacking = new Set(Object.keys(metricTable));
  await eventually(async () => {
    for (const { name } of await allSeries()) lacking.delete(name.replace(/_(?:bucket|sum|count)$/, ''));
    return lacking.size === 0;
  }, 'each has a series');
});

test('labels are those that are documented', async () => {
  for (const { name, labels } of await allSeries()) {
    const row = Object.entries(metricTable).find(
      ([of]) => of === name.replace(/_(?:bucket|sum|count)$/, '') || of === name,
    );
    if (row === undefined) continue;
    const documented = 'labels' in row[1] ? Object.keys(row[1].labels) : [];
    const shown = [...labels.keys()].filter((label) => label !== 'le');
    assert.deepEqual(new Set(shown), new Set(documented), name);
  }
});

test('a backend with three hosts has at most 60 series', async () => {
  const hosts = ['a', 'a/2', 'a/3'];
  const own = (await allSeries()).filter(({ labels }) => {
    return labels.get('backend') === 'a' || hosts.includes(labels.get('host') ?? '');
  });
  assert.ok(own.length >= 50 && own.length <= 60, `${own.length} series`);
});

test('nothing that a client sends becomes a label, or a series', async () => {
  const before = await shapes();
  using visitor = new Visitor(origin, node.port);
  for (const user of [
    `${mark}@example.test`,
    `${mark}"} 1\npostern_${mark} 1`,
    `\u{202e}${mark}`,
    `${alice.address}/${mark}`,
  ])
    await visitor.signIn(mark, user);
  using hers = new Visitor(origin, node.port);
  await hers.signIn();
  for (const headers of [
    { 'x-forwarded-for': mark },
    { 'user-agent': mark },
    { traceparent: mark },
    { host: `${mark}.test` },
  ])
    await hers.get(`/${mark}?${mark}`, headers);
  await hers.send('PROPFIND', `/${mark}`);
  await hers.get(`/dav/${mark}`, { authorization: `Basic ${btoa(`${mark}:${mark}`)}` });
  assert.deepEqual(await shapes(), before);
  assert.doesNotMatch(await scrape(), new RegExp(mark));
});

test('promtool finds no fault with a scrape', async () => {
  assert.equal(await runProgram('promtool', ['check', 'metrics'], { input: await scrape() }), '');
});

test('a Redis that is gone is seen, and the other metrics with it', async () => {
  assert.equal(await valueOf('postern_redis_role', { role: 'master' }), 1);
  assert.equal(await valueOf('postern_invalidations_followed'), 1);
  await redis.kill();
  const readings = {
    postern_store_up: 0,
    postern_redis_connected: 0,
    postern_invalidations_followed: 0,
    postern_state_store_up: 0,
  };
  for (const [name, value] of Object.entries(readings))
    await eventually(async () => (await valueOf(name)) === value, `${name} shows it`);
  assert.equal(await valueOf('postern_redis_role', { role: 'unknown' }), 1);
  assert.equal(await valueOf('postern_backend_state', { state: 'READY' }), 1);
  await redis.restart();
  await eventually(async () => (await valueOf('postern_invalidations_followed')) === 1, 'it is followed again');
  assert.equal(await valueOf('postern_redis_connected'), 1);
});

test('the series of a backend that a reload removes end in all workers, and those of a new one begin at 0', async () => {
  await rewrite('backends:\n  a:', 'backends:\n  fresh:');
  node.child.kill('SIGHUP');
  await eventually(async () => (await valueOf('postern_requests_total', { backend: 'fresh' })) === 0, 'it is there');
  await eventually(async () => !(await shapes()).some((shape) => /,a(?: |\/|$)/.test(shape)), 'the old one has gone');
});
