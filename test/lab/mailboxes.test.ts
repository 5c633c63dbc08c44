import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import type { MailboxAnswer } from '../../src/core/mailboxes.ts';
import { Secret } from '../../src/core/secret.ts';
import { createImapMailboxes } from '../../src/passdb/imap-mailboxes.ts';
import { backendLimits } from '../backend-limits.ts';
import { canonicalUser } from '../login/named.ts';
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
        // Of its own: Dovecot delays what comes after refusals from one address.
        client: { address: `198.51.100.${randomInt(128, 255)}`, port: 4711, userAgent: undefined },
        reference: 'ref',
        // Dovecot takes its time to refuse, and more with each refusal.
        limits: { ...backendLimits, imapAuthMs: 30_000 },
      },
    },
    going,
  );
  return answer.kind === 'refused' ? answer.why : answer.kind;
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
});
