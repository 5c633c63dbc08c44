import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import type { Referrer } from '../../../src/core/directory.ts';
import { PosternError } from '../../../src/core/error.ts';
import type { Directory } from '../../../src/directory/directory.ts';
import { readReferral } from '../../../src/directory/chain.ts';
import { checkSource } from '../../../src/directory/registry.ts';
import { canonicalUser, loginName, outcomeOf, recordingLog, testDirectory } from '../directory.fixture.ts';
import { sourceContract } from '../source-contract.fixture.ts';

const settings = { type: 'referral', server: 'imaps://mail.example.test' };

sourceContract('referral', async () => ({ settings, async [Symbol.asyncDispose]() {} }), {
  hasNoPeer: true,
  everybody: () => ['referred: imaps://mail.example.test'],
});

async function referrerOf(directory: Directory, user = 'alice'): Promise<Referrer> {
  const found = await directory.lookup(loginName(user), AbortSignal.timeout(5000));
  assert.ok(found.kind === 'referred');
  return found.server;
}

function homeOf(referrer: Referrer, referral: string | undefined): string {
  try {
    return referrer.homeOf(referral);
  } catch (error) {
    if (error instanceof PosternError) return error.code;
    throw error;
  }
}

describe('a server that refers users to their homes', () => {
  const referrals: readonly (readonly [referral: string | undefined, home: string])[] = [
    ['imap://mail-b.example.test', 'b'],
    ['imap://mail-b.example.test/', 'b'],
    ['IMAP://MAIL-B.example.test:143/', 'b'],
    ['imaps://alice@mail-b.example.test:993/', 'b'],
    ['imap://alice;AUTH=*@mail-b.example.test/', 'b'],
    ['imap://Alice%40example.test;AUTH=PLAIN@mail-b.example.test/', 'b'],
    ['imap://alice@example.test;AUTH=PLAIN@mail-b.example.test/', 'b'],
    ['imap://;AUTH=*@b/', 'b'],
    ['imap://[2001:db8::b]/', 'b'],
    // It took the password, and is no backend.
    [undefined, 'ERR_DIRECTORY_ANSWER'],
    ['imap://evil.test/', 'ERR_DIRECTORY_ANSWER'],
    ['imap://192.0.2.1/', 'ERR_DIRECTORY_ANSWER'],
    ['imap://alice@mail-b.example.test@evil.test/', 'ERR_DIRECTORY_ANSWER'],
    ['imap://evil.test@mail-b.example.test/', 'ERR_DIRECTORY_ANSWER'],
    ['imap://mail-b.example.test;AUTH=*@evil.test/', 'ERR_DIRECTORY_ANSWER'],
    ['imap://bob;AUTH=*@mail-b.example.test/', 'ERR_DIRECTORY_ANSWER'],
    ['imap://alice*master@mail-b.example.test/', 'ERR_DIRECTORY_ANSWER'],
    ['imap://alice%0d%0a@mail-b.example.test/', 'ERR_DIRECTORY_ANSWER'],
    ['imap://alice%@mail-b.example.test/', 'ERR_DIRECTORY_ANSWER'],
    ['imap://mail-b.example.test/INBOX', 'ERR_DIRECTORY_ANSWER'],
    ['imap://mail-b.example.test\\@evil.test/', 'ERR_DIRECTORY_ANSWER'],
    ['imap://mail-b.example.test#@evil.test/', 'ERR_DIRECTORY_ANSWER'],
    ['imap://mail-b.example.test/\r\nA1 OK', 'ERR_DIRECTORY_ANSWER'],
    ['imap://mail-b.example.test imap://evil.test/', 'ERR_DIRECTORY_ANSWER'],
    ['http://mail-b.example.test/', 'ERR_DIRECTORY_ANSWER'],
    ['mail-b.example.test', 'ERR_DIRECTORY_ANSWER'],
    ['imap:///', 'ERR_DIRECTORY_ANSWER'],
    ['', 'ERR_DIRECTORY_ANSWER'],
    [`imap://${'a'.repeat(300_000)}/`, 'ERR_DIRECTORY_ANSWER'],
  ];
  for (const [referral, home] of referrals) {
    test(`${JSON.stringify(referral)?.slice(0, 80)} leads to ${home}${home === 'b' ? '' : ', with an alarm'}`, async () => {
      const log = recordingLog();
      await using directory = await testDirectory([settings], { hosts: { '2001:db8::b': 'b' }, log });
      assert.equal(homeOf(await referrerOf(directory), referral), home);
      assert.equal(log.lines.filter((line) => line.startsWith('error')).length, home === 'b' ? 0 : 1);
    });
  }

  test('is itself the home if it accepts the password and is a backend', async () => {
    await using directory = await testDirectory([{ ...settings, server: 'imap://mail-a.example.test' }]);
    assert.equal(homeOf(await referrerOf(directory), undefined), 'a');
  });

  test('is asked over TLS, at the usual port', async () => {
    const endpoints: readonly (readonly [server: string, endpoint: string])[] = [
      ['imaps://mail.example.test', 'mail.example.test 993 tls'],
      ['imap://mail.example.test/', 'mail.example.test 143 starttls'],
      ['imaps://[2001:db8::1]:1993', '2001:db8::1 1993 tls'],
    ];
    for (const [server, endpoint] of endpoints) {
      await using directory = await testDirectory([{ ...settings, server }]);
      const { imap } = await referrerOf(directory);
      assert.equal(`${imap.hostname} ${imap.port} ${imap.security}`, endpoint);
    }
  });

  test('is not asked again for a user whose home it has said, until that is forgotten', async () => {
    await using directory = await testDirectory([settings], { cache: {} });
    (await referrerOf(directory)).learn((await referrerOf(directory)).homeOf('imap://b/'));
    assert.equal(await outcomeOf(directory, 'ALICE'), 'b alice@example.test');
    await referrerOf(directory, 'bob');
    directory.drop(canonicalUser('alice@example.test'));
    await referrerOf(directory);
  });

  test('is asked for users whom no earlier source knows', async () => {
    await using directory = await testDirectory([{ type: 'static', backend: 'a', domains: 'other.test' }, settings]);
    assert.equal(await outcomeOf(directory, 'carol@other.test'), 'a carol@other.test');
    assert.equal(await outcomeOf(directory, 'carol'), 'referred: imaps://mail.example.test');
  });

  test('is checked before it is opened', async () => {
    const remedy = 'write imaps://HOST (TLS from the first byte) or imap://HOST (STARTTLS, required)';
    for (const [server, why] of [
      ['mail.example.test', '"mail.example.test" is not an IMAP URL'],
      ['imap://user@mail.example.test', 'the URL contains a user or password'],
      ['imaps://a:0', '"imaps://a:0" names no valid host'],
      ['imaps://a:99999', '"imaps://a:99999" names no valid host'],
      ['imaps://a/x', '"imaps://a/x" has a path, but IMAP has none'],
    ]) {
      const problems = await checkSource({ ...settings, server });
      assert.deepEqual(
        problems.map(({ path, message }) => `${path.join('.')}: ${message}`),
        [`server: ${why}: ${remedy}`],
        server,
      );
    }
  });
});

test('the host of a referral is one name or address, whatever the referral contains', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.webUrl({ validSchemes: ['imap'] })), (text) => {
      for (const url of [text, `imap://${text}`, `imap://alice@${text}/`]) {
        const host = readReferral(url)?.host;
        assert.ok(host === undefined || /^[0-9A-Za-z.:_-]+$/.test(host), url);
      }
    }),
  );
});
