import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import type { EventName } from '../../src/core/log.ts';
import { type Node, startCluster } from '../balancers/cluster.fixture.ts';
import { Visitor } from '../balancers/visitor.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { timed } from './site.fixture.ts';

const origin = 'http://mail.example.test';
const descriptors = 256;

test('256 file descriptors and more clients than that: no crash, no backend is blamed, and all is well within 2 s of their end', async (t) => {
  await using cluster = await startCluster();
  const file = await cluster.configure(
    'few',
    `public_url: ${origin}
sessions: { keys_file: few.keys }
login: { refusal_after: 0s }
backend_defaults: { health: { http_interval: 100ms, imap_interval: 100ms, path: /check } }`,
  );
  const node = await cluster.startNode(file, { descriptors });
  using visitor = new Visitor(origin, node.port);
  assert.equal((await visitor.signIn()).status, 303);
  assert.equal((await visitor.get('/arrived')).status, 200);

  // Connections of their own, made while there is room; they have left one to the backend.
  const others = Array.from({ length: 5 }, () => new Visitor(origin, node.port));
  for (const other of others) {
    for (const [name, value] of visitor.cookies) other.cookies.set(name, value);
    assert.equal((await other.get('/arrived')).status, 200);
  }
  using crowd = startCrowd(node.port);
  await eventually(async () => (await openedBy(node)) >= descriptors - 1, 'the gateway has no descriptor left');
  const body = new PassThrough();
  const upload = visitor.send('POST', '/upload', { headers: { 'content-length': '9' }, body });
  body.write('half');
  await eventually(() => cluster.webmail.uploads === 1, 'the upload occupies that one connection');
  const statuses = await Promise.all(others.map(async (other) => (await other.get('/arrived')).status));
  await eventually(() => told(node, 'checks-stopped'), 'the operator is told');
  const checks = cluster.webmail.checks.length;
  // Three failed checks would have marked the host as down.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const made = cluster.webmail.checks.length - checks;
  body.end(' done');
  assert.equal((await upload).status, 200);

  crowd[Symbol.dispose]();
  const back = await timed(
    eventually(async () => {
      using another = new Visitor(origin, node.port);
      return (await another.signIn()).status === 303 && (await another.get('/arrived')).status === 200;
    }, 'it serves again'),
  );
  for (const other of others) other[Symbol.dispose]();
  t.diagnostic(
    `${crowd.size()} clients came; requests that needed another connection: ${statuses.join()}; ` +
      `${made} checks could be made in 500 ms; served again ${back.ms} ms after they had left`,
  );
  assert.ok(
    statuses.every((status) => status === 200 || status === 503) && statuses.includes(503),
    'requests are refused, none hangs',
  );
  assert.equal(told(node, 'host-down'), false);
  assert.equal(node.complaints(), '');
  assert.ok(back.ms < 2_000, `${back.ms} ms`);
});

/** Clients that keep connecting and stay. Without a free descriptor they are refused at once. */
function startCrowd(port: number): Disposable & { size(): number } {
  const sockets = new Set<Socket>();
  let size = 0;
  const timer = setInterval(() => {
    for (let nth = 0; nth < 10; nth += 1) {
      const socket = connect(port, '127.0.0.1');
      sockets.add(socket.on('error', () => undefined).on('close', () => sockets.delete(socket)));
      size += 1;
    }
  }, 5);
  return {
    size: () => size,
    [Symbol.dispose]() {
      clearInterval(timer);
      for (const socket of sockets) socket.destroy();
    },
  };
}

function told({ log }: Node, event: EventName): boolean {
  return log.some((line) => line['event'] === event);
}

async function openedBy({ child }: Node): Promise<number> {
  return (await readdir(`/proc/${child.pid}/fd`)).length;
}
