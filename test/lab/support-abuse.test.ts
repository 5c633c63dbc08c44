import assert from 'node:assert/strict';
import { rename, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setCookies } from '../http/browser-like.fixture.ts';
import { withLab } from './lab.ts';
import { RoundcubeUser } from './roundcube-user.ts';
import { reason, startDesk, type SupportDesk } from './support-desk.ts';

const lab = await withLab('a', 'b');

function plain(text: string): string {
  return text.replaceAll(/value="[^"]+"/g, '');
}

suite('what staff, and others, try with opened mailboxes', { concurrency: false }, () => {
  const running = new AsyncDisposableStack();
  let desk: SupportDesk;
  before(async () => {
    desk = running.use(await startDesk(lab));
  });
  after(() => running.disposeAsync());

  test('a link is dead after one use', async () => {
    const link = await desk.linkFor();
    assert.equal((await desk.getAt(desk.hostOf('assist'), link)).status, 303);
    const second = await desk.getAt(desk.hostOf('assist'), link);
    assert.equal(second.status, 403);
    assert.match(second.text, /has been used/);
    assert.deepEqual(
      setCookies(second).filter((line) => line.startsWith('postern=')),
      [],
    );
  });

  test('a link opens nothing at the other hosts', async () => {
    const link = await desk.linkFor();
    for (const host of [desk.hostOf('support'), desk.hostOf('public')]) {
      assert.equal((await desk.getAt(host, link, desk.sam.cookie)).status, 404);
    }
    assert.equal((await desk.getAt(desk.hostOf('assist'), link)).status, 303);
  });

  test('a used code opens nothing, and a forged form says no more than the role allows', async () => {
    const code = desk.code();
    assert.match((await desk.ask({ code })).text, /The mailbox is ready/);
    assert.equal((await desk.ask({ code })).status, 403);
    const other = await desk.ask({ user: 'head@other.test', role: 'operator', domains: 'other.test', actor: 'olga' });
    assert.equal(other.status, 403);
    assert.doesNotMatch(other.text, /assist\/open/);
    for (const more of [
      { minutes: '600' },
      { reason: 'because' },
      { user: 'sam@example.test' },
      { user: 'bert@example.test' },
    ]) {
      assert.doesNotMatch((await desk.ask(more)).text, /assist\/open/, JSON.stringify(more));
    }
  });

  test('an opened mailbox is seen under its own host alone, and a user’s session never there', async () => {
    await desk.refresh();
    const cookie = await desk.opened();
    assert.ok(await desk.isOpen(cookie));
    for (const host of [desk.hostOf('support'), desk.hostOf('public')]) {
      const reply = await desk.getAt(host, '/?_task=mail', cookie);
      assert.equal(reply.status, 303);
      assert.doesNotMatch(reply.text, /alice/);
    }
    // No request from there opens another mailbox, not even with the console's own cookie.
    for (const path of ['/-/users?user=mia', '/-/factor', '/-/sessions', '/-/audit']) {
      const nested = await desk.getAt(desk.hostOf('assist'), path, `${cookie}; ${desk.sam.cookie}`);
      assert.equal(nested.status, 404, path);
    }
    const sessions = await desk.getAt(desk.hostOf('public'), '/-/sessions', cookie);
    assert.doesNotMatch(sessions.text, /alice/);
    const alice = new RoundcubeUser(desk.gateway.origin);
    await alice.signIn('alice', 'alice-pw');
    const own = `postern=${alice.cookies.get('postern') ?? ''}`;
    assert.equal((await desk.getAt(desk.hostOf('assist'), '/?_task=mail', own)).status, 303);
    assert.equal((await desk.getAt(desk.hostOf('assist'), '/?_task=mail', desk.sam.cookie)).status, 303);
    // She does not see it among her own sessions, either.
    const page = await alice.get('/-/sessions');
    assert.equal(page.body.match(/name="end"/g)?.length ?? 0, 0, page.body);
  });

  test('nobody but the page itself can press Stop', async () => {
    const cookie = await desk.opened();
    const sameOrigin = { 'Sec-Fetch-Site': 'same-origin' };
    for (const forged of [
      { token: () => '', headers: sameOrigin },
      { token: (genuine: string) => `${genuine}x`, headers: sameOrigin },
      { headers: { Origin: 'http://evil.test' } },
      { headers: { 'Sec-Fetch-Site': 'same-site' } },
    ]) {
      assert.equal((await desk.stop(cookie, forged)).status, 400);
    }
    assert.ok(await desk.isOpen(cookie));
    await desk.assertEnds(cookie, () => desk.stop(cookie));
  });

  test('a browser has one opened mailbox: the next one closes the one before', async () => {
    const first = await desk.opened();
    const second = await desk.getAt(desk.hostOf('assist'), await desk.linkFor('mia@example.test'), first);
    assert.equal(second.status, 303);
    assert.ok(!(await desk.isOpen(first)));
    const cookie = /^postern=[^;]+/.exec(setCookies(second).find((line) => line.startsWith('postern=')) ?? '')?.[0];
    assert.ok(await desk.isOpen(cookie ?? ''));
    // A second tab of the console sees it, and stops it.
    const tab = await desk.sam.get('/-/opened');
    const name = /name="stop" value="([^"]+)" aria-label="Close mia@/.exec(tab.text)?.[1] ?? '';
    await desk.assertEnds(cookie ?? '', () => desk.sam.post('/-/opened', { stop: name }));
  });

  test('two tabs that send the same code at once open one mailbox', async () => {
    await desk.refresh();
    const code = desk.code();
    await desk.sam.get('/-/users?user=alice');
    const form = { do: 'open', user: 'alice@example.test', reason, ticket: '', minutes: '5', code };
    const replies = await Promise.all([1, 2, 3].map(() => desk.sam.post('/-/users', form)));
    const opened = replies.filter(({ text }) => text.includes('The mailbox is ready'));
    assert.deepEqual([opened.length, replies.filter(({ status }) => status === 403).length], [1, 2]);
  });

  test('a user of another domain is nobody to sam, by whatever form and name', async () => {
    for (const user of ['head@other.test', 'HEAD@Other.Test', 'nobody@other.test']) {
      const page = await desk.sam.get(`/-/users?user=${user}`);
      assert.equal(page.status, 404, user);
      // The answer does not reveal whether a user exists there, either.
      assert.equal(plain(page.text), plain((await desk.sam.get('/-/users?user=x@other.test')).text));
      for (const wanted of ['open', 'lift']) {
        const reply = await desk.ask({ user, do: wanted, domains: 'other.test', role: 'support' });
        assert.doesNotMatch(reply.text, /assist\/open|is lifted/, `${wanted} ${user}`);
        assert.notEqual(reply.status, 200, `${wanted} ${user}`);
      }
    }
    const { out } = await desk.run('audit', 'list', '--subject', 'head@other.test', '--format', 'json');
    const events: { event: string; actor: string }[] = JSON.parse(out);
    // Each try of that spelling: a page, and two forms with the page that each is on.
    assert.ok(events.length >= 5, out);
    for (const { event, actor } of events) assert.deepEqual([event, actor], ['role-refused', 'sam@example.test']);
  });

  test('with the disk full no mailbox is opened and no console used, and users sign in', async () => {
    await desk.refresh();
    const link = await desk.linkFor();
    const file = join(dirname(desk.gateway.configFile), 'state', 'audit.jsonl');
    await rename(file, `${file}.1`);
    await symlink('/dev/full', file);
    const alice = new RoundcubeUser(desk.gateway.origin);
    try {
      const refused = await desk.ask();
      assert.equal(refused.status, 503);
      assert.match(refused.text, /audit log cannot be written/);
      assert.doesNotMatch(refused.text, /assist\/open/);
      const opening = await desk.getAt(desk.hostOf('assist'), link);
      assert.deepEqual([opening.status, opening.headers['location']], [503, undefined]);
      assert.match(opening.text, /audit log cannot be written/);
      assert.ok(setCookies(opening).every((line) => !line.startsWith('postern=s')));
      await alice.signIn('alice', 'alice-pw');
      assert.equal((await alice.get('/?_task=mail')).status, 200);
      // The machine's operator must be able to act.
      assert.equal((await desk.run('backend', 'set', 'b', 'drain', '--reason', 'a test')).code, 0);
      assert.equal((await desk.run('backend', 'set', 'b', 'ready', '--reason', 'a test')).code, 0);
    } finally {
      await rm(file);
      await rename(`${file}.1`, file);
    }
    assert.match(desk.gateway.log.join('\n'), /ERR_AUDIT_UNAVAILABLE/);
    assert.match((await desk.ask()).text, /The mailbox is ready/);
  });

  test('the audit names actor and subject of all of it, and never the other way round', async () => {
    const { out } = await desk.run('audit', 'list', '--format', 'json', '--limit', '500');
    const lines: { event: string; actor: string; subject: string }[] = JSON.parse(out);
    const opened = lines.filter(({ event }) => event.startsWith('impersonation-'));
    assert.ok(opened.length > 10);
    for (const { actor, subject, event } of opened) {
      assert.equal(actor, 'sam@example.test', event);
      if (event !== 'impersonation-refused') assert.match(subject, /^(?:alice|mia)@example\.test$/, event);
    }
    const events = new Set(opened.map(({ event }) => event));
    for (const event of [
      'impersonation-start',
      'impersonation-opened',
      'impersonation-stop',
      'impersonation-refused',
    ]) {
      assert.ok(events.has(event), event);
    }
    assert.equal((await desk.run('audit', 'verify')).code, 0);
  });
});
