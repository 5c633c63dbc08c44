import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request as sendRequest } from 'node:http';
import { test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { startFaultSite, startMachine, timed } from './site.fixture.ts';

test('a user moved while a WebSocket and an upload are open: what is in flight ends on the old backend, the next request goes to the new one, never a mix', async (t) => {
  await using a = await startMachine('a');
  await using b = await startMachine('b');
  const arrived: { readonly at: string; readonly method: string; readonly bytes: number; readonly cookie: string }[] =
    [];
  for (const machine of [a, b]) {
    machine.answer = (request, response) => {
      let bytes = 0;
      request.on('data', (part: Buffer) => (bytes += part.length));
      request.on('end', () => {
        const { method = '', headers } = request;
        arrived.push({ at: machine.name, method, bytes, cookie: headers.cookie ?? '' });
        response.setHeader('set-cookie', `webmail=of-${machine.name}; Path=/; HttpOnly`);
        response.end(`machine ${machine.name}`);
      });
    };
  }
  const sockets = new WebSocketServer({ server: a.server });
  t.after(() => sockets.close());
  await using site = await startFaultSite({ a: [a.port], b: b.port });
  const { browser, landed } = await site.signIn('alice');
  assert.match(landed.body.toString(), /machine a/);

  const socket = new WebSocket(`${site.origin.replace('http', 'ws')}/socket`, {
    headers: { cookie: browser.cookieField, origin: site.origin },
  });
  await once(socket, 'open');
  const closed = once(socket, 'close');
  const half = Buffer.alloc(500_000, 'x');
  const upload = sendRequest(`${site.origin}/upload`, {
    method: 'POST',
    headers: { cookie: browser.cookieField, origin: site.origin, 'content-length': 2 * half.length },
  });
  const answered: Promise<IncomingMessage[]> = once(upload, 'response');
  upload.write(half);
  await once(a.server, 'request');

  const move = await timed(site.api('POST', '/users/alice/move', { to: 'b', reason: 'a test' }));
  assert.equal(move.result.body.outcome, 'moved');
  const { ms: socketMs } = await timed(closed);
  assert.ok(socketMs < 1_000, `the WebSocket lived on for ${socketMs} ms`);
  const page = await timed(browser.text('/'));
  assert.equal(page.result, 'machine b');

  upload.end(half);
  const [answer] = await answered;
  assert.ok(answer !== undefined);
  assert.equal(Buffer.concat(await answer.toArray()).toString(), 'machine a');
  assert.equal(await browser.text('/'), 'machine b');
  assert.deepEqual(
    arrived.filter(({ method }) => method === 'POST').map(({ at, bytes }) => [at, bytes]),
    [['a', 2 * half.length]],
  );
  for (const { at, cookie } of arrived) assert.doesNotMatch(cookie, at === 'a' ? /of-b/ : /of-a/);
  t.diagnostic(
    `move ${move.ms} ms; WebSocket closed ${socketMs} ms later; first page of the new backend ${page.ms} ms`,
  );
});
