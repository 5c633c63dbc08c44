import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, problemsOf } from './config.fixture.ts';

const head = `
public_url: https://mail.example.org
directory: { sources: [{ type: static, backend: a }] }
backend_defaults: { driver: none, imap: imaps://$host, webmail: http://$host/mail/ }
backends:
`;

test('a primary has standbys, each with addresses of its own', async (t) => {
  const yaml = `${head}  a: { host: mx1, standby: [mx1b, { imap: imaps://mx1c:1993, webmail: http://mx1c/ }], failover: manual }\n`;
  const config = await load(t, { 'postern.yaml': yaml });
  const [backend] = config.backends.values();
  const [serving] = config.serving.values();
  assert.deepEqual(
    backend?.hosts.map(({ name, imap, webmail }) => [name, imap.hostname, imap.port, webmail.origin, webmail.landing]),
    [
      ['a', 'mx1', 993, 'http://mx1', '/mail/'],
      ['a/2', 'mx1b', 993, 'http://mx1b', '/mail/'],
      ['a/3', 'mx1c', 1993, 'http://mx1c', '/'],
    ],
  );
  assert.equal(serving?.arrangement, 'standby');
  assert.equal(serving?.failover, 'manual');
});

test('hosts of equal rank share what the backend says, and have weights', async (t) => {
  const yaml = `${head}  a:\n    imap: imaps://store\n    choice: least-sessions\n    hosts: [{ host: w1, weight: 3 }, w2]\n`;
  const config = await load(t, { 'postern.yaml': yaml });
  const [backend] = config.backends.values();
  const [serving] = config.serving.values();
  assert.deepEqual(
    backend?.hosts.map(({ name, imap, webmail }) => [name, imap.hostname, webmail.origin]),
    [
      ['a', 'store', 'http://w1'],
      ['a/2', 'store', 'http://w2'],
    ],
  );
  assert.equal(serving?.arrangement, 'pool');
  assert.equal(serving?.choice, 'least-sessions');
  assert.deepEqual(serving?.weights, { a: 3, 'a/2': 1 });
});

test('hosts are watched as the design says, and each backend may differ', async (t) => {
  const yaml = `${head}  a: { host: mx1, health: { path: /up, imap_interval: 0s } }\n  b: mx2\n`;
  const config = await load(t, { 'postern.yaml': yaml });
  const [a, b] = config.serving.values();
  const usual = { httpIntervalMs: 2000, imapIntervalMs: 10_000, timeoutMs: 1000, fall: 3, rise: 2 };
  assert.deepEqual(b?.health, usual);
  assert.deepEqual(a?.health, { ...usual, path: '/up', imapIntervalMs: 0 });
});

test('a test account is signed in on each host of all backends, or of one', async (t) => {
  const account = '{ user: probe@example.org, password: { file: probe.password }, interval: 5 min }';
  const yaml = `${head}  a: { host: mx1, test_account: ${account} }\n  b: mx2\n`;
  const config = await load(t, { 'postern.yaml': yaml, 'probe.password': 'open sesame\n' });
  const [a, b] = config.serving.values();
  assert.equal(a?.testAccount?.user, 'probe@example.org');
  assert.equal(a?.testAccount?.password.reveal(), 'open sesame');
  assert.equal(a?.testAccount?.intervalMs, 300_000);
  assert.equal(b?.testAccount, undefined);
});

test('what cannot be meant is said, with its place', async (t) => {
  const wrong = (backend: string) => problemsOf(t, { 'postern.yaml': `${head}  a: ${backend}\n` });
  assert.match(
    (await wrong('{ host: mx1, standby: [{ tls_server_name: x }] }')).join('\n'),
    /backends\.a\.standby\[0\].*names no imap/,
  );
  assert.match((await wrong('{ host: mx1, standby: [mx1] }')).join('\n'), /has two hosts with the same IMAP server/);
  assert.match((await wrong('{ host: mx1, hosts: [mx2] }')).join('\n'), /backends\.a\.host.*cannot stand beside hosts/);
  assert.match((await wrong('{ hosts: [mx2], standby: [mx3] }')).join('\n'), /backends\.a\.standby.*remove one/);
  assert.match((await wrong('{ host: mx1, health: { path: up } }')).join('\n'), /begin it with a slash/);
});

test('the state may have a Redis of its own', async (t) => {
  const yaml = `${head}  a: mx1\nstate: { redis: redis://127.0.0.1:6380/0 }\n`;
  const config = await load(t, { 'postern.yaml': yaml });
  assert.deepEqual(config.state.redis, { kind: 'redis', url: 'redis://127.0.0.1:6380/0' });
});
