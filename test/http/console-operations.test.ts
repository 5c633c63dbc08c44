import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { canonicalUser } from '../login/named.fixture.ts';
import { type ConsoleFixture, sam, signedIn, staffBrowser, startConsole } from './console.fixture.ts';
import { shownSession } from './console-shown.fixture.ts';

let fixture: ConsoleFixture;
beforeEach(async () => {
  fixture = await startConsole();
  fixture.grants.set(sam, { roles: ['operator'] });
});
afterEach(() => fixture[Symbol.asyncDispose]());

suite('the operators’ pages of the console', () => {
  test('list sessions with their kind, and end one with a reason', async () => {
    const impersonation = {
      actor: canonicalUser('otto@example.test'),
      staffSession: shownSession('S', 'otto@example.test').key,
      reason: 'lost her folders',
      ticket: '',
    };
    fixture.open = [...fixture.open, shownSession('M', 'carol@example.test', { impersonation })];
    const { browser } = await signedIn(fixture);
    const { text } = await browser.get('/-/sessions');
    assert.match(
      text,
      /carol@example\.test<\/a><\/th><td>opened by otto@example\.test, ends <time datetime="[^"]+" title="[^"]+ UTC">in 10 min</,
    );
    assert.match(text, /Firefox, Linux/);
    const end = fixture.open[0]?.key ?? '';
    assert.equal((await browser.post('/-/sessions', { end, reason: ' ' })).status, 400);
    assert.deepEqual(fixture.done, []);
    const ended = await browser.post('/-/sessions', { end, reason: 'lost laptop', user: 'alice@example.test' });
    assert.equal(ended.headers['location'], '/-/sessions?user=alice%40example.test&ended=1');
    assert.deepEqual(fixture.done, ['end alice@example.test lost laptop sam@example.test']);
    assert.match((await browser.get('/-/sessions?ended=1')).text, /One session was ended/);
    assert.equal(
      (await browser.post('/-/sessions', { end: 'gone', reason: 'x' })).headers['location'],
      '/-/sessions?ended=0',
    );
  });

  test('end all sessions that a filter matches only after one more question', async () => {
    const { browser } = await signedIn(fixture);
    await browser.get('/-/sessions?backend=a');
    const all = { all: 'yes', reason: 'new disks' };
    assert.equal((await browser.post('/-/sessions', all)).status, 400, 'not of everybody');
    const asked = await browser.post('/-/sessions', { ...all, backend: 'a' });
    assert.match(asked.text, /2 sessions of 2 people<\/strong> end on all nodes/);
    assert.deepEqual(fixture.done, []);
    await browser.post('/-/sessions', { ...all, backend: 'a', sure: 'yes' });
    assert.deepEqual(fixture.done, ['end alice@example.test bob@example.test new disks sam@example.test']);
  });

  test('leave staff at the console when the sessions of a backend end', async () => {
    const staff = { step: 'second-factor', provenAtMs: Date.now() } as const;
    fixture.open = [...fixture.open, shownSession('M', 'otto@example.test', { staff })];
    const { browser } = await signedIn(fixture);
    assert.match((await browser.get('/-/sessions?backend=a')).text, /<td>console<\/td><td>–<\/td>/);
    const all = { all: 'yes', reason: 'new disks', backend: 'a' };
    assert.match((await browser.post('/-/sessions', all)).text, /2 sessions of 2 people<\/strong>/);
    await browser.post('/-/sessions', { ...all, sure: 'yes' });
    await browser.post('/-/sessions', { ...all, kind: 'console', sure: 'yes' });
    assert.deepEqual(fixture.done, [
      'end alice@example.test bob@example.test new disks sam@example.test',
      'end otto@example.test new disks sam@example.test',
    ]);
  });

  test('show how far moves are, stop one, and move a user back', async () => {
    const { browser } = await signedIn(fixture);
    const { text } = await browser.get('/-/moves');
    assert.match(text, /1 of 2 done<\/span> <a href="\/-\/moves\?phase=waiting">1 waiting<\/a>/);
    for (const page of [text, (await browser.get('/-/moves?user=bob')).text]) {
      assert.match(page, /<nav aria-label="Console">/);
      assert.match(page, /<span>sam@example\.test<\/span>/, 'who is signed in, not who is sought');
    }
    await browser.post('/-/moves', { stop: 'alice@example.test', reason: 'not today' });
    await browser.post('/-/moves', { back: 'bob@example.test', reason: 'wrong user' });
    assert.equal((await browser.post('/-/moves', { back: 'bob@example.test' })).status, 400);
    assert.deepEqual(fixture.done, [
      'stop the move of alice@example.test not today sam@example.test',
      'move bob@example.test back wrong user sam@example.test',
    ]);
  });

  test('list penalties, and lift the one of a row', async () => {
    const { browser } = await signedIn(fixture);
    const { text } = await browser.get('/-/penalties');
    const lift = /name="lift" value="([^"]+)"/.exec(text)?.[1]?.replaceAll('&amp;', '&') ?? '';
    await browser.post('/-/penalties', { lift, reason: 'it was her telephone' });
    assert.deepEqual(fixture.done, ['lift eve@example.test 192.0.2.0/24 it was her telephone sam@example.test']);
  });

  test('mark nodes that differ, clocks that are off, and certificates that end soon', async () => {
    const { browser } = await signedIn(fixture);
    const { text } = await browser.get('/-/nodes');
    assert.match(text, /<code>beef<\/code> <span class="state maint">differs/);
    assert.match(text, /9000 ms <span class="state maint">off/);
    assert.match(text, /ends soon<\/span> mail\.example\.test/);
    assert.match(text, /answers<\/span> Redis, role master/);
    assert.match(text, /ERR_X: 2/);
  });

  test('say in words when most people sign in, and give each bar its figures', async () => {
    const { browser } = await signedIn(fixture);
    const { text } = await browser.get('/-/statistics');
    assert.match(text, /Busiest: Monday from 23 to 24 h UTC, with 161 sign-ins/);
    assert.match(text, /<th scope="row">2030-01-03<\/th>[^]*?<td>300<\/td><td>7<\/td><td>2<\/td><td>3<\/td>/);
    assert.match((await browser.get('/-/statistics?by=backend&days=7')).text, /Sign-ins by backend/);
  });

  test('draw the way of a user from the browser to the webmail, with times', async () => {
    const { browser } = await signedIn(fixture);
    const { text } = await browser.get('/-/route?user=alice@example.test');
    const stations = [...text.matchAll(/<li class="(\w+)"><span class="reference">([^<]+)<\/span>/g)];
    assert.deepEqual(
      stations.map(([, state, kind]) => [kind, state]),
      [
        ['Client', 'good'],
        ['Balancer', 'good'],
        ['Node', 'good'],
        ['Directory', 'good'],
        ['Backend a, IMAP', 'good'],
        ['Webmail roundcube', 'bad'],
      ],
    );
    assert.match(text, /3\.0 ms/);
  });

  test('offer nothing to change to a viewer', async () => {
    fixture.grants.set(sam, { roles: ['viewer'] });
    const { browser } = await signedIn(fixture);
    for (const path of ['/-/sessions', '/-/moves', '/-/penalties', '/-/nodes']) {
      const { status, text } = await browser.get(path);
      assert.equal(status, 200);
      assert.doesNotMatch(text, /name="reason"/, path);
    }
  });
});

