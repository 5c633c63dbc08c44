import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { CookieJar } from '../../src/core/cookie-jar.ts';
import { PosternError } from '../../src/core/error.ts';
import type { SignInIdentity, StaffGrant } from '../../src/core/identity.ts';
import { createImpersonation, type ImpersonationDeps } from '../../src/support/impersonation.ts';
import type { ImpersonationGrant } from '../../src/support/one-time-links.ts';
import { defaultLimits } from '../proxy/gate.fixture.ts';
import { auditForTests, backend, staffChecksForTests, staffMember, user } from './staff.fixture.ts';

const support: StaffGrant = { roles: ['support'] };
const signal = new AbortController().signal;
const client = { address: '192.0.2.9', port: 1, userAgent: 'test' };
const host = {
  name: 'a',
  imap: { hostname: '127.0.0.1', port: 1, security: 'tls', trust: {} },
  webmail: { origin: 'http://127.0.0.1:1', landing: '/mail/', trust: {} },
} as const;
const wanted = { subject: 'alice@example.test', reason: 'cannot send since Monday', ticket: 'T-1', minutes: 15 };

function started(more: Partial<ImpersonationDeps> = {}) {
  const audit = auditForTests();
  const staffChecks = staffChecksForTests({ 'sam@example.test': support });
  const issued = new Map<string, ImpersonationGrant>();
  const entered: SignInIdentity[] = [];
  const clock = { ms: 10_000_000, nowMs: () => clock.ms };
  const deps: ImpersonationDeps = {
    permission: async (staff, typed) =>
      staff.roles.includes('support')
        ? { kind: 'allowed', subject: user(typed), backend: backend('a') }
        : { kind: 'refused', why: 'not-support' },
    staffChecks,
    links: {
      issue: async (grant) => {
        issued.set(`token${issued.size}`, grant);
        return `token${issued.size - 1}`;
      },
      use: async (token) => {
        const grant = issued.get(token);
        issued.delete(token);
        return grant;
      },
    },
    audit,
    placeOf: () => ({
      backend: {
        name: backend('a'),
        driver: 'test',
        driverSettings: {},
        hosts: [host],
        limits: defaultLimits,
      },
      host,
      driver: {
        ownsCookie: () => false,
        masterEntry: { kind: 'own-account' },
        async signIn(_host, as) {
          entered.push(as);
          return { kind: 'signed-in', jar: new CookieJar(() => false), browserCookies: [], landing: '/mail/' };
        },
        signOut: () => Promise.resolve(),
        judge: () => 'alive',
      },
    }),
    checkMaster: async () => ({ kind: 'ok' }),
    assistOrigin: 'https://assist.example.test',
    clock,
    ...more,
  };
  const impersonation = createImpersonation(deps);
  const sam = () => staffMember('sam@example.test', support, clock.ms);
  const start = (request = {}) => impersonation.start(sam(), { ...wanted, ...request }, signal);
  const tokenOf = async () => {
    const outcome = await start();
    assert.equal(outcome.kind, 'started');
    return new URL(outcome.kind === 'started' ? outcome.link : '').searchParams.get('link') ?? '';
  };
  return { impersonation, placeOf: deps.placeOf, audit, staffChecks, issued, entered, clock, sam, start, tokenOf };
}

