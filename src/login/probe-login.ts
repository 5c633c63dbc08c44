import type { BackendHost, TestAccount } from '../core/backend.ts';
import type { Client } from '../core/identity.ts';
import { canonicalUser } from '../core/names.ts';
import type { Passdb } from '../core/passdb.ts';
import type { Home } from './authentication.ts';

interface TestSignInDeps {
  readonly passdb: Passdb;
  readonly publicOrigin: () => string;
  readonly newReference: () => string;
}

/** A host with the test account that is tried there. */
export interface TestedHost {
  readonly home: Home;
  readonly host: BackendHost;
  readonly account: TestAccount;
}

/** The client of the probe: the gateway itself. */
const client: Client = { address: '127.0.0.1', port: 0, userAgent: 'Mozilla/5.0 (postern test account)' };

/**
 * Signs the test account in to one host as a user, by password and webmail, and out again. `refused`: the mail server
 * or the webmail refuses the account. Rejects with source `imap` or `webmail` if that server could not be asked.
 */
export function createProbeLogin({ passdb, publicOrigin, newReference }: TestSignInDeps) {
  return async ({ home, host, account }: TestedHost, signal: AbortSignal): Promise<'signed-in' | 'refused'> => {
    const user = canonicalUser(account.user);
    const { password } = account;
    const context = { client, reference: newReference(), limits: home.backend.limits };
    const check = await passdb.verify({ user, password }, host, context, signal);
    if (check.kind !== 'right') return 'refused';
    const origin = publicOrigin();
    const as = { user, password, client, timeZone: undefined, publicOrigin: origin };
    const entered = await home.driver.signIn(host, as, signal);
    if (entered.kind === 'rejected') return 'refused';
    const leaving = { userAgent: client.userAgent ?? '', publicOrigin: origin, clientAddress: client.address };
    await home.driver.signOut(host, entered.jar, leaving, signal);
    return 'signed-in';
  };
}
