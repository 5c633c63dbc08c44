import type { ImapHost, PasswordCheck, ServerWords } from '../core/passdb.ts';
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
export interface Answerer {
  readonly host: ImapHost;
  /** Dovecot says a reason of its operators' only after the right password. */
  readonly isDovecot: boolean;
}

/**
 * What a tagged answer to a password says: a verdict on it, or where to ask. Throws an error of source `imap` where it
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
