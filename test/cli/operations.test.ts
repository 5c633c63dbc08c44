import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { smallest } from '../config/config.fixture.ts';
import { type StandbySite, startStandbySite } from '../gateway/standby-site.fixture.ts';
import { fieldsIn } from '../demo/browser.fixture.ts';
import { run } from './cli.fixture.ts';

describe('the commands for a running gateway', () => {
  let site: StandbySite;
  before(async () => {
    site = await startStandbySite();
  });
  after(() => site[Symbol.asyncDispose]());

  const postern = (...args: readonly string[]) => run([...args, '-c', site.configFile]);
  const reason = ['--reason', 'a test'];

  it('list the backends, and set and undo a state', async () => {
    const { code, out } = await postern('backend', 'list');
    assert.equal(code, 0);
    assert.match(out, /^a +a \* +READY +up +up +0 +-$/m);
    assert.match(out, /^a +a\/2 +READY/m);
    const set = await postern('backend', 'set', 'b', 'maint', '--text', 'en=Back at six.', ...reason);
    assert.deepEqual([set.code, set.out], [0, 'b is MAINT for all nodes.\n']);
    assert.match((await site.signIn('bob')).landed.body.toString(), /Back at six/);
    assert.match((await postern('backend', 'list')).out, /^b +b \* +MAINT .*a test \(\S+ \(socket\)\)$/m);
    await postern('backend', 'set', 'b', 'READY', ...reason);
    assert.equal((await postern('backend', 'activate', 'a', 'a', ...reason)).code, 0);
  });

  it('demand a reason for every change, and end with 1 for what does not exist', async () => {
    assert.equal((await postern('kick', 'alice')).code, 2);
    const unknown = await postern('backend', 'set', 'nowhere', 'READY', ...reason);
    assert.deepEqual([unknown.code, unknown.err], [1, 'there is no backend nowhere: there are a, b\n']);
    for (const id of ['-c', '--', 'ab']) {
      const gone = await postern('session', 'end', id.padEnd(43, 'A'), ...reason);
      assert.equal(gone.code, 1, gone.err);
    }
  });

  it('show who is here, and end sessions', async () => {
    await site.signIn('alice');
    const { out } = await postern('who', 'alice');
    assert.match(out, /^alice@example\.test lives on a\.\n/);
    assert.match(out, /127\.0\.0\.1/);
    const id = /^(\S{8}) /m.exec((await postern('session', 'list', '--user', 'alice')).out)?.[1] ?? '';
    assert.equal((await postern('session', 'end', id, ...reason)).out, 'Ended.\n');
    await site.signIn('alice');
    assert.match(
      (await postern('kick', 'alice', ...reason)).out,
      /^Sessions of alice@example\.test ended: 1, on the only node\.\nSign-in is open again at once; .*: postern user lock\n$/,
    );
  });

  it('end all sessions that fit, and none when nothing is said of which', async () => {
    await site.signIn('anna');
    await site.signIn('bob');
    assert.equal((await postern('session', 'end', ...reason)).code, 2);
    assert.equal((await postern('session', 'end', '-A'.padEnd(43, 'A'), '--backend', 'a', ...reason)).code, 2);
    const elsewhere = await postern('session', 'end', '--backend', 'b', '--address', '192.0.2.1', ...reason);
    assert.equal(elsewhere.out, 'Sessions ended: 0, of 0 users.\n');
    const onB = await postern('session', 'end', '--backend', 'b', ...reason);
    assert.match(onB.out, /^Sessions ended: [1-9]/);
    const left = (await postern('session', 'list')).out;
    assert.match(left, /anna@example\.test/);
    assert.doesNotMatch(left, /bob@example\.test/);
    await postern('session', 'end', '--address', '127.0.0.1', ...reason);
    assert.doesNotMatch((await postern('session', 'list')).out, /@example\.test/);
  });

  it('show everybody, the newest first, with kind and sum, by network and as CSV', async () => {
    for (const user of ['alice', 'bob', 'anna']) await site.signIn(user);
    const all = await postern('who');
    assert.match(all.out, /^SESSION +USER +KIND +HOST +ADDRESS +SINCE +LAST USE +BROWSER\n/);
    const users = [...all.out.matchAll(/^\S{8} +(\w+)@example\.test +user /gm)].map(([, user]) => user);
    assert.deepEqual(users.slice(0, 3), ['anna', 'bob', 'alice']);
    assert.match(all.out, /^\d+ sessions of 3 users\n$/m);
    assert.match(
      (await postern('who', '--limit', '1')).out,
      /^1 session of 1 user; there are more: --limit 10 shows them/m,
    );
    assert.match((await postern('who', 'bob', '--network', '127.0.0.0/8')).out, /^1 session of 1 user\n$/m);
    assert.equal((await postern('who', '--network', '192.0.2.0/24')).out.split('\n')[1], '0 sessions of 0 users');
    assert.match((await postern('who', '--kind', 'opened')).out, /^0 sessions of 0 users\n$/m);
    const csv = (await postern('who', '--format', 'csv', '--kind', 'user')).out.split(/\r?\n/);
    assert.equal(csv[0], 'session,user,kind,host,address,since,last_use,browser');
    assert.match(csv[1] ?? '', /^[\w-]{43},anna@example\.test,user,a,127\.0\.0\.1,20\d\d-[^,]+Z,20\d\d-[^,]+Z,/);
    assert.equal((await postern('who', '--limit', '0')).code, 2);
    assert.match((await postern('who', '--network', 'here')).err, /^network is neither an address nor a network/);
  });

  it('write each user into the audit when sessions of several end', async () => {
    for (const user of ['alice', 'alice', 'bob']) await site.signIn(user);
    const ended = await postern('session', 'end', '--network', '127.0.0.0/8', '--kind', 'user', ...reason);
    assert.match(ended.out, /^Sessions ended: \d+, of 3 users\.\n$/);
    const { lines } = (await site.api('GET', '/audit?event=session-end&limit=3')).body;
    const subjects = lines.map(({ subject, facts }: { subject: string; facts: { network: string } }) => [
      subject,
      facts.network,
    ]);
    assert.deepEqual(
      subjects.toSorted(([a]: string[], [b]: string[]) => String(a).localeCompare(String(b))),
      ['alice', 'anna', 'bob'].map((user) => [`${user}@example.test`, '127.0.0.0/8']),
    );
  });

  it('tell a name that nobody has from a user without a session', async () => {
    const nobody = await postern('kick', 'nobody', ...reason);
    assert.deepEqual([nobody.code, nobody.out], [1, '']);
    assert.match(nobody.err, /^no source of the directory knows nobody@example\.test, and no session has that name\n$/);
    const idle = await postern('kick', 'bob', ...reason);
    assert.deepEqual([idle.code, idle.out], [0, 'bob@example.test has no open sessions.\n']);
  });

  it('list penalties, and lift them', async () => {
    const wrong = new URLSearchParams({ user: 'bob', password: 'wrong' });
    const { browser } = await site.signIn('alice');
    await browser.submit('/-/logout', fieldsIn(await browser.text('/-/logout')));
    const form = fieldsIn(await browser.text('/-/login'));
    for (const [name, value] of wrong) form.set(name, value);
    await browser.submit('/-/login', form);
    const listed = await postern('penalty', 'list');
    assert.match(
      listed.out,
      /^USER +NETWORK +WRONG +DELAY +LAST +FORGOTTEN\nbob@example\.test +127\.0\.0\.0\/24 +1 +2 s /,
    );
    assert.match((await postern('penalty', 'list', '--all')).out, /^bob@example\.test +\(everywhere\) +1 +0 s /m);
    assert.doesNotMatch((await postern('penalty', 'list', '--domain', 'example.net')).out, /bob/);
    assert.match((await postern('penalty', 'lift', 'bob', ...reason)).out, /^Lifted\.\nUSER /);
    assert.doesNotMatch((await postern('penalty', 'list', '--all', '--user', 'bob')).out, /bob/);
    const again = await postern('penalty', 'lift', 'bob', ...reason);
    assert.deepEqual([again.code, again.err.split(':')[0]], [1, 'there is no penalty of bob@example.test']);
    assert.equal((await postern('penalty', 'lift', ...reason)).code, 2);
    const [line] = (await site.api('GET', '/audit?event=penalty-lifted')).body.lines;
    assert.deepEqual([line.subject, line.facts.reason], ['bob@example.test', 'a test']);
  });

  it('refuse a slip in a name or a word, instead of an empty answer', async () => {
    for (const [args, code, says] of [
      [['session', 'list', '--backend', 'zz'], 1, /^there is no backend zz: there are a, b\n$/],
      [['session', 'end', '--backend', 'zz', ...reason], 1, /^there is no backend zz: there are a, b\n$/],
      [['backend', 'activate', 'a', 'z', ...reason], 1, /^a has no host z: there are a, a\/2\n$/],
      [['backend', 'set', '--host', 'z', 'READY', ...reason], 1, /^there is no host z: there are a, a\/2, b\n$/],
      [['move', 'status', '--phase', 'foo'], 2, /^phase is not one of .*waiting.*\n$/],
      [['audit', 'list', '--event', 'nix'], 2, /Write one of staff-sign-in, .*backend-state/],
      [
        ['backend', 'set', 'b', 'MAINT', '--text', 'xx=Zu.', ...reason],
        2,
        /^texts: the pages have no language xx: write one of de, en\n$/,
      ],
      [['session', 'end', 'A'.repeat(43), ...reason], 1, /no such session: postern session list shows/],
    ] as const) {
      const refused = await postern(...args);
      assert.deepEqual([args, refused.code, refused.out], [args, code, '']);
      assert.match(refused.err, says);
    }
    assert.equal((await site.api('GET', '/audit?event=nix')).status, 400);
    assert.equal((await postern('session', 'list', '--backend', 'b')).code, 0);
  });

  it('take the node out, and back', async () => {
    const { gateway } = site;
    assert.deepEqual((await postern('drain')).code, 2, 'only --undo needs no reason');
    assert.equal(
      (await postern('drain', ...reason)).out,
      'Draining: existing requests go on, load balancers send no new ones. Undo with --undo.\n',
    );
    assert.equal(gateway.readiness().ready, false);
    assert.match((await site.signIn('alice')).landed.body.toString(), /backend/);
    assert.equal((await postern('drain', '--undo')).out, 'This node takes requests again.\n');
    assert.equal(gateway.readiness().ready, true);
    const { body } = await site.api('GET', '/audit?event=node-state');
    const facts = body.lines.map((line: { facts: object }) => line.facts);
    assert.deepEqual(facts, [
      { state: 'READY', reason: 'the drain was undone' },
      { state: 'DRAIN', reason: 'a test' },
    ]);
  });

  it('move users of a file, tell how far they are, and lead them back', async () => {
    const file = join(dirname(site.configFile), 'moves.txt');
    writeFileSync(file, '# the first ones\nalice b\nanna   b # with a comment\n\nnobody b\n');
    const all = ['user', 'move', '--file', file, '--rate', '100000', ...reason];
    const planned = await postern(...all, '--dry-run');
    assert.match(
      planned.out,
      /^1\/3 alice: would move a → b\n2\/3 anna: would move a → b\n3 of 3 users: 2 would move, 1 not moved\.\n$/,
    );
    assert.equal(planned.code, 1);
    assert.match(planned.err, /^nobody: no source of the directory knows nobody@example\.test\n/);
    assert.match(
      (await postern(...all)).out,
      /^1\/3 alice: moved, a → b\n2\/3 anna: moved, a → b\n3 of 3 users: 2 moved, 1 not moved\.\n$/,
    );
    assert.match((await postern(...all)).out, /alice: already-there/);
    const status = await postern('move', 'status');
    assert.match(status.out, /^alice@example\.test +a +b +done .*alice@example\.test lives on b$/m);
    assert.match((await postern(...all, '--undo')).out, /1\/3 alice: moved, b → a\n/);
    assert.match((await postern(...all, '--undo')).out, /1\/3 alice: lives on a: left alone\n/);
  });

  it('move nobody if a line of the file is wrong, and name that line', async () => {
    const file = join(dirname(site.configFile), 'wrong.txt');
    const move = (...more: readonly string[]) => postern('user', 'move', '--file', file, ...reason, ...more);
    const none = await move();
    assert.deepEqual([none.code, none.err], [2, `there is no file ${file}: name another\n`]);
    const form = 'write USER BACKEND, or USER alone and --to BACKEND; nobody was moved';
    for (const [text, code, err] of [
      ['alice b\n\nanna\n', 2, `${file}:3: ${form}\n`],
      ['alice b\nanna to b\n', 2, `${file}:2: ${form}\n`],
      ['# nobody yet\n', 2, `${file} names no user: write lines of USER BACKEND\n`],
      ['alice b\nanna zebra\n', 1, `${file}:2: there is no backend zebra: there are a, b\n`],
    ] as const) {
      writeFileSync(file, text);
      const refused = await move();
      assert.deepEqual([refused.code, refused.out, refused.err], [code, '', err]);
    }
    writeFileSync(file, 'anna\n');
    assert.match((await move('--to', 'b', '--dry-run')).out, /^1\/1 anna: would move a → b\n$/);
    assert.equal((await postern('user', 'move', 'anna', ...reason)).code, 2);
    const folder = await postern('user', 'move', '--file', dirname(file), ...reason);
    assert.match(folder.err, /is a directory: name a file\n$/);
  });

  it('have a move wait for a sign-in, and take it back', async () => {
    await postern('user', 'move', 'anna', '--to', 'b', '--at-sign-in', ...reason);
    assert.match((await postern('move', 'status', '--phase', 'waiting')).out, /is moved to b at the next sign-in/);
    assert.match((await postern('move', 'stop', 'anna', ...reason)).out, /^stopped; anna@example\.test lives on a\n/);
  });

  it('say what to add when a configuration gives no way to the gateway, and end with 3 when nobody is there', async () => {
    const file = join(dirname(site.configFile), 'other.yaml');
    writeFileSync(file, smallest());
    const silent = await run(['backend', 'list', '-c', file]);
    assert.equal(silent.code, 2);
    assert.match(silent.err, /add operators: \{ socket: state\/postern\.sock \}/);
    writeFileSync(file, smallest('operators: { socket: nobody.sock }'));
    const away = await run(['backend', 'list', '-c', file]);
    assert.equal(away.code, 3);
    assert.match(away.err, /^cannot reach the gateway at .*nobody\.sock \(ENOENT\): is the gateway running/);
  });
});