suite('grant a mailbox for staff', () => {
  test('is written down before there is a link, with who, whom and why', async () => {
    const { start, audit } = started();
    const outcome = await start();
    assert.match(
      outcome.kind === 'started' ? outcome.link : '',
      /^https:\/\/assist\.example\.test\/-\/assist\/open\?link=/,
    );
    assert.deepEqual(audit.lines, [
      {
        event: 'impersonation-start',
        actor: 'sam@example.test',
        subject: 'alice@example.test',
        address: '192.0.2.9',
        facts: { reason: 'cannot send since Monday', ticket: 'T-1', minutes: 15, backend: 'a' },
      },
    ]);
  });

  test('does not happen when it cannot be written down', async () => {
    const { start, audit, issued } = started();
    audit.full = true;
    await assert.rejects(start(), { code: 'ERR_AUDIT_UNAVAILABLE' });
    assert.equal(issued.size, 0);
  });

  for (const [why, request] of [
    ['reason', { reason: 'too short' }],
    ['reason', { reason: ' \u200b\t          x' }],
    ['reason', { reason: 'x'.repeat(501) }],
    ['ticket', { ticket: 'x'.repeat(101) }],
    ['minutes', { minutes: 61 }],
    ['minutes', { minutes: 480 }],
    ['minutes', { minutes: Number.NaN }],
  ] as const) {
    test(`is refused for its ${why}: ${JSON.stringify(request).slice(0, 40)}`, async () => {
      const { start, audit } = started();
      assert.deepEqual(await start(request), { kind: 'refused', why });
      assert.deepEqual(audit.events(), ['impersonation-refused sam@example.test alice@example.test']);
    });
  }

  test('needs a second factor that is not older than five minutes', async () => {
    const { impersonation, sam, clock } = started();
    const earlier = sam();
    clock.ms += 5 * 60_000 + 1;
    assert.deepEqual(await impersonation.start(earlier, wanted, signal), { kind: 'refused', why: 'unproven' });
  });

  test('needs one that was not shown in a time to come: a clock was set back meanwhile', async () => {
    const { impersonation, sam, clock } = started();
    const earlier = sam();
    clock.ms -= 60 * 60_000;
    assert.deepEqual(await impersonation.start(earlier, wanted, signal), { kind: 'refused', why: 'unproven' });
  });

  test('is refused to who has no such role', async () => {
    const { impersonation, clock } = started();
    const olga = staffMember('olga@example.test', { roles: ['operator'] }, clock.ms);
    assert.deepEqual(await impersonation.start(olga, wanted, signal), { kind: 'refused', why: 'not-support' });
  });
});

