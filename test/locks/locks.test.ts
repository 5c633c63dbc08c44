import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { type LockSite, startLockSite } from './lock-site.fixture.ts';

const reason = ['--reason', 'sends spam'];

describe('a locked user', () => {
  let site: LockSite;
  before(async () => {
    site = await startLockSite();
  });
  after(() => site[Symbol.asyncDispose]());

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
    for (const node of [one, two]) {
      const { landed } = await node.signIn('alice');
      assert.equal(landed.status, 403);
      assert.match(landed.body.toString(), /Call the desk\./);
    }
    const ends = [...one.logged, ...two.logged].filter(({ event }) => event === 'session-end');
    assert.deepEqual(
      ends.map(({ fields }) => [fields['user'], fields['reason'], String(fields['by']).replace(/^\S+/, 'X')]),
      Array.from({ length: 2 }, () => ['alice@example.test', 'locked', 'X (socket)']),
    );
  });
});
