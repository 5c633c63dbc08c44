import { pathOf } from '../../core/cookie-jar.ts';
import type { RequestHead, UpstreamResponseHead } from '../../core/http.ts';
import { parseJson } from '../../core/json.ts';
import type { PageToken, RequestIdentity, Verdict } from '../../core/webmail.ts';
import type { Browser } from '../browser.ts';
import type { RequestFields } from '../driver-settings.ts';

/*
 * Roundcube answers a lost session with status 200 and no field that says so. What its body says must be read so that
 * nothing a mail holds can say it as well: only what Roundcube itself writes outside of any string counts.
 *  - Page: the first `rcmail.set_env({"task":` stands in the head, before any content; a title has no raw quotes.
 *  - Frame: the first script; its arguments are JSON without `<` and without line breaks, so no mail begins a line.
 *  - JSON: the last statement of `exec`; the same holds for its arguments.
 *  - Attachments shown inline are cleaned of scripts, and a page's mark stands in a script.
 */

const lostPage = 'rcmail.set_env({"task":';
const lostStatement = /(?:^|\n)this\.session_error\("(?:[^"\\]|\\.)*"\);\n?$/;
const frameScript = /^\s*if \(window\.parent && parent\.rcmail\) \{\n/;
const frameStatement = /^\tparent\.rcmail\.session_error\("/m;

/**
 * The action that sends a file as it is, with the type that its sender gave it: its body can hold anything. What
 * Roundcube adds to it, and never to its sign-in page, tells it apart.
 */
const rawFileAction = 'display-attachment';
const rawFileFields = ['content-security-policy', 'x-dns-prefetch-control', 'referrer-policy'];

/** The verdict that the heads allow; `look-inside` where only the body can tell. */
export function judgeHeads(request: RequestHead, response: UpstreamResponseHead): Verdict | 'look-inside' {
  const query = roundcubeQuery(request.target);
  // The sign-in form itself: its answers begin with the removal of the old cookie.
  if (query.task === 'login') return 'alive';
  if (removesSession(response.setCookies)) return query.task === 'logout' ? 'signed-out' : 'lost';
  // A letter from a page that is too old is refused with 200 by Roundcube 1.6, and with 403 by 1.7.
  const isAnswer = response.status === 200 || (response.status === 403 && sendsMessage(request));
  if (!isAnswer || response.header('content-disposition') !== undefined) return 'alive';
  if (!/^(?:text\/html|application\/json)\b/i.test(response.header('content-type') ?? '')) return 'alive';
  if (query.action === rawFileAction && rawFileFields.some((name) => response.header(name) !== undefined))
    return 'alive';
  return 'look-inside';
}

/**
 * Roundcube removes its second cookie, whatever it is named, by this value; a renewal in the same answer comes later.
 */
function removesSession(setCookies: readonly string[]): boolean {
  const last = new Map<string, string>();
  for (const line of setCookies) {
    const [name = '', value = ''] = (line.split(';', 1)[0] ?? '').split('=', 2);
    last.set(name.trim(), value.trim());
  }
  return [...last.values()].includes('-del-');
}

/** The verdict that the first bytes of a body allow. */
export function judgeText(text: string, complete: boolean): Verdict {
  const body = text.trimStart();
  if (body.startsWith('{')) return complete && isLostJson(body) ? 'lost' : 'alive';
  return isLostPage(body) || (complete && isLostFrame(body)) ? 'lost' : 'alive';
}

/**
 * Whether a form of a page was refused, with a whole page of Roundcube's ("REQUEST CHECK FAILED") in the place of the
 * few lines of script that its frame gets else. No mail has a part in the head of either.
 */
export function isRefusedForm(html: string): boolean {
  return html.includes('\nvar rcmail = new rcube_webmail();\n');
}

function isLostPage(html: string): boolean {
  const at = html.indexOf(lostPage);
  if (at === -1 || !html.startsWith('"login"', at + lostPage.length)) return false;
  return html.lastIndexOf('<script', at) > html.lastIndexOf('</script', at);
}

function isLostFrame(html: string): boolean {
  const script = /<script>([^<]*)<\/script>/.exec(html)?.[1] ?? '';
  return frameScript.test(script) && frameStatement.test(script);
}

function isLostJson(text: string): boolean {
  const answer = parseJson(text);
  if (typeof answer !== 'object' || answer === null || !('exec' in answer)) return false;
  return typeof answer.exec === 'string' && lostStatement.test(answer.exec);
}

/** What the query of a request target says to Roundcube. The task is empty on the plain path: the mailbox. */
export interface RoundcubeQuery {
  readonly task: string;
  readonly action: string;
  has(name: string): boolean;
  get(name: string): string;
}

/**
 * Reads a query as PHP does: the last of a name counts, leading spaces of a name are dropped, and a dot or space in it
 * stands for an underscore. Otherwise a link in a mail could be one action for us and another for Roundcube.
 */
export function roundcubeQuery(target: string): RoundcubeQuery {
  const path = pathOf(target);
  const values = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(target.slice(path.length))) {
    values.set(name.replace(/^ +/, '').replace(/[ .]/g, '_'), value);
  }
  const get = (name: string): string => values.get(name) ?? '';
  return { task: get('_task'), action: get('_action'), has: (name) => values.has(name), get };
}

/**
 * A request of Roundcube's own script, which wants JSON. `_remote=1` stands in the query or, for a POST, in the body.
 */
export function isScriptRequest(request: RequestHead, query: RoundcubeQuery): boolean {
  return request.header('x-roundcube-request') !== undefined || isSet(query.get('_remote'));
}

/** A request for one of Roundcube's frames: the preview, a settings page, or the hidden one that sends a message. */
export function isFrameRequest(request: RequestHead, query: RoundcubeQuery): boolean {
  return isSet(query.get('_framed')) || (request.method === 'POST' && query.task === 'mail' && query.action === 'send');
}

/** The page in the browser, from the Referer of this origin, which Roundcube's own Referrer-Policy lets through. */
export function askingPage(request: RequestHead): string | undefined {
  const referer = request.header('referer') ?? '';
  if (!URL.canParse(referer)) return undefined;
  const { host, pathname, search } = new URL(referer);
  return host === request.header('host') && !pathname.startsWith('//') ? pathname + search : undefined;
}

/** Whether a page is the one on which a message is written. */
export function isWriting(page: string | undefined): boolean {
  return page !== undefined && roundcubeQuery(page).action === 'compose';
}

/**
 * Whether such a page sends or saves its message. Its token is in the body, and its message in its own session only.
 */
export function sendsMessage(request: RequestHead): boolean {
  return (
    request.method === 'POST' &&
    request.header('x-roundcube-request') === undefined &&
    isFrameRequest(request, roundcubeQuery(request.target)) &&
    isWriting(askingPage(request))
  );
}

/** PHP's `!empty()`. */
function isSet(value: string): boolean {
  return value !== '' && value !== '0';
}

const tokenName = 'roundcube_request_token';

/** Keeps the token against forged requests of a fresh Roundcube session, from where its sign-in leads. */
export function keepToken(browser: Browser, landing: string): void {
  const token = roundcubeQuery(landing).get('_token');
  if (/^[A-Za-z0-9]+$/.test(token)) browser.keep(tokenName, token);
}

/**
 * The current token in the place of the one that a script has. A page stays open over a silent sign-in, and Roundcube
 * would refuse its next click.
 *
 * Only where the browser's own request has the field, which another site cannot send at all: to Roundcube 1.7 a request
 * with it is one of its script, and is answered as such.
 */
export function tokenField(request: RequestHead, { jar }: RequestIdentity): RequestFields {
  const token = jar?.value(tokenName);
  return token !== undefined && isByScript(request) ? [['X-Roundcube-Request', token]] : [];
}

/**
 * The current token for the forms, the downloads and the sign-out of such a page, which have theirs in the body or in
 * the query.
 *
 * Only for requests that a page of Roundcube makes, with some token: never for what another site or a mail can make a
 * browser ask.
 */
export function pageToken(request: RequestHead, { jar, publicOrigin }: RequestIdentity): PageToken | undefined {
  const value = jar?.value(tokenName);
  if (value === undefined || isByScript(request)) return undefined;
  return isOwnForm(request, publicOrigin) || isTokenNavigation(request) ? { name: '_token', value } : undefined;
}

function isByScript(request: RequestHead): boolean {
  return request.header('x-roundcube-request') !== undefined;
}

/** Roundcube takes forms out of mails. A message of an older session could not be sent. */
function isOwnForm(request: RequestHead, publicOrigin: string): boolean {
  return request.method === 'POST' && request.header('origin') === publicOrigin && !sendsMessage(request);
}

/** Whether a page of Roundcube's goes to a target that needs a token, with some token. */
function isTokenNavigation(request: RequestHead): boolean {
  // A mail's links send no Referer, its pictures say what they are.
  const destination = request.header('sec-fetch-dest') ?? 'document';
  if (request.method !== 'GET' || (destination !== 'document' && destination !== 'iframe')) return false;
  return roundcubeQuery(request.target).has('_token') && askingPage(request) !== undefined;
}

/** Whether a page of Roundcube's signs out: what is wanted is clear, whatever has become of its session. */
export function signsOut(request: RequestHead): boolean {
  return roundcubeQuery(request.target).task === 'logout' && isTokenNavigation(request);
}
