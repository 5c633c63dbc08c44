import assert from 'node:assert/strict';
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { eventually } from '../eventually.fixture.ts';
import { askSocket, type StandbySite, startStandbySite } from './standby-site.fixture.ts';

const reason = 'a test';

describe('a backend whose primary dies', () => {
  let site: StandbySite;
  before(async () => {
    site = await startStandbySite();
  });
  after(() => site[Symbol.asyncDispose]());

  it('goes on at the standby: no read fails, nobody signs in again, others notice nothing', async () => {
    const alice = await site.signIn('alice');
    const bob = await site.signIn('bob');
    assert.match(alice.landed.body.toString(), /backend one/);
    await site.machines.one.webmail.close();
    for (let i = 0; i < 10; i += 1) {
      const page = await alice.browser.open('/mail/INBOX');
      assert.equal(page.status, 200);
      assert.match(page.body.toString(), /backend two/);
      assert.match(await bob.browser.text('/mail/INBOX'), /backend three/);
    }
    const signIns = site.logged.filter(({ event }) => event === 'login');
    assert.equal(signIns.length, 2);
  });

  it('takes new sign-ins there, and stays there until an operator leads it back', async () => {
    const anna = await site.signIn('anna');
    assert.match(anna.landed.body.toString(), /backend two/);
    const { body } = await site.api('GET', '/backends');
    assert.equal(body.backends[0].active, 'a/2');
    assert.equal(body.backends[0].hosts[0].state, 'DOWN');
    const back = await site.api('PUT', '/backends/a/active', { host: 'a', reason });
    assert.equal(back.status, 200);
  });

  it('is counted as one failover, which is neither the operator’s way back nor anything of another backend', async () => {
    const metrics = await (await fetch(`http://127.0.0.1:${site.gateway.ports.operators}/metrics`)).text();
    const counts = metrics.split('\n').filter((line) => line.startsWith('postern_failovers_total'));
    assert.deepEqual(counts, ['postern_failovers_total{backend="a"} 1', 'postern_failovers_total{backend="b"} 0']);
  });
});

