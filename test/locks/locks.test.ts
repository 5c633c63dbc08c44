import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { eventually } from '../eventually.fixture.ts';
import { type LockNode, type LockSite, startLockSite } from './lock-site.fixture.ts';

const reason = ['--reason', 'sends spam'];
const generic = /The user name or password is incorrect/;

let site: LockSite;
before(async () => {
  site = await startLockSite();
});
after(() => site[Symbol.asyncDispose]());

const both = (): readonly LockNode[] => [site.one, site.two];

async function unlock(...whom: readonly string[]): Promise<void> {
  const { code, err } = await site.one.postern('user', 'unlock', ...whom, '--reason', 'new password');
  assert.equal(code, 0, err);
}

const isOver = ({ event }: { readonly event: string }): boolean => event === 'lock-over';

async function landingOf(node: LockNode, user: string): Promise<string> {
  const { landed } = await node.signIn(user);
  return landed.path;
}

describe('a locked user', () => {
  it('loses all sessions on all nodes, and reads why only after the right password', async () => {
    const { one, two } = site;
    const [here, there] = [await one.signIn('alice'), await two.signIn('alice')];
    const bob = await two.signIn('bob');
    assert.equal(there.landed.path, '/mail/INBOX');
    const locked = await one.postern('user', 'lock', 'Alice', ...reason, '--text', 'en=Call the desk.');
    assert.deepEqual(locked, {
      code: 0,
      out: 'alice@example.test is locked, on all 2 nodes. Sessions ended: 2.\n',
      err: '',
    });
    for (const { browser } of [here, there]) {
      const { body } = await browser.open('/mail/INBOX');
      assert.match(body.toString(), /You were signed out, because access to this account is locked\./);
    }
    assert.equal((await bob.browser.open('/mail/INBOX')).path, '/mail/INBOX');
    for (const node of both()) {
      const { landed } = await node.signIn('alice');
      assert.equal(landed.status, 403);
      assert.match(landed.body.toString(), /Call the desk\./);
      const wrong = await node.signIn('alice', 'a wrong one');
      assert.match(wrong.landed.body.toString(), generic);
      assert.doesNotMatch(wrong.landed.body.toString(), /Call the desk|locked/);
    }
    const ends = [...one.logged, ...two.logged].filter(({ event }) => event === 'session-end');
    assert.deepEqual(
      ends.map(({ fields }) => [fields['user'], fields['reason'], String(fields['by']).replace(/^\S+/, 'X')]),
      Array.from({ length: 2 }, () => ['alice@example.test', 'locked', 'X (socket)']),
    );
    await unlock('alice');
    for (const node of both()) assert.equal(await landingOf(node, 'alice'), '/mail/INBOX');
  });

  it('is refused by DAV, nginx and the lookup of all nodes', async () => {
    for (const node of both()) {
      assert.notEqual((await node.dav('anna')).status, 403);
      assert.equal(await node.authHttp('anna'), 'OK');
      assert.equal((await node.lookup('anna')).status, 200);
    }
    assert.equal((await site.one.postern('user', 'lock', 'anna', ...reason)).code, 0);
    for (const node of both()) {
      const dav = await node.dav('anna');
      assert.deepEqual([dav.status, await dav.text()], [403, 'This account is locked. Ask your administrator.\n']);
      assert.equal((await node.dav('anna', 'a wrong one')).status, 401);
      assert.equal(await node.authHttp('anna'), '[AUTHENTICATIONFAILED] Invalid login or password');
      const { status, body } = await node.lookup('anna');
      assert.deepEqual([status, body], [200, { refuse: 'This account is locked. Ask your administrator.' }]);
    }
    await unlock('anna');
    for (const node of both()) {
      assert.notEqual((await node.dav('anna')).status, 403);
      assert.equal(await node.authHttp('anna'), 'OK');
    }
  });

  it('loses WebSockets, event streams, and the requests of programs that wait for news', async () => {
    const { one, two } = site;
    const { browser } = await two.signIn('bob');
    const headers = { cookie: browser.cookieField, origin: two.origin };
    const socket = new WebSocket(`${two.origin.replace('http', 'ws')}/api/echo`, { headers });
    await new Promise((resolve) => socket.addEventListener('open', resolve));
    const closed = new Promise((resolve) => socket.addEventListener('close', resolve));
    const waiting = get(`${two.origin}/dav/waits`, { auth: 'bob@example.test:wonderland' });
    const ended = Promise.race([once(waiting, 'response'), once(waiting, 'error')]);
    await eventually(() => site.waitingPrograms() === 1);
    assert.equal((await one.postern('user', 'lock', 'bob', ...reason)).code, 0);
    await closed;
    await ended;
    await eventually(() => site.waitingPrograms() === 0);
    await unlock('bob');
  });

  it('is named with its lock by explain, who and the list, and in the audit', async () => {
    const { one, two } = site;
    await one.postern('user', 'lock', 'alice', ...reason, '--until', '7d');
    assert.match((await two.postern('explain', 'alice')).out, /^locked +by \S+ \(socket\), .*, until .*: sends spam$/m);
    assert.match(
      (await two.postern('who', 'alice')).out,
      /^Locked until \S+, by \S+ \(socket\) since \S+: sends spam$/m,
    );
    assert.match(
      (await two.postern('user', 'locks')).out,
      /^user +alice@example\.test +.* +in 6 days +\S+ \(socket\) +sends spam$/m,
    );
    await unlock('alice');
    const again = await one.postern('user', 'unlock', 'alice', ...reason);
    assert.deepEqual(
      [again.code, again.err],
      [1, 'alice@example.test is not locked: postern user locks shows who is\n'],
    );
    const lines = await readFile(join(site.folder, 'one-audit.jsonl'), 'utf8');
    assert.match(lines, /"event":"user-lock".*"subject":"alice@example\.test".*"reason":"sends spam"/);
    assert.match(lines, /"event":"user-unlock".*"subject":"alice@example\.test".*"reason":"new password"/);
  });

  it('stays locked when a node is started again, and while another one is away', async () => {
    const { one, two } = site;
    await one.postern('user', 'lock', 'alice', ...reason);
    await two.restart();
    assert.equal((await two.signIn('alice')).landed.status, 403);
    await unlock('alice');
  });

  it('is let in when the time of the lock is over, and the log says so once', async () => {
    const { one, two } = site;
    const before = [...one.logged, ...two.logged].length;
    const until = new Date(Date.now() + 1_500).toISOString();
    const { status } = await one.api('POST', '/locks', { users: ['alice'], reason: 'for a moment', until });
    assert.equal(status, 200);
    assert.equal((await two.signIn('alice')).landed.status, 403);
    await eventually(async () => (await two.signIn('alice')).landed.path === '/mail/INBOX');
    await eventually(() => [...one.logged, ...two.logged].some(isOver));
    assert.equal([...one.logged, ...two.logged].slice(before).filter(isOver).length <= 1, true);
    assert.deepEqual((await one.api('GET', '/locks')).body.locks, []);
  });
});

