import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import type { BackendHost } from '../../src/core/backend.ts';
import { PosternError } from '../../src/core/error.ts';
import type { CanonicalUser } from '../../src/core/names.ts';
import type { PasswordCheck } from '../../src/core/passdb.ts';
import { Secret } from '../../src/core/secrets.ts';
import { createImapPassdb } from '../../src/passdb/imap.ts';
import { backendLimits } from '../backend-limits.fixture.ts';
import { labUsers, withLab } from './lab.ts';

const lab = await withLab('a', 'b');
const ca = readFileSync(lab.caFile, 'utf8');

interface Ask {
  readonly user: string;
  readonly password: string;
  readonly address?: string;
  readonly security?: 'tls' | 'starttls';
  readonly reference?: string;
  readonly from?: string;
}

async function verify({
  user,
  password,
  address = '127.0.0.11',
  security = 'tls',
  ...ask
}: Ask): Promise<PasswordCheck> {
  assert.ok(isUser(user));
  const host: BackendHost = {
    name: 'a',
    imap: { hostname: address, port: lab.port(security === 'tls' ? 993 : 143), security, trust: { ca } },
    webmail: { origin: 'http://127.0.0.11', landing: '/', trust: {} },
  };
  const client = { address: ask.from ?? '203.0.113.77', port: 4711, userAgent: undefined };
  const context = { client, reference: ask.reference ?? 'ref', limits: backendLimits };
  return createImapPassdb().verify(
    { user, password: new Secret(password) },
    host,
    context,
    new AbortController().signal,
  );
}

function isUser(_text: string): _text is CanonicalUser {
  return true;
}

suite('the passdb before a real Dovecot', { concurrency: false }, () => {
  for (const { user, password, backend } of labUsers.filter(({ backend }) => backend === 'a' || backend === 'b')) {
    const address = backend === 'a' ? '127.0.0.11' : '127.0.0.12';
    for (const security of ['tls', 'starttls'] as const) {
      test(`takes the password of ${user} on ${backend} (${security})`, async () => {
        assert.deepEqual(await verify({ user, password, address, security }), { kind: 'right' });
      });
    }
  }

  test('refuses a wrong password and an unknown user alike', async () => {
    const from = '198.51.100.9';
    assert.deepEqual(await verify({ user: 'alice@example.test', password: 'wrong', from }), { kind: 'wrong' });
    assert.deepEqual(await verify({ user: 'nobody@example.test', password: 'wrong', from }), { kind: 'wrong' });
  });

  test('a password is not trimmed', async () => {
    const from = '198.51.101.9';
    assert.deepEqual(await verify({ user: 'alice@example.test', password: 'alice-pw ', from }), { kind: 'wrong' });
  });

  test("Dovecot's log names the client's address and the reference", async () => {
    const reference = `ref-${randomUUID().slice(0, 8)}`;
    await verify({ user: 'alice@example.test', password: 'alice-pw', reference, from: '203.0.113.42' });
    const log = readFileSync(`${lab.dataFolder}/a/log/dovecot.log`, 'utf8');
    const line =
      log.split('\n').find((each) => /Login:|Logged in:/.test(each) && each.includes(`session=<${reference}>`)) ?? '';
    assert.match(line, /user=<alice@example\.test>.* rip=203\.0\.113\.42, .*TLS/);
  });

  test('a server that is down is an outage, not a wrong password', async () => {
    await lab.down('b');
    try {
      const outcome = await verify({ user: 'bob@example.test', password: 'bob-pw', address: '127.0.0.12' }).catch(
        (error: unknown) => error,
      );
      assert.ok(outcome instanceof PosternError);
      assert.deepEqual([outcome.code, outcome.source, outcome.retryable], ['ERR_IMAP_UNAVAILABLE', 'imap', true]);
    } finally {
      await lab.up('b');
    }
  });
});