describe('an operator', () => {
  let site: StandbySite;
  before(async () => {
    site = await startStandbySite();
  });
  after(() => site[Symbol.asyncDispose]());

  it('alone may open the socket', () => assert.equal(statSync(site.socket).mode & 0o777, 0o600));

  it('takes a backend into maintenance: its users read why, and go on where they were', async () => {
    const { browser } = await site.signIn('alice');
    const bob = await site.signIn('bob');
    const texts = { en: 'New disks are coming.' };
    const set = await site.api('PUT', '/backends/a/state', {
      state: 'MAINT',
      reason,
      texts,
      until: '2099-01-01T00:00Z',
    });
    assert.equal(set.status, 200);
    const page = await browser.open('/mail/INBOX');
    assert.equal(page.status, 503);
    assert.match(page.body.toString(), /New disks are coming\. Expected until/);
    const refused = await site.signIn('anna');
    assert.equal(refused.landed.status, 503);
    assert.match(refused.landed.body.toString(), /New disks are coming/);
    assert.match(await bob.browser.text('/mail/INBOX'), /backend three/);
    await site.api('PUT', '/backends/a/state', { state: 'READY', reason });
    assert.match(await browser.text('/mail/INBOX'), /backend one/);
  });

  it('drains a backend: who is there stays, nobody new comes', async () => {
    const { browser } = await site.signIn('alice');
    await site.api('PUT', '/backends/a/state', { state: 'DRAIN', reason });
    assert.match(await browser.text('/mail/INBOX'), /backend one/);
    assert.equal((await site.signIn('anna')).landed.status, 503);
    await site.api('PUT', '/backends/a/state', { state: 'READY', reason });
  });

  it('leads users from host to host, and back', async () => {
    const { browser } = await site.signIn('alice');
    await site.api('PUT', '/backends/a/active', { host: 'a/2', reason });
    assert.match(await browser.text('/mail/INBOX'), /backend two/);
    await site.api('PUT', '/backends/a/active', { host: 'a', reason });
    assert.match(await browser.text('/mail/INBOX'), /backend one/);
  });

  it('moves a user to another backend: the open session goes on there, and the next sign-in leads there', async () => {
    const { browser } = await site.signIn('anna');
    const planned = await site.api('POST', '/users/anna/move', { to: 'b', reason, dry_run: true });
    assert.deepEqual(planned.body, { outcome: 'planned', user: 'anna@example.test', from: 'a', to: 'b' });
    const moved = await site.api('POST', '/users/anna/move', { to: 'b', reason });
    assert.equal(moved.body.outcome, 'moved');
    assert.match(await browser.text('/mail/INBOX'), /backend three/);
    assert.match((await site.signIn('anna')).landed.body.toString(), /backend three/);
    const shown = await site.api('GET', '/users/anna');
    assert.equal(shown.body.backend, 'b');
    assert.equal(shown.body.sessions.length, 2);
    assert.equal((await site.api('POST', '/users/anna/move', { to: 'b', reason })).body.outcome, 'already-there');
    const back = await site.api('POST', '/users/anna/move', { to: 'a', reason });
    assert.equal(back.body.outcome, 'moved');
    assert.match(await browser.text('/mail/INBOX'), /backend one/);
  });

  it('has a move wait for the next sign-in, which then leads to the new backend', async () => {
    await site.api('POST', '/users/alice/move', { to: 'b', reason, at_sign_in: true });
    const { body } = await site.api('GET', '/moves?phase=waiting');
    assert.match(body.moves[0].explanation, /lives on a and is moved to b at the next sign-in/);
    assert.match((await site.signIn('alice')).landed.body.toString(), /backend three/);
    await site.api('POST', '/users/alice/move', { to: 'a', reason });
  });

  it('lists sessions, ends one, and all of a user', async () => {
    await site.api('DELETE', '/users/alice/sessions', { reason });
    const first = await site.signIn('alice');
    await site.signIn('alice');
    const { body } = await site.api('GET', '/sessions?user=alice');
    assert.equal(body.sessions.length, 2);
    assert.ok(body.sessions.every((one: { backend: string; address: string }) => one.address === '127.0.0.1'));
    const [, oldest] = body.sessions;
    assert.deepEqual((await site.api('DELETE', `/sessions/${oldest.id}`, { reason })).body, {
      ended: 1,
      user: 'alice@example.test',
      id: oldest.id,
    });
    assert.match((await first.browser.open('/mail/INBOX')).path, /ended=kicked/);
    assert.equal((await site.api('DELETE', '/users/alice/sessions', { reason })).body.ended, 1);
    await eventually(
      async () => (await site.api('GET', '/sessions?user=alice')).body.sessions.length === 0,
      'all ended',
    );
  });

  it('is told what is wrong with a request, and nothing is changed', async () => {
    const wrong: [string, string, object | undefined, number][] = [
      ['PUT', '/backends/nowhere/state', { state: 'MAINT', reason }, 404],
      ['PUT', '/backends/a/state', { state: 'MAINT' }, 400],
      ['PUT', '/backends/a/state', { state: 'ASLEEP', reason }, 400],
      ['PUT', '/backends/a/state', { state: 'MAINT', reason, until: 'soon' }, 400],
      ['PUT', '/backends/a/state', { state: 'MAINT', reason, until: '2020-01-31T06:00Z' }, 400],
      ['PUT', '/backends/a/state', { state: 'MAINT', reason, texts: { en: 5 } }, 400],
      ['PUT', '/backends/a/state', { state: 'DRAIN', percent: 20, reason }, 409],
      ['PUT', '/hosts/a%2F2/state', { state: 'DRAIN', percent: 20, reason }, 409],
      ['PUT', '/backends/a/active', { host: 'b', reason }, 404],
      ['PUT', '/hosts/a%2F9/state', { state: 'MAINT', reason }, 404],
      ['POST', '/users/nobody/move', { to: 'b', reason }, 404],
      ['POST', '/users/alice/move', { to: 'nowhere', reason }, 404],
      ['POST', '/users/a%00b/move', { to: 'b', reason }, 400],
      ['DELETE', '/sessions/none', { reason }, 404],
      ['DELETE', '/backends', { reason }, 405],
      ['GET', '/nothing', undefined, 404],
    ];
    for (const [method, path, body, status] of wrong) {
      const answer = await site.api(method, path, body);
      assert.equal(answer.status, status, `${method} ${path}`);
      assert.equal(typeof answer.body.error, 'string');
    }
    assert.equal((await site.api('GET', '/backends')).body.backends[0].hosts[0].state, 'READY');
  });

  it('leaves a line in the audit of every change, with who and why, and reads them again', async () => {
    await site.api('DELETE', '/sessions?user=bob', { reason: 'nobody is left' });
    await site.api('PUT', '/hosts/a%2F2/state', { state: 'DRAIN', reason: 'old disks' });
    await site.api('DELETE', '/users/anna/remembered-home', { reason: 'tidying up' });
    await site.api('DELETE', '/users/bob/sessions', { reason: 'abused' });
    await site.api('POST', '/users/anna/move', { to: 'b', reason: 'full', at_sign_in: true });
    await site.api('DELETE', '/users/anna/move', { reason: 'not needed' });
    await site.api('PUT', '/hosts/a%2F2/state', { state: 'READY', reason: 'done' });
    const { body } = await site.api('GET', '/audit?limit=6');
    assert.equal(body.truncated, true);
    const who = { actor: 'test (socket)', node: hostname() };
    const told = body.lines.map(({ node, event, actor, subject, facts }: Record<string, unknown>) => ({
      node,
      actor,
      event,
      subject,
      facts,
    }));
    assert.deepEqual(told, [
      { ...who, event: 'host-state', subject: 'a/2', facts: { state: 'READY', reason: 'done' } },
      { ...who, event: 'user-move', subject: 'anna@example.test', facts: { step: 'stopped', reason: 'not needed' } },
      {
        ...who,
        event: 'user-move',
        subject: 'anna@example.test',
        facts: { step: 'ordered for the next sign-in', from: 'a', to: 'b', reason: 'full' },
      },
      { ...who, event: 'session-end', subject: 'bob@example.test', facts: { ended: 0, reason: 'abused' } },
      { ...who, event: 'home-forgotten', subject: 'anna@example.test', facts: { reason: 'tidying up' } },
      { ...who, event: 'host-state', subject: 'a/2', facts: { state: 'DRAIN', reason: 'old disks' } },
    ]);
    const first = await site.api('GET', '/audit?event=home-forgotten&subject=anna@example.test&since=2020-01-01');
    assert.deepEqual([first.body.lines.length, first.body.truncated], [1, false]);
    assert.deepEqual((await site.api('GET', '/audit?until=2020-01-01')).body.lines, []);
    for (const wrong of ['limit=0', 'limit=x', 'since=yesterday'])
      assert.equal((await site.api('GET', `/audit?${wrong}`)).status, 400, wrong);
  });

  it('needs the token over TCP, and there is no API there without one', async () => {
    const url = `http://127.0.0.1:${site.gateway.ports.operators}/api/v1/backends`;
    assert.equal((await fetch(url)).status, 403);
    await using guarded = await startStandbySite(', token: { file: token }');
    const guardedUrl = `http://127.0.0.1:${guarded.gateway.ports.operators}/api/v1/backends`;
    const ask = async (authorization: string) => (await fetch(guardedUrl, { headers: { authorization } })).status;
    assert.deepEqual(
      [await ask('Bearer open-sesame'), await ask('Bearer open'), await ask('Basic open-sesame'), await ask('')],
      [200, 401, 401, 401],
    );
    const response = await fetch(`${guardedUrl}/b/state`, {
      method: 'PUT',
      headers: { authorization: 'Bearer open-sesame', 'content-type': 'application/json', 'postern-operator': 'anna' },
      body: JSON.stringify({ state: 'DRAIN', reason }),
    });
    assert.equal(response.status, 200);
    const { lines } = (await guarded.api('GET', '/audit?limit=1')).body;
    assert.deepEqual([lines[0].actor, lines[0].address], ['anna (operators.token)', '127.0.0.1']);
  });

  it('can pass for nobody of the staff in the audit, and put nothing but a reason into it', async () => {
    const forged = {
      state: 'READY',
      reason: 'a\r\n{"event":"failover"}',
      actor: 'eve',
      address: '192.0.2.1',
      by: 'eve',
    };
    const { status } = await askSocket(site.socket, 'PUT', '/hosts/a%2F2/state', forged, {
      'postern-operator': 'sam@example.test',
      'x-forwarded-for': '192.0.2.1',
    });
    assert.equal(status, 200);
    const [line] = (await site.api('GET', '/audit?limit=1')).body.lines;
    const { actor, subject, address, facts } = line;
    assert.deepEqual([actor, subject, address], ['sam@example.test (socket)', 'a/2', undefined]);
    assert.deepEqual(facts, { state: 'READY', reason: 'a {"event":"failover"}' });
    await askSocket(site.socket, 'PUT', '/hosts/a%2F2/state', forged, { 'postern-operator': 'sam (staff)' });
    assert.equal((await site.api('GET', '/audit?limit=1')).body.lines[0].actor, 'unnamed (socket)');
  });

  it('can act while the audit log cannot be written, and the log has what it should have said', async () => {
    await using full = await startStandbySite('', 'audit: { file: /dev/full }');
    const set = await full.api('PUT', '/backends/a/state', { state: 'MAINT', reason });
    assert.equal(set.status, 200);
    assert.equal(set.body.hosts[0].state, 'MAINT');
    const alarm = full.logged.find(({ event }) => event === 'audit-line-not-written');
    assert.deepEqual(Reflect.get(alarm?.fields ?? {}, 'audited'), {
      event: 'backend-state',
      actor: 'test (socket)',
      subject: 'a',
      facts: { state: 'MAINT', reason },
    });
    const { landed } = await full.signIn('bob');
    assert.match(landed.body.toString(), /backend three/);
    const metrics = await fetch(`http://127.0.0.1:${full.gateway.ports.operators}/metrics`);
    assert.match(await metrics.text(), /^postern_alarms_total\{code="ERR_AUDIT_UNAVAILABLE"\} [1-9]/m);
  });
});

