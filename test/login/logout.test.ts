import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../../src/core/log.ts';
import { endReasons } from '../../src/core/session.ts';
import type { WebmailDriver } from '../../src/core/webmail.ts';
import { createLogout, createLogoutOfEnded, type Logout } from '../../src/login/logout.ts';
import { liveSession } from './live-session.fixture.ts';
import { backendA, hostA } from './login.fixture.ts';
import { canonicalUser } from './named.fixture.ts';

const as = { userAgent: 'Browser/1', publicOrigin: 'https://mail.example.org', clientAddress: '192.0.2.7' };

function createTried(signOut: WebmailDriver['signOut']): Logout {
  const driver: WebmailDriver = {
    ownsCookie: () => false,
    masterEntry: { kind: 'own-account' },
    judge: () => 'alive',
    signIn: async () => ({ kind: 'rejected' }),
    signOut,
  };
  const homeOf = (name: string) => (name === 'a' ? { backend: backendA, host: hostA, driver } : undefined);
  return createLogout({ homeOf, log: silentLog });
}

test('our own session ends first, then the webmail is told on the host of the session', async () => {
  const session = liveSession();
  const done: string[] = [];
  const logout = createTried(async (host, jar, identity) => {
    assert.equal(jar, session.jar);
    assert.deepEqual(identity, as);
    done.push(`webmail ${host.name}`);
  });
  await logout(session, as, async () => void done.push('own'));
  assert.deepEqual(done, ['own', 'webmail a']);
});

test('a webmail that fails keeps nobody signed in', async () => {
  const logout = createTried(async () => {
    throw new Error('down');
  });
  await logout(liveSession(), as, async () => {});
});

test('a webmail that hangs is left alone after two seconds', async () => {
  let given: AbortSignal | undefined;
  const logout = createTried((_host, _jar, _as, signal) => {
    given = signal;
    return new Promise(() => {});
  });
  const startedAtMs = Date.now();
  await logout(liveSession(), as, async () => {});
  assert.equal(given?.aborted, true);
  assert.ok(Date.now() - startedAtMs < 10_000);
});

for (const changes of [{ host: 'a/2' }, { host: 'gone' }]) {
  test(`a session on the host ${changes.host}, which is not configured any more, ends all the same`, async () => {
    let ended = false;
    const logout = createTried(async () => assert.fail('there is nobody to tell'));
    await logout(liveSession(changes), as, async () => void (ended = true));
    assert.equal(ended, true);
  });
}

test('a session that could not be ended is not reported as ended', async () => {
  const logout = createTried(async () => assert.fail('the session still lives'));
  await assert.rejects(
    logout(liveSession(), as, async () => {
      throw new Error('store');
    }),
    /store/,
  );
});

test('a session that was kicked is signed out of its webmail; one whose end the webmail hears of anyway is not', () => {
  const told: unknown[] = [];
  const logoutOfEnded = createLogoutOfEnded(async (session, identity) => void told.push([session.record, identity]));
  const session = liveSession();
  const { userAgent, publicOrigin, clientAddress } = session.record;
  for (const reason of endReasons) logoutOfEnded(session, reason);
  const one = [session.record, { userAgent, publicOrigin, clientAddress }];
  // From another device, by an operator, by a lock, by too many.
  assert.deepEqual(told, [one, one, one, one]);
});

test('a mailbox that staff opened is signed out of its webmail, however it ends', () => {
  const told: string[] = [];
  const logoutOfEnded = createLogoutOfEnded(async ({ record }) => void told.push(record.user));
  const { key } = liveSession();
  const impersonation = { actor: canonicalUser('sam@example.org'), staffSession: key, reason: 'x', ticket: '' };
  for (const reason of endReasons) logoutOfEnded(liveSession({ impersonation }), reason);
  assert.equal(told.length, endReasons.length);
});
