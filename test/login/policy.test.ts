import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import type { Log } from '../../src/core/log.ts';
import { Secret } from '../../src/core/secrets.ts';
import { neverGone } from '../../src/login/limits.ts';
import type { Penalty, PenaltyAttempt } from '../../src/login/penalty.ts';
import { createPolicedPenalty, type PolicyServer } from '../../src/login/policy.ts';
import { eventually } from '../eventually.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { type PolicyPeer, saysStatus, startPolicyPeer } from './policy-peer.fixture.ts';

let ofTest = new AsyncDisposableStack();
afterEach(async () => {
  await ofTest.disposeAsync();
  ofTest = new AsyncDisposableStack();
});

const attempt: PenaltyAttempt = {
  user: 'alice@example.test',
  address: '192.0.2.7',
  password: new Secret('hunter2'),
  reference: 'TT5Q-Q8S2',
  userAgent: 'Firefox',
};

function ignore(): void {}

/** A policed penalty on a policy server that the test answers for, with a clock that the test moves. */
async function scene(more: Partial<PolicyServer> = {}) {
  const peer = ofTest.use(await startPolicyPeer());
  const seen = {
    nowMs: 1_000_000,
    waits: [] as number[],
    settled: [] as string[],
    alarms: [] as Record<string, unknown>[],
  };
  const penalty: Penalty = {
    admit: async () => ({ kind: 'admitted', waitedMs: 7, settle: async (verdict) => void seen.settled.push(verdict) }),
  };
  const log: Log = {
    debug: ignore,
    info: ignore,
    warn: ignore,
    error: (event, fields: object = {}) => void seen.alarms.push({ event, ...fields }),
  };
  const server: PolicyServer = {
    url: peer.url,
    hashNonce: new Secret('nonce'),
    hashMech: 'sha256',
    hashTruncate: 12,
    timeoutMs: 500,
    maxDelayMs: 5_000,
    whenUnavailable: 'allow',
    isTls: true,
    ...more,
  };
  const policed = createPolicedPenalty(server, {
    penalty,
    isExempt: () => false,
    clock: { nowMs: () => seen.nowMs },
    wait: async (ms) => void seen.waits.push(ms),
    log,
    delayed: ignore,
  });
  return { peer, seen, policed, admit: () => policed.admit(attempt, neverGone) };
}

