import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import type { BackendHost } from '../../src/core/backend.ts';
import type { CookieJar } from '../../src/core/cookie-jar.ts';
import { createConnections } from '../../src/proxy/connections.ts';
import { createExchange } from '../../src/proxy/exchange.ts';
import { judgeText } from '../../src/webmail/roundcube/pages.ts';
import { create } from '../../src/webmail/roundcube/roundcube.ts';
import { backendLimits } from '../backend-limits.fixture.ts';
import { going, hostWith, identity, userAgent } from '../webmail/scripted-exchange.fixture.ts';
import { withLab } from './lab.ts';

const lab = await withLab('a', 'b');
const clock = { nowMs: () => Date.now() };
const connections = createConnections();
const exchange = createExchange({ connections, limits: () => backendLimits });
const driver = create({ exchange, clock, settings: {} });
after(() => connections.close());

const places: readonly (readonly [where: string, host: BackendHost, user: string, password: string])[] = [
  ['a', hostWith('/', `http://127.0.0.11:${lab.port(80)}`), 'alice@example.test', 'alice-pw'],
  [
    'a, under a sub path',
    hostWith('/roundcube/', `http://127.0.0.11:${lab.port(80)}`),
    'alice@example.test',
    'alice-pw',
  ],
  [
    'a, with an odd password',
    hostWith('/', `http://127.0.0.11:${lab.port(80)}`),
    'anna@example.test',
    'Paß "wört" \\1 €',
  ],
  ['b, with SameSite and ip_check', hostWith('/', `http://127.0.0.12:${lab.port(80)}`), 'bob@example.test', 'bob-pw'],
];

/** The webmail's answer to this jar. */
async function open(host: BackendHost, jar: CookieJar, target: string): Promise<string> {
  const headers: [string, string][] = [
    ['User-Agent', userAgent],
    ['Host', 'mail.example.test'],
    ['X-Forwarded-For', '203.0.113.7'],
    ['X-Forwarded-Proto', 'https'],
    ['Cookie', jar.header(target, clock.nowMs())],
  ];
  return (await exchange.send(host, { method: 'GET', target, headers }, going)).body;
}

suite('the driver before a real Roundcube', { concurrency: false }, () => {
  for (const [where, host, user, password] of places) {
    test(`on ${where}: signs in, reads, and signs out so that the session is gone`, async () => {
      const outcome = await driver.signIn(host, identity(password, user), going);
      assert.ok(outcome.kind === 'signed-in');
      assert.equal(outcome.landing, `${host.webmail.landing}?_task=mail`);
      const mailbox = await open(host, outcome.jar, outcome.landing);
      assert.equal(judgeText(mailbox.slice(0, 8192), false), 'alive');
      assert.match(mailbox, /"task":"mail"/);

      const as = { userAgent, publicOrigin: 'https://mail.example.test', clientAddress: '203.0.113.7' };
      await driver.signOut(host, outcome.jar, as, going);
      assert.equal(judgeText(await open(host, outcome.jar, outcome.landing), true), 'lost');
      const list = `${host.webmail.landing}?_task=mail&_action=list&_remote=1`;
      assert.equal(judgeText(await open(host, outcome.jar, list), true), 'lost');
      const preview = `${host.webmail.landing}?_task=mail&_action=preview&_uid=1&_framed=1`;
      assert.equal(judgeText(await open(host, outcome.jar, preview), true), 'lost');
    });
  }

  test('a wrong password is rejected', async () => {
    const host = hostWith('/', `http://127.0.0.11:${lab.port(80)}`);
    assert.deepEqual(await driver.signIn(host, identity('wrong'), going), { kind: 'rejected' });
  });

  test('a path that is not the webmail is a failure that says so', async () => {
    const host = hostWith('/nowhere/', `http://127.0.0.11:${lab.port(80)}`);
    await assert.rejects(
      driver.signIn(host, identity('alice-pw'), going),
      /no sign-in form of Roundcube at \/nowhere\//,
    );
  });
});
