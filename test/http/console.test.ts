import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import request from 'supertest';
import { codeOf } from '../support/support.fixture.ts';
import { setCookies } from './browser-like.fixture.ts';
import { type ConsoleFixture, halfSignedIn, sam, signedIn, staffBrowser, startConsole } from './console.fixture.ts';

let fixture: ConsoleFixture;
beforeEach(async () => {
  fixture = await startConsole();
});
afterEach(() => fixture[Symbol.asyncDispose]());

const audited = () => fixture.audited.map(({ event }) => event);
const opening = {
  user: 'alice@example.test',
  do: 'open',
  reason: 'cannot see her folders',
  ticket: 'T1',
  minutes: '15',
};

suite('the console', () => {
  test('leads everybody without a session to its sign-in, and serves nothing else', async () => {
    const browser = staffBrowser(fixture);
    assert.equal((await browser.get('/')).headers['location'], '/-/');
    for (const path of ['/-/', '/-/users', '/-/opened', '/-/backends', '/-/audit', '/-/audit.csv', '/-/factor']) {
      const reply = await browser.get(path);
      assert.deepEqual([reply.status, reply.headers['location']], [303, '/-/login'], path);
    }
    assert.equal((await browser.get('/?_task=mail')).headers['location'], '/-/');
    const missing = await browser.get('/SOGo/', { 'Accept-Language': 'de' });
    assert.equal(missing.status, 404);
    assert.match(missing.text, /<body class="console narrow"[^]*Page not found[^]*Back to the console/);
    assert.equal((await browser.get('/-/sessions')).headers['location'], '/-/login');
  });

  test('takes a password, then a code, each under another cookie that no script and no other site can use', async () => {
    const { browser, nextCode } = await halfSignedIn(fixture);
    const half = browser.cookie;
    assert.equal((await browser.get('/-/users')).headers['location'], '/-/factor');
    const reply = await browser.post('/-/factor', { code: nextCode() });
    assert.equal(reply.headers['location'], '/-/');
    assert.match(
      setCookies(reply).join('\n'),
      /^postern-staff=0a0a0a0a\.[\w-]{43}\.[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/,
    );
    assert.equal((await browser.get('/-/')).headers['location'], '/-/users');
    assert.equal((await browser.get('/-/users')).status, 200);
    const old = staffBrowser(fixture);
    old.cookie = half;
    assert.equal((await old.get('/-/factor')).headers['location'], '/-/login', 'the id of before the step is dead');
    assert.deepEqual(audited(), ['staff-sign-in']);
  });

  test('tells who is no staff no more than that, and only after the right password', async () => {
    const browser = staffBrowser(fixture);
    await browser.get('/-/login');
    const wrong = await browser.post('/-/login', { user: 'mia', password: 'wrong' });
    const noRole = await browser.post('/-/login', { user: 'mia', password: 'right' });
    assert.deepEqual([wrong.status, noRole.status], [403, 403]);
    assert.match(wrong.text, /The user name or password is incorrect/);
    assert.match(noRole.text, /no access to this console/);
    assert.ok(!browser.cookie.includes('staff'));
    assert.deepEqual(fixture.audited, []);
  });

  test('audits refused passwords of staff alone, once a minute, and never what was typed', async () => {
    const browser = staffBrowser(fixture);
    await browser.get('/-/login');
    for (const user of ['nobody', 'pässword-of-sam', '"><script>', 'x'.repeat(300)]) {
      for (let nth = 0; nth < 5; nth += 1) await browser.post('/-/login', { user, password: 'wrong' });
    }
    assert.deepEqual(fixture.audited, []);
    for (let nth = 0; nth < 5; nth += 1) await browser.post('/-/login', { user: 'sam', password: 'wrong' });
    fixture.clock.nowMs += 61_000;
    await browser.post('/-/login', { user: 'sam', password: 'wrong' });
    assert.deepEqual(
      fixture.audited.map(({ event, actor, facts }) => [event, actor, facts]),
      [
        ['staff-refused', sam, { step: 'password', why: 'rejected' }],
        ['staff-refused', sam, { step: 'password', why: 'rejected', repeats: 4 }],
      ],
    );
  });

  test('answers strangers while the audit cannot be written', async () => {
    const browser = staffBrowser(fixture);
    await browser.get('/-/login');
    fixture.away.add('audit');
    assert.equal((await browser.post('/-/login', { user: 'mia', password: 'wrong' })).status, 403);
    assert.equal((await browser.post('/-/login', { user: 'sam', password: 'wrong' })).status, 503);
  });

  test('lets nobody enrol without the one-time code, and shows key and recovery codes once', async () => {
    const browser = staffBrowser(fixture);
    await browser.get('/-/login');
    await browser.post('/-/login', { user: 'sam', password: 'right' });
    assert.equal((await browser.get('/-/factor')).headers['location'], '/-/enrol');
    assert.match((await browser.get('/-/enrol')).text, /postern staff enrol sam@example\.test/);
    const invited = await fixture.factors.invite(sam);
    assert.equal((await browser.post('/-/enrol', { invitation: 'x7kd-92mp-x7kd-92mp' })).status, 403);
    assert.equal((await browser.post('/-/enrol', { code: '123456' })).status, 403);
    const accepted = await browser.post('/-/enrol', { invitation: invited?.code.reveal() ?? '' });
    assert.equal(accepted.headers['location'], '/-/enrol');
    const offer = await browser.get('/-/enrol');
    assert.match(offer.text, /<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/);
    const key = /<code>([A-Z2-7 ]+)<\/code>/.exec(offer.text)?.[1]?.replaceAll(' ', '') ?? '';
    const done = await browser.post('/-/enrol', { code: codeOf(key, fixture.clock.nowMs) });
    assert.equal(done.text.match(/<code>[\w-]{19}<\/code>/g)?.length, 10);
    assert.equal((await browser.get('/-/users')).status, 200);
    assert.equal((await browser.get('/-/enrol')).headers['location'], '/-/');
    assert.ok(audited().includes('staff-enrolled'));
  });

  test('takes no code twice: not of the app, not of recovery', async () => {
    const { browser, nextCode, recovery } = await halfSignedIn(fixture);
    const code = nextCode();
    assert.equal((await browser.post('/-/factor', { code })).status, 303);
    const other = staffBrowser(fixture);
    await other.get('/-/login');
    await other.post('/-/login', { user: 'sam', password: 'right' });
    await other.get('/-/factor');
    const replayed = await other.post('/-/factor', { code });
    assert.equal(replayed.status, 403);
    assert.match(replayed.text, /has been used/);
    assert.equal((await other.post('/-/factor', { code: recovery[0] ?? '' })).status, 303);
    await other.post('/-/logout', {});
    await other.get('/-/login');
    await other.post('/-/login', { user: 'sam', password: 'right' });
    await other.get('/-/factor');
    assert.equal((await other.post('/-/factor', { code: recovery[0] ?? '' })).status, 403);
  });

  for (const [what, headers] of [
    ['of the webmail’s host', { Origin: 'http://mail.localhost', 'Sec-Fetch-Site': 'same-site' }],
    ['of another site', { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' }],
    ['without an origin', { Origin: 'null', 'Sec-Fetch-Site': 'same-origin' }],
    ['whose fields disagree', { Origin: 'http://mail.localhost', 'Sec-Fetch-Site': 'same-origin' }],
    ['typed in', { 'Sec-Fetch-Site': 'none' }],
  ] as const) {
    test(`takes no form ${what}`, async () => {
      const { browser, nextCode } = await signedIn(fixture);
      await browser.get('/-/users?user=alice@example.test');
      const reply = await browser.post('/-/users', { ...opening, code: nextCode() }, headers);
      assert.equal(reply.status, 403);
      assert.deepEqual(
        fixture.done.filter((line) => line.startsWith('start')),
        [],
      );
    });
  }

  test('believes no client that says nothing of where a form came from', async () => {
    const { browser, nextCode } = await signedIn(fixture);
    await browser.get('/-/users?user=alice@example.test');
    const form = new URLSearchParams({ ...opening, token: browser.token, code: nextCode() });
    const reply = await request(fixture.server).post('/-/users').set('Cookie', browser.cookie).send(form.toString());
    assert.equal(reply.status, 403);
    assert.deepEqual(
      fixture.done.filter((line) => line.startsWith('start')),
      [],
    );
  });

  for (const [what, headers] of [
    [
      'a script of the webmail’s host',
      { 'Sec-Fetch-Site': 'same-site', 'Sec-Fetch-Mode': 'cors', 'Sec-Fetch-Dest': 'empty' },
    ],
    ['a frame', { 'Sec-Fetch-Site': 'same-site', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'iframe' }],
    ['an image', { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors', 'Sec-Fetch-Dest': 'image' }],
  ] as const) {
    test(`shows no page to ${what}`, async () => {
      const { browser } = await signedIn(fixture);
      const reply = await browser.get('/-/users?user=alice@example.test', headers);
      assert.equal(reply.status, 403);
      assert.doesNotMatch(reply.text, /alice/);
      assert.deepEqual(fixture.done, []);
    });
  }

  test('takes a form only with the token of this very session', async () => {
    const { browser } = await signedIn(fixture);
    fixture.grants.set('ann@example.test', { roles: ['support'] });
    const ann = await signedIn(fixture, 'ann@example.test');
    await ann.browser.get('/-/users');
    for (const token of ['', 'x', ann.browser.token]) {
      assert.equal((await browser.post('/-/users', { user: 'alice@example.test', do: 'lift', token })).status, 403);
    }
    assert.deepEqual(fixture.done, []);
  });

  test('opens a mailbox with a fresh code only, each time', async () => {
    const { browser, nextCode } = await signedIn(fixture);
    await browser.get('/-/users?user=alice@example.test');
    const without = await browser.post('/-/users', opening);
    assert.equal(without.status, 403);
    assert.match(without.text, /value="cannot see her folders"/);
    const code = nextCode();
    const started = await browser.post('/-/users', { ...opening, code });
    assert.match(
      started.text,
      /href="http:\/\/assist\.localhost\/-\/assist\/open\?link=L"[^>]* rel="noopener noreferrer"/,
    );
    assert.equal((await browser.post('/-/users', { ...opening, code })).status, 403);
    assert.deepEqual(
      fixture.done.filter((line) => line.startsWith('start')),
      ['start sam@example.test alice@example.test 15 cannot see her folders'],
    );
    assert.equal((await browser.get('/-/opened')).status, 200, 'the session is the same as before');
  });

  test('shows why a mailbox cannot be opened, beside a button that does nothing', async () => {
    const { browser } = await signedIn(fixture);
    const { text } = await browser.get(`/-/users?user=${sam}`);
    assert.match(text, /This is your own mailbox/);
    assert.match(text, /<button class="primary" type="button" disabled/);
    assert.doesNotMatch(text, /name="reason"/);
  });

  test('shows a user while nobody can say whether the mailbox may be opened, and opens none', async () => {
    const { browser } = await signedIn(fixture);
    fixture.away.add('directory');
    const { status, text } = await browser.get('/-/users?user=alice@example.test');
    assert.equal(status, 200);
    assert.match(text, /The mailbox was not opened, because of a problem with the directory/);
    assert.match(text, /<button class="primary" type="button" disabled/);
    assert.match(text, /wrong-password/);
  });

  test('shows a user to support: home, why, sign-ins, penalty; and writes down that it was looked at', async () => {
    const { browser } = await signedIn(fixture);
    const { text } = await browser.get('/-/users?user=Alice@example.test');
    for (const part of [
      /<strong>a<\/strong>/,
      /READY/,
      /rejected: wrong-password/,
      /192\.0\.2\.9/,
      /R9/,
      /waits up to 4 s/,
    ]) {
      assert.match(text, part);
    }
    const line = fixture.audited.at(-1);
    assert.deepEqual([line?.event, line?.actor, line?.subject], ['role-used', sam, 'alice@example.test']);
    await browser.post('/-/users', { user: 'alice@example.test', do: 'lift' });
    assert.deepEqual(
      fixture.done.filter((one) => one.startsWith('lift')),
      ['lift alice@example.test'],
    );
    assert.equal(fixture.audited.at(-1)?.event, 'penalty-lifted');
  });

  test('locks and unlocks a user of the role’s domains, and nobody of the staff', async () => {
    const { browser } = await signedIn(fixture);
    const user = 'alice@example.test';
    await browser.get(`/-/users?user=${user}`);
    const none = await browser.post('/-/users', { user, do: 'unlock', reason: 'new password' });
    assert.equal(none.status, 409);
    assert.equal((await browser.post('/-/users', { user, do: 'lock', reason: ' ' })).status, 400);
    const locked = await browser.post('/-/users', { user, do: 'lock', reason: 'sends spam', text: 'Call us.' });
    assert.match(locked.text, /cannot sign in any more.*have not confirmed: web2 \(it has not confirmed within 2 s\)/);
    assert.match(
      (await browser.post('/-/users', { user, do: 'unlock', reason: 'mended' })).text,
      /can sign in again, on all/,
    );
    const staff = await browser.post('/-/users', { user: sam, do: 'lock', reason: 'sends spam' });
    assert.equal(staff.status, 403);
    const other = await browser.post('/-/users', { user: 'eve@other.test', do: 'lock', reason: 'sends spam' });
    assert.equal(other.status, 403);
    assert.deepEqual(
      fixture.done.filter((one) => one.includes('lock')),
      [`unlock ${user}: new password`, `lock ${user}: sends spam: Call us.`, `unlock ${user}: mended`],
    );
  });

  test('shows nothing of users of another domain, however they are named', async () => {
    const { browser, nextCode } = await signedIn(fixture);
    for (const user of ['eve@other.test', 'alias@example.test', 'nobody@', '<script>@example.test']) {
      const reply = await browser.get(`/-/users?user=${encodeURIComponent(user)}`);
      assert.equal(reply.status, 404, user);
      assert.doesNotMatch(reply.text, /READY|<script>@/);
    }
    await browser.get('/-/users?user=alice@example.test');
    const forged = { ...opening, user: 'eve@other.test', role: 'support', domains: 'other.test', code: nextCode() };
    assert.equal((await browser.post('/-/users', forged)).status, 403);
    assert.equal((await browser.post('/-/users', { user: 'eve@other.test', do: 'lift' })).status, 403);
    assert.deepEqual(
      fixture.done.filter((line) => !line.startsWith('explain')),
      [],
    );
  });

  test('ends the session of who loses the role in the middle of it, and says so', async () => {
    const { browser, nextCode } = await signedIn(fixture);
    await browser.get('/-/users?user=alice@example.test');
    const { cookie } = browser;
    fixture.grants.delete(sam);
    const reply = await browser.post('/-/users', { ...opening, code: nextCode() });
    assert.equal(reply.headers['location'], '/-/login?ended=role');
    fixture.grants.set(sam, { roles: ['support'] });
    browser.cookie = cookie;
    assert.equal((await browser.get('/-/users')).headers['location'], '/-/login', 'it stays ended');
    assert.deepEqual(
      fixture.done.filter((line) => line.startsWith('start')),
      [],
    );
  });

  test('does nothing that the audit cannot hold', async () => {
    const { browser, nextCode } = await signedIn(fixture);
    await browser.get('/-/users?user=alice@example.test');
    fixture.away.add('audit');
    const seen = await browser.get('/-/users?user=alice@example.test');
    assert.equal(seen.status, 503);
    assert.doesNotMatch(seen.text, /READY/);
    assert.equal((await browser.post('/-/users', { user: 'alice@example.test', do: 'lift' })).status, 503);
    fixture.grants.set('ann@example.test', { roles: ['support'] });
    const ann = await halfSignedIn(fixture, 'ann@example.test');
    assert.equal((await ann.browser.post('/-/factor', { code: ann.nextCode() })).status, 503);
    assert.equal((await ann.browser.get('/-/users')).headers['location'], '/-/factor');
    assert.ok(nextCode() !== '');
    assert.ok(!fixture.done.includes('lift alice@example.test'));
  });

  test('lets staff out whatever cannot be written or asked', async () => {
    for (const trouble of ['audit', 'roles', 'store'] as const) {
      const name = `${trouble}@example.test`;
      fixture.grants.set(name, { roles: ['support'] });
      const { browser } = await signedIn(fixture, name);
      await browser.get('/-/users');
      const { cookie } = browser;
      fixture.away.add(trouble);
      const reply = await browser.post('/-/logout', {});
      assert.deepEqual([reply.status, reply.headers['location']], [303, '/-/login'], trouble);
      fixture.away.clear();
      const old = staffBrowser(fixture);
      old.cookie = cookie;
      assert.equal((await old.get('/-/users')).headers['location'], '/-/login', trouble);
    }
    const { browser } = await signedIn(fixture);
    await browser.get('/-/users');
    assert.equal((await browser.post('/-/logout', { token: 'x' })).status, 403);
    assert.equal((await browser.get('/-/')).headers['location'], '/-/users', 'nobody else signs staff out');
  });

  test('ends by disuse, by age, by sign-out and by a kick', async () => {
    const { browser, nextCode } = await signedIn(fixture);
    const minuteMs = 60_000;
    fixture.clock.nowMs += 14 * minuteMs;
    assert.equal((await browser.get('/-/users')).status, 200);
    fixture.clock.nowMs += 14 * minuteMs;
    assert.equal((await browser.get('/-/users')).status, 200);
    fixture.clock.nowMs += 16 * minuteMs;
    assert.equal((await browser.get('/-/users')).headers['location'], '/-/login');

    await browser.get('/-/login');
    await browser.post('/-/login', { user: 'sam', password: 'right' });
    await browser.get('/-/factor');
    await browser.post('/-/factor', { code: nextCode() });
    for (let tenMinutes = 1; tenMinutes < 8 * 6; tenMinutes += 1) {
      fixture.clock.nowMs += 10 * minuteMs;
      assert.equal((await browser.get('/-/users')).status, 200);
    }
    fixture.clock.nowMs += 10 * minuteMs;
    assert.equal((await browser.get('/-/users')).headers['location'], '/-/login');
  });

  test('stops what is one’s own, and nothing else', async () => {
    const { browser } = await signedIn(fixture);
    assert.match((await browser.get('/-/opened')).text, /lost her folders \(T1\)/);
    await browser.post('/-/opened', { stop: 'other' });
    await browser.post('/-/opened', { stop: 'K' });
    assert.deepEqual(fixture.done, ['stop K']);
  });

  test('exports the audit as a table in which no cell is a formula', async () => {
    fixture.grants.set(sam, { roles: ['auditor'] });
    const { browser } = await signedIn(fixture);
    fixture.audited.push({ event: 'staff-refused', actor: '=HYPERLINK("http://evil.example")', facts: { why: 'x' } });
    const reply = await browser.get('/-/audit.csv?actor=x');
    assert.match(reply.headers['content-type'] ?? '', /^text\/csv/);
    assert.match(reply.headers['content-disposition'] ?? '', /"audit\.csv"/);
    assert.match(reply.text, /^time,node,event,.*\r\n/);
    assert.ok(reply.text.includes(`"'=HYPERLINK(""http://evil.example"")"`));
  });

  test('says in the name of the table that it is not the whole audit', async () => {
    fixture.grants.set(sam, { roles: ['auditor'] });
    const { browser } = await signedIn(fixture);
    for (let lines = 0; lines < 10_000; lines += 1) fixture.audited.push({ event: 'role-used', actor: sam });
    const reply = await browser.get('/-/audit.csv');
    assert.match(reply.headers['content-disposition'] ?? '', /"audit-newest-10000\.csv"/);
  });

  test('puts its security fields on every page', async () => {
    const { browser } = await signedIn(fixture);
    for (const path of ['/-/login', '/-/users', '/-/nowhere']) {
      const { headers } = await browser.get(path);
      assert.match(headers['content-security-policy'] ?? '', /default-src 'none'.*frame-ancestors 'none'/);
      assert.doesNotMatch(headers['content-security-policy'] ?? '', /unsafe/);
      assert.equal(headers['cache-control'], 'no-store');
      assert.equal(headers['cross-origin-opener-policy'], 'same-origin');
      assert.equal(headers['x-frame-options'], 'DENY');
    }
  });
});
