import type { BackendHost, BackendLimits, MasterIdentity, TestAccount } from '../core/backend.ts';
import type { CanonicalUser } from '../core/names.ts';
import { createImapMailboxes } from '../passdb/imap-mailboxes.ts';

/** Nobody's name (RFC 2606). */
const nobody = 'postern-check@invalid';

export interface TriedMaster {
  readonly host: BackendHost;
  readonly limits: BackendLimits;
  readonly master: MasterIdentity;
  readonly account: TestAccount | undefined;
}

/**
 * Whether the IMAP server of a host takes the master identity, and what is to be done where it does not. No user's
 * mailbox is opened: the test account's is, or without one nobody's, of whom a server says that there is no such user.
 * Rejects when the server could not be asked.
 */
export async function tryMaster(
  { host, limits, master, account }: TriedMaster,
  signal: AbortSignal,
): Promise<{ readonly result: 'ok' | 'warning' | 'failed'; readonly note: string }> {
  const answer = await createImapMailboxes().open(
    {
      user: asUser(account?.user ?? nobody),
      master,
      host,
      context: { client: { address: '127.0.0.1', port: 0, userAgent: undefined }, reference: 'postern-check', limits },
    },
    signal,
  );
  if (account !== undefined) {
    if (answer.kind === 'done') return { result: 'ok', note: `${master.user} is let in to ${account.user}` };
    const hint = answer.why === 'user-refused' ? ` ${account.user} is the test_account: does the server know it?` : '';
    return { result: 'failed', note: answer.text + hint };
  }
  if (answer.kind === 'done') {
    const note = `${master.user} is let in to ${nobody}, whom there is not: have the server refuse users whom it does not know`;
    return { result: 'warning', note };
  }
  if (answer.why === 'user-refused') {
    return { result: 'ok', note: `${master.user} is known; set test_account to see a mailbox opened` };
  }
  if (answer.why !== 'not-shown') return { result: 'failed', note: answer.text };
  const note = `${master.user} is known; set test_account to see whether this Cyrus shows it which mailboxes exist`;
  return { result: 'warning', note };
}

/** The operator writes the account as the canonical user that it is. */
function asUser(user: string): CanonicalUser;
function asUser(user: string): string {
  return user;
}
