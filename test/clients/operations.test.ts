import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { type StandbySite, startStandbySite } from '../gateway/standby-site.fixture.ts';

const reason = 'a test';
const credentials = `Basic ${Buffer.from('alice:wonderland').toString('base64')}`;

describe('a client that gives name and password with each request', () => {
  let site: StandbySite;
  before(async () => {
    site = await startStandbySite();
    const yaml = await readFile(site.configFile, 'utf8');
    // Any page of the demo's webmail that says its backend without a session.
    await writeFile(site.configFile, yaml.replace('  driver: form\n', '  driver: form\n  dav: [/login]\n'));
    await site.gateway.reload();
  });
  after(() => site[Symbol.asyncDispose]());

  const ask = async () => {
    const answer = await fetch(`http://127.0.0.1:${site.gateway.ports.public}/login`, {
      headers: { authorization: credentials },
      redirect: 'manual',
    });
    const text = await answer.text();
    return {
      status: answer.status,
      backend: /backend (\w+)/.exec(text)?.[1],
      retryAfter: answer.headers.get('retry-after'),
    };
  };
  const set = async (state: string) =>
    assert.equal((await site.api('PUT', '/backends/a/state', { state, reason })).status, 200);

  it('is served by the home of its user', async () => {
    assert.deepEqual(await ask(), { status: 200, backend: 'one', retryAfter: null });
  });

  it('goes on while the backend drains: it is no new session', async () => {
    await set('DRAIN');
    assert.deepEqual(await ask(), { status: 200, backend: 'one', retryAfter: null });
  });

  it('is told to come again while the backend is in maintenance, and keeps its password', async () => {
    await set('MAINT');
    const { status, retryAfter } = await ask();
    assert.equal(status, 503);
    assert.ok(Number(retryAfter) > 0);
    await set('READY');
    assert.equal((await ask()).status, 200);
  });

  it('is served by the standby when the primary has died: no read fails', async () => {
    await site.machines.one.webmail.close();
    for (let nth = 0; nth < 3; nth += 1)
      assert.deepEqual(await ask(), { status: 200, backend: 'two', retryAfter: null });
  });

  it('is led to the new home of a user who was moved, at the next request', async () => {
    const move = await site.api('POST', '/users/alice/move', { to: 'b', reason });
    assert.equal(move.status, 200, JSON.stringify(move));
    assert.deepEqual(await ask(), { status: 200, backend: 'three', retryAfter: null });
  });
});
