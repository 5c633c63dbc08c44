import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type FailureSource, PosternError } from '../../src/core/error.ts';
import type { LoginOutcome } from '../../src/login/attempt.ts';
import { attempt, backendA, createBench, found, type Script } from './login.fixture.ts';
import { backendName, canonicalUser } from './named.fixture.ts';

const here = new AbortController().signal;
const unknownUser = async () => ({ kind: 'unknown-user' }) as const;
const wrongPassword = async () => ({ kind: 'wrong' }) as const;

test('a login asks store, directory, mail server and webmail, in that order, with the client passed on', async () => {
  const bench = createBench();
  const outcome = await bench.login(attempt({ user: ' Alice ' }), here);
  assert.equal(outcome.kind, 'signed-in');
  assert.deepEqual(bench.asked, [
    'store',
    'directory alice@example.test',
    'imap a alice@example.test 192.0.2.7 R1',
    'webmail a alice@example.test https://mail.example.org Europe/Berlin',
  ]);
  assert.deepEqual(bench.settled, ['right']);
});

test('a login is told of once, with the time of each phase and no password', async () => {
  const bench = createBench({ penalty: 2_000 });
  await bench.login(attempt(), here);
  assert.deepEqual(bench.events, [
    {
      result: 'signed-in',
      phase: 'webmail',
      reference: 'R1',
      requestId: '4bf92f3577b34da6a3ce929d0e0e4736',
      traceparent: undefined,
      client: '192.0.2.7',
      userAgent: 'Browser/1',
      user: 'alice@example.test',
      backend: 'a',
      host: 'a',
      ms: { form: 0, store: 1, directory: 5, penalty: 2_000, imap: 40, webmail: 90 },
    },
  ]);
  assert.doesNotMatch(JSON.stringify(bench.events), /alice-pw/);
});

const malformedUsers = [
  '',
  '  ',
  'al\0ice',
  'al\rice',
  'al\nice',
  'al\u200bice',
  'al\u202eice',
  'al\ufffdice',
  'a'.repeat(255),
  '😀'.repeat(64),
];
for (const user of malformedUsers) {
  test(`the name ${JSON.stringify(user.slice(0, 12))} (${user.length}) is refused before anything is asked`, async () => {
    const bench = createBench();
    assert.deepEqual(await bench.login(attempt({ user }), here), { kind: 'malformed', field: 'user' });
    assert.deepEqual(bench.asked, []);
  });
}

const malformedPasswords = ['', 'pw\0', 'pw\r', 'pw\n', 'pw\ufffd', 'pw\ud800', 'p'.repeat(1025), 'ä'.repeat(513)];
for (const password of malformedPasswords) {
  test(`the password ${JSON.stringify(password.slice(0, 12))} (${password.length}) is refused before anything is asked`, async () => {
    const bench = createBench();
    assert.deepEqual(await bench.login(attempt({ password }), here), { kind: 'malformed', field: 'password' });
    assert.deepEqual(bench.asked, []);
  });
}

test('any other password arrives byte for byte', async () => {
  const password = fc
    .string({ unit: 'binary', minLength: 1, maxLength: 200 })
    .filter((text) => text.isWellFormed() && !/[\0\r\n\ufffd]/.test(text));
  await fc.assert(
    fc.asyncProperty(password, async (text) => {
      const bench = createBench();
      await bench.login(attempt({ password: text }), here);
      assert.deepEqual(bench.tried, [text]);
    }),
  );
  const bench = createBench();
  for (const text of [' spaces around ', '\tPaß "wört" \\1 €', '🔑'.repeat(256)])
    await bench.login(attempt({ password: text }), here);
  assert.deepEqual(bench.tried, [' spaces around ', '\tPaß "wört" \\1 €', '🔑'.repeat(256)]);
});

