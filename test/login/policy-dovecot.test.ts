import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { alice, greta } from '../../demo/people.ts';
import { eventually } from '../eventually.fixture.ts';
import { startRunning } from '../gateway/running.fixture.ts';
import { openLines } from '../integrations/imap-session.fixture.ts';
import { release } from '../programs.ts';
import {
  type PolicyPeer,
  type PolicyQuestion,
  saysStatus,
  type SharedPolicy,
  startPolicedDovecot,
  startPolicyPeer,
} from './policy-peer.fixture.ts';

/** Dovecot 2.4 writes its settings in another way. */
const skip = release === undefined ? false : 'asks Dovecot 2.3';

const ways: readonly Omit<SharedPolicy, 'url'>[] = [
  { apiKey: 'a-key-of-the-policy-server', nonce: 'a shared nonce', mech: 'sha256', truncate: 12 },
  { apiKey: 'Authorization: Basic d2ZvcmNlOnNlY3JldA==', nonce: 'größer', mech: 'sha512', truncate: 0 },
  { apiKey: 'X-Other: a:b', nonce: 'n', mech: 'sha1', truncate: 16 },
  { apiKey: 'k', nonce: 'n', mech: 'md5', truncate: 29 },
];

/** The questions of one sign-in; the attributes that must differ are compared apart. */
function comparable({ method, url, headers, body }: PolicyQuestion) {
  const { device_id: device, protocol, ...attributes } = JSON.parse(body);
  const { authorization, 'content-type': type, 'x-api-key': key, 'x-other': other } = headers;
  const order = [...body.matchAll(/"(\w+)":/g)].map(([, name]) => name);
  assert.equal(typeof device, 'string');
  const alike = body.replace(/^\{"device_id":"[^"]*",/, '{').replace(`"protocol":"${protocol}",`, '');
  return { method, url, authorization, type, key, other, order, attributes, alike };
}

/** Signs in at the gateway and then at Dovecot, and returns what each of the two asked and reported. */
async function bothWays(
  peer: PolicyPeer,
  of: { signIn: () => Promise<unknown>; port: number; user: string; password: string },
) {
  const take = async (): Promise<PolicyQuestion[]> => {
    await eventually(() => peer.asked.length === 2);
    return peer.asked.splice(0);
  };
  await of.signIn();
  const web = await take();
  // The gateway tells mail servers its reference as x-session-id.
  const { session_id: session, protocol } = JSON.parse(web[0]?.body ?? '{}');
  assert.equal(protocol, 'http');
  using lines = await openLines(of.port);
  await lines.ask(`a ID ("x-originating-ip" "127.0.0.1" "x-session-id" "${session}")`);
  await lines.next();
  const bytes = Buffer.from(of.password);
  await lines.ask(`b LOGIN ${of.user} {${bytes.length}+}\r\n${of.password}`);
  const mail = await take();
  assert.equal(JSON.parse(mail[0]?.body ?? '{}').protocol, 'imap');
  return { web: web.map(comparable), mail: mail.map(comparable) };
}

describe('the policy server', { skip }, () => {
  for (const way of ways) {
    it(`gets from the gateway, byte for byte, what a Dovecot sends: ${way.mech}, ${way.truncate} bits`, async () => {
      await using peer = await startPolicyPeer();
      const policy = { ...way, url: way.truncate === 16 ? `${peer.url}?site=one&` : peer.url };
      const users = { [alice.address]: alice.password, [greta.address]: greta.password };
      await using dovecot = await startPolicedDovecot(users, policy);
      await using site = await startRunning(
        (yaml) =>
          yaml.replace(
            'login:\n',
            `login:
  refusal_after: 0s
  policy:
    url: "${policy.url}"
    api_key: { file: key }
    hash_nonce: { file: nonce }
    hash_mech: ${way.mech}
    hash_truncate: ${way.truncate}
`,
          ),
        { files: { key: way.apiKey, nonce: way.nonce } },
      );
      const cases = [
        { user: alice.address, password: alice.password, status: 0, success: true, rejected: false },
        { user: greta.address, password: greta.password, status: 0, success: true, rejected: false },
        { user: alice.address, password: 'wröng "and\\ more', status: 0, success: false, rejected: false },
        { user: 'nobody@example.test', password: 'any', status: 0, success: false, rejected: false },
        { user: greta.address, password: greta.password, status: -1, success: false, rejected: true },
      ];
      for (const { user, password, status, success, rejected } of cases) {
        peer.answer = saysStatus(status);
        const signIn = () => site.signIn(user, password);
        const { web, mail } = await bothWays(peer, { signIn, port: dovecot.port, user, password });
        assert.deepEqual(web, mail);
        const [allow, report] = web;
        assert.match(allow?.url ?? '', /[?&]command=allow$/);
        assert.match(report?.url ?? '', /[?&]command=report$/);
        assert.deepEqual([report?.attributes.success, report?.attributes.policy_reject], [success, rejected]);
      }
    });
  }
});
