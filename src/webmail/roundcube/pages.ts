import { pathOf } from '../../core/cookie-jar.ts';
import type { RequestHead, UpstreamResponseHead } from '../../core/http.ts';
import { parseJson } from '../../core/objects.ts';
import type { PageToken, RequestIdentity, Verdict } from '../../core/webmail.ts';
import type { Browser } from '../browser.ts';
import type { RequestFields } from '../driver-settings.ts';

/*
 * Roundcube answers a lost session with status 200 and no field that says so. The body must be read in a way that no
 * mail can imitate: only what Roundcube itself writes, outside of any string, counts.
 *  - Page: the first `rcmail.set_env({"task":` stands in the head, before any content; a title has no raw quotes.
 *  - Frame: the first script; its arguments are JSON without `<` and line breaks, so no mail can start a line.
 *  - JSON: the last statement of `exec`; the same holds for its arguments.
 *  - Attachments that are shown inline have no scripts left, and a page's mark stands in a script.
 */

const lostPage = 'rcmail.set_env({"task":';
const lostStatement = /(?:^|\n)this\.session_error\("(?:[^"\\]|\\.)*"\);\n?$/;
const frameScript = /^\s*if \(window\.parent && parent\.rcmail\) \{\n/;
const frameStatement = /^\tparent\.rcmail\.session_error\("/m;

/**
 * The action that sends a file unchanged, with its sender's type: its body can contain anything. Fields that Roundcube
 * adds to it, and never to its sign-in page, tell the two apart.
 */
const rawFileAction = 'display-attachment';
const rawFileFields = ['content-security-policy', 'x-dns-prefetch-control', 'referrer-policy'];

/** The verdict by the heads; `look-inside` if only the body decides. */
export function judgeHeads(request: RequestHead, response: UpstreamResponseHead): Verdict | 'look-inside' {
  const query = roundcubeQuery(request.target);
  // The sign-in form itself: its answers start with the removal of the old cookie.
  if (query.task === 'login') return 'alive';
  if (removesSession(response.setCookies)) return query.task === 'logout' ? 'signed-out' : 'lost';
  // Roundcube 1.6 refuses a message from an outdated page with 200, and 1.7 with 403.
  const isAnswer = response.status === 200 || (response.status === 403 && sendsMessage(request));
  if (!isAnswer || response.header('content-disposition') !== undefined) return 'alive';
  if (!/^(?:text\/html|application\/json)\b/i.test(response.header('content-type') ?? '')) return 'alive';
  if (query.action === rawFileAction && rawFileFields.some((name) => response.header(name) !== undefined))
    return 'alive';
  return 'look-inside';
}

/** Whether Roundcube removes its second cookie, by the value `-del-`. A renewal in the same answer comes later. */
function removesSession(setCookies: readonly string[]): boolean {
  const last = new Map<string, string>();
  for (const line of setCookies) {
    const [name = '', value = ''] = (line.split(';', 1)[0] ?? '').split('=', 2);
    last.set(name.trim(), value.trim());
  }
  return [...last.values()].includes('-del-');
}

/** The verdict by the first bytes of a body. */
export function judgeText(text: string, complete: boolean): Verdict {
  const body = text.trimStart();
  if (body.startsWith('{')) return complete && isLostJson(body) ? 'lost' : 'alive';
  return isLostPage(body) || (complete && isLostFrame(body)) ? 'lost' : 'alive';
}

/**
 * Whether Roundcube refused a form: its frame then gets a whole page ("REQUEST CHECK FAILED") instead of a few lines of
 * script. No part of a mail stands in the head of either.
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

/** The query of a request target, as Roundcube reads it. The task is empty on the plain path, which is the mailbox. */
export interface RoundcubeQuery {
  readonly task: string;
  readonly action: string;
  has(name: string): boolean;
  get(name: string): string;
}

/**
 * Reads a query as PHP does: the last of a name counts, leading spaces of a name are dropped, and a dot or space in it
 * becomes an underscore. Otherwise a link in a mail could be one action to us and another to Roundcube.
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

/** Whether Roundcube's own script asks for JSON. `_remote=1` stands in the query or, for a POST, in the body. */
export function isScriptRequest(request: RequestHead, query: RoundcubeQuery): boolean {
  return request.header('x-roundcube-request') !== undefined || isSet(query.get('_remote'));
}

/** Whether this is for a frame of Roundcube: the preview, a settings page, or the hidden one that sends a message. */
export function isFrameRequest(request: RequestHead, query: RoundcubeQuery): boolean {
  return isSet(query.get('_framed')) || (request.method === 'POST' && query.task === 'mail' && query.action === 'send');
}

/** The target of the page that asks, by its Referer, which Roundcube's Referrer-Policy allows; undefined if unknown. */
export function askingPage(request: RequestHead): string | undefined {
  const referer = request.header('referer') ?? '';
  if (!URL.canParse(referer)) return undefined;
  const { host, pathname, search } = new URL(referer);
  return host === request.header('host') && !pathname.startsWith('//') ? pathname + search : undefined;
}

/** Whether a page is the compose page. */
export function isWriting(page: string | undefined): boolean {
  return page !== undefined && roundcubeQuery(page).action === 'compose';
}

/** Whether a compose page sends or saves its message. The body has its token, and only its session has the message. */
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

/** Keeps the token against forged requests of a fresh Roundcube session, which stands in its landing page's URL. */
export function keepToken(browser: Browser, landing: string): void {
  const token = roundcubeQuery(landing).get('_token');
  if (/^[A-Za-z0-9]+$/.test(token)) browser.keep(tokenName, token);
}

/**
 * The current token, in place of a script's token. A page stays open during a silent sign-in, and Roundcube would
 * refuse its next click.
 *
 * It replaces only a field of the browser's own request, which another site cannot send: Roundcube 1.7 answers a
 * request with this field as one of its script.
 */
export function tokenField(request: RequestHead, { jar }: RequestIdentity): RequestFields {
  const token = jar?.value(tokenName);
  return token !== undefined && isByScript(request) ? [['X-Roundcube-Request', token]] : [];
}

/**
 * The current token for the forms, downloads and sign-out of such a page, which send theirs in the body or the query;
 * undefined for other requests.
 *
 * A request gets it only if a page of Roundcube makes it with some token, never if another site or a mail can cause it.
 */
export function pageToken(request: RequestHead, { jar, publicOrigin }: RequestIdentity): PageToken | undefined {
  const value = jar?.value(tokenName);
  if (value === undefined || isByScript(request)) return undefined;
  return isOwnForm(request, publicOrigin) || isTokenNavigation(request) ? { name: '_token', value } : undefined;
}

function isByScript(request: RequestHead): boolean {
  return request.header('x-roundcube-request') !== undefined;
}

/** Whether Roundcube's own page sends a form; it strips forms from mails. An older session's message cannot be sent. */
function isOwnForm(request: RequestHead, publicOrigin: string): boolean {
  return request.method === 'POST' && request.header('origin') === publicOrigin && !sendsMessage(request);
}

/** Whether a page of Roundcube navigates to a target with some token. */
function isTokenNavigation(request: RequestHead): boolean {
  // A link in a mail sends no Referer, and a picture has another Sec-Fetch-Dest.
  const destination = request.header('sec-fetch-dest') ?? 'document';
  if (request.method !== 'GET' || (destination !== 'document' && destination !== 'iframe')) return false;
  return roundcubeQuery(request.target).has('_token') && askingPage(request) !== undefined;
}

/** Whether a page of Roundcube signs out: the wish is clear, even if Roundcube has lost the session. */
export function signsOut(request: RequestHead): boolean {
  return roundcubeQuery(request.target).task === 'logout' && isTokenNavigation(request);
}
