import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createRendezvous } from '../../src/core/rendezvous.ts';
import type { Browser } from '../demo/browser.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { type RingSite, startRingSite } from './ring-site.fixture.ts';

const reason = 'a test';
const ringOf = (user: string) =>
  createRendezvous('backend', new Map(['a', 'b', 'c'].map((name) => [name, 1]))).order(`${user}@example.test`);
const [home = '', next = '', last = ''] = ringOf('alice');

describe('a computed home on shared storage, behind two nodes', () => {
  let site: RingSite;
  before(async () => {
    site = await startRingSite();
  });
  after(() => site[Symbol.asyncDispose]());

  const setState = (backend: string, state: string) => site.api('PUT', `/backends/${backend}/state`, { state, reason });
  const signIns = () => site.logged.filter(({ event }) => event === 'login').length;

  /** Ends all sessions of alice; the first node hears within a second that her home is back. */
  async function signsInAtHome(): Promise<Browser> {
    let browser: Browser | undefined;
    await eventually(async () => {
      await site.api('DELETE', '/users/alice/sessions', { reason });
      const signedIn = await site.signIn('alice');
      browser = signedIn.browser;
      return signedIn.landed.body.toString().includes(`backend ${home}`);
    }, 'alice signs in at home');
    assert.ok(browser !== undefined);
    return browser;
  }

  it('is left when its backend goes into maintenance: an open session goes on at the next, at once, on both nodes', async () => {
    const { browser, landed } = await site.signIn('alice');
    assert.match(landed.body.toString(), new RegExp(`backend ${home}`));
    await setState(home, 'MAINT');
    assert.deepEqual(await site.servedBy(browser), [next, next]);
    assert.equal(signIns(), 1);

    await setState(home, 'READY');
    assert.deepEqual(await site.servedBy(browser), [next, next], 'nobody returns by itself');
    assert.match(
      (await site.signIn('alice')).landed.body.toString(),
      new RegExp(`backend ${next}`),
      'nor in another tab',
    );
  });

  it('is returned to when an operator says so', async () => {
    const { browser } = await site.signIn('alice');
    assert.deepEqual(await site.servedBy(browser), [next, next]);
    const forgotten = await site.api('DELETE', '/users/alice/remembered-home', { reason });
    assert.equal(forgotten.status, 200);
    await eventually(async () => (await site.servedBy(browser)).every((one) => one === home), 'alice is at home');
  });

  it('is returned to at the next sign-in after the last session', async () => {
    const { browser } = await site.signIn('alice');
    await setState(home, 'MAINT');
    assert.deepEqual(await site.servedBy(browser), [next, next]);
    await setState(home, 'READY');
    await signsInAtHome();
  });

  it('is left when its backend dies: no read fails, nobody signs in again; and when the next one does, too', async () => {
    const browser = await signsInAtHome();
    const before = signIns();
    assert.deepEqual(await site.servedBy(browser), [home, home]);
    await site.machines[home]?.webmail.close();
    for (let turn = 0; turn < 5; turn += 1) assert.deepEqual(await site.servedBy(browser), [next, next]);
    await site.machines[next]?.webmail.close();
    for (let turn = 0; turn < 5; turn += 1) assert.deepEqual(await site.servedBy(browser), [last, last]);
    assert.equal(signIns(), before);
    await site.machines[last]?.webmail.close();
    await eventually(async () => (await site.servedBy(browser)).every((one) => one === '503'), 'nobody is left');
  });
});

describe('a computed home on shared storage that dies together with the next one', () => {
  it('is left for the one after: no read fails', async () => {
    await using site = await startRingSite();
    const { browser } = await site.signIn('alice');
    assert.deepEqual(await site.servedBy(browser), [home, home]);
    await Promise.all([site.machines[home]?.webmail.close(), site.machines[next]?.webmail.close()]);
    for (let turn = 0; turn < 5; turn += 1) assert.deepEqual(await site.servedBy(browser), [last, last]);
  });
});

describe('a computed home on shared storage whose backend drains', () => {
  it('keeps who has sessions there, on other devices, too; nobody new comes, nor they themselves when all have ended', async () => {
    await using site = await startRingSite();
    const signsInOn = async (user: string) =>
      /backend (\w)/.exec((await site.signIn(user)).landed.body.toString())?.[1];
    assert.equal(await signsInOn('alice'), home);
    assert.equal((await site.api('PUT', `/backends/${home}/state`, { state: 'DRAIN', reason })).status, 200);
    // Anna is at home there, too.
    await eventually(async () => {
      await site.api('DELETE', '/users/anna/sessions', { reason });
      const [own, other] = ringOf('anna');
      assert.equal(own, home);
      return (await signsInOn('anna')) === other;
    }, 'anna is led elsewhere');
    assert.equal(await signsInOn('alice'), home);
    await site.api('DELETE', '/users/alice/sessions', { reason });
    await eventually(async () => (await signsInOn('alice')) === next, 'alice is new there');
  });
});

describe('a computed home on shared storage whose backend drains in part', () => {
  it('is elsewhere for the share of users whom its backend does not take, and for nobody else', async () => {
    await using site = await startRingSite();
    const drain = (percent: number) => site.api('PUT', `/backends/${home}/state`, { state: 'DRAIN', percent, reason });
    assert.equal((await drain(100)).status, 200);
    assert.equal((await drain(101)).status, 400);
    const signsInOn = async () => {
      await site.api('DELETE', '/users/alice/sessions', { reason });
      return /backend (\w)/.exec((await site.signIn('alice')).landed.body.toString())?.[1];
    };
    await eventually(async () => (await signsInOn()) === next, 'alice is among all');
    await drain(0.001);
    await eventually(async () => (await signsInOn()) === home, 'alice is not among one in a hundred thousand');
  });
});
