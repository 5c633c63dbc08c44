import type { RequestHead } from '../core/http.ts';
import type { PageToken, RequestIdentity } from '../core/webmail.ts';
import type { Fields } from './header-fields.ts';
import { askingPage, readQuery, sendsMessage } from './roundcube-requests.ts';
import type { Visit } from './visit.ts';

const tokenName = 'roundcube_request_token';

/** Keeps the token against forged requests of a fresh Roundcube session, from where its sign-in leads. */
export function keepToken(visit: Visit, landing: string): void {
  const token = readQuery(landing).get('_token');
  if (/^[A-Za-z0-9]+$/.test(token)) visit.keep(tokenName, token);
}

/**
 * The current token in the place of the one that a script has. A page stays open over a silent sign-in, and Roundcube
 * would refuse its next click.
 *
 * Only where the browser's own request has the field, which another site cannot send at all: to Roundcube 1.7 a request
 * with it is one of its script, and is answered as such.
 */
export function tokenField(request: RequestHead, { jar }: RequestIdentity): Fields {
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
  return readQuery(request.target).has('_token') && askingPage(request) !== undefined;
}

/** Whether a page of Roundcube's signs out: what is wanted is clear, whatever has become of its session. */
export function signsOut(request: RequestHead): boolean {
  return readQuery(request.target).task === 'logout' && isTokenNavigation(request);
}