suite('the page of a user', () => {
  test('ends one session of the user for support, with a reason, and only of a covered domain', async () => {
    fixture.grants.set(sam, { roles: ['support'], domains: ['example.test'] });
    const { browser } = await signedIn(fixture);
    await browser.get('/-/users?user=alice@example.test');
    const session = fixture.open[0]?.key ?? '';
    const form = { user: 'alice@example.test', do: 'end', session };
    assert.equal((await browser.post('/-/users', form)).status, 400);
    assert.equal((await browser.post('/-/users', { ...form, user: 'eve@other.test', reason: 'x' })).status, 403);
    fixture.done.length = 0;
    assert.match(
      (await browser.post('/-/users', { ...form, reason: 'lost laptop' })).text,
      /session of alice@example\.test has ended/,
    );
    await browser.post('/-/users', { ...form, session: fixture.open[1]?.key ?? '', reason: 'not hers' });
    assert.deepEqual(fixture.done, ['end alice@example.test lost laptop sam@example.test']);
  });
});

async function link(): Promise<string> {
  const { token } = await fixture.links.issue({ by: 'root (socket)', consoleOrigin: fixture.origin });
  return token;
}

suite('a link to the console', () => {
  test('opens a session of an operator once, in the name of whoever made it, for an hour', async () => {
    const token = await link();
    const browser = staffBrowser(fixture);
    assert.match((await browser.get(`/-/link?link=${token}`)).text, new RegExp(`name="link" value="${token}"`));
    assert.equal((await browser.post('/-/link', { link: token })).headers['location'], '/-/');
    assert.equal((await browser.get('/-/')).headers['location'], '/-/backends');
    assert.match((await browser.get('/-/backend?name=a')).text, /<span>root \(socket\)<\/span>/);
    await browser.post('/-/backend', { backend: 'a', state: 'DRAIN', reason: 'new disks' });
    assert.deepEqual(fixture.done, ['set a DRAIN new disks root (socket)']);
    assert.equal((await browser.get('/-/users')).status, 403, 'it is no support');
    assert.deepEqual(
      fixture.audited.map(({ event, actor }) => [event, actor]),
      [
        ['console-link-used', 'root (socket)'],
        ['role-refused', 'root (socket)'],
      ],
    );

    const other = staffBrowser(fixture);
    const again = await other.post('/-/link', { link: token });
    assert.equal(again.status, 403);
    assert.match(again.text, /was used[^]*postern console --link/);

    for (let minutes = 0; minutes < 60; minutes += 10) {
      assert.equal((await browser.get('/-/backends')).status, 200);
      fixture.clock.nowMs += 10 * 60_000;
    }
    assert.equal((await browser.get('/-/backends')).headers['location'], '/-/login', 'its hour is over');
  });

  test('opens nothing after two minutes, at another console, or without the audit', async () => {
    const browser = staffBrowser(fixture);
    const foreign = await fixture.links.issue({ by: 'root (socket)', consoleOrigin: 'https://console.example.org' });
    assert.equal((await browser.post('/-/link', { link: foreign.token })).status, 403);
    const unaudited = await link();
    fixture.away.add('audit');
    assert.equal((await browser.post('/-/link', { link: unaudited })).status, 503);
    fixture.away.delete('audit');
    const late = await link();
    fixture.clock.nowMs += 121_000;
    assert.equal((await browser.post('/-/link', { link: late })).status, 403);
    assert.equal((await browser.get('/-/backends')).headers['location'], '/-/login');
  });
});
