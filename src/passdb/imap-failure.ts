import { PosternError } from '../core/error.ts';
import type { ImapHost, PasswordCheck } from '../core/passdb.ts';

/** Response codes of a tagged NO (RFC 5530) that are no verdict on the password: the server cannot say now. */
const later: ReadonlySet<string> = new Set(['UNAVAILABLE', 'INUSE', 'LIMIT', 'SERVERBUG']);

/** What the server said instead of a verdict: ask the one of this URL. */
export interface ReferralAnswer {
  readonly kind: 'referred';
  readonly to: string;
}

const refusals: Readonly<Record<string, PasswordCheck>> = {
  EXPIRED: { kind: 'expired' },
  CONTACTADMIN: { kind: 'contact-admin' },
  PRIVACYREQUIRED: { kind: 'insecure' },
};

/**
 * What a rejection of imapflow says: a verdict on the password, or an error of source `imap`, which is thrown.
 *
 * imapflow marks a refused password, a dropped connection and a BAD alike as `authenticationFailed`. Only a tagged NO
 * is an answer, and its response code decides: a code that means "later" is a failure, an unknown one or none means
 * that the password is wrong (RFC 3501, 6.2.3).
 */
export function translateFailure(error: unknown, host: ImapHost): PasswordCheck | ReferralAnswer {
  const seen = readFailure(error);
  if (seen.authenticationFailed && seen.status === 'NO') return refusal(seen, host, error);
  if (isTlsProblem(seen)) {
    const message = `no trusted TLS with the IMAP server of ${host.name} (${describe(seen)}); check tls_ca_file and tls_server_name`;
    throw failure('ERR_IMAP_PROTOCOL', message, false, error);
  }
  if (seen.status === 'BAD' || protocolCodes.has(seen.code) || isNoSafeWay(seen)) {
    throw failure(
      'ERR_IMAP_PROTOCOL',
      `IMAP server of ${host.name} broke the protocol: ${describe(seen)}`,
      false,
      error,
    );
  }
  throw failure(
    'ERR_IMAP_UNAVAILABLE',
    `IMAP server of ${host.name} could not be asked: ${describe(seen)}`,
    true,
    error,
  );
}

function refusal(
  { responseCode: code, response }: Seen,
  host: ImapHost,
  error: unknown,
): PasswordCheck | ReferralAnswer {
  if (later.has(code)) {
    throw failure('ERR_IMAP_UNAVAILABLE', `IMAP server of ${host.name} says later: ${code}`, true, error);
  }
  if (code === 'REFERRAL') return { kind: 'referred', to: readReferralUrl(response) };
  return refusals[code] ?? { kind: 'wrong' };
}

/** The response code of a tagged NO, empty where it has none; nothing for whatever else went wrong. */
export function responseCodeOf(error: unknown): string | undefined {
  const { status, responseCode } = readFailure(error);
  return status === 'NO' ? responseCode : undefined;
}

/** A home that refers the user elsewhere is none. */
export function refersElsewhere(host: ImapHost): PosternError {
  const message = `IMAP server of ${host.name} refers the user to another server: the directory names the wrong backend`;
  return failure('ERR_IMAP_UNAVAILABLE', message, false, undefined);
}

/** Of `2 NO [REFERRAL "imap://…"] text`, as imapflow writes it down; empty where there is none. */
function readReferralUrl(response: string): string {
  const [, quoted, plain] = /^\S+ NO \[REFERRAL (?:"([^"\\\s]+)"|([^"\\\s\]]+))\]/i.exec(response) ?? [];
  return quoted ?? plain ?? '';
}

/** Answers that no later attempt will change: the server does not speak the protocol as it must. */
const protocolCodes: ReadonlySet<string> = new Set([
  'STARTTLS_INJECTION',
  'InvalidResponse',
  'UnexpectedTag',
  'ResponseProcessingFailed',
  'LineTooLarge',
  'LiteralTooLarge',
  'ResponseTooLarge',
  'ParserError',
  'MAX_IMAP_NESTING_REACHED',
]);

/** LOGINDISABLED, or no mechanism that carries a password: imapflow gives up before it sends one. */
function isNoSafeWay(seen: Seen): boolean {
  return (
    seen.code === '' &&
    seen.status === '' &&
    (seen.authenticationFailed || /authentication mechanism/.test(seen.message))
  );
}

/** A reset in mid-handshake is marked `tlsFailed` as well, but it is an outage; what names no code is a refusal. */
function isTlsProblem({ tls, code }: Seen): boolean {
  return (
    (tls && code === '') ||
    /^(ERR_TLS_|ERR_SSL_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(?:GET|VERIFY)_|HOSTNAME_MISMATCH|INVALID_CA)/.test(
      code,
    )
  );
}

interface Seen {
  readonly code: string;
  readonly message: string;
  /** NO or BAD of the tagged answer, or empty. */
  readonly status: string;
  readonly responseCode: string;
  /** The whole tagged answer. */
  readonly response: string;
  readonly authenticationFailed: boolean;
  readonly tls: boolean;
}

function readFailure(error: unknown): Seen {
  const field = (name: string): unknown =>
    typeof error === 'object' && error !== null ? Reflect.get(error, name) : undefined;
  const text = (name: string): string => {
    const value = field(name);
    return typeof value === 'string' ? value : '';
  };
  return {
    code: text('code'),
    message: text('message'),
    status: text('responseStatus'),
    responseCode: text('serverResponseCode').toUpperCase(),
    response: text('response'),
    authenticationFailed: field('authenticationFailed') === true,
    tls: field('tlsFailed') === true,
  };
}

/** Names and codes of this side only: a server may repeat in its text what the client sent. */
function describe(seen: Seen): string {
  if (seen.status !== '') return `${seen.status} ${seen.responseCode}`.trim();
  return seen.code === '' ? seen.message : seen.code;
}

function failure(
  code: 'ERR_IMAP_PROTOCOL' | 'ERR_IMAP_UNAVAILABLE',
  message: string,
  retryable: boolean,
  cause: unknown,
): PosternError {
  // imapflow hangs the command and the server's words on the error of a tagged answer; a log would print them.
  const own = readFailure(cause).status === '' ? { cause } : {};
  return new PosternError(code, message, { source: 'imap', retryable, ...own });
}
