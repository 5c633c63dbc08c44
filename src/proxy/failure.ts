import type { Answer, FailureKind, RequestHead } from '../core/http.ts';
import type { EndReason } from '../core/session.ts';
import { shortLine } from '../core/short-line.ts';
import type { WebmailDriver } from '../core/webmail.ts';
import { signInChallenge } from './basic-upstream-request.ts';
import { redirectAnswer } from './reply.ts';
import { destinationOf, isServiceWorkerScript } from './request-head.ts';

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
export function errorCodeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

/** The most informational heads (1xx) before an answer. Each restarts the wait for the next head. */
export const maxInformationalHeads = 100;

/** For an answer that was announced more often. */
export function tooManyInformationalHeads(): Error {
  const message = `the answer was announced by more than ${maxInformationalHeads} heads (1xx)`;
  return Object.assign(new Error(message), { code: 'ERR_ANNOUNCED_WITHOUT_END' });
}

/** Whether nothing listens there. */
export function isRefused(error: Error | undefined): boolean {
  return error !== undefined && errorCodeOf(error) === 'ECONNREFUSED';
}

/** `sent`: whether the request may have reached the backend. */
export function failureKindOf(error: Error, sent: boolean): FailureKind {
  const code = errorCodeOf(error);
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') return 'timeout';
  return !sent || refusedBeforeSent.has(code) ? 'unavailable' : 'bad-answer';
}

/** Whether the connection went away under the request, as an idle one does that the backend closes just then. */
export function isLostConnection(error: Error): boolean {
  return lostConnection.has(errorCodeOf(error));
}

/** Whether an answer came that does not follow the protocol to the letter; before its head is known, a faulty head. */
export function isFaultyHead(error: Error): boolean {
  return error.name === 'HTTPParserError' || errorCodeOf(error) === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH';
}

/**
 * An error for the log: its code and what it says, without the bytes of an answer that it may hold; all of it where it
 * is a bug of ours.
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

/** Longer targets are not carried through the sign-in page: the user lands on the start page. */
const maxNext = 2000;

interface NoSessionAnswerDeps {
  /** Every driver that is configured: without a session nobody knows whose script is asking. */
  readonly drivers: () => Iterable<WebmailDriver>;
  /** A small page that our own origin may frame: nothing was sent or saved, sign in in a new tab, then repeat. */
  readonly framePage: (head: RequestHead) => Answer;
  /** For targets where clients give name and password with each request: 401 with the realm. */
  readonly challenge: (target: string) => Answer | undefined;
}

/** The answer to a request without a session. `reason`: why the session ended, where there was one. */
export type NoSessionAnswer = (head: RequestHead, publicOrigin: string, reason?: EndReason) => Answer;

/**
 * A page request is led to the sign-in page and back. A webmail's own script or frame gets what its own server would
 * answer, so that it keeps drafts. A client that authenticates on every request is asked to. Other frames and forms get
 * a small page, anything else 401; never a redirect, which a script would follow and take the sign-in page for its
 * answer. Each 401 has its challenge.
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
 * In the place of any service worker: it does nothing, and goes. A script from a mail must not become one over the
 * sign-in page; and one that a webmail left in a browser before there was a gateway is replaced when the browser looks
 * whether its script is newer, as it does after a page was opened.
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
