import { pathOf } from '../core/cookie-jar.ts';
import type { RequestHead } from '../core/http.ts';

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
export function readQuery(target: string): RoundcubeQuery {
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
  return page !== undefined && readQuery(page).action === 'compose';
}

/**
 * Whether such a page sends or saves its message. Its token is in the body, and its message in its own session only.
 */
export function sendsMessage(request: RequestHead): boolean {
  return (
    request.method === 'POST' &&
    request.header('x-roundcube-request') === undefined &&
    isFrameRequest(request, readQuery(request.target)) &&
    isWriting(askingPage(request))
  );
}

/** PHP's `!empty()`. */
function isSet(value: string): boolean {
  return value !== '' && value !== '0';
}
