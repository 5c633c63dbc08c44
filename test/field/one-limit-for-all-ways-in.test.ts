import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { HomeLookup } from '../../src/core/directory.ts';
import { silentLog } from '../../src/core/log.ts';
import { createLoginNameParser } from '../../src/core/names.ts';
import type { MailboxAnswer, Mailboxes, Passdb, PasswordCheck, Referrals } from '../../src/core/passdb.ts';
import { Secret } from '../../src/core/secrets.ts';
import type { WebmailDriver } from '../../src/core/webmail.ts';
import { createBasicAuthentication } from '../../src/login/basic-login.ts';
import { createLogin, createStaffLogin } from '../../src/login/login.ts';
import { createMailServers } from '../../src/login/mail-servers.ts';
import { createPenalty } from '../../src/login/penalty.ts';
import { createVerifiedPasswords } from '../../src/login/verified-passwords.ts';
import { backendName, backendOf } from '../backends/samples.fixture.ts';
import { signedInToWebmail } from '../login/login.fixture.ts';
import { canonicalUser } from '../login/named.fixture.ts';

const never = new AbortController().signal;

/** Lets all pending steps run. */
async function settled(): Promise<void> {
  for (let count = 0; count < 30; count += 1) await turn();
}

const clientAt = (address: string) => ({ address, port: 4711, userAgent: 'Browser/1' });

/**
 * A site with two backends whose mail servers answer on the test's command, and one limiter for all ways to sign in.
 */
function site() {
  const clock = { nowMs: () => 1_000_000 };
  /** The open connections by backend, each with the function that answers it. */
  const open = { a: new Set<() => void>(), b: new Set<() => void>() };
  const most = { a: 0, b: 0 };
  function connect<T>(host: string, answer: T): Promise<T> {
    const of = host === 'b' ? 'b' : 'a';
    return new Promise((resolve) => {
      const done = (): void => {
        open[of].delete(done);
        resolve(answer);
      };
      open[of].add(done);
      most[of] = Math.max(most[of], open[of].size);
    });
  }
  /** The users whose password was checked, in order. */
  const dialled: string[] = [];
  const passdb: Passdb & Referrals = {
    verify({ user }, host) {
      dialled.push(user);
      return connect<PasswordCheck>(host.name, { kind: 'right' });
    },
    ask: (_credentials, host) => connect<PasswordCheck>(host.name, { kind: 'right' }),
  };
  const mailboxes: Mailboxes = {
    open: ({ host }) => connect<MailboxAnswer>(host.name, { kind: 'done' }),
    append: ({ host }) => connect<MailboxAnswer>(host.name, { kind: 'done' }),
  };
  // Two hosts of one backend share its limit.
  const mailServers = createMailServers({
    passdb,
    mailboxes,
    backendOf: (host) => host.slice(0, 1),
    isExempt: (address) => address.startsWith('10.'),
    clock,
  });
  const driver: WebmailDriver = {
    ownsCookie: () => false,
    masterEntry: { kind: 'own-account' },
    judge: () => 'alive',
    signOut: () => Promise.resolve(),
    signIn: async () => signedInToWebmail(),
  };
  const deps = {
    parseName: createLoginNameParser({ defaultDomain: 'example.test' }),
    storeAnswers: async () => {},
    directory: {
      async lookup(name: string): Promise<HomeLookup> {
        return { kind: 'found', backend: backendName(name.startsWith('b') ? 'b' : 'a'), user: canonicalUser(name) };
      },
    },
    penalty: createPenalty({
      key: createSecretKey(randomBytes(32)),
      isExempt: () => true,
      wait: async () => {},
      log: silentLog,
    }),
    passdb: mailServers.passdb,
    homeOf(name: string, user: string) {
      const backend = backendOf(name, 2);
      return { backend, host: backend.hosts[user.length % 2] ?? backend.hosts[0], driver };
    },
    isSomeHomeSilent: () => false,
    clock,
    wait: async () => {},
    observe: () => {},
    deadlineMs: 60_000,
    refusalAfterMs: 3_000,
  };
  const usual = '192.0.2.7';
  const login = createLogin(deps);
  const staffLogin = createStaffLogin(deps);
  const dav = createBasicAuthentication({
    ...deps,
    checks: createVerifiedPasswords({ clock, randomBytes }),
  });
  const attempt = (user: string, address = usual) => ({
    user,
    client: clientAt(address),
    password: new Secret('right'),
    reference: 'R1',
    requestId: '4bf92f3577b34da6a3ce929d0e0e4736',
    arrivedAtMs: 1_000_000,
    publicOrigin: 'https://mail.example.test',
    timeZone: undefined,
  });
  const backendA = backendOf('a', 1);
  return {
    open,
    most,
    dialled,
    page: async (user: string, gone = never, address = usual) => (await login(attempt(user, address), gone)).kind,
    console: async (user: string, gone = never) => (await staffLogin(attempt(user), gone)).kind,
    dav: async (user: string, gone = never) => (await dav.admit(attempt(user), gone)).kind,
    master: async (user: string, gone = never) => {
      const context = { client: clientAt(usual), reference: 'R1', limits: backendA.limits };
      const master = { user: 'master', password: new Secret('m'), separator: '*' };
      const mailbox = { user: canonicalUser(user), host: backendA.hosts[0], master, context };
      return (await mailServers.mailboxes.open(mailbox, gone)).kind;
    },
    /** Answers all connections of a backend until no more come. */
    answerAll: async (of: 'a' | 'b') => {
      while (open[of].size > 0) {
        for (const answer of open[of]) answer();
        await settled();
      }
    },
  };
}

