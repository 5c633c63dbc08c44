import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { after, before, suite, test } from 'node:test';
import request, { type Response } from 'supertest';
import { postern } from '../cli/fixture.ts';
import { eventually } from '../eventually.ts';
import { setCookies } from '../http/browser-like.ts';
import { type StaffBrowser, staffBrowser } from '../http/console-fixture.ts';
import { type OwnGateway, startGateway } from '../integrations/own-gateway.ts';
import { codeOf } from '../support/fixture.ts';
import { withLab } from './lab.ts';
import { RoundcubeUser } from './roundcube-user.ts';

const lab = await withLab('a', 'b');
const forwarded = { 'X-Forwarded-Proto': 'http' };
const reason = 'cannot find the letter from Monday';

suite('what staff, and others, try with opened mailboxes', { concurrency: false }, () => {
  const running = new AsyncDisposableStack();
  let gateway: OwnGateway;
  let sam: StaffBrowser;
  let recovery: string[] = [];
  before(async () => {
    gateway = running.use(
      await startGateway({
        caFile: lab.caFile,
        users: {
          'alice@example.test': 'a',
          'mia@example.test': 'a',
          'sam@example.test': 'b',
          'bert@example.test': 'b',
        },
        files: { 'header.secret': 'lab-shared-secret', 'imap.secret': 'gateway-pw' },
        settings: (port) => `support:
  console: http://support.localhost:${port}
  assist: http://assist.localhost:${port}
  notice: never
  staff:
    sam@example.test: { roles: [support], domains: [example.test] }
    bert@example.test: auditor`,
        backends: {
          a: `{ imap: "imaps://127.0.0.11:${lab.port(993)}", webmail: "http://127.0.0.11:${lab.port(82)}/?_task=mail", driver: header,
      master: { user: gateway, password: { file: imap.secret } },
      header: { user_field: X-Sso-User, secret_field: X-Sso-Secret, secret: { file: header.secret } } }`,
          b: `{ imap: "imaps://127.0.0.12:${lab.port(993)}", webmail: "http://127.0.0.12:${lab.port(80)}/", driver: roundcube }`,
        },
      }),
    );
    sam = await enrolled('sam');
  });
  after(() => running.disposeAsync());

  const run = (...args: readonly string[]) => postern([...args, '-c', gateway.configFile]);
  const hostOf = (name: 'support' | 'assist') => `${name}.localhost:${gateway.port}`;
  const server = () => `http://127.0.0.1:${gateway.port}`;

  async function withPassword(name: string): Promise<StaffBrowser> {
    const browser = staffBrowser({ server: server(), origin: `http://${hostOf('support')}`, forwarded });
    await browser.get('/-/login');
    const reply = await browser.post('/-/login', { user: name, password: `${name}-pw` });
    assert.equal(reply.status, 303, reply.text);
    return browser;
  }

  async function enrolled(name: string): Promise<StaffBrowser> {
    const { out } = await run('staff', 'enrol', name);
    const browser = await withPassword(name);
    await browser.get('/-/enrol');
    await browser.post('/-/enrol', { invitation: /: (\S{19})\n/.exec(out)?.[1] ?? '' });
    const offer = await browser.get('/-/enrol');
    const key = /<code>([A-Z2-7 ]+)<\/code>/.exec(offer.text)?.[1]?.replaceAll(' ', '') ?? '';
    const done = await browser.post('/-/enrol', { code: codeOf(key, Date.now()) });
    recovery = [...done.text.matchAll(/<li><code>(.+?)<\/code>/g)].map(([, code]) => code ?? '');
    assert.equal(recovery.length, 10);
    return browser;
  }

  async function ask(browser: StaffBrowser, more: Readonly<Record<string, string>> = {}): Promise<Response> {
    await browser.get('/-/users?user=alice');
    const form = { do: 'open', user: 'alice@example.test', reason, ticket: '', minutes: '5' };
    return browser.post('/-/users', { ...form, code: recovery.pop() ?? '', ...more });
  }

  /** The target of the link that the console shows. */
  async function linkFor(browser: StaffBrowser): Promise<string> {
    const reply = await ask(browser);
    const link = /href="(http:\/\/assist[^"]+)"/.exec(reply.text)?.[1];
    assert.ok(link !== undefined, reply.text);
    return new URL(link).pathname + new URL(link).search;
  }

  const getAt = (host: string, target: string, cookie = '') =>
    request(server())
      .get(target)
      .set({
        Host: host,
        ...forwarded,
        Cookie: cookie,
        'Sec-Fetch-Mode': 'navigate',
        'Sec-Fetch-Dest': 'document',
        'User-Agent': 'Mozilla',
      });

  /** The cookie of an opened mailbox. */
  async function opened(browser: StaffBrowser): Promise<string> {
    const reply = await getAt(hostOf('assist'), await linkFor(browser));
    assert.equal(reply.status, 303, reply.text);
    const cookie = /^postern=[^;]+/.exec(setCookies(reply).find((line) => line.startsWith('postern=')) ?? '')?.[0];
    assert.ok(cookie !== undefined);
    return cookie;
  }

  const isOpen = async (cookie: string) => (await getAt(hostOf('assist'), '/?_task=mail', cookie)).status === 200;

  async function assertEnds(cookie: string, how: () => Promise<unknown>): Promise<void> {
    assert.ok(await isOpen(cookie));
    await how();
    const since = performance.now();
    await eventually(async () => !(await isOpen(cookie)));
    const tookMs = performance.now() - since;
    assert.ok(tookMs < 2_500, `it took ${Math.round(tookMs)} ms`);
  }

  async function rewrite(search: string, replacement: string): Promise<void> {
    const before = await readFile(gateway.configFile, 'utf8');
    assert.ok(before.includes(search));
    await writeFile(gateway.configFile, before.replace(search, replacement));
    const reloads = () => gateway.log.filter((line) => line.includes('"msg":"reloaded"')).length;
    const known = reloads();
    gateway.reload();
    await eventually(() => reloads() > known);
  }

  test('a link is dead after one use', async () => {
    const link = await linkFor(sam);
    assert.equal((await getAt(hostOf('assist'), link)).status, 303);
    const second = await getAt(hostOf('assist'), link);
    assert.equal(second.status, 403);
    assert.match(second.text, /used already/);
    assert.deepEqual(
      setCookies(second).filter((line) => line.startsWith('postern=')),
      [],
    );
  });

  test('a link opens nothing at the other hosts', async () => {
    const link = await linkFor(sam);
    for (const host of [hostOf('support'), `127.0.0.1:${gateway.port}`]) {
      assert.equal((await getAt(host, link, sam.cookie)).status, 404);
    }
    assert.equal((await getAt(hostOf('assist'), link)).status, 303);
  });

  test('a used code opens nothing, and a forged form says no more than the role allows', async () => {
    const code = recovery.pop() ?? '';
    assert.match((await ask(sam, { code })).text, /can be opened/);
    assert.equal((await ask(sam, { code })).status, 403);
    const other = await ask(sam, { user: 'head@other.test', role: 'operator', domains: 'other.test', actor: 'olga' });
    assert.equal(other.status, 403);
    assert.doesNotMatch(other.text, /assist\/open/);
    for (const more of [
      { minutes: '600' },
      { reason: 'because' },
      { user: 'sam@example.test' },
      { user: 'bert@example.test' },
    ]) {
      assert.doesNotMatch((await ask(sam, more)).text, /assist\/open/, JSON.stringify(more));
    }
  });

  test('an opened mailbox is seen under its own host alone, and a user’s session never there', async () => {
    sam = await refreshed();
    const cookie = await opened(sam);
    assert.ok(await isOpen(cookie));
    for (const host of [hostOf('support'), `127.0.0.1:${gateway.port}`]) {
      const reply = await getAt(host, '/?_task=mail', cookie);
      assert.equal(reply.status, 303);
      assert.doesNotMatch(reply.text, /alice/);
    }
    const sessions = await getAt(`127.0.0.1:${gateway.port}`, '/-/sessions', cookie);
    assert.doesNotMatch(sessions.text, /alice/);
    const alice = new RoundcubeUser(gateway.origin);
    await alice.signIn('alice', 'alice-pw');
    const own = `postern=${alice.cookies.get('postern') ?? ''}`;
    assert.equal((await getAt(hostOf('assist'), '/?_task=mail', own)).status, 303);
    assert.equal((await getAt(hostOf('assist'), '/?_task=mail', sam.cookie)).status, 303);
    // She does not see it among her own sessions, either.
    const page = await alice.get('/-/sessions');
    assert.equal(page.body.match(/name="end"/g)?.length ?? 0, 0, page.body);
  });

  test('nobody but the page itself can press Stop', async () => {
    const cookie = await opened(sam);
    const page = await getAt(hostOf('assist'), '/?_task=mail', cookie);
    const facts = /data-banner="([^"]+)"/.exec(page.text)?.[1]?.replaceAll('&#34;', '"') ?? '{}';
    const { token } = JSON.parse(facts);
    const stop = (fields: object, headers: Readonly<Record<string, string>>) =>
      request(server())
        .post('/-/assist/stop')
        .set({ Host: hostOf('assist'), ...forwarded, Cookie: cookie, ...headers })
        .type('form')
        .send(fields);
    assert.equal((await stop({}, { 'Sec-Fetch-Site': 'same-origin' })).status, 400);
    assert.equal((await stop({ token: `${token}x` }, { 'Sec-Fetch-Site': 'same-origin' })).status, 400);
    assert.equal((await stop({ token }, { Origin: 'http://evil.test' })).status, 400);
    assert.equal((await stop({ token }, { 'Sec-Fetch-Site': 'same-site' })).status, 400);
    assert.ok(await isOpen(cookie));
    await assertEnds(cookie, () => stop({ token }, { 'Sec-Fetch-Site': 'same-origin' }));
  });

  test('a kick of the user ends it', async () => {
    await assertEnds(await opened(sam), () => run('kick', 'alice', '--reason', 'a test'));
  });

  test('the staff member’s sign-out ends it', async () => {
    sam = await refreshed();
    await assertEnds(await opened(sam), async () => {
      await sam.get('/-/users');
      await sam.post('/-/logout', {});
    });
  });

  test('the loss of the role ends it, and the link that was not used yet', async () => {
    sam = await refreshed();
    const cookie = await opened(sam);
    const link = await linkFor(sam);
    await assertEnds(cookie, () =>
      rewrite('sam@example.test: { roles: [support]', 'sam@example.test: { roles: [operator]'),
    );
    assert.equal((await getAt(hostOf('assist'), link)).status, 403);
    await rewrite('sam@example.test: { roles: [operator]', 'sam@example.test: { roles: [support]');
  });

  test('the audit names actor and subject of all of it, and never the other way round', async () => {
    const { out } = await run('audit', 'list', '--format', 'json', '--limit', '500');
    const lines: { event: string; actor: string; subject: string }[] = JSON.parse(out);
    const opened = lines.filter(({ event }) => event.startsWith('impersonation-'));
    assert.ok(opened.length > 10);
    for (const { actor, subject, event } of opened) {
      assert.equal(actor, 'sam@example.test', event);
      if (event !== 'impersonation-refused') assert.equal(subject, 'alice@example.test', event);
    }
    const events = new Set(opened.map(({ event }) => event));
    for (const event of ['impersonation-start', 'impersonation-stop', 'impersonation-ended', 'impersonation-refused']) {
      assert.ok(events.has(event), event);
    }
    assert.equal((await run('audit', 'verify')).code, 0);
  });

  /** A fresh enrolment: recovery codes run out in a test as long as this. */
  async function refreshed(): Promise<StaffBrowser> {
    await run('staff', 'reset', 'sam', '--reason', 'a test');
    return enrolled('sam');
  }
});