test('an unknown user and a wrong password are one answer at one moment', async () => {
  const unknown = createBench({ directory: unknownUser });
  const wrong = createBench({ passdb: wrongPassword });
  const slowlyWrong = createBench({ passdb: wrongPassword, takesMs: { directory: 900, imap: 2_000, webmail: 0 } });
  for (const bench of [unknown, wrong, slowlyWrong]) {
    assert.deepEqual(await bench.login(attempt(), here), { kind: 'rejected' });
    assert.equal(bench.nowMs, 1_000_000 + 3_000);
    assert.deepEqual(bench.settled, ['wrong']);
    assert.equal(bench.penalised[0]?.user, 'alice@example.test');
  }
  assert.deepEqual(unknown.tried, []);
  assert.equal(unknown.events[0]?.why, 'unknown-user');
  assert.equal(wrong.events[0]?.why, 'wrong-password');
});

test('after a penalty the moment moves by the penalty, for unknown users as well', async () => {
  for (const script of [{ directory: unknownUser }, { passdb: wrongPassword }]) {
    const bench = createBench({ ...script, penalty: 15_000 });
    await bench.login(attempt(), here);
    assert.equal(bench.nowMs, 1_000_000 + 15_000 + 3_000);
  }
});

const refusals: readonly (readonly [string, Script, LoginOutcome])[] = [
  [
    'a refused user',
    {
      directory: async () => ({
        kind: 'refused',
        reason: 'unpaid',
        at: { user: canonicalUser('alice@example.test'), backend: backendName('a') },
      }),
    },
    { kind: 'refused', reason: 'unpaid' },
  ],
  ['an expired password', { passdb: async () => ({ kind: 'expired' }) }, { kind: 'expired' }],
  ['a word from the administrator', { passdb: async () => ({ kind: 'contact-admin' }) }, { kind: 'contact-admin' }],
  ['an insecure connection', { passdb: async () => ({ kind: 'insecure' }) }, { kind: 'insecure' }],
];
for (const [what, script, outcome] of refusals) {
  test(`${what} is told at the same moment, and counts for nothing`, async () => {
    const bench = createBench(script);
    assert.deepEqual(await bench.login(attempt(), here), outcome);
    assert.equal(bench.nowMs, 1_000_000 + 3_000);
    assert.ok(!bench.settled.includes('wrong'));
  });
}

const unavailable = (source: FailureSource) => async () => {
  throw new PosternError('ERR_IMAP_UNAVAILABLE', 'down', { source, retryable: true });
};
const failures: readonly (readonly [FailureSource, Script])[] = [
  ['store', { store: unavailable('store') }],
  ['directory', { directory: unavailable('directory') }],
  ['imap', { passdb: unavailable('imap') }],
  ['webmail', { webmail: unavailable('webmail') }],
];
for (const [source, script] of failures) {
  test(`when the ${source} cannot be asked that is said, nobody else is asked, and nothing is counted`, async () => {
    const bench = createBench(script);
    assert.deepEqual(await bench.login(attempt(), here), {
      kind: 'unavailable',
      code: 'ERR_IMAP_UNAVAILABLE',
      source,
      retryable: true,
    });
    const steps = bench.asked.map((step) => step.split(' ')[0]);
    // A silent mail server is reported when everybody is told "no". A part that serves all users is reported at once.
    if (source === 'imap') assert.equal(steps.pop(), 'wait');
    assert.equal(steps.at(-1), source);
    assert.ok(!bench.settled.includes('wrong'));
    assert.equal(bench.events[0]?.result, 'unavailable');
  });
}

test('a backend that is not configured is a fault of the directory, not of the user', async () => {
  const bench = createBench({ knowsBackend: false });
  const outcome = await bench.login(attempt(), here);
  assert.deepEqual(outcome, {
    kind: 'unavailable',
    code: 'ERR_DIRECTORY_ANSWER',
    source: 'directory',
    retryable: false,
  });
  assert.deepEqual(bench.tried, []);
});

test('a webmail that refuses what the mail server took is unavailable, never a wrong password', async () => {
  const bench = createBench({ webmail: async () => ({ kind: 'rejected' }) });
  assert.deepEqual(await bench.login(attempt(), here), {
    kind: 'unavailable',
    code: 'ERR_WEBMAIL_ANSWER',
    source: 'webmail',
    retryable: false,
  });
  assert.deepEqual(bench.settled, ['right']);
});

