import type { IncomingMessage } from 'node:http';
import { BoundedMap } from '../core/bounded-map.ts';
import { type CookieJar, httpToken, pathOf } from '../core/cookie-jar.ts';
import type { RequestHead } from '../core/http.ts';

/** Bounded, since the names come from clients. */
const lowerCaseNames = new BoundedMap<string, string>(2000);

/** A field name in lower case. It is cached, because browsers always send the same two dozen names. */
export function lowerCaseName(name: string): string {
  return lowerCaseNames.get(name) ?? rememberName(name);
}

/** The names of raw fields in lower case, in order. `raw`: names and values in turn. */
export function lowerCaseNamesOf(raw: readonly string[]): string[] {
  const names: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] ?? '';
    names.push(lowerCaseNames.get(name) ?? rememberName(name));
  }
  return names;
}

function rememberName(name: string): string {
  const lower = name.toLowerCase();
  lowerCaseNames.set(name, lower);
  return lower;
}

/** The absolute form of a target (RFC 9112, 3.2.2): scheme, authority and the rest, which may have no path. */
const absoluteForm = /^https?:\/\/([^/?#]*)(.*)$/is;

/** The head of a client's request over Node's raw fields: names, values, order and duplicates as they arrived. */
export class IncomingHead implements RequestHead {
  readonly method: string;
  /** Path and query, also of a target in absolute form. */
  readonly target: string;
  /** The authority of a target in absolute form; undefined for every other form. */
  readonly targetAuthority: string | undefined;
  readonly httpVersion: string;
  /** Names and values in turn. */
  readonly raw: readonly string[];
  /** The names of the raw fields in lower case. */
  readonly names: readonly string[];
  /** Whether a body follows: with a length other than 0, or chunked. Meaningful for validated heads only. */
  readonly hasBody: boolean;

  constructor(request: Pick<IncomingMessage, 'method' | 'url' | 'httpVersion' | 'rawHeaders'>) {
    this.method = request.method ?? '';
    const url = request.url ?? '';
    const [, authority, rest = ''] = (url.startsWith('/') ? null : absoluteForm.exec(url)) ?? [];
    this.targetAuthority = authority;
    this.target = authority === undefined ? url : rest.startsWith('/') ? rest : `/${rest}`;
    this.httpVersion = request.httpVersion;
    this.raw = request.rawHeaders;
    this.names = lowerCaseNamesOf(request.rawHeaders);
    const length = this.names.indexOf('content-length');
    const hasLength = length !== -1 && Number(this.raw[2 * length + 1]) > 0;
    this.hasBody = hasLength || this.names.includes('transfer-encoding');
  }

  header(name: string): string | undefined {
    const at = this.names.indexOf(name);
    return at === -1 ? undefined : this.raw[2 * at + 1];
  }

  /** All values of this name (given in lower case), in order. */
  all(name: string): string[] {
    const values: string[] = [];
    for (let at = this.names.indexOf(name); at !== -1; at = this.names.indexOf(name, at + 1)) {
      values.push(this.raw[2 * at + 1] ?? '');
    }
    return values;
  }

  /**
   * Host and port that the client asked for; undefined if there is none. An absolute target overrides Host (RFC 9112,
   * 3.2.2).
   */
  get host(): string | undefined {
    const host = this.targetAuthority ?? this.header('host');
    return host === '' ? undefined : host;
  }

  /** The Cookie fields as one; undefined if there is none. */
  get cookieField(): string | undefined {
    const at = this.names.indexOf('cookie');
    if (at === -1) return undefined;
    return this.names.includes('cookie', at + 1) ? this.all('cookie').join('; ') : this.raw[2 * at + 1];
  }

  /** Whether the client waits for a 100 before it sends its body. Any other expectation was refused earlier. */
  get expectsContinue(): boolean {
    return this.header('expect') !== undefined;
  }

  /** Whether the request may be sent twice: it changes nothing and has no body. */
  get isRepeatable(): boolean {
    return (this.method === 'GET' || this.method === 'HEAD' || this.method === 'OPTIONS') && !this.hasBody;
  }
}

/** The browser's use for the answer. `page`: the tab itself; `frame`: a document inside a page; `other`: the rest. */
type Destination = 'page' | 'frame' | 'other';

/**
 * The destination of the answer. Sec-Fetch-Mode and -Dest tell it, which scripts cannot set. If the browser sends
 * neither, Accept tells it, and `certain` is false: a frame of an old browser looks like a page.
 */
export function destinationOf(head: RequestHead): { readonly destination: Destination; readonly certain: boolean } {
  const mode = head.header('sec-fetch-mode');
  if (mode !== undefined) {
    if (mode !== 'navigate') return { destination: 'other', certain: true };
    const destination = head.header('sec-fetch-dest') ?? 'document';
    return { destination: destination === 'document' ? 'page' : 'frame', certain: true };
  }
  const wantsHtml = /(?:^|[,\s])text\/html/i.test(head.header('accept') ?? '');
  const byScript = head.header('x-requested-with') !== undefined;
  return { destination: wantsHtml && !byScript ? 'page' : 'other', certain: false };
}

/** Whether a browser would register the answer as a service worker. */
export function isServiceWorkerScript(head: RequestHead): boolean {
  return head.header('service-worker') !== undefined || head.header('sec-fetch-dest') === 'serviceworker';
}

/** Whether a tab asks for a page, by GET or HEAD. Only then does a person see where a redirect leads. */
export function isPageRequest(head: RequestHead): boolean {
  return (head.method === 'GET' || head.method === 'HEAD') && destinationOf(head).destination === 'page';
}

/** Maximum length of a path in the log. */
const loggedPathLength = 200;

/** The path of a request for the log: without the query, and cut. */
export function loggedPath({ target }: Pick<RequestHead, 'target'>): string {
  return pathOf(target).slice(0, loggedPathLength);
}

/** Fields of a head, in order. */
export type HeaderFields = readonly (readonly [name: string, value: string])[];

/**
 * The Cookie field for the backend: the jar's cookies for `target`, then the browser's whose names the jar does not
 * keep. Empty if there are none. `rest`: the browser's Cookie field without the gateway's own cookies.
 */
export function cookiesForBackend(jar: CookieJar, rest: string, target: string, nowMs: number): string {
  const kept = jar.header(target, nowMs);
  if (rest === '') return kept;
  const passed: string[] = [];
  for (const pair of rest.split(';')) {
    const text = pair.trim();
    const equals = text.indexOf('=');
    if (equals < 1) continue;
    const name = text.slice(0, equals);
    if (httpToken.test(name) && !jar.keeps(name) && !jar.keeps(asPhpReadsIt(name))) passed.push(text);
  }
  if (passed.length === 0) return kept;
  // The jar's come first, because PHP takes the first of two cookies of one name.
  return kept === '' ? passed.join('; ') : `${kept}; ${passed.join('; ')}`;
}

/**
 * The name as PHP reads it, with underscores for dots: a browser's `roundcube.sessid` would become `roundcube_sessid`.
 */
function asPhpReadsIt(name: string): string {
  return name.includes('.') ? name.replaceAll('.', '_') : name;
}

/** The name in a Set-Cookie line, as a browser would read it. */
export function nameInSetCookie(line: string): string {
  const [pair = ''] = line.split(';');
  const equals = pair.indexOf('=');
  return (equals === -1 ? '' : pair.slice(0, equals)).trim();
}
