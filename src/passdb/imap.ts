import type { ImapFlow } from 'imapflow';
import type { Credentials } from '../core/identity.ts';
import { nameForServer } from '../core/names.ts';
import type { ImapHost, Passdb, PasswordCheck, PasswordCheckContext, Referrals, ServerWords } from '../core/passdb.ts';
import { oneLine } from '../core/text.ts';
import {
  type AuthCommands,
  authenticateBy,
  createClient,
  isServer,
  type TaggedAnswer,
  withinLimits,
} from './imap-client.ts';
import { brokeProtocol, refersElsewhere, saysLater, translateFailure } from './imap-failure.ts';
import { meaningOf } from './imap-known-texts.ts';

/**
 * Checks passwords by signing in to the IMAP server of the user's home host.
 *
 * The password travels over TLS only. The client's address, its port and the reference go ahead of it by ID, if the
 * server announces ID (RFC 2971). `right` means a tagged OK to our own LOGIN or AUTHENTICATE, and no other answer. An
 * empty password, and a user or password that no IMAP command can carry, are `wrong` without asking. Each call uses one
 * connection, which is closed when the promise settles.
 */
export function createImapPassdb(): Passdb & Referrals {
  return {
    ask: async (...asked) => (await checkedAnswer(...asked)).verdict,
    async verify(credentials, host, context, signal) {
      const { verdict, answer } = await checkedAnswer(credentials, host, context, signal);
      return verdict.kind === 'referred' ? atHome(answer, host) : verdict;
    },
  };
}

/** The verdict of a home that names another server. It may let the user in as well (RFC 2221), or is not a home. */
function atHome(answer: TaggedAnswer | undefined, host: ImapHost): PasswordCheck {
  if (answer?.status === 'OK' && host.imap.okReferral !== 'refuse') return { kind: 'right' };
  throw refersElsewhere(host);
}

type CheckedAnswer = { readonly verdict: PasswordCheck | ReferralAnswer; readonly answer?: TaggedAnswer };

