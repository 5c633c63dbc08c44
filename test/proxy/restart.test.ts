import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Backend } from '../../src/core/backend.ts';
import { systemClock } from '../../src/core/clock.ts';
import { CookieJar } from '../../src/core/cookie-jar.ts';
import { Secret } from '../../src/core/secrets.ts';
import type { WebmailDriver } from '../../src/core/webmail.ts';
import { createSilentLogin } from '../../src/login/silent-login.ts';
import { createConnections } from '../../src/proxy/connections.ts';
import { createExchange } from '../../src/proxy/exchange.ts';
import { backendA, hostA } from '../login/login.fixture.ts';
import { ask, defaultLimits, get, startGate, startRecordingBackend, TestSession } from './gate.fixture.ts';

/** A webmail with sessions in memory, of which a restart leaves nothing. */
function restartableWebmail() {
  const alive = new Set<string>();
  const counts = { signIns: 0, now: 0, mostAtOnce: 0, lost: 0 };
  const backend = startRecordingBackend((incoming, response, body) => {
    if (incoming.url === '/login') {
      counts.signIns += 1;
      counts.now += 1;
      counts.mostAtOnce = Math.max(counts.mostAtOnce, counts.now);
      setTimeout(() => {
        counts.now -= 1;
        alive.add(body);
        response.setHeader('Set-Cookie', `sid=${body}; Path=/; HttpOnly`);
        response.end('welcome');
      }, 5);
      return;
    }
    const user = /sid=(\w+)/.exec(incoming.headers.cookie ?? '')?.[1] ?? '';
    if (!alive.has(user)) counts.lost += 1;
    response.end(alive.has(user) ? `mail of ${user}` : 'LOST');
  });
  return { backend, counts };
}

test('500 sessions of a restarted webmail all go on: each signs in once, eight at a time', async (t) => {
  const { backend: starting, counts } = restartableWebmail();
  await using webmail = await starting;
  const limits = { ...defaultLimits, connections: 256, queue: 512, queueMs: 10_000 };
  const host = { ...hostA, webmail: { origin: `http://127.0.0.1:${webmail.port}`, landing: '/', trust: {} } };
  const home: Backend = { ...backendA, hosts: [host], limits };
  const connections = createConnections();
  const exchange = createExchange({ connections, limits: () => limits });
  const driver: WebmailDriver = {
    ownsCookie: () => true,
    masterEntry: { kind: 'own-account' },
    signOut: () => Promise.resolve(),
    judge: () => 'look-inside',
    judgeBody: (_head, start) => (Buffer.from(start).toString('latin1') === 'LOST' ? 'lost' : 'alive'),
    async signIn(at, as, signal) {
      const [body = ''] = as.user.split('@');
      const answer = await exchange.send(at, { method: 'POST', target: '/login', headers: [], body }, signal);
      const jar = new CookieJar(() => true);
      for (const line of answer.setCookies) jar.absorb(line, '/login', 0);
      return { kind: 'signed-in', jar, landing: '/', browserCookies: [] };
    },
  };
  const sessions = Array.from({ length: 500 }, (_, index) => {
    const session = new TestSession(`user${index}`, 'a', () => true, new Secret('pw'));
    session.jar.absorb(`sid=user${index}; HttpOnly; Path=/`, '/', 0);
    return session;
  });
  await using gate = await startGate({
    backendPort: webmail.port,
    driver,
    limits,
    silentLogin: createSilentLogin({ homeOf: () => ({ backend: home, host, driver }), clock: systemClock }),
    find(cookie) {
      const session = sessions[Number(/postern=(\d+)/.exec(cookie ?? '')?.[1])];
      return session === undefined ? { kind: 'none', rest: '' } : { kind: 'found', session, rest: '' };
    },
  });

  const began = Date.now();
  const answers = await Promise.all(
    sessions.map((_session, index) => ask(gate.port, get('/list', `Cookie: postern=${index}`, 'Sec-Fetch-Mode: cors'))),
  );
  for (const [index, answer] of answers.entries())
    assert.match(answer, new RegExp(`\\r\\nmail of user${index}(?:\\r\\n|$)`));
  assert.equal(counts.signIns, 500);
  assert.equal(counts.lost, 500);
  assert.ok(counts.mostAtOnce <= 8, `${counts.mostAtOnce} signed in at once`);
  t.diagnostic(`500 sessions in ${Date.now() - began} ms, ${counts.mostAtOnce} sign-ins at once`);
  await connections.close();
});
