import type { RequestHead } from '../core/http.ts';
import type { RequestIdentity } from '../core/webmail.ts';
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
 * The current token in the place of the one that the page has. A page stays open over a silent sign-in, and Roundcube
 * would refuse its next click, its downloads, and its sign-out.
 *
 * Only for requests that a page of Roundcube makes by its script or form, with some token: never for what another site
 * or a mail can make a browser ask.
 */
export function tokenField(request: RequestHead, { jar, publicOrigin }: RequestIdentity): Fields {
  const token = jar?.value(tokenName);
  return token !== undefined && bringsToken(request, publicOrigin) ? [['X-Roundcube-Request', token]] : [];
}

function bringsToken(request: RequestHead, publicOrigin: string): boolean {
  // Another site cannot send this field at all, whatever its value.
  if (request.header('x-roundcube-request') !== undefined) return true;
  // The token is in the body. Roundcube takes forms out of mails. A message of an older session could not be sent.
  if (request.method === 'POST') return request.header('origin') === publicOrigin && !sendsMessage(request);
  return isTokenNavigation(request);
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
