import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { backendKey, createPlacement } from '../../src/backends/placement.ts';
import type { StateReplica } from '../../src/backends/state-replica.ts';
import { type HomeLookup, TryAgainLater } from '../../src/core/directory.ts';
import { PosternError } from '../../src/core/error.ts';
import { createLoginNameParser } from '../../src/core/names.ts';
import type { BasicAdmission, Passdb, Referrals } from '../../src/core/passdb.ts';
import { Secret } from '../../src/core/secrets.ts';
import type { WebmailDriver } from '../../src/core/webmail.ts';
import { createLoginHomes } from '../../src/gateway/snapshot.ts';
import { problemOf } from '../../src/http/login-page.ts';
import type { LoginEvent, LoginOutcome } from '../../src/login/attempt.ts';
import type { BasicLoginEvent } from '../../src/login/attempt.ts';
import { createBasicAuthentication } from '../../src/login/basic-login.ts';
import { createLogin, createStaffLogin } from '../../src/login/login.ts';
import { createMailServers } from '../../src/login/mail-servers.ts';
import type { Penalty } from '../../src/login/penalty.ts';
import { createVerifiedPasswords } from '../../src/login/verified-passwords.ts';
import { backendName, backendOf, openState, servingAs, setState } from '../backends/samples.fixture.ts';
import { signedInToWebmail } from '../login/login.fixture.ts';
import { canonicalUser } from '../login/named.fixture.ts';

const never = new AbortController().signal;
const refusalAfterMs = 3_000;

/** The state of the backend `a`; `b` is always READY and answers. */
const states = [
  'open',
  'maintenance',
  'draining',
  'down',
  'silent in maintenance',
  'hanging unknown to all',
  'a pool with a host that hangs',
  'behind a referring server that hangs',
] as const;
type State = (typeof states)[number];
/** The states that are unknown before a password is tried. */
const found: ReadonlySet<State> = new Set([
  'hanging unknown to all',
  'a pool with a host that hangs',
  'behind a referring server that hangs',
]);
/** The hosts that do not answer; `referrer` is a server that refers users whom the table does not know. */
const hanging: Readonly<Record<State, string>> = {
  open: '',
  maintenance: '',
  draining: '',
  down: 'a',
  'silent in maintenance': 'a',
  'hanging unknown to all': 'a',
  'a pool with a host that hangs': 'a/2',
  'behind a referring server that hangs': 'referrer',
};

const users = {
  'alice@example.test': { kind: 'found', backend: backendName('a'), user: canonicalUser('alice@example.test') },
  'bob@example.test': { kind: 'found', backend: backendName('b'), user: canonicalUser('bob@example.test') },
  'suspended@example.test': {
    kind: 'refused',
    reason: 'invoice 4711 unpaid',
    at: { backend: backendName('a'), user: canonicalUser('suspended@example.test') },
  },
  'homeless@example.test': { kind: 'refused', reason: 'invoice 4712 unpaid' },
} satisfies Record<string, HomeLookup>;

const names = ['nobody', 'alice', 'bob', 'suspended', 'homeless', 'waiting'] as const;
type Name = (typeof names)[number];
const doors = ['page', 'console', 'dav'] as const;
type Door = (typeof doors)[number];

/** The visible part of an answer: the status and the text, or a word for a successful sign-in. */
interface Told {
  readonly status: number;
  readonly says: string;
  readonly afterMs: number;
}

/** The answer of a directory that only knows whom to ask. */
function referred(name: string): HomeLookup {
  const [{ imap }] = backendOf('referrer', 1).hosts;
  const limits = { imapConnectMs: 1, imapGreetingMs: 1, imapAuthMs: 1 };
  const server = { name: 'referrer', imap, limits, homeOf: () => backendName('b'), learn() {} };
  return { kind: 'referred', user: canonicalUser(name), server };
}

const service = (up: boolean) => ({ up, sinceMs: 0 });

