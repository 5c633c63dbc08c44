import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { MailboxAnswer } from '../../src/core/passdb.ts';
import { Secret } from '../../src/core/secrets.ts';
import { buildDirectory } from '../../src/gateway.ts';
import { createImapMailboxes } from '../../src/passdb/imap-mailboxes.ts';
import { backendLimits } from '../backend-limits.fixture.ts';
import { gatewayWith, run } from '../cli/cli.fixture.ts';
import { filesOf } from '../config/config.fixture.ts';
import { canonicalUser } from '../login/named.fixture.ts';
import { withLab } from './lab.ts';

const lab = await withLab('a', 'd');
const ca = readFileSync(lab.caFile, 'utf8');
const gateway = { user: 'gateway', password: new Secret('gateway-pw'), separator: '*' };
const admin = { user: 'cyrus', password: new Secret('cyrus-pw'), separator: '*' };
const [dovecot, cyrus] = ['127.0.0.11', '127.0.0.14'];
const going = new AbortController().signal;

async function open(address: string, user: string, master = gateway): Promise<string> {
  const answer: MailboxAnswer = await createImapMailboxes().open(
    {
      user: canonicalUser(user),
      master,
      host: {
        name: 'a',
        imap: { hostname: address, port: lab.port(993), security: 'tls', trust: { ca } },
        webmail: { origin: `http://${address}`, landing: '/', trust: {} },
      },
      context: {
        // A separate address: Dovecot delays logins after refusals from one address.
        client: { address: `198.51.100.${randomInt(128, 255)}`, port: 4711, userAgent: undefined },
        reference: 'ref',
        // Dovecot delays each refusal, and longer each time.
        limits: { ...backendLimits, imapAuthMs: 30_000 },
      },
    },
    going,
  );
  return answer.kind === 'refused' ? answer.why : answer.kind;
}

function probe(user: string): string {
  return `test_account: { user: ${user}@example.test, password: { env: PW } }`;
}

suite('real IMAP servers and the master identity', () => {
  test('Dovecot lets a master user in to a user, and to nobody who is unknown', async () => {
    assert.equal(await open(dovecot, 'alice@example.test'), 'done');
    assert.equal(await open(dovecot, 'nobody@example.test'), 'user-refused');
  });

  test('who is no master user opens nobody', async () => {
    const mia = { user: 'mia@example.test', password: new Secret('mia-pw'), separator: '*' };
    assert.equal(await open(dovecot, 'alice@example.test', mia), 'master-refused');
  });

  test('Cyrus shows an admin which mailboxes exist: those are opened, others are not made', async () => {
    assert.equal(await open(cyrus, 'dave@example.test', admin), 'done');
    const nobody = 'nobody-ever@example.test';
    assert.equal(await open(cyrus, nobody, admin), 'not-shown');
    // A mailbox that the first attempt made would be shown to the second.
    assert.equal(await open(cyrus, nobody, admin), 'not-shown');
  });

  test('Cyrus shows one of its proxyservers nothing: where it cannot be told, nobody is let in', async () => {
    assert.equal(await open(cyrus, 'dave@example.test'), 'not-shown');
  });

  test('postern check --online tries the master of each backend, and says what is wrong', async (t) => {
    const cases: readonly (readonly [address: string, master: string, more: string, result: string, note: RegExp])[] = [
      [dovecot, 'gateway', '', 'ok', /the server knows gateway; set test_account/],
      [dovecot, 'gateway', probe('alice'), 'ok', /^gateway may open alice@example\.test$/],
      [
        dovecot,
        'gateway',
        probe('nobody'),
        'failed',
        /but not for this user\. nobody@example\.test is the test_account/,
      ],
      [dovecot, 'mia@example.test', '', 'failed', /^The mail server refuses the master identity: check its name/],
      [cyrus, 'cyrus', probe('dave'), 'ok', /^cyrus may open dave@example\.test$/],
      [cyrus, 'gateway', probe('dave'), 'failed', /make the master one of them\.$/],
      [cyrus, 'gateway', '', 'warning', /the server knows gateway; set test_account to try whether this Cyrus/],
    ];
    const backends = cases.map(
      ([address, master, more], at) => `  b${at}: { imap: imaps://${address}:${lab.port(993)}, driver: none,
    webmail: http://${address}:${lab.port(80)}/${at}, master: { user: ${master}, password: { file: ${master}.pw } }, ${more} }\n`,
    );
    const folder = filesOf(t, {
      'gateway.pw': 'gateway-pw',
      'cyrus.pw': 'cyrus-pw',
      'mia@example.test.pw': 'mia-pw',
      'postern.yaml': `public_url: https://mail.test
directory: { sources: [{ type: static, backend: b0 }], forbidden_characters: "*" }
passdb: { tls_ca_file: "${lab.caFile}" }
backend_defaults: { timeouts: { imap_auth: 30s } }
backends:
${backends.join('')}`,
    });
    const { code, out, err } = await run(
      ['check', '--online', '--format', 'json', '-c', join(folder, 'postern.yaml')],
      { loadGateway: gatewayWith({ buildDirectory }), env: { PW: 'never sent' } },
    );
    assert.equal(err, '');
    assert.equal(code, 1);
    const { servers }: { servers: { server: string; result: string; note: string }[] } = JSON.parse(out);
    const tried = servers.filter(({ server }) => server.endsWith(' master'));
    assert.deepEqual(
      tried.map(({ result }) => result),
      cases.map(([, , , result]) => result),
    );
    for (const [at, [, , , , note]] of cases.entries()) assert.match(tried[at]?.note ?? '', note);
  });
});
