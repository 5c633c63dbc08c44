import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../eventually.fixture.ts';
import { startFaultSite, startMachine, timed } from './site.fixture.ts';

const settings = `backend_defaults:
  test_account: { user: bob@example.test, password: { file: password }, interval: 1s }
  form:
    page: /login
    user_field: user
    password_field: password
    success: { path: /login, status: 303, location: /mail/ }
    failure: { path: /login, status: 401 }
    lost: [{ status: 302, location: /login }]
    signed_out: { path: /logout, status: 303, removes_cookie: webmail }
    polls: []
`;

test('a webmail whose web server lives and whose program is dead: the test account finds it down, and up again', async (t) => {
  await using a = await startMachine('a');
  await using b = await startMachine('b');
  const signIns = new Map<string, number>();
  let isDead = false;
  for (const machine of [a, b]) {
    machine.answer = (request, response) => {
      const path = request.url ?? '';
      if (path.endsWith('favicon.ico')) response.writeHead(404).end();
      else if (machine === a && isDead) response.writeHead(502).end('the program does not answer');
      else if (request.method === 'POST') {
        signIns.set(machine.name, (signIns.get(machine.name) ?? 0) + 1);
        response.writeHead(303, { location: '/mail/', 'set-cookie': 'webmail=1; HttpOnly; Path=/' }).end();
      } else
        response
          .setHeader('content-type', 'text/html')
          .end('<form method="post" action="/login"><input name="user"><input type="password" name="password"></form>');
    };
  }
  await using site = await startFaultSite({ a: [a.port], b: b.port }, settings, 'form');
  await eventually(() => (signIns.get('a') ?? 0) > 1 && (signIns.get('b') ?? 0) > 1, 'each host is signed in on');
  assert.equal(await site.stateOf('a'), 'READY');

  isDead = true;
  const down = await timed(eventually(async () => (await site.stateOf('a')) === 'DOWN', 'a is found down'));
  assert.equal(await site.stateOf('b'), 'READY');
  isDead = false;
  const up = await timed(eventually(async () => (await site.stateOf('a')) === 'READY', 'a is found up'));
  t.diagnostic(`signed in each second: down after ${down.ms} ms, up again after ${up.ms} ms; no user had to find out`);
});
