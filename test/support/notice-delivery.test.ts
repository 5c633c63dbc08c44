import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { PosternError } from '../../src/core/error.ts';
import type { NoticePolicy } from '../../src/core/identity.ts';
import { silentLog } from '../../src/core/log.ts';
import { createNoticeDelivery, createNotices, type Notice } from '../../src/support/notices.ts';
import { auditForTests, user } from './staff.fixture.ts';

const alice = user('alice@example.test');
const notice: Notice = { actor: user('sam@example.test'), reason: 'lost her folders', minutes: 15, atMs: 1_000 };
const host = {
  name: 'a',
  imap: { hostname: '127.0.0.1', port: 1, security: 'tls', trust: {} },
  webmail: { origin: 'http://127.0.0.1:1', landing: '/', trust: {} },
} as const;

function withPolicy(policy: NoticePolicy, append: () => Promise<void> = async () => {}) {
  const table = new Map<string, readonly Notice[]>();
  const notices = createNotices({
    get: (key) => table.get(key),
    async change(key, make) {
      const after = make(table.get(key));
      if (after === undefined) return 'refused';
      table.set(key, after);
      return 'written';
    },
  });
  const audit = auditForTests();
  return {
    audit,
    telling: createNoticeDelivery({
      refresh: async () => {},
      policy,
      notices,
      appendMessage: append,
      audit,
      log: silentLog,
    }),
  };
}

suite('a user whose mailbox was opened', () => {
  test('is told at the next sign-in where no message could be delivered', async () => {
    const refused = new PosternError('ERR_NO_MASTER_ENTRY', 'over quota', { source: 'imap', retryable: false });
    const { telling, audit } = withPolicy('message', () => Promise.reject(refused));
    await telling.tell(alice, notice, host);
    assert.deepEqual(telling.pending(alice), [notice]);
    assert.deepEqual(audit.lines, []);
    await telling.read(alice, notice.atMs);
    assert.deepEqual(telling.pending(alice), []);
    assert.deepEqual(audit.lines, [
      { event: 'subject-told', actor: 'sam@example.test', subject: 'alice@example.test', facts: { by: 'page' } },
    ]);
  });

  test('has read what was shown, and not what came since', async () => {
    const { telling } = withPolicy('at-sign-in');
    const later = { ...notice, atMs: 2_000 };
    await telling.tell(alice, notice, host);
    await telling.tell(alice, later, host);
    await telling.read(alice, notice.atMs);
    assert.deepEqual(telling.pending(alice), [later]);
  });

  test('is told while the audit log cannot be written: that it was opened stands there already', async () => {
    const { telling, audit } = withPolicy('at-sign-in');
    await telling.tell(alice, notice, host);
    audit.full = true;
    await telling.read(alice, notice.atMs);
    assert.deepEqual(telling.pending(alice), []);
  });

  test('is told nothing where the operator says so', async () => {
    const { telling } = withPolicy('never', () => assert.fail('no message'));
    await telling.tell(alice, notice, host);
    assert.deepEqual(telling.pending(alice), []);
  });
});