function toldByPage(outcome: LoginOutcome | { readonly kind: 'authenticated' }): Omit<Told, 'afterMs'> {
  if (outcome.kind === 'signed-in' || outcome.kind === 'authenticated') return { status: 303, says: 'in' };
  const { status, key, values, closure, retryAfterSeconds = 0 } = problemOf(outcome);
  return { status, says: `${closure?.kind ?? key} ${values?.['reason'] ?? ''} ${retryAfterSeconds}`.trim() };
}

function toldByDav(admission: BasicAdmission): Omit<Told, 'afterMs'> {
  switch (admission.kind) {
    case 'admitted':
      return { status: 207, says: 'in' };
    case 'rejected':
      return { status: 401, says: 'wrong' };
    case 'refused':
      return { status: 403, says: admission.reason };
    default:
      return { status: 503, says: admission.kind };
  }
}

describe('before a password was right', () => {
  let state: StateReplica;

  beforeEach(async () => void (state = await openState()));
  afterEach(() => state[Symbol.asyncDispose]());

  /** A site with the backends `a` and `b`, its three doors and one clock that only waiting moves. */
  async function site(of: State) {
    const isPool = of.includes('pool');
    const backends = new Map(['a', 'b'].map((name) => [backendName(name), backendOf(name, isPool ? 2 : 1)] as const));
    // Nearly all users of the pool have the second host.
    const serving = isPool ? servingAs('pool', { weights: { a: 0.001 } }) : servingAs('standby');
    const clock = { at: 1_700_000_000_000, nowMs: () => clock.at };
    const isKnown = hanging[of] !== '' && !found.has(of);
    if (of.includes('maintenance')) await state.states.set(backendKey('a'), setState('MAINT'));
    if (of === 'draining') await state.states.set(backendKey('a'), setState('DRAIN'));
    const placement = createPlacement({
      backends: { backend: (name) => backends.get(backendName(name)), serving: () => serving },
      state,
      health: {
        isUp: (host) => host !== 'a' || !isKnown,
        isWebmailUp: () => true,
        takeTrial: () => true,
        report: (host) => ({ webmail: service(true), imap: service(host !== 'a' || !isKnown) }),
      },
      heldPerHost: () => new Map(),
      clock,
    });
    const dialled: string[] = [];
    const judge: Passdb['verify'] = async ({ user, password }, host) => {
      dialled.push(`${host.name} ${user}`);
      if (host.name === hanging[of]) {
        throw new PosternError('ERR_IMAP_UNAVAILABLE', 'refused', { source: 'imap', retryable: true });
      }
      return { kind: password.reveal() === 'right' ? 'right' : 'wrong' };
    };
    const passdb: Passdb & Referrals = { verify: judge, ask: judge };
    const mailServers = createMailServers({
      passdb,
      mailboxes: { open: () => Promise.reject(new Error('unused')), append: () => Promise.reject(new Error('unused')) },
      backendOf: (host) => (host === 'referrer' ? undefined : host.slice(0, 1)),
      isExempt: () => false,
      clock,
    });
    const driver: WebmailDriver = {
      ownsCookie: () => false,
      masterEntry: { kind: 'own-account' },
      judge: () => 'alive',
      signOut: () => Promise.resolve(),
      signIn: async () => signedInToWebmail(),
    };
    const homes = new Map(
      [...backends].map(([name, backend]) => [name, { backend, host: backend.hosts[0], driver }] as const),
    );
    const signInHomes = createLoginHomes(homes, placement, mailServers);
    const settled: string[] = [];
    const penalty: Penalty = {
      async admit() {
        let isOpen = true;
        const settle = async (verdict: string) => {
          if (isOpen) settled.push(verdict);
          isOpen = false;
        };
        return { kind: 'admitted', waitedMs: 0, settle };
      },
    };
    const events: (LoginEvent | BasicLoginEvent)[] = [];
    const deps = {
      parseName: createLoginNameParser({ defaultDomain: 'example.test' }),
      storeAnswers: async () => {},
      directory: {
        async lookup(name: string): Promise<HomeLookup> {
          if (name === 'waiting@example.test') {
            throw new TryAgainLater('1 ldap', { user: canonicalUser(name), backend: backendName('a') });
          }
          const known = Object.entries(users).find(([user]) => user === name)?.[1];
          return known ?? (of.includes('referring') ? referred(name) : { kind: 'unknown-user' });
        },
      },
      penalty,
      passdb: mailServers.passdb,
      ...signInHomes,
      clock,
      wait: async (ms: number) => void (clock.at += ms),
      observe: (event: LoginEvent | BasicLoginEvent) => void events.push(event),
      deadlineMs: 15_000,
      refusalAfterMs,
    };
    const client = { address: '192.0.2.7', port: 4711, userAgent: 'Browser/1' };
    const login = createLogin(deps);
    const staffLogin = createStaffLogin({ ...deps, homeOf: signInHomes.clientHomeOf });
    const dav = createBasicAuthentication({
      ...deps,
      homeOf: signInHomes.clientHomeOf,
      checks: createVerifiedPasswords({ clock, randomBytes }),
    });
    const through: Readonly<Record<Door, (user: string, password: Secret) => Promise<Omit<Told, 'afterMs'>>>> = {
      async page(user, password) {
        const rest = { client, reference: 'R1', requestId: '4bf92f3577b34da6a3ce929d0e0e4736', arrivedAtMs: clock.at };
        return toldByPage(await login({ ...rest, user, password, publicOrigin: 'https://m', timeZone: '' }, never));
      },
      async console(user, password) {
        return toldByPage(
          await staffLogin(
            {
              user,
              password,
              client,
              reference: 'R1',
              requestId: '4bf92f3577b34da6a3ce929d0e0e4736',
              arrivedAtMs: clock.at,
            },
            never,
          ),
        );
      },
      dav: async (user, password) =>
        toldByDav(await dav.admit({ user, password, client, requestId: '4bf92f3577b34da6a3ce929d0e0e4736' }, never)),
    };
    return {
      dialled,
      settled,
      events,
      told: async (door: Door, user: Name, password: 'right' | 'wrong' | 'other'): Promise<Told> => {
        const before = clock.at;
        const told = await through[door](user, new Secret(password));
        return { ...told, afterMs: clock.at - before };
      },
    };
  }

  for (const of of states) {
    for (const door of doors) {
      test(`a stranger sees no difference between names at the ${door} while a backend is ${of}`, async () => {
        const { told, settled } = await site(of);
        // The first attempt at a silent server finds out that it is silent.
        for (const name of ['alice', 'nobody'] as const) await told(door, name, 'other');
        const answers = new Map<Name, Told>();
        const counts = new Map<Name, readonly string[]>();
        for (const name of names) {
          settled.length = 0;
          answers.set(name, await told(door, name, 'wrong'));
          counts.set(name, [...settled]);
        }
        const [first] = answers.values();
        assert.deepEqual(answers, new Map(names.map((name) => [name, first])));
        assert.equal(first?.afterMs, refusalAfterMs);
        assert.doesNotMatch(first?.says ?? '', /invoice/);
        if (found.has(of)) return;
        assert.deepEqual(counts, new Map(names.map((name) => [name, ['wrong']])));
      });
    }
  }

  const page = { in: [303, 'in'], no: [403, 'outcome.rejected  0'], silent: [503, 'outcome.unchecked  60'] } as const;
  const seen: readonly (readonly [Door, State, Name, readonly [number, string]])[] = [
    ['page', 'open', 'alice', page.in],
    ['page', 'open', 'suspended', [403, 'outcome.refused invoice 4711 unpaid 0']],
    ['page', 'open', 'homeless', page.no],
    ['page', 'open', 'waiting', [503, 'outcome.unavailable  60']],
    ['page', 'maintenance', 'alice', [503, 'maintenance  30']],
    ['page', 'maintenance', 'bob', page.in],
    ['page', 'maintenance', 'nobody', page.no],
    ['page', 'maintenance', 'suspended', [403, 'outcome.refused invoice 4711 unpaid 0']],
    ['page', 'draining', 'alice', [503, 'drain  30']],
    ['page', 'down', 'alice', page.silent],
    ['page', 'down', 'bob', page.in],
    ['page', 'down', 'suspended', page.silent],
    ['page', 'down', 'waiting', page.silent],
    ['page', 'silent in maintenance', 'alice', page.silent],
    ['page', 'silent in maintenance', 'nobody', page.silent],
    ['page', 'hanging unknown to all', 'alice', page.silent],
    ['page', 'a pool with a host that hangs', 'alice', page.silent],
    ['page', 'a pool with a host that hangs', 'bob', page.in],
    ['page', 'behind a referring server that hangs', 'alice', page.in],
    ['page', 'behind a referring server that hangs', 'nobody', page.silent],
    ['console', 'open', 'suspended', [403, 'outcome.refused invoice 4711 unpaid 0']],
    ['console', 'draining', 'alice', page.in],
    ['console', 'maintenance', 'alice', [503, 'maintenance  30']],
    ['console', 'down', 'alice', page.silent],
    ['console', 'down', 'bob', page.in],
    ['dav', 'open', 'alice', [207, 'in']],
    ['dav', 'open', 'suspended', [403, 'invoice 4711 unpaid']],
    ['dav', 'open', 'homeless', [401, 'wrong']],
    ['dav', 'open', 'waiting', [503, 'unavailable']],
    ['dav', 'draining', 'alice', [207, 'in']],
    ['dav', 'maintenance', 'alice', [503, 'unavailable']],
    ['dav', 'maintenance', 'nobody', [401, 'wrong']],
    ['dav', 'down', 'alice', [503, 'unavailable']],
    ['dav', 'down', 'bob', [207, 'in']],
    ['dav', 'down', 'nobody', [503, 'unavailable']],
    ['dav', 'down', 'suspended', [503, 'unavailable']],
  ];
  for (const [door, of, name, [status, says]] of seen) {
    test(`${name} with the right password at the ${door} while a backend is ${of} is told ${status} ${says}`, async () => {
      const { told } = await site(of);
      const answer = await told(door, name, 'right');
      assert.deepEqual([answer.status, answer.says], [status, says.trim()]);
    });
  }

  test('a server that is known to be silent is not asked', async () => {
    const { told, dialled } = await site('down');
    for (const door of doors) await told(door, 'alice', 'right');
    assert.deepEqual(dialled, []);
  });

  test('operators read what was the cause', async () => {
    const { told, events } = await site('silent in maintenance');
    await told('page', 'alice', 'right');
    await told('page', 'nobody', 'right');
    await told('page', 'homeless', 'right');
    await told('dav', 'alice', 'right');
    await told('dav', 'homeless', 'other');
    assert.deepEqual(
      events.map(({ result, why, error }) => [result, why ?? (error instanceof Error ? error.message : '')]),
      [
        ['unavailable', 'no mail server of the backend a can be asked about passwords: it is closed (maintenance)'],
        ['rejected', 'unknown-user'],
        ['rejected', 'refused'],
        ['unavailable', 'no mail server of the backend a can be asked about passwords: it is closed (maintenance)'],
        ['wrong', 'refused'],
      ],
    );
  });

  test('a password that a program sends again to a silent home is answered at once, as of an unknown name', async () => {
    const { told } = await site('down');
    for (const name of ['alice', 'nobody'] as const) {
      assert.equal((await told('dav', name, 'right')).afterMs, refusalAfterMs);
      assert.deepEqual(await told('dav', name, 'right'), { status: 503, says: 'unavailable', afterMs: 0 });
    }
  });
});
