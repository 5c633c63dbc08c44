import type { ImapFlow } from 'imapflow';
import type { Credentials } from '../core/identity.ts';
import { nameForServer } from '../core/names.ts';
import type { ImapHost, Passdb, PasswordCheck, PasswordCheckContext, Referrals } from '../core/passdb.ts';
import { authenticateBy, type Exchange, type TaggedAnswer } from './imap-authentication.ts';
import { createClient, isServer, within } from './imap-connection.ts';
import { brokeProtocol, refersElsewhere, translateFailure } from './imap-failure.ts';
import { isWayRefused, type ReferralAnswer, verdictOf, wordsOf } from './imap-verdict.ts';

/**
 * Checks passwords by signing in to the IMAP server of the user's home host.
 *
 * The password travels over TLS only. The client's address, port and the reference go ahead of it by ID, where the
 * server announces ID (RFC 2971). `right` means a tagged OK to our own LOGIN or AUTHENTICATE, never anything else that
 * a server says. An empty password, and a user or password that no IMAP command can carry, are `wrong` without asking.
 * Each call is one connection, which is gone when the promise settles.
 */
export function createImapPassdb(): Passdb & Referrals {
  return {
    ask: async (...asked) => (await hear(...asked)).verdict,
    async verify(credentials, host, context, signal) {
      const { verdict, answer } = await hear(credentials, host, context, signal);
      return verdict.kind === 'referred' ? atHome(answer, host) : verdict;
    },
  };
}

/** A home may let the user in and name another server all the same (RFC 2221); one that only does the latter is none. */
function atHome(answer: TaggedAnswer | undefined, host: ImapHost): PasswordCheck {
  if (answer?.status === 'OK' && host.imap.okReferral !== 'refuse') return { kind: 'right' };
  throw refersElsewhere(host);
}

type Heard = { readonly verdict: PasswordCheck | ReferralAnswer; readonly answer?: TaggedAnswer };

/** The verdict, and the answer that it was read from, where the server had to be asked. */
async function hear(
  { user, password }: Credentials,
  host: ImapHost,
  context: PasswordCheckContext,
  signal: AbortSignal,
): Promise<Heard> {
  const credentials = { user: nameForServer(user, host.imap.loginName), password };
  if (!canTravel(credentials)) return { verdict: { kind: 'wrong' } };
  const { answer, isDovecot } = await answerTo(credentials, host, context, signal);
  const words = wordsOf(answer, credentials.user, password.reveal());
  if (answer.status !== 'OK' || answer.code === 'REFERRAL') context.heard?.(words);
  return { verdict: verdictOf(answer, words, { host, isDovecot }), answer };
}

async function answerTo(
  credentials: Credentials,
  host: ImapHost,
  context: PasswordCheckContext,
  signal: AbortSignal,
): Promise<{ readonly answer: TaggedAnswer; readonly isDovecot: boolean }> {
  const client = await createClient(host, context, { verifyOnly: true });
  const said: { answer?: TaggedAnswer } = {};
  authenticateBy(
    client,
    host,
    async (exchange) => (said.answer = await tryPassword(client, exchange, credentials, host)),
  );
  try {
    await within(client, host, context.limits, signal, () => client.connect());
  } catch (error) {
    const { answer } = said;
    if (answer === undefined || (answer.status === 'OK' && isUndone(error))) throw translateFailure(error, host);
  } finally {
    client.close();
  }
  const { answer } = said;
  if (answer === undefined) throw brokeProtocol(host, 'it was asked nothing');
  return { answer, isDovecot: isServer(client, 'dovecot') };
}

/** A control character ends the command or, in SASL PLAIN, the field (NUL, RFC 4616). */
function canTravel({ user, password }: Credentials): boolean {
  const text = password.reveal();
  return text !== '' && !/[\0\r\n]/.test(text) && !/\p{Cc}/u.test(user);
}

/**
 * By AUTHENTICATE where it is offered; refused as a way, it is followed by one LOGIN, if the server takes that. A
 * password that was judged is never sent twice: the server counts its refusals, too.
 */
async function tryPassword(
  { capabilities }: ImapFlow,
  exchange: Exchange,
  { user, password }: Credentials,
  host: ImapHost,
): Promise<TaggedAnswer> {
  const [way, other] = waysTo(capabilities, user);
  if (way === undefined) throw brokeProtocol(host, 'it offers no way to send a password (LOGINDISABLED)');
  const answer = await exchange[way](user, password.reveal(), '');
  return other === 'login' && isWayRefused(answer) ? exchange.login(user, password.reveal()) : answer;
}

function waysTo(offered: ImapFlow['capabilities'], user: string): readonly (keyof Exchange)[] {
  const ways: (keyof Exchange)[] = [];
  if (offered.has('AUTH=PLAIN')) ways.push('plain');
  else if (offered.has('AUTH=LOGIN')) ways.push('saslLogin');
  if (!offered.has('LOGINDISABLED')) ways.push('login');
  // Exchange takes names such as DOMAIN\user/mailbox by LOGIN only.
  return /[\\/]/.test(user) ? ways.toReversed() : ways;
}

/** Exchange says OK, and BAD to what follows, where the user has no such mailbox; imapflow tells it by this mark. */
function isUndone(error: unknown): boolean {
  return error instanceof Error && Reflect.get(error, 'authenticationFailed') === true;
}
