import assert from 'node:assert/strict';
import { suite, test, type TestContext } from 'node:test';
import { silentLog } from '../../src/core/log.ts';
import type { Attachment, EndReason, LiveSession, SessionLookup } from '../../src/core/session.ts';
import { createMailboxExpiry, type OpenedMailbox } from '../../src/support/mailbox-expiry.ts';
import { eventually } from '../eventually.fixture.ts';
import { liveSession } from '../login/live-session.fixture.ts';
import { auditForTests, staffChecksForTests, session, user } from './staff.fixture.ts';

const mailbox: OpenedMailbox = {
  actor: user('sam@example.test'),
  staffSession: session('sam'),
  subject: user('alice@example.test'),
  reason: 'cannot send since Monday',
  ticket: 'T-1',
  sinceMs: 0,
  untilMs: 300_000,
};

/** A node with the opened mailbox of alice, and a table that other nodes may share. */
function node(t: TestContext, table = new Map<string, OpenedMailbox>()) {
  const staffChecks = staffChecksForTests({ 'sam@example.test': { roles: ['support'], domains: ['example.test'] } });
  const audit = auditForTests();
  const clock = { ms: 0, elapsedMs: 0, nowMs: () => clock.ms };
  const ended = new Map<string, EndReason | 'unknown'>();
  const mailboxExpiry = createMailboxExpiry({
    staffChecks,
    isNeverOpened: (name) => staffChecks.excluded.has(name),
    opened: {
      all: () => table,
      set: async (key, value) => void table.set(key, value),
      async take(key) {
        const before = table.get(key);
        table.delete(key);
        return before;
      },
    },
    links: { sweep: () => Promise.resolve() },
    endOf: async (key) => ended.get(key),
    end: async (key, reason) => void ended.set(key, reason),
    audit,
    clock,
    elapsedMs: () => clock.elapsedMs,
    log: silentLog,
    vouchEveryMs: 5,
  });
  t.after(() => mailboxExpiry[Symbol.asyncDispose]());
  return { mailboxExpiry, staffChecks, audit, clock, ended, table };
}

/** The session of an opened mailbox in a node's cache. */
function assisted(name = 'assist'): LiveSession & { readonly ends: EndReason[] } {
  const attachments: Attachment[] = [];
  const ends: EndReason[] = [];
  const { actor, subject, reason, ticket } = mailbox;
  return {
    ...liveSession({
      user: subject,
      createdAtMs: 0,
      absoluteEndMs: mailbox.untilMs,
      impersonation: { actor, staffSession: session('sam'), reason, ticket },
    }),
    key: session(name),
    ends,
    attach: (attachment) => {
      attachments.push(attachment);
      return () => {};
    },
    async end(why) {
      ends.push(why);
      for (const attachment of attachments) attachment.end(why);
    },
  };
}

const found = (of: LiveSession): SessionLookup => ({ kind: 'found', session: of, rest: '' });

