import type { ImapHost, PasswordCheck, ServerWords } from '../core/passdb.ts';
import { oneLine } from '../core/short-line.ts';
import type { TaggedAnswer } from './imap-authentication.ts';
import { brokeProtocol, refersElsewhere, saysLater } from './imap-failure.ts';
import { meaningOf } from './imap-known-texts.ts';

/** What the server said instead of a verdict: ask the one of this URL. */
export interface ReferralAnswer {
  readonly kind: 'referred';
  readonly to: string;
}

/** Response codes of a tagged NO or BAD that are no verdict on the password: the server cannot say now. */
const later: ReadonlySet<string> = new Set([
  'UNAVAILABLE',
  'INUSE',
  'LIMIT',
  'SERVERBUG',
  'OVERQUOTA',
  'CORRUPTION',
  // Not registered, and said by Yahoo and Microsoft.
  'TEMPFAIL',
  'THROTTLED',
  // Of POP3 (RFC 2449, 3206), and said by servers that speak both.
  'IN-USE',
  'SYS/TEMP',
]);

/** Codes that speak of the command, never of who sent it (RFC 5530): no verdict either, and no later one is better. */
const misunderstood: ReadonlySet<string> = new Set(['CLIENTBUG', 'CANNOT', 'ALREADYEXISTS', 'EXPUNGEISSUED']);

const contactAdmin = { kind: 'contact-admin' } as const;
const refusals: Readonly<Record<string, PasswordCheck>> = {
  EXPIRED: { kind: 'expired' },
  CONTACTADMIN: contactAdmin,
  NOPERM: contactAdmin,
  PRIVACYREQUIRED: { kind: 'insecure' },
};

/** By whom an answer was given. */
interface Answerer {
  readonly host: ImapHost;
  /** Dovecot says a reason of its operators' only after the right password. */
  readonly isDovecot: boolean;
}

/**
 * Reads a tagged answer to a password: a verdict on it, or where to ask. Throws an error of source `imap` where it
 * judges nothing: what means "later", what speaks of the command, and whatever came before the password was sent. An
 * unknown code or text means that the password is wrong (RFC 3501, 6.2.3).
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
  const known = refusals[code] ?? (isDovecot && code === 'ALERT' ? contactAdmin : undefined);
  if (known?.kind === 'contact-admin' && isDovecot && words.code !== undefined && words.text !== undefined) {
    return { ...known, reason: words.text };
  }
  if (known !== undefined) return known;
  if (isWayRefused(answer)) throw brokeProtocol(host, 'it refuses the ways of sending a password that it offers');
  return { kind: 'wrong' };
}

/** Throws for "later". A server that says AUTHENTICATIONFAILED has judged, whatever its text. */
function meaningIn({ code, text }: TaggedAnswer, host: ImapHost): 'expired' | 'elsewhere' | undefined {
  if (later.has(code)) throw saysLater(host, code);
  const said = `[${code}] ${text}`.toLowerCase();
  if (host.imap.laterTexts?.some((own) => said.includes(own)) === true) throw saysLater(host, 'a text of imap_later');
  if (code === 'AUTHENTICATIONFAILED') return undefined;
  const known = meaningOf(text);
  if (known?.means === 'later') throw saysLater(host, `a text of ${known.server}`);
  return known?.means;
}

/**
 * Whether the server refused the way and not the password, so that another way is worth a try: before it had the
 * password, or in words that speak of the mechanism (Perdition announces the mechanisms of the servers behind it).
 */
export function isWayRefused({ status, code, sent, text }: TaggedAnswer): boolean {
  if (status === 'OK' || code in refusals || later.has(code) || code === 'REFERRAL') return false;
  return !sent || (status === 'NO' && noSuchMechanism.test(text) && code !== 'AUTHENTICATIONFAILED');
}

const noSuchMechanism =
  /\bmechanism\b.*\b(?:not|un)\s?(?:supported|available|known|implemented)\b|\b(?:unsupported|unknown|invalid|no)\b.*\bmechanism\b/i;

const longest = 200;
/** Characters of a password in a row that are too many for a log. */
const telling = 8;
const heldBack = '(not shown: it repeats the password)';

/**
 * A server's words for the log and the user: one line, bounded, and nothing of the password, in whatever form
 * a server may repeat it: as it is, in base64 as it was sent, in parts.
 */
export function wordsOf({ code, text }: TaggedAnswer, user: string, password: string): ServerWords {
  const plain = oneLine(text);
  const said = `${code} ${text} ${plain}`.toLowerCase();
  if (formsOf(user, password).some((form) => repeats(said, form.toLowerCase()))) return { text: heldBack };
  const bounded = plain.length > longest ? `${plain.slice(0, longest)}…` : plain;
  return { ...(code === '' ? {} : { code: oneLine(code).slice(0, 40) }), ...(bounded === '' ? {} : { text: bounded }) };
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64').replace(/=+$/, '');
}

function formsOf(user: string, password: string): readonly string[] {
  return [
    password,
    oneLine(password),
    // A server that reads bytes as Latin-1 shows them so.
    Buffer.from(password).toString('latin1'),
    password.replace(/["\\]/g, '\\$&'),
    encodeURIComponent(password),
    base64(password),
    base64(`\0${user}\0${password}`),
  ];
}

function repeats(said: string, form: string): boolean {
  if (form === '') return false;
  for (let at = 0; at === 0 || at + telling <= form.length; at += 1) {
    if (said.includes(form.slice(at, at + telling))) return true;
  }
  return false;
}
