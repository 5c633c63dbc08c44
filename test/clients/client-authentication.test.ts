import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { HomeLookup } from '../../src/core/directory.ts';
import { PosternError } from '../../src/core/error.ts';
import { silentLog } from '../../src/core/log.ts';
import { type BackendName, createLoginNameParser, requestIdsOf } from '../../src/core/names.ts';
import type { BasicLoginAttempt, PasswordCheck } from '../../src/core/passdb.ts';
import { Secret } from '../../src/core/secrets.ts';
import type { WebmailDriver } from '../../src/core/webmail.ts';
import type { BasicLoginEvent } from '../../src/login/attempt.ts';
import { createBasicAuthentication } from '../../src/login/basic-login.ts';
import { createPenalty, type Penalty } from '../../src/login/penalty.ts';
import { createVerifiedPasswords, type VerifiedPassword } from '../../src/login/verified-passwords.ts';
import { backendA, hostA } from '../login/login.fixture.ts';
import { backendName, canonicalUser } from '../login/named.fixture.ts';

const here = new AbortController().signal;

const driver: WebmailDriver = {
  ownsCookie: () => false,
  masterEntry: { kind: 'own-account' },
  signIn: () => Promise.reject(new Error('not in this test')),
  signOut: () => Promise.resolve(),
  judge: () => 'alive',
};

interface Script {
  readonly directory?: (name: string) => Promise<HomeLookup>;
  readonly verify?: (password: string) => Promise<PasswordCheck>;
  readonly penalty?: Penalty;
}

/** The use case with the real penalty and the real cache, and a clock that only waiting moves. */
function bench(script: Script = {}) {
  const asked: string[] = [];
  const waits: number[] = [];
  const events: BasicLoginEvent[] = [];
  const clock = { at: 1_000_000, nowMs: () => clock.at };
  const wait = async (ms: number): Promise<void> => {
    if (ms > 0) waits.push(ms);
    clock.at += ms;
  };
  const homes = new Map([
    ['alice@example.test', 'a'],
    ['bob@example.test', 'b'],
  ]);
  const authentication = createBasicAuthentication({
    parseName: createLoginNameParser({ defaultDomain: 'example.test' }),
    directory: {
      async lookup(name) {
        if (script.directory !== undefined) return script.directory(name);
        const backend = homes.get(name);
        if (backend === undefined) return { kind: 'unknown-user' };
        return { kind: 'found', backend: backendName(backend), user: canonicalUser(name) };
      },
    },
    checks: createVerifiedPasswords({ clock, randomBytes }),
    penalty:
      script.penalty ??
      createPenalty({ key: createSecretKey(randomBytes(32)), isExempt: () => false, wait, log: silentLog }),
    passdb: {
      async verify({ user, password }, host) {
        asked.push(`${host.name} ${user} ${password.reveal()}`);
        if (script.verify !== undefined) return script.verify(password.reveal());
        return { kind: password.reveal() === 'right' ? 'right' : 'wrong' };
      },
      async ask({ user, password }, host) {
        asked.push(`${host.name} ${user} ${password.reveal()}`);
        return password.reveal() === 'right' ? { kind: 'referred', to: 'imap://b/' } : { kind: 'wrong' };
      },
    },
    homeOf: (name) =>
      name === 'gone' ? undefined : { backend: { ...backendA, name }, host: { ...hostA, name: String(name) }, driver },
    clock,
    wait,
    observe: (event) => void events.push(event),
    deadlineMs: 15_000,
    refusalAfterMs: 3_000,
    isSomeHomeSilent: () => false,
  });
  const admit = async (user: string, password: string, address = '192.0.2.7') =>
    authentication.admit(credentials(user, password, address), new AbortController().signal);
  return { authentication, admit, asked, waits, events, clock, homes };
}

const requestId = '4bf92f3577b34da6a3ce929d0e0e4736';

function credentials(user: string, password: string, address: string): BasicLoginAttempt {
  const client = { address, port: 4711, userAgent: 'DAV/1' };
  return { user, password: new Secret(password), client, requestId };
}