describe('a policy server', () => {
  it('is asked before the password, and told of the verdict once', async () => {
    const { peer, seen, admit } = await scene();
    const admission = await admit();
    assert.ok(admission.kind === 'admitted');
    assert.equal(admission.waitedMs, 7);
    await admission.settle('right');
    await admission.settle('undecided');
    await eventually(() => peer.asked.length === 2);
    assert.deepEqual(
      peer.asked.map(({ url, body }) => [url, JSON.parse(body).success, JSON.parse(body).device_id]),
      [
        ['/?command=allow', undefined, 'Firefox'],
        ['/?command=report', true, 'Firefox'],
      ],
    );
    assert.deepEqual(seen.settled, ['right', 'undecided']);
    assert.equal(peer.connections, 1, 'the connection is kept');
  });

  it('is told nothing of a password that no server could check', async () => {
    const { peer, admit } = await scene();
    for (const verdict of ['undecided', 'abandoned', 'wrong'] as const) {
      const admission = await admit();
      assert.ok(admission.kind === 'admitted');
      await admission.settle(verdict);
    }
    await eventually(() => peer.asked.length === 4);
    assert.deepEqual(
      peer.asked.map(({ url }) => url.slice(-6)),
      ['=allow', '=allow', '=allow', 'report'],
    );
  });

  it('refuses, which counts as a wrong password', async () => {
    const { peer, seen, admit } = await scene();
    peer.answer = saysStatus(-1, 'too many countries');
    assert.deepEqual(await admit(), { kind: 'refused', waitedMs: 7, said: { text: 'too many countries' } });
    assert.deepEqual(seen.settled, ['wrong']);
    await eventually(() => peer.asked.length === 2);
    const { success, policy_reject: rejected } = JSON.parse(peer.asked[1]?.body ?? '{}');
    assert.deepEqual([success, rejected], [false, true]);
  });

  it('delays as long as it wants, and never longer than configured', async () => {
    const { peer, seen, admit } = await scene();
    for (const status of [2, 3_600]) {
      peer.answer = saysStatus(status);
      const admission = await admit();
      assert.equal(admission.kind === 'admitted' && admission.waitedMs, Math.min(status * 1000, 5_000) + 7);
    }
    assert.deepEqual(seen.waits, [2_000, 5_000]);
  });

  const lies: readonly (readonly [what: string, answer: PolicyPeer['answer'], detail: RegExp])[] = [
    ['something that is not JSON', (response) => void response.end('<html>'), /is not JSON/],
    ['a status in words', (response) => void response.end('{"status":"ok"}'), /no number in status/],
    ['a fraction', (response) => void response.end('{"status":0.5}'), /no number in status/],
    ['null', (response) => void response.end('null'), /no number in status/],
    ['500', (response) => void response.writeHead(500).end('{"status":0}'), /answers 500/],
    ['401', (response) => void response.writeHead(401).end(), /answers 401: is login\.policy\.api_key right/],
    [
      'a redirect',
      (response) => void response.writeHead(307, { location: 'http://192.0.2.1/' }).end('{"status":0}'),
      /answers 307/,
    ],
    [
      'more than anybody wants to read',
      (response) => {
        const chunk = Buffer.alloc(64 * 1024, ' ');
        const more = (): void => {
          while (!response.destroyed && response.write(chunk));
        };
        response.on('drain', more);
        more();
      },
      /larger than 65536 bytes/,
    ],
    ['nothing, and hangs up', (response) => void response.destroy(), /socket hang up|closed|reset/i],
    ['nothing at all', () => {}, /did not answer within 500 ms/],
    ['a beginning, and then nothing', (response) => void response.write('{"status"'), /did not answer within 500 ms/],
  ];
  for (const [what, answer, detail] of lies) {
    it(`that answers with ${what} could not be asked: sign-ins go on, with one alarm`, async () => {
      const { peer, seen, admit } = await scene();
      peer.answer = answer;
      for (let turn = 0; turn < 2; turn += 1) assert.equal((await admit()).kind, 'admitted');
      assert.equal(seen.alarms.length, 1);
      const [{ event, code, detail: said, method } = {}] = seen.alarms;
      assert.deepEqual([event, code, method], ['policy-unavailable', 'ERR_POLICY_UNAVAILABLE', 'allow']);
      assert.match(String(said), detail);
      assert.doesNotMatch(JSON.stringify(seen.alarms), /hunter2|nonce/);
    });
  }

  it('that is down refuses sign-ins where that is configured, with another alarm each minute', async () => {
    const { seen, admit } = await scene({ whenUnavailable: 'refuse', url: `http://127.0.0.1:${await freePort()}/` });
    for (let turn = 0; turn < 3; turn += 1) {
      await assert.rejects(admit(), { code: 'ERR_POLICY_UNAVAILABLE', source: 'policy', retryable: true });
    }
    assert.equal(seen.alarms.length, 1);
    assert.equal(seen.alarms[0]?.['result'], 'refuse');
    seen.nowMs += 60_000;
    await assert.rejects(admit(), { code: 'ERR_POLICY_UNAVAILABLE' });
    assert.equal(seen.alarms.length, 2);
  });

  it('that is silent is left alone after three sign-ins, asked by one after 5 s, and back with its first answer', async () => {
    const { peer, seen, admit } = await scene();
    peer.answer = (response) => void response.destroy();
    for (let turn = 0; turn < 10; turn += 1) assert.equal((await admit()).kind, 'admitted');
    assert.equal(peer.asked.length, 3);
    seen.nowMs += 5_000;
    await Promise.all([admit(), admit(), admit()]);
    assert.equal(peer.asked.length, 4, 'one asks for all');
    peer.answer = saysStatus(-1);
    assert.equal((await admit()).kind, 'admitted');
    seen.nowMs += 5_000;
    assert.equal((await admit()).kind, 'refused');
    assert.equal((await admit()).kind, 'refused');
  });

  it('that closes a kept connection is asked again on another', async () => {
    const { peer, seen, admit } = await scene();
    await admit();
    // A connection that the server ends when the next question arrives on it.
    let isFirst = true;
    peer.answer = (response, question) => {
      if (isFirst) response.destroy();
      else saysStatus(-1)(response, question);
      isFirst = false;
    };
    assert.equal((await admit()).kind, 'refused');
    assert.deepEqual(seen.alarms, []);
  });

  it('is asked about at most 50 sign-ins of one network at once; further ones are turned away', async () => {
    const { peer, admit } = await scene();
    const held: (() => void)[] = [];
    peer.answer = (response, question) => void held.push(() => saysStatus(0)(response, question));
    const admissions = Promise.all(Array.from({ length: 60 }, admit));
    await eventually(() => held.length === 50);
    for (const release of held) release();
    const kinds = Map.groupBy(await admissions, ({ kind }) => kind);
    assert.deepEqual([kinds.get('admitted')?.length, kinds.get('busy')?.length], [50, 10]);
  });

  it('that is asked for a client who leaves is asked no further', async () => {
    const { peer, seen, policed } = await scene({ timeoutMs: 10_000 });
    peer.answer = () => {};
    const gone = new AbortController();
    const admission = policed.admit(attempt, gone.signal);
    await eventually(() => peer.asked.length === 1);
    gone.abort(new Error('the browser was closed'));
    await assert.rejects(admission, /the browser was closed/);
    assert.deepEqual(seen.alarms, []);
  });
});
