import type { Answer, RequestHead } from '../core/http.ts';
import { shortLine } from '../core/short-line.ts';

/**
 * Why a request could not be served. `unavailable`: the webmail can't be reached. `busy`: its bounded queue is full.
 * `timeout`: it took the request and did not answer in time. `bad-answer`: it broke the protocol or the connection.
 * `store`, `unknown-key`: the session can't be read now.
 */
export type FailureKind = 'unavailable' | 'busy' | 'timeout' | 'bad-answer' | 'store' | 'unknown-key';

interface Failure {
  readonly kind: FailureKind;
  /** The id under which the log has the rest. */
  readonly reference: string;
}

/** The page, or the JSON for a script, that says so: 502, 503 or 504. */
export type FailureAnswer = (head: RequestHead, failure: Failure) => Answer;

const refusedBeforeSent = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN']);
const lostConnection = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

/** The stable code of an error of undici or Node, or its name. */
export function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

/** So many heads (1xx) may announce an answer. Each of them starts the time anew in which its head is awaited. */
export const maxAnnouncements = 100;

/** For an answer that was announced more often. */
export function announcedWithoutEnd(): Error {
  const message = `the answer was announced by more than ${maxAnnouncements} heads (1xx)`;
  return Object.assign(new Error(message), { code: 'ERR_ANNOUNCED_WITHOUT_END' });
}

/** Whether nothing listens there. */
export function isRefused(error: Error | undefined): boolean {
  return error !== undefined && codeOf(error) === 'ECONNREFUSED';
}

/** `sent`: whether the request may have reached the backend. */
export function failureKindOf(error: Error, sent: boolean): FailureKind {
  const code = codeOf(error);
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') return 'timeout';
  return !sent || refusedBeforeSent.has(code) ? 'unavailable' : 'bad-answer';
}

/** Whether the connection went away under the request, as an idle one does that the backend closes just then. */
export function isLostConnection(error: Error): boolean {
  return lostConnection.has(codeOf(error));
}

/** Whether an answer came that does not follow the protocol to the letter; before its head is known, a faulty head. */
export function isFaultyHead(error: Error): boolean {
  return error.name === 'HTTPParserError' || codeOf(error) === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH';
}

/**
 * An error for the log: its code and what it says, without the bytes of an answer that it may hold; all of it where it
 * is a bug of ours.
 */
export function reasonOf(error: unknown): { readonly code?: string; readonly reason?: string; readonly err?: Error } {
  if (!(error instanceof Error)) return {};
  return 'code' in error ? { code: codeOf(error), reason: shortLine(error.message) } : { code: error.name, err: error };
}
