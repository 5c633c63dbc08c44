import type { Answer, FailureKind, RequestHead } from '../core/http.ts';
import type { EndReason } from '../core/session.ts';
import { shortLine } from '../core/text.ts';
import type { WebmailDriver } from '../core/webmail.ts';
import { signInChallenge } from './basic-upstream-request.ts';
import { redirectAnswer } from './reply.ts';
import { destinationOf, isServiceWorkerScript } from './request-head.ts';

interface Failure {
  readonly kind: FailureKind;
  /** The id of the log entry with the details. */
  readonly reference: string;
}

/** The page for a person, or the JSON for a script, that reports the failure: 502, 503 or 504. */
export type FailureAnswer = (head: RequestHead, failure: Failure) => Answer;

const refusedBeforeSent = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN']);
const lostConnection = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

/** The stable code of an error of undici or Node; its name if it has none. */
export function errorCodeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

/** Maximum number of informational heads (1xx) before an answer. Each one restarts the timeout for the next head. */
export const maxInformationalHeads = 100;

/** The error for an answer with more informational heads. */
export function tooManyInformationalHeads(): Error {
  const message = `the answer was announced by more than ${maxInformationalHeads} heads (1xx)`;
  return Object.assign(new Error(message), { code: 'ERR_ANNOUNCED_WITHOUT_END' });
}

/** Whether the host refused the connection. */
export function isRefused(error: Error | undefined): boolean {
  return error !== undefined && errorCodeOf(error) === 'ECONNREFUSED';
}

/** The kind of failure that an error is. `sent`: whether the request may have reached the backend. */
export function failureKindOf(error: Error, sent: boolean): FailureKind {
  const code = errorCodeOf(error);
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') return 'timeout';
  return !sent || refusedBeforeSent.has(code) ? 'unavailable' : 'bad-answer';
}

/** Whether the connection was lost under the request, as when the backend closes an idle one at that moment. */
export function isLostConnection(error: Error): boolean {
  return lostConnection.has(errorCodeOf(error));
}

/** Whether the answer violates the protocol. If its head is not known yet, the head is faulty. */
export function isFaultyHead(error: Error): boolean {
  return error.name === 'HTTPParserError' || errorCodeOf(error) === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH';
}

/**
 * The fields of an error for the log: its code and message, without bytes of an answer. An error without a code is a
 * bug of ours, and is logged whole.
 */
export function loggedReason(error: unknown): {
  readonly code?: string;
  readonly reason?: string;
  readonly err?: Error;
} {
  if (!(error instanceof Error)) return {};
  return 'code' in error
    ? { code: errorCodeOf(error), reason: shortLine(error.message) }
    : { code: error.name, err: error };
}

/**
 * Maximum length of a target that is carried through the sign-in page. After a longer one the user lands on the start
 * page.
 */
const maxNext = 2000;

interface NoSessionAnswerDeps {
  /** All configured drivers: without a session nobody knows whose script asks. */
  readonly drivers: () => Iterable<WebmailDriver>;
  /**
   * A small page that our own origin may frame. It says that nothing was sent or saved, and to sign in in a new tab.
   */
  readonly framePage: (head: RequestHead) => Answer;
  /** The 401 for targets of Basic clients; undefined for all other targets. */
  readonly challenge: (target: string) => Answer | undefined;
}

/** The answer to a request without a session. `reason`: why the session ended, if there was one. */
export type NoSessionAnswer = (head: RequestHead, publicOrigin: string, reason?: EndReason) => Answer;

/**
 * Creates the answers to requests without a session.
 *
 * A page request is redirected to the sign-in page and back. A webmail's own script or frame gets what its own server
 * would answer, so that it keeps drafts. A Basic client is asked for credentials. Other frames and forms get a small
 * page, and everything else gets 401. A script is never redirected: it would take the sign-in page for its answer. Each
 * 401 has a challenge.
 */
export function createNoSessionAnswer(deps: NoSessionAnswerDeps): NoSessionAnswer {
  const answerOf: NoSessionAnswer = (head, publicOrigin, reason) => {
    const challenge = deps.challenge(head.target);
    if (challenge !== undefined) return challenge;
    if (isServiceWorkerScript(head)) return retiringWorker;
    const { destination, certain } = destinationOf(head);
    const reads = head.method === 'GET' || head.method === 'HEAD';
    const isPage = destination === 'page' && reads;
    const loginPath = loginPathOf(isPage ? head.target : undefined, reason);
    if (isPage && certain) return redirectAnswer(303, publicOrigin + loginPath);
    for (const driver of deps.drivers()) {
      const answer = driver.lostAnswer?.(head, loginPathOf(undefined, reason));
      if (answer !== undefined) return answer;
    }
    if (isPage) return redirectAnswer(303, publicOrigin + loginPath);
    return destination === 'other' ? signInRequired : deps.framePage(head);
  };
  return (head, publicOrigin, reason) => {
    const answer = answerOf(head, publicOrigin, reason);
    const isChallenged = answer.headers.some(([name]) => name.toLowerCase() === 'www-authenticate');
    return answer.status !== 401 || isChallenged
      ? answer
      : { ...answer, headers: [...answer.headers, signInChallenge] };
  };
}

/**
 * A service worker that unregisters itself, sent in place of any other. A script from a mail must not control the
 * sign-in page. A worker that a webmail installed before there was a gateway is replaced by this one when the browser
 * next checks for an update, as it does after a page load.
 */
export const retiringWorker: Answer = {
  status: 200,
  headers: [
    ['Content-Type', 'text/javascript; charset=utf-8'],
    ['Cache-Control', 'no-store'],
    ['X-Content-Type-Options', 'nosniff'],
  ],
  body: `self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.registration.unregister()));
`,
};

const signInRequired: Answer = {
  status: 401,
  headers: [
    ['Content-Type', 'application/json'],
    ['Cache-Control', 'no-store'],
    ['X-Content-Type-Options', 'nosniff'],
  ],
  body: '{"error":"sign-in-required","login":"/-/login"}\n',
};

function loginPathOf(target: string | undefined, reason: EndReason | undefined): string {
  const query: string[] = [];
  if (target !== undefined && target !== '/' && target.length <= maxNext)
    query.push(`next=${encodeURIComponent(target)}`);
  if (reason !== undefined) query.push(`ended=${reason}`);
  return query.length === 0 ? '/-/login' : `/-/login?${query.join('&')}`;
}
