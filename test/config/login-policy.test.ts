import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { load, problemsOf, smallest } from './config.fixture.ts';

const nonce = 'hash_nonce: { env: NONCE }';

function policy(keys: string): string {
  return smallest(`login: { policy: { ${keys} } }`);
}

describe('the policy server of the sign-in', () => {
  test('has the defaults of Dovecot', async (t) => {
    const text = policy(`url: "http://127.0.0.1:8084/", ${nonce}`);
    const config = await load(t, { 'postern.yaml': text }, { env: { NONCE: 'n' } });
    const { hashNonce, ...rest } = config.login.policy ?? {};
    assert.equal(hashNonce?.reveal(), 'n');
    assert.deepEqual(rest, {
      url: 'http://127.0.0.1:8084/',
      hashMech: 'sha256',
      hashTruncate: 12,
      timeoutMs: 2_000,
      maxDelayMs: 5_000,
      whenUnavailable: 'allow',
    });
  });

  test('is none unless it is configured', async (t) => {
    assert.equal((await load(t, { 'postern.yaml': smallest() })).login.policy, undefined);
  });

  const keys: readonly (readonly [given: string, name: string, value: string])[] = [
    ['a-key', 'X-API-Key', 'a-key'],
    ['Authorization: Basic d2ZvcmNlOnNlY3JldA==', 'Authorization', 'Basic d2ZvcmNlOnNlY3JldA=='],
    ['X-Token:a:b', 'X-Token', 'a:b'],
  ];
  for (const [given, name, value] of keys) {
    test(`gets the key ${given} as Dovecot sends it`, async (t) => {
      const text = policy(`url: "http://127.0.0.1:8084/", ${nonce}, api_key: { file: key }`);
      const config = await load(t, { 'postern.yaml': text, key: `${given}\n` }, { env: { NONCE: 'n' } });
      const { apiKey } = config.login.policy ?? {};
      assert.deepEqual([apiKey?.name, apiKey?.value.reveal()], [name, value]);
    });
  }

  const refused: readonly (readonly [keys: string, problem: RegExp])[] = [
    [`url: "ftp://policy.test/", ${nonce}`, /is not the URL of a policy server/],
    [`url: "policy.test", ${nonce}`, /is not the URL of a policy server/],
    [`url: "http://wforce:hunter2@policy.test/", ${nonce}`, /put them into api_key/],
    [`url: "http://policy.test/?site=a", ${nonce}`, /has a query that does not end with &/],
    ['url: "http://policy.test/"', /hash_nonce/],
    ['url: "http://policy.test/", hash_nonce: hunter2', /must come from a file or the environment/],
    [`url: "http://policy.test/", ${nonce}, api_key: { env: BROKEN }`, /no HTTP header may have/],
    [`url: "http://policy.test/", ${nonce}, api_key: { env: NAMELESS }`, /has no header name before its colon/],
    [`url: "http://policy.test/", ${nonce}, max_delay: 10 min`, /max_delay/],
    [`url: "http://policy.test/", ${nonce}, when_unavailable: deny`, /allow/],
  ];
  for (const [given, problem] of refused) {
    test(`is refused: ${given}`, async (t) => {
      const env = { NONCE: 'n', BROKEN: 'hunter2-ß', NAMELESS: 'a b: hunter2' };
      const problems = await problemsOf(t, { 'postern.yaml': policy(given) }, { env });
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems.join('\n'), problem);
      assert.doesNotMatch(problems.join('\n'), /hunter2/);
    });
  }
});
