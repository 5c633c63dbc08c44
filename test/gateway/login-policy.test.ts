import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { alice } from '../../demo/people.ts';
import { type PolicyPeer, saysStatus, startPolicyPeer } from '../login/policy-peer.fixture.ts';
import { type RunningGateway, startRunning } from './running.fixture.ts';

let peer: PolicyPeer;
let site: RunningGateway;
before(async () => {
  peer = await startPolicyPeer();
  const policy = `policy: { url: "${peer.url}", hash_nonce: { file: nonce }, timeout: 500ms }`;
  site = await startRunning((yaml) => yaml.replace('login:\n', `login:\n  refusal_after: 0s\n  ${policy}\n`), {
    files: { nonce: 'a nonce' },
  });
});
after(async () => {
  await site[Symbol.asyncDispose]();
  await peer[Symbol.asyncDispose]();
});

/** The page without what differs at each sign-in: the token of its form and the reference. */
function alike(page: string): string {
  return page.replaceAll(/name="[^"]*" value="[^"]*"/g, '').replaceAll(/\b[A-Z\d]{4}-[A-Z\d]{4}\b/g, '');
}

describe('a gateway with a policy server', () => {
  it('signs in whom the server has nothing against', async () => {
    peer.answer = saysStatus(0);
    assert.equal((await site.signIn(alice.address, alice.password)).landed.status, 200);
  });

  it('says of a refusal what it says of a wrong password, and tells operators which it was', async () => {
    const wrong = await site.signIn(alice.address, 'not it');
    peer.answer = saysStatus(-1, 'too many countries');
    const refused = await site.signIn(alice.address, alice.password);
    assert.deepEqual([wrong.landed.status, refused.landed.status], [403, 403]);
    assert.equal(alike(refused.landed.body.toString()), alike(wrong.landed.body.toString()));
    const metrics = await (await fetch(`http://127.0.0.1:${site.gateway.ports.operators}/metrics`)).text();
    assert.match(metrics, /^postern_logins_total\{result="policy",backend="",webmail=""\} 1$/m);
    const line = site.logged.findLast(({ event }) => event === 'login');
    const { result, said, user } = line?.fields ?? {};
    assert.deepEqual([result, said, user], ['policy', { text: 'too many countries' }, alice.address]);
  });

  it('asks the server that a reload names, and refuses with 503 where that is configured', async () => {
    peer.answer = (response) => void response.end('rubbish');
    assert.equal((await site.signIn(alice.address, alice.password)).landed.status, 200);
    await site.rewrite('timeout: 500ms', 'when_unavailable: refuse');
    await site.gateway.reload();
    assert.equal((await site.signIn(alice.address, alice.password)).landed.status, 503);
    const line = site.logged.findLast(({ event }) => event === 'login');
    assert.deepEqual([line?.fields['result'], line?.fields['source']], ['unavailable', 'policy']);
    const alarms = site.logged.filter(({ event }) => event === 'policy-unavailable');
    assert.deepEqual(
      alarms.map(({ fields }) => fields['result']),
      ['allow', 'refuse'],
    );
  });

  it('asks no server once a reload leaves it out', async () => {
    await site.rewrite(/ {2}policy: .*\n/, '');
    await site.gateway.reload();
    const known = peer.asked.length;
    assert.equal((await site.signIn(alice.address, alice.password)).landed.status, 200);
    assert.equal(peer.asked.length, known);
  });
});