/** The verdict, and the answer behind it if the server had to be asked. */
async function checkedAnswer(
  { user, password }: Credentials,
  host: ImapHost,
  context: PasswordCheckContext,
  signal: AbortSignal,
): Promise<CheckedAnswer> {
  const credentials = { user: nameForServer(user, host.imap.loginName), password };
  if (!canTravel(credentials)) return { verdict: { kind: 'wrong' } };
  const { answer, isDovecot } = await answerTo(credentials, host, context, signal);
  const words = serverWords(answer, credentials.user, password.reveal());
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
    await withinLimits(client, host, context.limits, signal, () => client.connect());
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

/** Whether IMAP can carry these. A control character ends the command or, in SASL PLAIN, the field (NUL, RFC 4616). */
function canTravel({ user, password }: Credentials): boolean {
  const text = password.reveal();
  return text !== '' && !/[\0\r\n]/.test(text) && !/\p{Cc}/u.test(user);
}

/**
 * Sends the password by AUTHENTICATE if that is offered. If the server refuses the mechanism, one LOGIN follows if the
 * server takes it. A password that was judged is never sent twice, because the server counts refusals, too.
 */
async function tryPassword(
  { capabilities }: ImapFlow,
  exchange: AuthCommands,
  { user, password }: Credentials,
  host: ImapHost,
): Promise<TaggedAnswer> {
  const [way, other] = waysTo(capabilities, user);
  if (way === undefined) throw brokeProtocol(host, 'it offers no way to send a password (LOGINDISABLED)');
  const answer = await exchange[way](user, password.reveal(), '');
  return other === 'login' && isWayRefused(answer) ? exchange.login(user, password.reveal()) : answer;
}

function waysTo(offered: ImapFlow['capabilities'], user: string): readonly (keyof AuthCommands)[] {
  const ways: (keyof AuthCommands)[] = [];
  if (offered.has('AUTH=PLAIN')) ways.push('plain');
  else if (offered.has('AUTH=LOGIN')) ways.push('saslLogin');
  if (!offered.has('LOGINDISABLED')) ways.push('login');
  // Exchange takes names such as DOMAIN\user/mailbox by LOGIN only.
  return /[\\/]/.test(user) ? ways.toReversed() : ways;
}

/** Whether imapflow saw the sign-in fail after an OK: Exchange says OK, then BAD, for a user without such a mailbox. */
function isUndone(error: unknown): boolean {
  return error instanceof Error && Reflect.get(error, 'authenticationFailed') === true;
}

/** A referral instead of a verdict: ask the server of this URL. */
interface ReferralAnswer {
  readonly kind: 'referred';
  readonly to: string;
}

/** Response codes of a tagged NO or BAD by which the server says that it cannot judge now. */
const laterCodes: ReadonlySet<string> = new Set([
  'UNAVAILABLE',
  'INUSE',
  'LIMIT',
  'SERVERBUG',
  'OVERQUOTA',
  'CORRUPTION',
  // Unregistered codes of Yahoo and Microsoft.
  'TEMPFAIL',
  'THROTTLED',
  // POP3 codes (RFC 2449, 3206), which servers that speak both protocols send.
  'IN-USE',
  'SYS/TEMP',
]);

/** Codes that judge the command, never the password (RFC 5530); a later attempt gets the same answer. */
const misunderstood: ReadonlySet<string> = new Set(['CLIENTBUG', 'CANNOT', 'ALREADYEXISTS', 'EXPUNGEISSUED']);

const contactAdmin = { kind: 'contact-admin' } as const;
const verdictByCode: Readonly<Record<string, PasswordCheck>> = {
  EXPIRED: { kind: 'expired' },
  CONTACTADMIN: contactAdmin,
  NOPERM: contactAdmin,
  PRIVACYREQUIRED: { kind: 'insecure' },
};

/** The server that gave an answer. */
interface Answerer {
  readonly host: ImapHost;
  /** Dovecot gives a reason of its operators only after the right password. */
  readonly isDovecot: boolean;
}

/**
 * Reads a tagged answer to a password: a verdict on it, or a referral. Throws an error of source `imap` for an answer
 * that judges nothing: one that means "later", one that judges the command, one that came before the password was sent.
 * An unknown code or text means that the password is wrong (RFC 3501, 6.2.3).
 */
export function verdictOf(
  answer: TaggedAnswer,
  words: ServerWords,
  { host, isDovecot }: Answerer,
): PasswordCheck | ReferralAnswer {
  const { status, code, argument } = answer;
  if (code === 'REFERRAL' && status !== 'BAD') return { kind: 'referred', to: argument };
  if (status === 'OK') return { kind: 'right' };
  const meaning = meaningIn(answer, host);
  if (meaning === 'elsewhere') throw refersElsewhere(host);
  if (meaning === 'expired') return { kind: 'expired' };
  if (status === 'BAD' || misunderstood.has(code)) throw brokeProtocol(host, `${status} ${code}`.trim());
  const known = verdictByCode[code] ?? (isDovecot && code === 'ALERT' ? contactAdmin : undefined);
  if (known?.kind === 'contact-admin' && isDovecot && words.code !== undefined && words.text !== undefined) {
    return { ...known, reason: words.text };
  }
  if (known !== undefined) return known;
  if (isWayRefused(answer)) throw brokeProtocol(host, 'it refuses the ways of sending a password that it offers');
  return { kind: 'wrong' };
}

/** The meaning of a known text; throws for "later". AUTHENTICATIONFAILED is a verdict, whatever the text says. */
function meaningIn({ code, text }: TaggedAnswer, host: ImapHost): 'expired' | 'elsewhere' | undefined {
  if (laterCodes.has(code)) throw saysLater(host, code);
  const said = `[${code}] ${text}`.toLowerCase();
  if (host.imap.laterTexts?.some((own) => said.includes(own)) === true) throw saysLater(host, 'a text of imap_later');
  if (code === 'AUTHENTICATIONFAILED') return undefined;
  const known = meaningOf(text);
  if (known?.means === 'later') throw saysLater(host, `a text of ${known.server}`);
  return known?.means;
}

/**
 * Whether the server refused the mechanism and not the password, so that another one is worth a try. It did so before
 * it had the password, or its text names the mechanism (Perdition announces the mechanisms of the servers behind it).
 */
export function isWayRefused({ status, code, sent, text }: TaggedAnswer): boolean {
  if (status === 'OK' || code in verdictByCode || laterCodes.has(code) || code === 'REFERRAL') return false;
  return !sent || (status === 'NO' && noSuchMechanism.test(text) && code !== 'AUTHENTICATIONFAILED');
}

const noSuchMechanism =
  /\bmechanism\b.*\b(?:not|un)\s?(?:supported|available|known|implemented)\b|\b(?:unsupported|unknown|invalid|no)\b.*\bmechanism\b/i;

const maxShownText = 200;
/** The number of consecutive characters of a password that is too many for a log. */
const revealingLength = 8;
const heldBack = '(not shown: it repeats the password)';

/**
 * A server's words for the log and the user: one line, bounded, and without the password in any form in which a server
 * may repeat it: as it is, in base64 as it was sent, in parts.
 */
function serverWords({ code, text }: TaggedAnswer, user: string, password: string): ServerWords {
  const plain = oneLine(text);
  const said = `${code} ${text} ${plain}`.toLowerCase();
  if (formsOf(user, password).some((form) => repeats(said, form.toLowerCase()))) return { text: heldBack };
  const bounded = plain.length > maxShownText ? `${plain.slice(0, maxShownText)}…` : plain;
  return { ...(code === '' ? {} : { code: oneLine(code).slice(0, 40) }), ...(bounded === '' ? {} : { text: bounded }) };
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64').replace(/=+$/, '');
}

function formsOf(user: string, password: string): readonly string[] {
  return [
    password,
    oneLine(password),
    // A server that reads the bytes as Latin-1 repeats the password in this form.
    Buffer.from(password).toString('latin1'),
    password.replace(/["\\]/g, '\\$&'),
    encodeURIComponent(password),
    base64(password),
    base64(`\0${user}\0${password}`),
  ];
}

function repeats(said: string, form: string): boolean {
  if (form === '') return false;
  for (let at = 0; at === 0 || at + revealingLength <= form.length; at += 1) {
    if (said.includes(form.slice(at, at + revealingLength))) return true;
  }
  return false;
}
