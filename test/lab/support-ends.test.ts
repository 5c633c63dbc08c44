import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  request as sendRequest,
  type RequestListener,
  type Server,
} from 'node:http';
import { after, before, suite, test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { eventually } from '../eventually.fixture.ts';
import { listening } from '../ports.fixture.ts';
import { startRedisServer } from '../redis-server.fixture.ts';
import { withLab } from './lab.ts';
import { startDesk, type SupportDesk } from './support-desk.ts';

const lab = await withLab('a', 'b');
const mia = 'mia@example.test';

suite('an opened mailbox, with all that hangs on it, ends', { concurrency: false }, () => {
  const running = new AsyncDisposableStack();
  let desk: SupportDesk;
  let twin: { readonly port: number };
  /** The webmail's view of a connection without an end. */
  const streams = new Set<IncomingMessage>();
  // A webmail that has a WebSocket and a stream of events, which the real ones of the lab have not.
  const listener: RequestListener = (request, response) => {
    if (request.url !== '/events')
      return response.setHeader('Content-Type', 'text/html').end('<html><head></head></html>');
    streams.add(request);
    response.once('close', () => streams.delete(request));
    return response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: here\n\n');
  };
  before(async () => {
    const webmail = running.use(await startService(listener));
    const sockets = new WebSocketServer({ server: webmail.server, path: '/socket' });
    running.defer(() => sockets.close());
    const redis = running.use(await startRedisServer());
    desk = running.use(await startDesk(lab, { webmail: webmail.origin, redis: redis.url }));
    twin = running.use(await desk.gateway.startTwin());
  });
  after(() => running.disposeAsync());

  /** A WebSocket and a stream in an opened mailbox, at another node than all else; `closed` once both are. */
  async function hangOn(cookie: string): Promise<{ readonly closed: Promise<unknown> }> {
    const host = desk.hostOf('assist');
    const headers = { Host: host, Origin: `http://${host}`, Cookie: cookie, 'X-Forwarded-Proto': 'http' };
    const socket = new WebSocket(`ws://127.0.0.1:${twin.port}/socket`, { headers });
    const request = sendRequest({ port: twin.port, path: '/events', headers }).end();
    const [[stream]] = await Promise.all([once(request, 'response'), once(socket, 'open')]);
    stream.on('error', () => {}).resume();
    const closes = [socket, stream].map((one) => new Promise((resolve) => one.once('close', resolve)));
    return { closed: Promise.all(closes) };
  }

  const rolesOf = (before: string, then: string) =>
    desk.rewrite(`sam@example.test: ${before}`, `sam@example.test: ${then}`);
  const support = '{ roles: [support], domains: [example.test] }';

  for (const [what, how, event, undo] of [
    ['by Stop in the banner', (cookie) => desk.stop(cookie), 'impersonation-stop'],
    ['by a kick of the user', () => desk.run('kick', 'mia', '--reason', 'a test'), 'impersonation-ended'],
    [
      'with a role that is another one since the reload',
      () => rolesOf(support, '{ roles: [operator] }'),
      'impersonation-ended',
      () => rolesOf('{ roles: [operator] }', support),
    ],
    [
      'with the domain that the role covers no more',
      () => rolesOf(support, '{ roles: [support], domains: [other.test] }'),
      'impersonation-ended',
      () => rolesOf('{ roles: [support], domains: [other.test] }', support),
    ],
    ['by a kick of the member of staff', () => desk.run('kick', 'sam', '--reason', 'a test'), 'impersonation-ended'],
    [
      'by the sign-out at the console',
      async () => {
        await desk.sam.get('/-/users');
        await desk.sam.post('/-/logout', {});
      },
      'impersonation-ended',
    ],
    [
      'with the second factor',
      () => desk.run('staff', 'reset', 'sam', '--reason', 'lost phone'),
      'impersonation-ended',
    ],
    [
      'when its time is over, and not by a clock that was set back',
      async (cookie) => {
        await desk.gateway.setClock(-60 * 60_000);
        assert.ok(await desk.isOpen(cookie));
        await desk.gateway.setClock(5 * 60_000);
      },
      'impersonation-expired',
      () => desk.gateway.setClock(0),
    ],
  ] satisfies [string, (cookie: string) => Promise<unknown>, string, (() => Promise<unknown>)?][]) {
    test(what, async () => {
      if ((await desk.sam.get('/-/users')).status !== 200) await desk.refresh();
      const cookie = await desk.opened(mia);
      const { closed } = await hangOn(cookie);
      try {
        await desk.assertEnds(cookie, () => how(cookie));
        await closed;
        await eventually(() => streams.size === 0);
      } finally {
        await undo?.();
      }
      await eventually(async () => {
        const { out } = await desk.run('audit', 'list', '--subject', mia, '--limit', '2', '--format', 'json');
        const lines: { event: string; actor: string }[] = JSON.parse(out);
        // A kick has its own line, before or after this one.
        const line = lines.find((one) => one.event !== 'session-end');
        assert.deepEqual([line?.event, line?.actor], [event, 'sam@example.test']);
        return true;
      });
    });
  }

  test('and the audit of both nodes verifies, against what is anchored in Redis', async () => {
    const { code, out, err } = await desk.run('audit', 'verify');
    assert.equal(code, 0, out + err);
  });

  test('and so does the link that was not used yet', async () => {
    await desk.refresh();
    const old = await desk.linkFor(mia);
    await desk.gateway.setClock(61_000);
    const late = await desk.getAt(desk.hostOf('assist'), old);
    assert.deepEqual([late.status, /older than a minute/.test(late.text)], [403, true]);
    await desk.gateway.setClock(0);
    const link = await desk.linkFor(mia);
    await rolesOf(support, '{ roles: [operator] }');
    assert.equal((await desk.getAt(desk.hostOf('assist'), link)).status, 403);
  });
});

test('a role that the directory takes away ends the mailbox within a minute, and is asked for at each step', async () => {
  let role = 'support example.test';
  let asked = 0;
  await using service = await startService((request, response) => {
    asked += 1;
    if (request.url !== '/sam%40example.test') return response.writeHead(404).end();
    return response.setHeader('Content-Type', 'application/json').end(JSON.stringify({ backend: 'b', role }));
  });
  await using desk = await startDesk(lab, { roles: service.origin });
  const cookie = await desk.opened();
  const link = await desk.linkFor();
  assert.ok(await desk.isOpen(cookie));
  role = 'auditor';
  const before = asked;
  // At the console and with the link at once: both ask anew.
  assert.match((await desk.sam.get('/-/users')).text, /No access/);
  assert.equal((await desk.getAt(desk.hostOf('assist'), link)).status, 403);
  assert.ok(asked > before);
  await desk.assertEnds(cookie, () => desk.gateway.setClock(60_000));
});

test('a webmail that asks for nothing is opened where its backend has a master, and else not, as the page says', async () => {
  const html = { 'Content-Type': 'text/html' };
  await using service = await startService((_request, response) =>
    response.writeHead(200, html).end('<html><head></head>mia</html>'),
  );
  const webmail = service.origin;
  {
    await using desk = await startDesk(lab, { webmail, driver: 'driver: none' });
    const { text } = await desk.sam.get(`/-/users?user=${mia}`);
    assert.match(text, /The backend w has no master in the configuration/);
    assert.match(text, /<button class="primary" type="button" disabled/);
    assert.doesNotMatch((await desk.ask({ user: mia })).text, /assist\/open/);
  }
  const master = 'master: { user: gateway, password: { file: imap.secret } }';
  await using desk = await startDesk(lab, { webmail, driver: `driver: none, ${master}` });
  const page = await desk.getAt(desk.hostOf('assist'), '/', await desk.opened(mia));
  assert.match(page.text, /data-banner="[^"]+"/);
  assert.match(page.text, /mia<\/html>/);
});

async function startService(
  listener: RequestListener,
): Promise<AsyncDisposable & { readonly server: Server; readonly origin: string }> {
  const server = createServer(listener);
  const port = await listening(server);
  return {
    server,
    origin: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}