for (const phase of ['directory', 'passdb', 'webmail'] as const) {
  test(`a ${phase} that never answers ends at the deadline, whether it hears the signal or not`, async () => {
    let signal: AbortSignal | undefined;
    const hang = (given: AbortSignal) => {
      signal = given;
      return new Promise<never>(() => {});
    };
    const bench = createBench({ [phase]: hang, deadlineMs: 150 });
    const outcome = await bench.login(attempt(), here);
    assert.equal(outcome.kind, 'unavailable');
    assert.equal(signal?.aborted, true);
  });
}

test('the time of the penalty is not taken from the deadline', async () => {
  const bench = createBench({ penalty: 15_000, deadlineMs: 10_000 });
  assert.equal((await bench.login(attempt(), here)).kind, 'signed-in');
});

test('too many waiting logins are told so, and no password is tried', async () => {
  const bench = createBench({ penalty: 'busy' });
  assert.deepEqual(await bench.login(attempt(), here), { kind: 'busy' });
  assert.deepEqual(bench.tried, []);
});

test('a client that goes away ends the work at once, and a tried password stays counted', async () => {
  const gone = new AbortController();
  const bench = createBench({
    passdb: async (signal) => {
      gone.abort();
      assert.equal(signal.aborted, true);
      return new Promise<never>(() => {});
    },
  });
  await assert.rejects(bench.login(attempt(), gone.signal), { name: 'AbortError' });
  assert.deepEqual(bench.settled, ['abandoned']);
  assert.deepEqual(
    bench.events.map(({ result }) => result),
    ['abandoned'],
  );
});

test('a refusal that nobody waits for is still told of as a refusal', async () => {
  const gone = new AbortController();
  const bench = createBench({ passdb: wrongPassword, onWait: () => gone.abort() });
  await assert.rejects(bench.login(attempt(), gone.signal), { name: 'AbortError' });
  assert.deepEqual(
    bench.events.map(({ result }) => result),
    ['rejected'],
  );
  assert.deepEqual(bench.settled, ['wrong']);
});

test('a fault of our own is no outcome: it rises, and is told of', async () => {
  const bench = createBench({
    directory: async () => {
      throw new TypeError('a bug');
    },
  });
  await assert.rejects(bench.login(attempt(), here), TypeError);
  assert.equal(bench.events[0]?.result, 'failed');
});

test('the user that is found stands in the place of the name that was typed', async () => {
  const bench = createBench({ directory: async () => found });
  await bench.login(attempt({ user: 'alias' }), here);
  assert.equal(bench.penalised[0]?.user, 'alice@example.test');
  assert.equal(bench.events[0]?.user, 'alice@example.test');
});

test('a user with an override signs in at the home that was found: it is not asked for again', async () => {
  let asked = 0;
  const bench = createBench({
    directory: async () => ({ ...found, stays: true }),
    // A drain that lets users with sessions stay.
    homeOf(home, stays) {
      asked += 1;
      return stays ? home : { closure: { kind: 'drain', backend: backendA.name, sinceMs: 0, texts: {} }, home };
    },
    arrived: async () => backendA.name,
  });
  assert.equal((await bench.login(attempt(), here)).kind, 'signed-in');
  assert.equal(asked, 1);
});

test('a user whose move takes too long reads that it is under way', async () => {
  let isMoving = false;
  const bench = createBench({
    homeOf: (home) =>
      isMoving ? { closure: { kind: 'moving', backend: backendA.name, sinceMs: 0, texts: {} }, home } : home,
    async arrived() {
      isMoving = true;
      throw new PosternError('ERR_DEADLINE', 'too late', { source: 'webmail', retryable: true });
    },
  });
  const outcome = await bench.login(attempt(), here);
  assert.equal(outcome.kind === 'closed' && outcome.closure.kind, 'moving');
});