describe('a lock of many', () => {
  it('covers a domain, its aliases and the users who come later', async () => {
    const { one, two } = site;
    const locked = await one.postern('user', 'lock', '--domain', 'EXAMPLE.test', ...reason);
    assert.equal(locked.code, 0, locked.err);
    for (const user of ['alice', 'bob']) assert.equal((await two.signIn(user)).landed.status, 403);
    await writeFile(join(site.folder, 'users.map'), `${site.users}late@example.test: b\n`);
    await eventually(async () => JSON.stringify((await two.lookup('late')).body).includes('locked'));
    const own = await one.postern('user', 'unlock', 'alice', ...reason);
    assert.match(own.err, /alice@example\.test is not locked: it is the domain example\.test that is/);
    await unlock('--domain', 'example.test');
    assert.equal(await landingOf(two, 'alice'), '/mail/INBOX');
  });

  it('covers a network, from where no password is tried', async () => {
    const { one, two } = site;
    const { browser } = await two.signIn('alice');
    const { logins } = site.machines.a.imap;
    const locked = await one.postern('user', 'lock', '--network', '127.0.0.9/8', ...reason);
    assert.match(locked.out, /^127\.0\.0\.0\/8 is locked, on all 2 nodes\. Sessions ended: [1-9]/);
    const before = logins.length;
    assert.match((await browser.open('/mail/INBOX')).path, /ended=locked/);
    for (const password of ['wonderland', 'a wrong one']) {
      const { landed } = await two.signIn('alice', password);
      assert.match(landed.body.toString(), /This account is locked/);
      assert.equal((await two.dav('alice', password)).status, 403);
    }
    assert.equal(logins.length, before);
    assert.match(String(await two.authHttp('alice', '127.0.0.3')), /AUTHENTICATIONFAILED/);
    assert.equal(await two.authHttp('alice', '192.0.2.7'), 'OK');
    assert.match(JSON.stringify((await two.lookup('alice', '127.1.2.3')).body), /refuse/);
    await unlock('--network', '127.0.0.0/8');
    assert.equal(await landingOf(two, 'alice'), '/mail/INBOX');
    const wide = await one.postern('user', 'lock', '--network', '0.0.0.0/0', ...reason);
    assert.deepEqual(
      [wide.code, wide.err],
      [2, '0.0.0.0/0 is too wide to lock: name networks of /8 or longer: nothing was changed\n'],
    );
  });

  it('reads a file: all names are checked first, and those that nobody knows are told', async () => {
    const { one, two } = site;
    const file = join(site.folder, 'abused.txt');
    await writeFile(file, '\ufeff# leaked\r\nalice\r\n\r\nno body\r\nnobody # unknown\r\nb\u0007ob\r\n');
    const refused = await one.postern('user', 'lock', '--file', file, ...reason);
    assert.equal(refused.code, 2);
    assert.match(refused.err, /^\S+abused\.txt:4: "no body" cannot be a user: character\n\S+abused\.txt:6: /);
    assert.match(refused.err, /2 of 4 lines name no user; nothing was changed\n$/);
    assert.deepEqual((await one.api('GET', '/locks')).body.locks, []);

    await writeFile(file, '\ufeff# leaked\r\nalice\r\n\r\nnobody # unknown\r\n');
    const { code, out, err } = await one.postern('user', 'lock', '--file', file, ...reason);
    assert.equal(code, 0, err);
    assert.match(out, /abused\.txt:4: no source of the directory knows nobody@example\.test\n/);
    assert.match(out, /Locked: 2, on all 2 nodes\. Sessions ended: \d+\.\n$/);
    assert.equal((await two.signIn('alice')).landed.status, 403);
    assert.match(
      (await one.postern('user', 'unlock', '--file', file, ...reason)).out,
      /^(?:.*\n)*Unlocked: 2; not locked before: 0\.\n$/,
    );
    assert.equal(await landingOf(two, 'alice'), '/mail/INBOX');
  });

  it('of several hundred names goes to the gateway in parts', async () => {
    const { one, two } = site;
    const file = join(site.folder, 'many.txt');
    await writeFile(file, Array.from({ length: 450 }, (_, number) => `u${number}@example.test\n`).join(''));
    assert.match((await one.postern('user', 'lock', '--file', file, ...reason)).out, /Locked: 450, on all 2 nodes/);
    assert.equal((await two.api('GET', '/locks?kind=user')).body.locks.length, 450);
    assert.equal((await one.postern('user', 'unlock', '--file', file, ...reason)).code, 0);
    assert.deepEqual((await two.api('GET', '/locks')).body.locks, []);
  });
});

describe('a lock that not all can hear of', () => {
  it('fails if the store does not take it, and nobody is locked', async () => {
    const { one, redis } = site;
    await redis.kill();
    const failed = await one.postern('user', 'lock', 'alice', ...reason);
    await redis.restart();
    assert.equal(failed.code, 3);
    assert.match(failed.err, /^the state store did not confirm the change \(0 of 1 are written; /);
    await eventually(async () => (await one.signIn('alice')).landed.path === '/mail/INBOX');
  });

  it('names the nodes that have not confirmed, and ends with 3', async () => {
    const { one } = site;
    await site.reportSilentNode('web3 4711 0a1b');
    const { code, out, err } = await one.postern('user', 'lock', 'alice', ...reason);
    assert.equal(code, 3);
    assert.match(out, /^alice@example\.test is locked on 2 of 3 nodes\. Sessions ended: \d+\.\n$/);
    assert.match(err, /^Not reached: web3 4711 0a1b: it has been silent for \d+ s\. /);
    await site.forgetSilentNode('web3 4711 0a1b');
    await unlock('alice');
  });
});
