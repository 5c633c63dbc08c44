import { PosternError } from '../core/error.ts';
import type { ImapHost } from '../core/passdb.ts';
import { shortLine } from '../core/text.ts';

/**
 * Translates a rejection of imapflow: the server could not be asked, or it broke the protocol. No rejection is a
 * verdict on a password; only a tagged answer is.
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

/** The error of a server that broke the protocol. `what` is our own phrase, never the server's text. */
export function brokeProtocol(host: ImapHost, what: string, cause?: unknown): PosternError {
  return imapFailure('ERR_IMAP_PROTOCOL', `IMAP server of ${host.name} broke the protocol: ${what}`, false, cause);
}

/** The error of a server that cannot judge now. `how` names the sign by which it said so. */
export function saysLater(host: ImapHost, how: string): PosternError {
  return imapFailure('ERR_IMAP_UNAVAILABLE', `IMAP server of ${host.name} says later: ${how}`, true, undefined);
}

/** The error of a home that refers the user to another server: it cannot be the home. */
export function refersElsewhere(host: ImapHost): PosternError {
  const message = `IMAP server of ${host.name} refers the user to another server: the directory names the wrong backend`;
  return imapFailure('ERR_IMAP_UNAVAILABLE', message, false, undefined);
}

/** The response code of a tagged NO, empty if it has none; undefined for any other failure. */
export function responseCodeOf(error: unknown): string | undefined {
  const { status, responseCode, code } = readFailure(error);
  return status === 'NO' && code === '' ? responseCode : undefined;
}

/** imapflow's codes for a broken protocol, which no later attempt will change. */
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

/** Whether the server broke the protocol. imapflow numbers the places where its parser gives up. */
function isProtocolFailure({ code, status }: Seen): boolean {
  return code !== 'ETHROTTLE' && (status === 'BAD' || protocolCodes.has(code) || /^ParserError\d*$/.test(code));
}

/** Whether TLS was refused. A reset in mid-handshake is marked `tlsFailed`, too, but has a code: it is an outage. */
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
  /** The NO or BAD of the tagged answer; empty if there was none. */
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

/** The failure in names and codes only: a server's text may repeat what the client sent. */
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
  // imapflow attaches the command and the server's text to the error of an answer, and a log would print them.
  const own = cause === undefined || readFailure(cause).status !== '' ? {} : { cause };
  return new PosternError(code, message, { source: 'imap', retryable, ...own });
}
