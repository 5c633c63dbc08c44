import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { type Browser, fieldsIn } from '../demo/browser.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { startFaultSite, startMachine, timed } from './site.fixture.ts';

const sessions = 20;
const perSession = 100;

test('2,000 WebSockets and a logout storm: all are closed within 5 s, and nothing is left at the backends', async (t) => {
  await using a = await startMachine('a');
  await using b = await startMachine('b');
  const servers = [a, b].map((machine) => new WebSocketServer({ server: machine.server }));
  const atBackends = () => servers.reduce((sum, { clients }) => sum + clients.size, 0);
  t.after(() => servers.forEach((server) => server.close()));
  await using site = await startFaultSite(
    { a: [a.port], b: b.port },
    `backend_defaults: { limits: { upgrades_per_session: ${perSession} } }`,
  );
  const browsers: Browser[] = [];
  for (let nth = 0; nth < sessions; nth += 1) {
    browsers.push((await site.signIn(nth % 2 === 0 ? 'alice' : 'bob')).browser);
  }
  const address = `${site.origin.replace('http', 'ws')}/socket`;
  const sockets: WebSocket[] = [];
  for (const { cookieField: cookie } of browsers) {
    const opened = Array.from(
      { length: perSession },
      () => new WebSocket(address, { headers: { cookie, origin: site.origin } }),
    );
    await Promise.all(opened.map((socket) => once(socket, 'open')));
    sockets.push(...opened);
  }
  assert.equal(atBackends(), sessions * perSession);

  const closed = timed(Promise.all(sockets.map((socket) => once(socket, 'close'))));
  const out = timed(Promise.all(browsers.map(signOut)));
  const [{ ms: closedMs }, { ms: outMs }] = [await closed, await out];
  const left = await timed(eventually(() => atBackends() === 0, 'none is left at the backends'));
  t.diagnostic(
    `${sessions} sessions signed out within ${outMs} ms; their ${sockets.length} WebSockets closed within ${closedMs} ms, ` +
      `at the backends ${left.ms} ms later`,
  );
  assert.ok(closedMs < 5_000, `${closedMs} ms`);
  assert.equal((await site.signIn('alice')).landed.body.toString(), 'machine a');
});

async function signOut(browser: Browser): Promise<void> {
  const form = fieldsIn(await browser.text('/-/logout'));
  await browser.submit('/-/logout', form);
}