suite('an opened mailbox', () => {
  test('is let through once its staff session and role were vouched for, and then at once', async (t) => {
    const { mailboxExpiry, staffChecks } = node(t);
    const of = assisted();
    assert.equal((await mailboxExpiry.guard(found(of))).kind, 'found');
    assert.ok(!(mailboxExpiry.guard(found(of)) instanceof Promise));
    await eventually(() => staffChecks.worked.length > 0);
    assert.equal(
      (await mailboxExpiry.guard(found(liveSession()))).kind,
      'found',
      'others need nobody to vouch for them',
    );
  });

  for (const [what, change] of [
    [
      'the staff session',
      (staffChecks: ReturnType<typeof staffChecksForTests>) => staffChecks.ended.add(session('sam')),
    ],
    ['the role', (staffChecks) => staffChecks.grants.clear()],
    ['support among the roles', (staffChecks) => staffChecks.grants.set('sam@example.test', { roles: ['auditor'] })],
    [
      'what kept the user from being staff',
      (staffChecks) => staffChecks.grants.set('alice@example.test', { roles: ['auditor'] }),
    ],
    ['the operator’s leave', (staffChecks) => staffChecks.excluded.add('alice@example.test')],
    [
      'the domain',
      (staffChecks) => staffChecks.grants.set('sam@example.test', { roles: ['support'], domains: ['other.test'] }),
    ],
  ] satisfies [string, (staffChecks: ReturnType<typeof staffChecksForTests>) => unknown][]) {
    test(`ends by itself with ${what}, and the audit says so once`, async (t) => {
      const { mailboxExpiry, staffChecks, audit, table } = node(t);
      const of = assisted();
      await mailboxExpiry.opened(of.key, mailbox);
      await mailboxExpiry.guard(found(of));
      change(staffChecks);
      await eventually(() => audit.lines.length > 0);
      assert.deepEqual(of.ends, ['kicked']);
      assert.deepEqual(audit.events(), ['impersonation-ended sam@example.test alice@example.test']);
      assert.equal(table.size, 0);
    });

    test(`is not let through where ${what} was gone before`, async (t) => {
      const { mailboxExpiry, staffChecks } = node(t);
      change(staffChecks);
      const of = assisted();
      assert.equal((await mailboxExpiry.guard(found(of))).kind, 'ended');
      assert.deepEqual(of.ends, ['kicked']);
    });
  }

  test('that its staff member closes is on no list and in the audit when that is done, whoever holds it', async (t) => {
    const { mailboxExpiry, audit, table, ended } = node(t);
    await mailboxExpiry.opened(session('elsewhere'), mailbox);
    await mailboxExpiry.stop(session('elsewhere'));
    assert.equal(ended.get(session('elsewhere')), 'signed-out');
    assert.deepEqual([table.size, mailboxExpiry.of('sam@example.test').length], [0, 0]);
    assert.deepEqual(audit.events(), ['impersonation-stop sam@example.test alice@example.test']);
    const full = node(t);
    full.audit.full = true;
    await full.mailboxExpiry.opened(session('elsewhere'), mailbox);
    await full.mailboxExpiry.stop(session('elsewhere'));
    assert.equal(full.table.size, 0, 'it ends whether the audit can be written or not');
  });

  for (const [what, atMs, event] of [
    ['whose time was over', 300_001, 'impersonation-expired'],
    ['whose time was not over', 60_000, 'impersonation-ended'],
  ] as const) {
    test(`that the store has forgotten, ${what}, is no mailbox that somebody closed`, async (t) => {
      const { mailboxExpiry, audit, clock, ended, table } = node(t);
      await mailboxExpiry.opened(session('lost'), mailbox);
      ended.set(session('lost'), 'unknown');
      clock.ms = atMs;
      await eventually(() => audit.lines.length > 0);
      assert.deepEqual(audit.events(), [`${event} sam@example.test alice@example.test`]);
      assert.equal(table.size, 0);
    });
  }

  test('ends when its time is over, whatever was done to the clock', async (t) => {
    const { mailboxExpiry, staffChecks, audit, clock } = node(t);
    const [early, late] = [assisted('early'), assisted('late')];
    await mailboxExpiry.opened(early.key, mailbox);
    await mailboxExpiry.guard(found(early));
    clock.ms = -60 * 60_000;
    await mailboxExpiry.guard(found(late));
    clock.elapsedMs = 299_999;
    const { length } = staffChecks.worked;
    await eventually(() => staffChecks.worked.length > length + 2);
    assert.deepEqual([early.ends, late.ends], [[], []]);
    clock.elapsedMs = 300_000;
    await eventually(() => audit.lines.length > 0);
    assert.deepEqual([early.ends, late.ends], [['absolute'], ['absolute']]);
    assert.deepEqual(audit.events(), ['impersonation-expired sam@example.test alice@example.test']);
  });

  for (const [why, event] of [
    ['signed-out', 'impersonation-stop'],
    ['absolute', 'impersonation-expired'],
    ['kicked', 'impersonation-ended'],
  ] as const) {
    test(`that ends as ${why} is an ${event} in the audit`, async (t) => {
      const { mailboxExpiry, audit } = node(t);
      const of = assisted();
      await mailboxExpiry.opened(of.key, mailbox);
      await mailboxExpiry.guard(found(of));
      await of.end(why);
      await eventually(() => audit.lines.length > 0);
      assert.deepEqual(audit.lines[0], {
        event,
        actor: 'sam@example.test',
        subject: 'alice@example.test',
        facts: { reason: mailbox.reason, ticket: mailbox.ticket, ended: why },
      });
    });
  }

  test('of a node that has gone is noted by another one, once its time is over', async (t) => {
    const { mailboxExpiry, audit, clock } = node(t, new Map([[session('lost'), mailbox]]));
    clock.ms = 299_000;
    assert.equal(mailboxExpiry.of('sam@example.test').length, 1);
    clock.ms = 316_000;
    await eventually(() => audit.lines.length > 0);
    assert.equal(audit.events()[0], 'impersonation-expired sam@example.test alice@example.test');
    assert.equal(mailboxExpiry.of('sam@example.test').length, 0);
  });

  test('to which no browser has come ends with the staff session, too', async (t) => {
    const { mailboxExpiry, audit, clock, staffChecks, ended } = node(t, new Map([[session('unseen'), mailbox]]));
    clock.ms = 16_000;
    await eventually(() => staffChecks.asked > 0);
    assert.equal(mailboxExpiry.of('sam@example.test').length, 1);
    staffChecks.ended.add(session('sam'));
    clock.ms = 32_000;
    await eventually(() => audit.lines.length > 0);
    assert.equal(ended.get(session('unseen')), 'kicked');
    assert.equal(audit.events()[0], 'impersonation-ended sam@example.test alice@example.test');
  });

  test('stays open while nobody can be asked, and none is let through that was not vouched for', async (t) => {
    const { mailboxExpiry, staffChecks } = node(t);
    const of = assisted();
    await mailboxExpiry.guard(found(of));
    staffChecks.away = true;
    const worked = staffChecks.worked.length;
    assert.equal((await mailboxExpiry.guard(found(assisted('other')))).kind, 'unavailable');
    staffChecks.away = false;
    await eventually(() => staffChecks.worked.length > worked);
    assert.deepEqual(of.ends, []);
  });
});