test('a right password leads to the user’s own backend, and is asked for once a minute', async () => {
  const { admit, asked, clock } = bench();
  const first = await admit('Alice', 'right');
  assert.ok(first.kind === 'admitted');
  assert.deepEqual([first.user, first.backend.name, first.host.name], ['alice@example.test', 'a', 'a']);
  for (let i = 0; i < 5; i += 1) assert.equal((await admit('alice@EXAMPLE.test', 'right')).kind, 'admitted');
  assert.deepEqual(asked, ['a alice@example.test right']);
  clock.at += 59_000;
  await admit('alice', 'right');
  assert.equal(asked.length, 1);
  clock.at += 1_000;
  await admit('alice', 'right');
  assert.equal(asked.length, 2, 'use does not make it last longer');
});

test('what is remembered holds for one user, network, backend and password', async () => {
  const { admit, asked, homes } = bench();
  await admit('alice', 'right');
  await admit('alice', 'right', '192.0.2.200');
  assert.equal(asked.length, 1, 'the same network');
  await admit('alice', 'right', '198.51.100.7');
  await admit('bob', 'right');
  await admit('alice', 'other');
  homes.set('alice@example.test', 'b');
  const moved = await admit('alice', 'right');
  assert.ok(moved.kind === 'admitted' && moved.backend.name === 'b', 'a user who moved is routed at once');
  assert.deepEqual(asked, [
    'a alice@example.test right',
    'a alice@example.test right',
    'b bob@example.test right',
    'a alice@example.test other',
    'b alice@example.test right',
  ]);
});

test('a refusal by the policy server is like a wrong password, which is not tried, and is remembered like one', async () => {
  let count = 0;
  const penalty: Penalty = {
    async admit() {
      count += 1;
      return { kind: 'refused', waitedMs: 0, said: { text: 'too many countries' } };
    },
  };
  const { admit, asked, waits, events } = bench({ penalty });
  for (const user of ['alice', 'nobody']) {
    assert.equal((await admit(user, 'right')).kind, 'rejected');
    assert.equal((await admit(user, 'right')).kind, 'rejected');
  }
  assert.deepEqual(asked, []);
  assert.equal(count, 2);
  assert.deepEqual(waits, [3_000, 3_000]);
  assert.deepEqual(
    events.map(({ result, why, said }) => [result, why, said?.text]),
    [
      ['policy', undefined, 'too many countries'],
      ['policy', 'unknown-user', 'too many countries'],
    ],
  );
});

test('a wrong password is tried once a minute, counts once, and its answer is held like the page’s', async () => {
  const { admit, asked, waits, clock } = bench();
  assert.equal((await admit('alice', 'wrong1')).kind, 'rejected');
  assert.deepEqual(waits, [3_000]);
  for (let i = 0; i < 5; i += 1) assert.equal((await admit('alice', 'wrong1')).kind, 'rejected');
  assert.deepEqual(waits, [3_000], 'what is remembered is said at once');
  assert.equal(asked.length, 1);
  clock.at += 60_000;
  await admit('alice', 'wrong1');
  assert.equal(asked.length, 2);
  waits.length = 0;
  await admit('alice', 'wrong2');
  assert.deepEqual(waits, [2_000, 3_000], 'one refusal so far: the repeated guess did not count again');
  waits.length = 0;
  await admit('alice', 'wrong3');
  assert.deepEqual(waits, [4_000, 3_000]);
  waits.length = 0;
  assert.equal((await admit('alice', 'right')).kind, 'admitted');
  assert.deepEqual(waits, [8_000]);
  waits.length = 0;
  await admit('alice', 'wrong4');
  assert.deepEqual(waits, [3_000], 'a right one clears the penalty');
});

test('an unknown user and a wrong password cannot be told apart, also when they are remembered', async () => {
  const wrong = bench();
  const unknown = bench();
  for (const password of ['one', 'one', 'two', 'one']) {
    assert.deepEqual(await wrong.admit('alice', password), await unknown.admit('nobody', password));
  }
  assert.deepEqual(wrong.waits, unknown.waits);
  assert.equal(unknown.asked.length, 0);
  assert.deepEqual(
    unknown.events.map(({ result, why, user }) => [result, why, user]),
    [
      ['wrong', 'unknown-user', 'nobody@example.test'],
      ['wrong', 'unknown-user', 'nobody@example.test'],
    ],
  );
});

