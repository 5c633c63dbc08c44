import { PosternError } from '../core/error.ts';
import type { ImapHost } from '../core/passdb.ts';
import { shortLine } from '../core/short-line.ts';

/**
 * Reads a rejection of imapflow: that the server could not be asked, or does not speak the protocol as it must.
 * None of them is a verdict on a password: only a tagged answer is.
 */
export function translateFailure(error: unknown, host: ImapHost): PosternError {
  if (error instanceof PosternError) return error;
  const seen = readFailure(error);
  if (isTlsProblem(seen)) {
    const message = `no trusted TLS with the IMAP server of ${host.name} (${failureSummary(seen)}); check tls_ca_file and tls_server_name`;
    return imapFailure('ERR_IMAP_PROTOCOL', message, false, error);
  }
  if (isProtocolFailure(seen)) return brokeProtocol(host, failureSummary(seen), error);
  const message = `IMAP server of ${host.name} could not be asked: ${failureSummary(seen)}`;
  return imapFailure('ERR_IMAP_UNAVAILABLE', message, true, error);
}

/** The server does what no server may; `what` is a phrase of this side. */
export function brokeProtocol(host: ImapHost, what: string, cause?: unknown): PosternError {
  return imapFailure('ERR_IMAP_PROTOCOL', `IMAP server of ${host.name} broke the protocol: ${what}`, false, cause);
}

/** The server says that it cannot judge now; `how` tells by what that was seen. */
export function saysLater(host: ImapHost, how: string): PosternError {
  return imapFailure('ERR_IMAP_UNAVAILABLE', `IMAP server of ${host.name} says later: ${how}`, true, undefined);
}

/** A home that refers the user elsewhere is none. */
export function refersElsewhere(host: ImapHost): PosternError {
  const message = `IMAP server of ${host.name} refers the user to another server: the directory names the wrong backend`;
  return imapFailure('ERR_IMAP_UNAVAILABLE', message, false, undefined);
}

/** The response code of a tagged NO, empty where it has none; undefined for whatever else went wrong. */
export function responseCodeOf(error: unknown): string | undefined {
  const { status, responseCode, code } = readFailure(error);
  return status === 'NO' && code === '' ? responseCode : undefined;
}

/** Answers that no later attempt will change: the server does not speak the protocol as it must. */
const protocolCodes: ReadonlySet<string> = new Set([
  'STARTTLS_INJECTION',
  'InvalidResponse',
  'MissingTag',
  'UnexpectedTag',
  'ResponseProcessingFailed',
  'LineTooLarge',
  'LiteralTooLarge',
  'ResponseTooLarge',
  'TooManyTokens',
  'MAX_IMAP_NESTING_REACHED',
]);

/** imapflow numbers the places in which its parser gives up. */
function isProtocolFailure({ code, status }: Seen): boolean {
  return code !== 'ETHROTTLE' && (status === 'BAD' || protocolCodes.has(code) || /^ParserError\d*$/.test(code));
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
    tls: field('tlsFailed') === true,
  };
}

/** Names and codes of this side only: a server may repeat in its text what the client sent. */
function failureSummary(seen: Seen): string {
  if (seen.status !== '' && seen.code === '') return `${seen.status} ${seen.responseCode}`.trim();
  return seen.code === '' ? shortLine(seen.message) : seen.code;
}

function imapFailure(
  code: 'ERR_IMAP_PROTOCOL' | 'ERR_IMAP_UNAVAILABLE',
  message: string,
  retryable: boolean,
  cause: unknown,
): PosternError {
  // imapflow hangs the command and the server's words on the error of an answer; a log would print them.
  const own = cause === undefined || readFailure(cause).status !== '' ? {} : { cause };
  return new PosternError(code, message, { source: 'imap', retryable, ...own });
}
