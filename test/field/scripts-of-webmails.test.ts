import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { describe, it } from 'node:test';
import request from 'supertest';
import { CookieJar } from '../../src/core/cookie-jar.ts';
import { silentLog } from '../../src/core/log.ts';
import { createAssistPages } from '../../src/http/assist-pages.ts';
import { createFormTokens } from '../../src/http/forms.ts';
import { openLogin, submitLogin } from '../http/browser-like.fixture.ts';
import { createFakeGate } from '../http/fake-gate.fixture.ts';
import { startPages, views } from '../http/http.fixture.ts';
import { backendName, canonicalUser } from '../login/named.fixture.ts';
import { listening } from '../ports.fixture.ts';
import { recordKeyOf } from '../sessions/samples.fixture.ts';

/** Values of Sec-Fetch-Dest. Only the first opens a page in a tab. */
const tab = { 'Sec-Fetch-Site': 'same-origin', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document' };
const others: readonly (readonly [what: string, fields: Readonly<Record<string, string>>])[] = [
  ['fetch', { 'Sec-Fetch-Site': 'same-origin', 'Sec-Fetch-Mode': 'cors', 'Sec-Fetch-Dest': 'empty' }],
  ['a frame', { 'Sec-Fetch-Site': 'same-origin', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'iframe' }],
  ['an object', { 'Sec-Fetch-Site': 'same-origin', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'object' }],
  ['an image', { 'Sec-Fetch-Site': 'same-site', 'Sec-Fetch-Mode': 'no-cors', 'Sec-Fetch-Dest': 'image' }],
  ['a script', { 'Sec-Fetch-Site': 'same-origin', 'Sec-Fetch-Mode': 'no-cors', 'Sec-Fetch-Dest': 'script' }],
  ['a worker', { 'Sec-Fetch-Site': 'same-origin', 'Sec-Fetch-Mode': 'same-origin', 'Sec-Fetch-Dest': 'serviceworker' }],
];

describe('a script of a webmail’s page, which shares our origin,', () => {
  for (const [what, fields] of others) {
    it(`reads and sends none of our pages by ${what}`, async () => {
      await using fixture = await startPages();
      for (const path of ['/-/login', '/-/logout', '/-/sessions', '/-/notice', '/-/nothing']) {
        const reply = await request(fixture.server).get(path).set(fields);
        assert.equal(reply.status, 403, path);
        assert.doesNotMatch(reply.text, /token/);
        assert.equal(reply.get('Set-Cookie'), undefined);
      }
      const page = await openLogin(fixture);
      const sent = await submitLogin(fixture, page, {}, { headers: fields });
      assert.equal(sent.status, 403);
      assert.deepEqual(fixture.attempts, []);
    });
  }

  it('is the only one to be refused: tabs, old browsers and assets are served', async () => {
    await using fixture = await startPages();
    assert.equal((await request(fixture.server).get('/-/login').set(tab)).status, 200);
    assert.equal((await request(fixture.server).get('/-/login')).status, 200);
    const page = await openLogin(fixture);
    assert.equal((await submitLogin(fixture, page, {}, { headers: tab })).status, 303);
    const byOldWorker = { ...tab, 'Sec-Fetch-Dest': 'empty' };
    assert.equal((await request(fixture.server).get('/-/login').set(byOldWorker)).status, 200);
    const asset = views.assets.url('page.css');
    assert.equal((await request(fixture.server).get(asset).set({ 'Sec-Fetch-Dest': 'style' })).status, 200);
  });
});

describe('the link that opens a mailbox', () => {
  for (const [what, fields] of others) {
    it(`is not used up by ${what}`, async () => {
      await using fixture = await startAssistPages('/');
      const reply = await request(fixture.origin).get('/-/assist/open?link=L').set(fields);
      assert.equal(reply.status, 403);
      assert.deepEqual(fixture.used, []);
    });
  }

  for (const landing of ['/roundcube/?_task=mail', '//evil.test/x', '/\\evil.test', '/']) {
    it(`leads to ${landing} on our own origin`, async () => {
      await using fixture = await startAssistPages(landing);
      const reply = await request(fixture.origin).get('/-/assist/open?link=L').set(tab).redirects(0);
      assert.equal(reply.status, 303);
      assert.equal(reply.get('Location'), `${fixture.origin}${landing}`);
      assert.equal(new URL(reply.get('Location') ?? '').origin, fixture.origin);
      assert.deepEqual(fixture.used, ['L']);
    });
  }
});

/** The pages of opened mailboxes: every link opens, and the webmail lands at the given target. */
async function startAssistPages(landing: string) {
  const server = createServer({ optimizeEmptyRequests: true });
  const authority = `127.0.0.1:${await listening(server)}`;
  const origin = `http://${authority}`;
  const used: string[] = [];
  const clock = { nowMs: () => Date.UTC(2026, 10, 22) };
  const { gate, live } = createFakeGate(clock.nowMs);
  const pages = createAssistPages({
    impersonation: {
      async open(token) {
        used.push(token);
        return {
          kind: 'opened',
          grant: {
            actor: canonicalUser('sam@example.test'),
            staffSession: recordKeyOf('staff'),
            subject: canonicalUser('alice@example.test'),
            reason: 'a question about folders',
            ticket: '',
            minutes: 15,
          },
          backend: backendName('a'),
          host: 'a',
          jar: new CookieJar(() => false),
          landing,
          browserCookies: [],
        };
      },
      failed: async () => {},
    },
    mailboxExpiry: { opened: async () => {} },
    tell: async () => {},
    gate,
    live,
    tokens: createFormTokens(() => [createSecretKey(randomBytes(32))], clock),
    consoleOrigin: 'http://console.example.test',
    views,
    clock,
    randomBytes,
    log: silentLog,
  });
  server.on('request', (incoming, response) =>
    pages(incoming, response, {
      publicUrl: { origin, authority, secure: false },
      hostKind: 'assist',
      requestId: '4bf92f3577b34da6a3ce929d0e0e4736',
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00',
      client: { address: '192.0.2.7', port: 4711, userAgent: undefined },
    }),
  );
  return {
    origin,
    used,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