describe('a home that changes in the directory itself', () => {
  it('is followed by open sessions, signed in there in silence; others notice nothing', async () => {
    await using site = await startStandbySite();
    const alice = await site.signIn('alice');
    const anna = await site.signIn('anna');
    assert.match(alice.landed.body.toString(), /backend one/);
    const map = 'alice@example.test: b\nanna@example.test: a\nbob@example.test: b\n';
    writeFileSync(join(dirname(site.configFile), 'users.map'), map);
    await eventually(async () => /backend three/.test(await alice.browser.text('/mail/INBOX')), 'alice is on b');
    assert.match(await anna.browser.text('/mail/INBOX'), /backend one/);
    assert.equal(site.logged.filter(({ event }) => event === 'login').length, 2);
    const change = site.logged.find(({ event }) => event === 'home-changed');
    assert.deepEqual(change?.fields, { user: 'alice@example.test', from: 'a', to: 'b' });
  });
});

describe('a move with programs around it', () => {
  it('holds the user while the mailbox is carried, and nobody else; then tabs and sign-ins go on at the new place', async () => {
    await using site = await startStandbySite();
    const folder = dirname(site.configFile);
    const [before, carried, told] = ['before', 'carried', 'told'].map((name) => join(folder, name));
    assert.ok(before !== undefined && carried !== undefined && told !== undefined);
    writeFileSync(before, `#!/bin/sh\necho "$1 $2 $3" >> ${told}\nwhile [ ! -e ${carried} ]; do sleep 0.05; done\n`);
    chmodSync(before, 0o755);
    writeFileSync(site.configFile, `${readFileSync(site.configFile, 'utf8')}moves: { before: before }\n`);
    await site.gateway.reload();
    const alice = await site.signIn('alice');
    const bob = await site.signIn('bob');

    const move = site.api('POST', '/users/alice/move', { to: 'b', reason });
    await eventually(async () => (await alice.browser.open('/mail/INBOX')).status === 503, 'alice is held');
    const page = await alice.browser.open('/mail/INBOX');
    assert.match(page.body.toString(), /Your mailbox is moving/);
    assert.match((await site.signIn('alice')).landed.body.toString(), /We are moving your mailbox/);
    assert.match(await bob.browser.text('/mail/INBOX'), /backend three/);
    const { body } = await site.api('GET', '/moves');
    assert.match(
      body.moves[0].explanation,
      /runs the hook before the move; alice@example\.test waits, and still lives on a/,
    );

    writeFileSync(carried, '');
    assert.equal((await move).body.outcome, 'moved');
    assert.equal(readFileSync(told, 'utf8'), 'alice@example.test a b\n');
    assert.match(await alice.browser.text('/mail/INBOX'), /backend three/);
    assert.match((await site.signIn('alice')).landed.body.toString(), /backend three/);
  });
});
