import { pathOf } from '../core/cookie-jar.ts';
import type { RequestHead, UpstreamResponseHead } from '../core/http.ts';
import { parseJson } from '../core/objects.ts';
import type { JsonValue, Mark } from './form-settings.ts';

/** Whether the heads satisfy a mark. A mark that needs the body, too, can hold for a page or JSON only. */
export function headsBear(mark: Mark, target: string, response: UpstreamResponseHead): boolean {
  if (!pathOf(target).startsWith(mark.path)) return false;
  if (mark.status !== undefined && response.status !== mark.status) return false;
  if (mark.location !== undefined && !locationPath(response, target).startsWith(mark.location)) return false;
  if (mark.setsCookie !== undefined && !cookieAfter(response, mark.setsCookie)) return false;
  if (mark.removesCookie !== undefined && cookieAfter(response, mark.removesCookie) !== false) return false;
  return isHeadMark(mark) || isPageOrJson(response);
}

/** Whether the heads alone decide about a mark. */
export function isHeadMark(mark: Mark): boolean {
  return mark.text === undefined && mark.json === undefined;
}

/**
 * Whether the body, or its beginning, satisfies a mark. A text is looked for in UTF-8, and in Latin-1 for old webmails.
 * JSON must be complete.
 */
export function bodyBears(mark: Mark, start: Uint8Array, complete: boolean): boolean {
  const bytes = Buffer.from(start.buffer, start.byteOffset, start.byteLength);
  if (mark.text !== undefined) {
    const looked = bytes.subarray(0, mark.within);
    if (!looked.includes(mark.text) && !looked.includes(Buffer.from(mark.text, 'latin1'))) return false;
  }
  return mark.json === undefined || (complete && jsonBears(mark.json, bytes.toString('utf8')));
}

/** Whether a decoded body satisfies a mark. */
export function textBears(mark: Mark, body: string): boolean {
  if (mark.text !== undefined && !body.includes(mark.text)) return false;
  return mark.json === undefined || jsonBears(mark.json, body);
}

function jsonBears(values: readonly JsonValue[], body: string): boolean {
  const parsed = parseJson(body);
  return parsed !== undefined && values.every(({ path, value }) => valueAt(parsed, path) === value);
}

/** The value at a path of member names in JSON; undefined if there is none. */
export function valueAt(json: unknown, path: readonly string[]): unknown {
  let value = json;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = new Map<string, unknown>(Object.entries(value)).get(name);
  }
  return value;
}

/**
 * Whether the user made this request, so that a sign-out in its answer may end the gateway's session: it is a page that
 * the user opened, or a request of a script of our own pages. A picture, style or frame may stand in a mail, and many
 * webmails take a sign-out by GET without a token: then only the webmail's session is lost, and is opened again.
 */
export function isByUser(request: RequestHead): boolean {
  const site = request.header('sec-fetch-site') ?? 'same-origin';
  const destination = request.header('sec-fetch-dest') ?? 'document';
  return (site === 'same-origin' || site === 'none') && (destination === 'document' || destination === 'empty');
}

/** Whether the answer is JSON by its type. No page is buffered to its end for a JSON mark. */
export function isJson(response: UpstreamResponseHead): boolean {
  return /^application\/(?:[\w.-]+\+)?json\b/i.test(response.header('content-type') ?? '');
}

function isPageOrJson(response: UpstreamResponseHead): boolean {
  const type = response.header('content-type') ?? '';
  return /^(?:text\/html|application\/json)\b/i.test(type) && response.header('content-disposition') === undefined;
}

/** The path and query of the Location, resolved against `target`, whatever server it names; empty if there is none. */
function locationPath(response: UpstreamResponseHead, target: string): string {
  const location = response.header('location') ?? '';
  const base = `http://webmail${pathOf(target)}`;
  if (location === '' || !URL.canParse(location, base)) return '';
  const { pathname, search } = new URL(location, base);
  return pathname + search;
}

/** True: the cookie is set; false: it is removed; undefined: it is not named. The last line of a name counts. */
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
