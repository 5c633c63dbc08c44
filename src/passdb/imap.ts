import type { ImapFlow } from 'imapflow';
import { PosternError } from '../core/error.ts';
import type { Credentials } from '../core/identity.ts';
import type { ImapHost, Passdb, PasswordCheck, PasswordCheckContext, Referrals } from '../core/passdb.ts';
import { acceptedBy, createClient, preauthenticated, within } from './imap-connection.ts';
import { type ReferralAnswer, refersElsewhere, translateFailure } from './imap-failure.ts';

/**
 * Checks passwords by signing in to the IMAP server of the user's home host.
 *
 * The password travels over TLS only. The client's address, port and the reference go ahead of it by ID, where the
 * server announces ID (RFC 2971). `right` means that the server answered OK to our own LOGIN or AUTHENTICATE, never
 * that it greeted us as signed in. An empty password, and a user or password that no IMAP command can carry, are
 * `wrong` without asking. Each call is one connection, which is gone when the promise settles.
 */
export function createImapPassdb(): Passdb & Referrals {
  return {
    ask,
    async verify(credentials, host, context, signal) {
      const check = await ask(credentials, host, context, signal);
      if (check.kind === 'referred') throw refersElsewhere(host);
      return check;
    },
  };
}

async function ask(
  credentials: Credentials,
  host: ImapHost,
  context: PasswordCheckContext,
  signal: AbortSignal,
): Promise<PasswordCheck | ReferralAnswer> {
  if (!canTravel(credentials)) return { kind: 'wrong' };
  const { user, password } = credentials;
  const client = await createClient(host, context, { auth: { user, pass: password.reveal() }, verifyOnly: true });
  try {
    return await signIn(client, host, context.limits, signal);
  } finally {
    client.close();
  }
}

/** A control character ends the command or, in SASL PLAIN, the field (NUL, RFC 4616). */
function canTravel({ user, password }: Credentials): boolean {
  const text = password.reveal();
  return text !== '' && !/[\0\r\n]/.test(text) && !/\p{Cc}/u.test(user);
}

async function signIn(
  client: ImapFlow,
  host: ImapHost,
  limits: PasswordCheckContext['limits'],
  signal: AbortSignal,
): Promise<PasswordCheck | ReferralAnswer> {
  try {
    await within(client, host, limits, signal, () => client.connect());
  } catch (error) {
    if (error instanceof PosternError) throw error;
    return translateFailure(error, host);
  }
  if (acceptedBy(client).size > 0) return { kind: 'right' };
  throw preauthenticated(host);
}
