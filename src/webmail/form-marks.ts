import { pathOf } from '../core/cookie-jar.ts';
import type { RequestHead, UpstreamResponseHead } from '../core/http.ts';
import type { Mark } from './form-settings.ts';

/** Whether the heads satisfy a mark. A mark with a text needs the body as well, and then only a page can bear it. */
export function headsBear(mark: Mark, target: string, response: UpstreamResponseHead): boolean {
  if (!pathOf(target).startsWith(mark.path)) return false;
  if (mark.status !== undefined && response.status !== mark.status) return false;
  if (mark.location !== undefined && !locationPath(response, target).startsWith(mark.location)) return false;
  if (mark.setsCookie !== undefined && !cookieAfter(response, mark.setsCookie)) return false;
  if (mark.removesCookie !== undefined && cookieAfter(response, mark.removesCookie) !== false) return false;
  return mark.text === undefined || isPage(response);
}

/**
 * Whether a sign-out that answers this request may end the gateway's session: a page that the user went to, or a script
 * of our own pages. Not a picture, a style or a frame, which a mail can contain: many webmails take a sign-out by GET
 * without a token. Then the webmail's session is merely lost, and opened again.
 */
export function isByUser(request: RequestHead): boolean {
  const site = request.header('sec-fetch-site') ?? 'same-origin';
  const destination = request.header('sec-fetch-dest') ?? 'document';
  return (site === 'same-origin' || site === 'none') && (destination === 'document' || destination === 'empty');
}

function isPage(response: UpstreamResponseHead): boolean {
  const type = response.header('content-type') ?? '';
  return /^(?:text\/html|application\/json)\b/i.test(type) && response.header('content-disposition') === undefined;
}

/** The path with query of the Location, as seen from `target`, whatever server it names; empty when there is none. */
function locationPath(response: UpstreamResponseHead, target: string): string {
  const location = response.header('location') ?? '';
  const base = `http://webmail${pathOf(target)}`;
  if (location === '' || !URL.canParse(location, base)) return '';
  const { pathname, search } = new URL(location, base);
  return pathname + search;
}

/** True: set; false: removed; nothing: not named. The last line of a name counts. */
function cookieAfter(response: UpstreamResponseHead, name: string): boolean | undefined {
  const line = response.setCookies.findLast((each) => each.split('=', 1)[0]?.trim() === name);
  if (line === undefined) return undefined;
  const [pair = '', ...attributes] = line.split(';');
  const value = pair.slice(pair.indexOf('=') + 1).trim();
  return value !== '' && !attributes.some(isRemoval);
}

function isRemoval(attribute: string): boolean {
  const [key = '', value = ''] = attribute.split('=', 2).map((part) => part.trim());
  if (/^max-age$/i.test(key)) return Number(value) <= 0;
  return /^expires$/i.test(key) && Date.parse(value) < Date.UTC(2000, 0);
}
