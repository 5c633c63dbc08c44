import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import request from 'supertest';
import { staffRoles } from '../../src/core/identity.ts';
import {
  type ConsoleFixture,
  halfSignedIn,
  sam,
  signedIn,
  type StaffBrowser,
  staffBrowser,
  startConsole,
} from './console.fixture.ts';

/**
 * The owner of each route, written out. `anybody` is asked for nothing, `half` has shown the password only, `staff` has
 * some role.
 */
const owners: Readonly<Record<string, (typeof staffRoles)[number] | 'anybody' | 'half' | 'staff'>> = {
  'GET /': 'anybody',
  'GET /-/login': 'anybody',
  'POST /-/login': 'anybody',
  'POST /-/logout': 'anybody',
  'GET /-/link': 'anybody',
  'POST /-/link': 'anybody',
  'GET /-/factor': 'half',
  'POST /-/factor': 'half',
  'GET /-/enrol': 'half',
  'POST /-/enrol': 'half',
  'GET /-/': 'staff',
  'GET /-/users': 'support',
  'POST /-/users': 'support',
  'GET /-/opened': 'support',
  'POST /-/opened': 'support',
  'GET /-/backends': 'viewer',
  'GET /-/backends/live': 'viewer',
  'GET /-/moves/live': 'viewer',
  'GET /-/backend': 'viewer',
  'POST /-/backend': 'operator',
  'GET /-/sessions': 'viewer',
  'POST /-/sessions': 'operator',
  'GET /-/moves': 'viewer',
  'POST /-/moves': 'operator',
  'GET /-/penalties': 'viewer',
  'POST /-/penalties': 'operator',
  'GET /-/nodes': 'viewer',
  'GET /-/statistics': 'viewer',
  'GET /-/route': 'viewer',
  'GET /-/audit': 'auditor',
  'GET /-/audit.csv': 'auditor',
};

/** All fields that any form of the console may send, and some that somebody might add. */
const everything = {
  user: 'alice@example.test',
  do: 'open',
  reason: 'cannot see her folders',
  ticket: 'T1',
  minutes: '15',
  stop: 'K',
  end: 'K',
  all: 'yes',
  back: 'bob@example.test',
  lift: 'user=eve@example.test',
  backend: 'a',
  state: 'MAINT',
  sure: 'yes',
  role: 'support operator auditor',
  roles: 'support',
  actor: 'olga@example.test',
};

let fixture: ConsoleFixture;
beforeEach(async () => {
  fixture = await startConsole();
  // A stream has no end for which a test could wait.
  fixture.streams.close();
});
afterEach(() => fixture[Symbol.asyncDispose]());

function go(browser: StaffBrowser, route: string, code = '') {
  const [method, path = ''] = route.split(' ');
  return method === 'GET'
    ? browser.get(`${path}?user=alice@example.test&role=support`)
    : browser.post(path, { ...everything, code });
}

/** Routes that need a session, except the sign-out, which would end it. */
const guarded = Object.keys(owners).filter((route) => owners[route] !== 'anybody');

suite('a route of the console', () => {
  test('has an owner, each of them', () => {
    const routes = fixture.routes.filter((route) => !route.startsWith('ALL '));
    assert.deepEqual([...routes].sort(), Object.keys(owners).sort());
  });

  for (const role of staffRoles) {
    test(`answers ${role} where it is that role’s, and refuses with an audit line where it is another’s`, async () => {
      fixture.grants.set(sam, { roles: [role] });
      const { browser, nextCode } = await signedIn(fixture);
      await browser.get('/-/');
      for (const route of guarded) {
        const owner = owners[route];
        const [done, lines] = [fixture.done.length, fixture.audited.length];
        const reply = await go(browser, route, nextCode());
        if (owner === 'half') assert.equal(reply.headers['location'], '/-/', route);
        if (owner === 'half' || owner === 'staff') continue;
        const isRefused = /No access/.test(reply.text);
        const isOwn = owner === role || (owner === 'viewer' && role === 'operator');
        assert.equal(isRefused, !isOwn, `${route}: ${reply.status}`);
        if (isOwn) continue;
        assert.equal(reply.status, 403, route);
        assert.deepEqual(fixture.done.slice(done), [], route);
        const [line, ...more] = fixture.audited.slice(lines);
        assert.deepEqual([line?.event, line?.actor, more.length], ['role-refused', sam, 0], route);
        assert.doesNotMatch(reply.text, /alice/, route);
      }
    });
  }

  test('shows and does nothing without a session, and with the password alone', async () => {
    fixture.grants.set(sam, { roles: [...staffRoles] });
    const stranger = staffBrowser(fixture);
    for (const route of guarded) assert.equal((await go(stranger, route)).headers['location'], '/-/login', route);
    const { browser } = await halfSignedIn(fixture);
    for (const route of guarded.filter((one) => owners[one] !== 'half')) {
      const reply = await go(browser, route);
      assert.deepEqual([reply.status, reply.headers['location']], [303, '/-/factor'], route);
    }
    assert.deepEqual(fixture.done, []);
  });

  test('takes no other method', async () => {
    const { browser } = await signedIn(fixture);
    const paths = new Set(fixture.routes.map((route) => route.split(' ')[1] ?? ''));
    for (const path of paths) {
      for (const method of ['get', 'post', 'put', 'delete'] as const) {
        if (owners[`${method.toUpperCase()} ${path}`] !== undefined) continue;
        const send = request(fixture.server);
        const reply = await send[method](path).set({
          Cookie: browser.cookie,
          Origin: fixture.origin,
          'Sec-Fetch-Site': 'same-origin',
        });
        assert.equal(reply.status, 405, `${method} ${path}`);
      }
    }
  });

  test('of an operator sets a state with a reason, and no other state than there is', async () => {
    fixture.grants.set(sam, { roles: ['operator'] });
    const { browser } = await signedIn(fixture);
    await browser.get('/-/backends');
    for (const wrong of [
      { state: 'DOWN', reason: 'x' },
      { state: 'MAINT', reason: ' ' },
      { state: 'MAINT', reason: 'x'.repeat(501) },
      { state: 'DRAIN', reason: 'x', percent: '20' },
      { state: 'DRAIN', reason: 'x', until: 'tomorrow' },
      { state: 'DRAIN', reason: 'x', 'text-en': 'x'.repeat(501) },
      { backend: 'b', state: 'MAINT', reason: 'x' },
      { host: 'a/2', state: 'MAINT', reason: 'x' },
    ]) {
      const form = { backend: 'a', sure: 'yes', ...wrong };
      assert.equal((await browser.post('/-/backend', form)).status, 400, JSON.stringify(wrong));
    }
    const right = { backend: 'a', state: 'MAINT', reason: 'new disks', sure: 'yes' };
    assert.equal((await browser.post('/-/backend', right)).headers['location'], '/-/backend?name=a&done=MAINT');
    assert.deepEqual(fixture.done, ['set a MAINT new disks sam@example.test']);
  });
});