test('requests that come at the same time share one check', async () => {
  const answer = Promise.withResolvers<PasswordCheck>();
  const { admit, asked, events } = bench({ verify: () => answer.promise });
  const all = Array.from({ length: 20 }, () => admit('alice', 'right'));
  await new Promise((resolve) => setImmediate(resolve));
  answer.resolve({ kind: 'right' });
  for (const admission of await Promise.all(all)) assert.equal(admission.kind, 'admitted');
  assert.equal(asked.length, 1);
  assert.equal(events.length, 1);
});

test('who could not be asked is unavailable, never a no, and is asked again', async () => {
  let up = false;
  const down = new PosternError('ERR_IMAP_UNAVAILABLE', 'down', { source: 'imap', retryable: true });
  const { admit, asked, waits, events } = bench({
    verify: () => (up ? Promise.resolve({ kind: 'right' }) : Promise.reject(down)),
  });
  assert.deepEqual(await admit('alice', 'right'), {
    kind: 'unavailable',
    reference: requestIdsOf({ requestId }).reference,
  });
  assert.equal(events[0]?.result, 'unavailable');
  up = true;
  assert.equal((await admit('alice', 'right')).kind, 'admitted');
  assert.equal(asked.length, 2);
  assert.deepEqual(waits, [3_000], 'it is told at the moment of all refusals, and raises no penalty');
});

test('a directory that cannot say, or says nonsense, is unavailable', async () => {
  const down = new PosternError('ERR_DIRECTORY_UNAVAILABLE', 'down', { source: 'directory', retryable: true });
  const gone: HomeLookup = { kind: 'found', backend: backendName('gone'), user: canonicalUser('alice@example.test') };
  for (const directory of [() => Promise.reject(down), () => Promise.resolve(gone)]) {
    const { admit, asked } = bench({ directory });
    assert.equal((await admit('alice', 'right')).kind, 'unavailable');
    assert.equal(asked.length, 0);
  }
});

test('a user who may not sign in is told why after the right password, and is as unknown without a home', async () => {
  const at = { user: canonicalUser('alice@example.test'), backend: backendName('a') };
  const known = bench({ directory: async () => ({ kind: 'refused', reason: 'Unpaid.', at }) });
  assert.deepEqual(await known.admit('alice', 'right'), { kind: 'refused', reason: 'Unpaid.' });
  assert.deepEqual(known.waits, []);
  assert.deepEqual(await known.admit('alice', 'wrong'), { kind: 'rejected' });
  const homeless = bench({ directory: async () => ({ kind: 'refused', reason: 'Unpaid.' }) });
  assert.deepEqual(await homeless.admit('alice', 'right'), { kind: 'rejected' });
  assert.deepEqual(homeless.waits, [3_000]);
  assert.equal(homeless.asked.length, 0);
});

/** A directory that learns homes only from a server that needs the password. */
function referringDirectory() {
  const learned = new Map<string, BackendName>();
  const imap = { hostname: 'mail.test', port: 993, security: 'tls', trust: {} } as const;
  const directory = async (name: string): Promise<HomeLookup> => {
    const user = canonicalUser(name);
    const backend = learned.get(name);
    if (backend !== undefined) return { kind: 'found', user, backend };
    const server = {
      name: 'referrer',
      imap,
      limits: { imapConnectMs: 1, imapGreetingMs: 1, imapAuthMs: 1 },
      homeOf: () => backendName('b'),
      learn: (home: BackendName) => void learned.set(name, home),
    };
    return { kind: 'referred', user, server };
  };
  return { directory, learned };
}

test('a home that only a server knows is asked of it once with the password, then of the home', async () => {
  const { directory, learned } = referringDirectory();
  const { authentication, admit, asked, clock } = bench({ directory });
  const user = canonicalUser('alice@example.test');
  for (let i = 0; i < 3; i += 1) {
    const admission = await admit('alice', 'right');
    assert.ok(admission.kind === 'admitted' && admission.backend.name === 'b');
  }
  const there = ['referrer alice@example.test right', 'b alice@example.test right'];
  assert.deepEqual(asked, [...there, 'b alice@example.test right']);
  learned.clear();
  assert.equal(await authentication.isStillAt(user, backendName('b'), 'b'), true, 'nobody says otherwise');
  clock.at += 60_000;
  assert.equal((await admit('alice', 'right')).kind, 'admitted');
  assert.deepEqual(asked.slice(3, 5), there);
});