suite('the link to it', () => {
  test('enters the webmail for the subject, in the name of the actor, without a password', async () => {
    const { impersonation, tokenOf, entered } = started();
    const opened = await impersonation.open(await tokenOf(), client, signal);
    assert.equal(opened.kind === 'opened' && opened.landing, '/mail/');
    assert.deepEqual(
      entered.map(({ user: subject, actor, password, publicOrigin }) => ({ subject, actor, password, publicOrigin })),
      [
        {
          subject: 'alice@example.test',
          actor: 'sam@example.test',
          password: undefined,
          publicOrigin: 'https://assist.example.test',
        },
      ],
    );
  });

  test('is written down when it is used, from where, before the webmail is entered; else nothing is', async () => {
    const { impersonation, tokenOf, entered, audit } = started();
    await impersonation.open(await tokenOf(), { ...client, address: '198.51.100.7' }, signal);
    assert.deepEqual(audit.lines.at(-1), {
      event: 'impersonation-opened',
      actor: 'sam@example.test',
      subject: 'alice@example.test',
      address: '198.51.100.7',
      facts: { backend: 'a', host: 'a' },
    });
    const token = await tokenOf();
    audit.full = true;
    await assert.rejects(impersonation.open(token, client, signal), { code: 'ERR_AUDIT_UNAVAILABLE' });
    assert.equal(entered.length, 1);
  });

  test('is dead after one use', async () => {
    const { impersonation, tokenOf } = started();
    const token = await tokenOf();
    await impersonation.open(token, client, signal);
    assert.deepEqual(await impersonation.open(token, client, signal), { kind: 'refused', why: 'dead' });
  });

  test('opens nothing once the staff session has ended', async () => {
    const { impersonation, tokenOf, staffChecks, sam, entered, audit } = started();
    const token = await tokenOf();
    staffChecks.ended.add(sam().session);
    assert.deepEqual(await impersonation.open(token, client, signal), { kind: 'refused', why: 'off-duty' });
    assert.equal(entered.length, 0);
    assert.equal(audit.events().at(-1), 'impersonation-refused sam@example.test alice@example.test');
  });

  test('opens nothing once the role is gone, or another one', async () => {
    for (const grant of [undefined, { roles: ['operator'] } satisfies StaffGrant]) {
      const { impersonation, tokenOf, staffChecks, entered } = started();
      const token = await tokenOf();
      if (grant === undefined) staffChecks.grants.clear();
      else staffChecks.grants.set('sam@example.test', grant);
      const outcome = await impersonation.open(token, client, signal);
      assert.equal(outcome.kind, 'refused');
      assert.equal(entered.length, 0);
    }
  });

  test('opens nothing where the mail server does not let the master in for this user', async () => {
    const { impersonation, tokenOf, entered } = started({
      checkMaster: async () => ({ kind: 'refused', why: 'no such user' }),
    });
    const outcome = await impersonation.open(await tokenOf(), client, signal);
    assert.deepEqual(outcome, { kind: 'refused', why: 'mail-server', detail: 'no such user' });
    assert.equal(entered.length, 0);
  });

  const failures: readonly (readonly [string, Partial<ImpersonationDeps>, refused: string | undefined, why: string])[] =
    [
      [
        'the webmail refuses the master',
        entering(webmailSays('the master identity was refused', false)),
        'webmail',
        'webmail',
      ],
      ['the webmail does not answer', entering(webmailSays('connection refused', true)), undefined, 'webmail'],
      [
        'the mail server breaks the protocol',
        { checkMaster: () => Promise.reject(imapSays('it offers no safe way')) },
        'mail-server',
        'imap',
      ],
      [
        'the driver has a defect',
        entering(new TypeError('undefined is no function')),
        undefined,
        'a defect of the gateway',
      ],
    ];
  for (const [what, deps, refused, why] of failures) {
    test(`leaves a line of its own where ${what}, and says the cause where once more would not help`, async () => {
      const { impersonation, tokenOf, audit } = started(deps);
      const grant = impersonation.open(await tokenOf(), client, signal);
      if (refused === undefined) await assert.rejects(grant);
      else {
        const outcome = await grant;
        assert.ok(outcome.kind === 'refused' && 'detail' in outcome);
        assert.equal(outcome.why, refused);
        assert.match(outcome.detail, /master identity was refused|no safe way/);
      }
      const last = audit.lines.at(-1);
      assert.deepEqual(
        [last?.event, last?.actor, last?.subject, last?.address, last?.facts?.['why']],
        ['impersonation-failed', 'sam@example.test', 'alice@example.test', '192.0.2.9', why],
      );
      assert.doesNotMatch(JSON.stringify(last), /no function/);
    });
  }

  test('leaves such a line where the webmail says no, and where the browser has gone meanwhile', async () => {
    const refusing = started(entering({ kind: 'rejected' }));
    const outcome = await refusing.impersonation.open(await refusing.tokenOf(), client, signal);
    assert.equal(outcome.kind === 'refused' && outcome.why, 'webmail');
    assert.deepEqual(refusing.audit.events().slice(-2), [
      'impersonation-opened sam@example.test alice@example.test',
      'impersonation-failed sam@example.test alice@example.test',
    ]);
    const gone = new AbortController();
    const leaving = started({
      checkMaster: async () => {
        gone.abort();
        throw webmailSays('it was not waited for', true);
      },
    });
    await assert.rejects(leaving.impersonation.open(await leaving.tokenOf(), client, gone.signal));
    assert.deepEqual(leaving.audit.lines.at(-1)?.facts, { why: 'the browser was gone' });
  });
});

function webmailSays(message: string, retryable: boolean): PosternError {
  return new PosternError('ERR_WEBMAIL_ANSWER', message, { source: 'webmail', retryable });
}

function imapSays(message: string): PosternError {
  return new PosternError('ERR_IMAP_PROTOCOL', message, { source: 'imap', retryable: false });
}

/** A webmail with this outcome of a sign-in, or this failure. */
function entering(answer: Error | { readonly kind: 'rejected' }): Partial<ImpersonationDeps> {
  return {
    placeOf: (...asked) => {
      const place = started().placeOf(...asked);
      if (place === undefined || 'closure' in place) return place;
      return { ...place, driver: { ...place.driver, signIn: () => answerOf(answer) } };
    },
  };
}

async function answerOf<T>(answer: T | Error): Promise<T> {
  if (answer instanceof Error) throw answer;
  return answer;
}