const ways = ['page', 'console', 'dav', 'master'] as const;

describe('one limit for all ways in', () => {
  test('400 sign-ins by the page at once open 32 connections at one backend, and all get their answer', async () => {
    const { open, most, page, answerAll } = site();
    const all = Array.from({ length: 400 }, (_, count) => page(`a${count}@example.test`));
    await settled();
    assert.equal(open.a.size, 32);
    await answerAll('a');
    assert.deepEqual(new Set(await Promise.all(all)), new Set(['signed-in']));
    assert.equal(most.a, 32);
  });

  test('the ways share it, and the hosts of a backend do', async () => {
    const tried = site();
    const all = ways.flatMap((way) => Array.from({ length: 20 }, (_, count) => tried[way](`a${way}${count}`)));
    await settled();
    assert.equal(tried.open.a.size, 32);
    await tried.answerAll('a');
    await Promise.all(all);
    assert.equal(tried.most.a, 32);
  });

  test('another backend lets its users in meanwhile', async () => {
    const { open, page, answerAll } = site();
    const all = Array.from({ length: 400 }, (_, count) => page(`a${count}@example.test`));
    await settled();
    const other = page('bob@example.test');
    await settled();
    assert.deepEqual([open.a.size, open.b.size], [32, 1]);
    await answerAll('b');
    assert.equal(await other, 'signed-in');
    await answerAll('a');
    await Promise.all(all);
  });

  for (const way of ways) {
    test(`who waits by the ${way} and hangs up leaves the line, and nobody is asked for them`, async () => {
      const tried = site();
      const before = Array.from({ length: 32 }, (_, count) => tried.page(`a${count}`));
      await settled();
      const gone = new AbortController();
      const left = tried[way]('alice', gone.signal);
      const after = tried.page('anna');
      await settled();
      gone.abort();
      await assert.rejects(left, { name: 'AbortError' });
      const [first] = tried.open.a;
      first?.();
      await settled();
      assert.equal(tried.open.a.size, 32, 'the next in line is asked for');
      await tried.answerAll('a');
      assert.equal(await after, 'signed-in');
      await Promise.all(before);
      assert.equal(tried.open.a.size, 0);
    });
  }

  test('where 2,000 wait, the next is told that it is busy: by the page, the console and to programs', async () => {
    const tried = site();
    const all = Array.from({ length: 2_032 }, (_, count) => tried.page(`a${count}`));
    await settled();
    for (const way of ['page', 'console', 'dav'] as const) assert.equal(await tried[way]('alice'), 'busy');
    await tried.answerAll('a');
    await Promise.all(all);
  });

  /** Many addresses of one line at home, one site or one neighbourhood. */
  const crowds: readonly (readonly [string, (count: number) => string])[] = [
    ['256 networks of one line at home', (count) => `2001:db8:1:${(count % 256).toString(16)}::${count}`],
    ['a neighbourhood', (count) => `198.51.100.${count % 250}`],
  ];
  for (const [from, addressOf] of crowds) {
    test(`a crowd of ${from} does not stand before who comes from elsewhere`, async () => {
      const tried = site();
      const crowd = Array.from({ length: 400 }, (_, count) => tried.page(`a${count}`, never, addressOf(count)));
      await settled();
      const alone = tried.page('alice', never, '203.0.113.5');
      await settled();
      const [first] = tried.open.a;
      first?.();
      await settled();
      assert.equal(tried.dialled.at(-1), 'alice@example.test');
      await tried.answerAll('a');
      assert.equal(await alone, 'signed-in');
      await Promise.all(crowd);
    });

    test(`where a crowd of ${from} fills the line, one of them is told that it is busy, and nobody else`, async () => {
      const tried = site();
      const crowd = Array.from({ length: 2_032 }, (_, count) => tried.page(`a${count}`, never, addressOf(count)));
      await settled();
      const alone = tried.page('alice', never, '203.0.113.5');
      await settled();
      await tried.answerAll('a');
      assert.equal(await alone, 'signed-in');
      const said = await Promise.all(crowd);
      assert.equal(said.filter((kind) => kind === 'busy').length, 1);
    });
  }

  test('within a crowd one address does not stand before the others, and they go in order', async () => {
    const tried = site();
    const from = (address: string, names: readonly string[]) => names.map((name) => tried.page(name, never, address));
    const many = from(
      '198.51.100.1',
      Array.from({ length: 60 }, (_, count) => `a${count}`),
    );
    await settled();
    const others = from('198.51.100.2', ['anna', 'alice']);
    await settled();
    for (const answer of [...tried.open.a].slice(0, 3)) answer();
    await settled();
    assert.deepEqual(tried.dialled.slice(32), ['anna@example.test', 'alice@example.test', 'a32@example.test']);
    await tried.answerAll('a');
    await Promise.all([...many, ...others]);
  });

  test('of a network that carries many users each stands alone', async () => {
    const tried = site();
    const one = Array.from({ length: 60 }, () => tried.page('adam', never, '10.0.0.1'));
    await settled();
    const other = tried.page('alice', never, '10.0.0.1');
    await settled();
    const [first] = tried.open.a;
    first?.();
    await settled();
    assert.equal(tried.dialled.at(-1), 'alice@example.test');
    await tried.answerAll('a');
    await Promise.all([...one, other]);
  });
});