test('a password that such a server refuses is tried nowhere else, and raises the penalty', async () => {
  const { admit, asked, waits } = bench({ directory: referringDirectory().directory });
  for (const password of ['wrong', 'worse', 'worst']) assert.equal((await admit('alice', password)).kind, 'rejected');
  assert.deepEqual(
    asked,
    ['wrong', 'worse', 'worst'].map((password) => `referrer alice@example.test ${password}`),
  );
  assert.ok(
    waits.some((ms) => ms !== 3_000),
    'a penalty was waited out',
  );
});

test('an expired password is no wrong one: the user is told, and it raises no penalty', async () => {
  const { admit, asked, waits } = bench({ verify: async () => ({ kind: 'expired' }) });
  for (let i = 0; i < 3; i += 1) {
    const admission = await admit('alice', 'old');
    assert.ok(admission.kind === 'refused' && admission.reason.includes('expired'));
  }
  assert.equal(asked.length, 1);
  await admit('alice', 'older');
  assert.deepEqual(waits, [3_000, 3_000]);
});

test('what cannot be a name or a password is asked for nowhere', async () => {
  const { admit, asked, events } = bench();
  const malformed: readonly [user: string, password: string][] = [
    ['', 'x'],
    ['alice', ''],
    ['ali\u0000ce', 'x'],
    ['alice\r\n', 'x\r\ny'],
    ['alice', 'x\u0000'],
    ['alice', 'x'.repeat(1025)],
    ['a'.repeat(300), 'x'],
  ];
  for (const [user, password] of malformed) assert.equal((await admit(user, password)).kind, 'rejected');
  assert.equal(asked.length, 0);
  assert.equal(events.length, 0);
});

test('the domain that ActiveSync clients put before the name is not part of it', async () => {
  const { admit, asked } = bench();
  for (const user of ['EXAMPLE\\alice', '\\alice@example.test']) await admit(user, 'right');
  assert.deepEqual(asked, ['a alice@example.test right']);
});

test('a password that the backend refuses is not believed any longer', async () => {
  const { authentication, admit, asked } = bench();
  await admit('alice', 'right');
  authentication.distrust(
    canonicalUser('alice@example.test'),
    backendName('a'),
    credentials('alice', 'right', '192.0.2.7'),
  );
  await admit('alice', 'right');
  assert.equal(asked.length, 2);
});

function check(password: string): VerifiedPassword {
  return { user: 'u', backend: 'a', address: '192.0.2.1', password: new Secret(password) };
}

function never(): Promise<never> {
  return Promise.reject(new Error('asked again'));
}

test('who is still where a request waits is told by the directory, and believed while it cannot say', async () => {
  const down = new PosternError('ERR_DIRECTORY_UNAVAILABLE', 'down', { source: 'directory', retryable: true });
  const user = canonicalUser('alice@example.test');
  const { authentication, homes } = bench();
  assert.equal(await authentication.isStillAt(user, backendName('a'), 'a'), true);
  assert.equal(await authentication.isStillAt(user, backendName('a'), 'a/2'), false);
  homes.set('alice@example.test', 'b');
  assert.equal(await authentication.isStillAt(user, backendName('a'), 'a'), false);
  homes.delete('alice@example.test');
  assert.equal(await authentication.isStillAt(user, backendName('b'), 'b'), false);
  const silent = bench({ directory: () => Promise.reject(down) });
  assert.equal(await silent.authentication.isStillAt(user, backendName('a'), 'a'), true);
});

test('guesses push nothing out of the memory that is right', async () => {
  const checks = createVerifiedPasswords({ clock: { nowMs: () => 0 }, randomBytes });
  await checks.verdict(check('right'), here, async () => 'right');
  for (let i = 0; i < 25_000; i += 1) await checks.verdict(check(`guess ${i}`), here, async () => 'wrong');
  assert.equal(await checks.verdict(check('right'), here, never), 'right');
  assert.equal(await checks.verdict(check('guess 24999'), here, never), 'wrong');
  await assert.rejects(checks.verdict(check('guess 0'), here, never), /asked again/);
});
