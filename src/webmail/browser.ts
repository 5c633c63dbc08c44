import type { BackendHost, DriverSettings, MasterIdentity } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import { CookieJar, pathOf } from '../core/cookie-jar.ts';
import { PosternError } from '../core/error.ts';
import type { ExchangeResponse, HttpExchange } from '../core/http.ts';
import type { SignInIdentity } from '../core/identity.ts';
import { defined } from '../core/objects.ts';
import type { Secret } from '../core/secrets.ts';
import { shortLine } from '../core/text.ts';
import type { MasterEntry, RequestLine, SignOutIdentity, WebmailSignIn } from '../core/webmail.ts';
import type { RequestFields } from './driver-settings.ts';
import { encodeSubmission, type Submission, urlEncoded } from './html-form.ts';

/** Dependencies of every driver. */
export interface DriverParts {
  readonly exchange: HttpExchange;
  readonly clock: Clock;
}

/** Dependencies and checked settings of a driver. */
export interface ConfiguredParts extends DriverParts {
  readonly settings: DriverSettings;
  /** The backend's master; only drivers that declare `master_login` use it. */
  readonly master?: MasterIdentity;
}

/** The user's browser, for which a driver acts. `language` is its Accept-Language; undefined if unknown. */
interface ActingBrowser extends SignOutIdentity {
  readonly language?: string | undefined;
}

/** The browser of a user who signs in. */
export function browserOf({ client, publicOrigin }: Pick<SignInIdentity, 'client' | 'publicOrigin'>): ActingBrowser {
  const { userAgent, address, language, trace } = client;
  return { userAgent, clientAddress: address, publicOrigin, language, ...defined({ trace }) };
}

interface BrowserOptions {
  readonly host: BackendHost;
  /** The user's browser, for which the driver acts. */
  readonly browser: ActingBrowser;
  readonly ownsCookie: (name: string) => boolean;
  /** Overrides the browser's languages for a driver that must understand the webmail's text. */
  readonly language?: 'en' | undefined;
  /** The cookies of an existing webmail session; none for a sign-in. */
  readonly jar?: CookieJar;
  /** The cookies that a sign-in starts with, and keeps unless the webmail sets them again. */
  readonly carried?: CookieJar | undefined;
  /** The fields that the driver adds to each request. */
  readonly fields?: (request: RequestLine) => RequestFields;
  readonly signal: AbortSignal;
}

interface SentBody {
  readonly type: string;
  readonly text: string;
  readonly coding?: 'latin1';
}

/**
 * A driver's small browser: it speaks to one host as the user's own browser would through the gateway, and keeps
 * cookies.
 *
 * It follows no redirects. Every request carries the User-Agent of the user's browser, because some webmails bind their
 * session to it, and the same forwarding fields as proxied traffic, because some bind it to the address, with the ids of
 * the user's request. Origin is the
 * public origin, and Referer the page that was read before: webmails that look for forged requests demand both.
 */
export class Browser {
  readonly #parts: DriverParts;
  readonly #options: BrowserOptions;
  /** All cookies, for the requests of this browser; `#kept` has only those that stay in the gateway. */
  readonly #all = new CookieJar(() => true);
  readonly #kept: CookieJar;
  readonly #browserCookies = new Map<string, string>();
  /** The target of the page that was read last. */
  #page: string | undefined;

  constructor(parts: DriverParts, options: BrowserOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#kept = new CookieJar(options.ownsCookie);
    const { jar, carried } = options;
    if (jar !== undefined) this.#all.renew(jar);
    if (carried === undefined) return;
    this.#all.renew(carried);
    this.#kept.renew(carried);
  }

  /** Reads a page, which becomes the Referer of the next request. */
  async get(target: string): Promise<ExchangeResponse> {
    const response = await this.#send('GET', target);
    this.#page = target;
    return response;
  }

  /**
   * Sends a form to `target`, as a browser does. A form sent by GET replaces the query of the target. Throws a
   * RangeError for text that the charset of the form cannot carry.
   */
  submit(target: string, submission: Submission): Promise<ExchangeResponse> {
    if (submission.method === 'POST') {
      return this.#send('POST', target, { ...encodeSubmission(submission), coding: 'latin1' });
    }
    // Its target holds what was typed, so it must not become a Referer.
    return this.#send('GET', `${pathOf(target)}?${urlEncoded(submission.entries, submission.charset)}`);
  }

  /** Posts a form in UTF-8. */
  post(target: string, fields: URLSearchParams): Promise<ExchangeResponse> {
    return this.#send('POST', target, { type: 'application/x-www-form-urlencoded', text: fields.toString() });
  }

  /** Posts JSON. `more` are the fields that the webmail's own script adds. */
  postJson(target: string, value: unknown, more: RequestFields = []): Promise<ExchangeResponse> {
    return this.#send('POST', target, { type: 'application/json', text: JSON.stringify(value) }, more);
  }

  /** The value of a cookie that was set in this browser; undefined if none was. */
  cookie(name: string): string | undefined {
    return this.#all.value(name);
  }

  /** Keeps a value of the driver's own in the jar, under a path of the gateway, so that no request sends it. */
  keep(name: string, value: string): void {
    this.#kept.absorb(`${name}=${value}; Path=/-/; HttpOnly`, '/-/', this.#parts.clock.nowMs());
  }

  /** The result of a successful login. */
  signedIn(landing: string): WebmailSignIn {
    return { kind: 'signed-in', jar: this.#kept, browserCookies: [...this.#browserCookies.values()], landing };
  }

  /** The path and query of a Location, resolved against `target`; undefined if it leads to another server. */
  locationOf(response: ExchangeResponse, target: string): string | undefined {
    const location = response.header('location');
    return location === undefined ? undefined : this.targetOf(location, target);
  }

  /**
   * The path and query of an address in the page at `target`, which may have a `base` of its own; undefined if it leads
   * to another server.
   */
  targetOf(address: string, target: string, base = ''): string | undefined {
    const { origin } = this.#options.host.webmail;
    const from = URL.parse(base, origin + target);
    const url = from === null ? null : URL.parse(address, from.href);
    if (url === null || !/^https?:$/.test(url.protocol)) return undefined;
    const backend = new URL(origin);
    const seen = new URL(this.#options.browser.publicOrigin);
    // A web server that knows of no gateway writes the public name with its own port.
    const isPublic = url.hostname === seen.hostname && (url.port === seen.port || url.port === backend.port);
    return isPublic || url.host === backend.host ? url.pathname + url.search : undefined;
  }

  async #send(
    method: 'GET' | 'POST',
    target: string,
    body?: SentBody,
    more: RequestFields = [],
  ): Promise<ExchangeResponse> {
    const { exchange, clock } = this.#parts;
    const { host, signal, fields } = this.#options;
    const headers = [...this.#headers(method, target, body?.type), ...more, ...(fields?.({ method, target }) ?? [])];
    const request = { method, target, headers, ...defined({ body: body?.text, bodyCoding: body?.coding }) };
    const response = await exchange.send(host, request, signal);
    for (const line of response.setCookies) this.#absorb(line, target, clock.nowMs());
    return response;
  }

  #headers(method: string, target: string, bodyType: string | undefined): [name: string, value: string][] {
    const { userAgent, clientAddress, publicOrigin, trace } = this.#options.browser;
    const language = this.#options.language ?? this.#options.browser.language;
    const { host, protocol } = new URL(publicOrigin);
    const cookie = this.#all.header(target, this.#parts.clock.nowMs());
    const headers: [string, string][] = [
      ['Host', host],
      ['Accept', 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8'],
      // Many webmails keep the language of the sign-in for the whole session.
      ['Accept-Language', language ?? 'en'],
      ['X-Forwarded-For', clientAddress],
      ['X-Forwarded-Proto', protocol.slice(0, -1)],
      ['X-Forwarded-Host', host],
    ];
    if (trace !== undefined) headers.push(['X-Request-Id', trace.requestId], ['Traceparent', trace.traceparent]);
    if (trace?.tracestate !== undefined) headers.push(['Tracestate', trace.tracestate]);
    // A form that was posted without being read counts as standing on the page that takes it.
    const page = this.#page ?? (method === 'POST' ? target : undefined);
    if (page !== undefined) headers.push(['Referer', publicOrigin + page]);
    if (method === 'POST') headers.push(['Origin', publicOrigin]);
    if (userAgent !== undefined) headers.push(['User-Agent', userAgent]);
    if (cookie !== '') headers.push(['Cookie', cookie]);
    if (bodyType !== undefined) headers.push(['Content-Type', bodyType]);
    return headers;
  }

  #absorb(line: string, target: string, nowMs: number): void {
    this.#all.absorb(line, target, nowMs);
    const absorbed = this.#kept.absorb(line, target, nowMs);
    if (absorbed.kind !== 'browser') return;
    const name = absorbed.line.slice(0, absorbed.line.indexOf('='));
    this.#browserCookies.set(`${name};${this.#kept.browserCookies.get(name) ?? pathOf(target)}`, absorbed.line);
  }
}

/** A Location for an operator's log. Long values of its query are left out, because they may be tokens. */
export function shownLocation(location: string | undefined): string {
  return location === undefined ? 'nowhere' : shortLine(location.replace(/=[^&#]{17,}/g, '=…'), 120);
}

/** The error of an answer that is neither a yes nor a no to the driver. `message` is for operators. */
export function strangeAnswer(host: BackendHost, message: string): PosternError {
  const text = `webmail of ${host.name}: ${message}`;
  return new PosternError('ERR_WEBMAIL_ANSWER', text, { source: 'webmail', retryable: false });
}

/** The error of a webmail that cannot work now. `message` is for operators. */
export function webmailUnavailable(host: BackendHost, message: string): PosternError {
  const text = `webmail of ${host.name}: ${message}`;
  return new PosternError('ERR_WEBMAIL_UNAVAILABLE', text, { source: 'webmail', retryable: true });
}

/** A name and a password, for a form or HTTP Basic. */
export interface MasterLogin {
  readonly user: string;
  readonly password: Secret;
}

/**
 * The ways into a webmail that takes a name and a password: the user's own password, or, where there is none and the
 * operator declared `master_login: true`, `user*master` with the master's password. Most webmails keep settings by that
 * name, so it is another account to them.
 */
export interface MasterLogins {
  readonly masterEntry: MasterEntry;
  /** The user's own password if there is one, else the master's; undefined if neither may be sent. */
  of(as: Pick<SignInIdentity, 'user' | 'password'>): MasterLogin | undefined;
}

/**
 * Creates the ways in. `otherwise` is the reason and the remedy for operators while `master_login` is not declared.
 * `isOwnAccount`: the webmail was configured to take `user*master` for the user.
 */
export function createMasterLogins(
  declared: boolean,
  master: MasterIdentity | undefined,
  otherwise: string,
  isOwnAccount = false,
): MasterLogins {
  const entry = masterEntryFor(declared, master, otherwise);
  return {
    masterEntry: isOwnAccount && entry.kind === 'other-account' ? { kind: 'own-account' } : entry,
    of({ user, password }) {
      if (password !== undefined) return { user, password };
      if (!declared || master === undefined) return undefined;
      return { user: `${user}${master.separator}${master.user}`, password: master.password };
    },
  };
}

function masterEntryFor(declared: boolean, master: MasterIdentity | undefined, otherwise: string): MasterEntry {
  if (!declared) return { kind: 'impossible', why: otherwise };
  if (master === undefined) {
    return { kind: 'impossible', why: 'master_login is set, but the backend has no master: set its user and password' };
  }
  const why = `the webmail treats USER${master.separator}${master.user} as an account of its own: settings, contacts and sender address are not those of the user`;
  return { kind: 'other-account', why };
}

/** The error that is thrown instead of sending an empty password. */
export function noMasterEntry(host: BackendHost, entry: MasterEntry): PosternError {
  const why = entry.kind === 'own-account' ? 'it needs the password' : entry.why;
  const message = `webmail of ${host.name} cannot be opened without the user's password: ${why}`;
  return new PosternError('ERR_NO_MASTER_ENTRY', message, { source: 'webmail', retryable: false });
}

/** The outcome of a refusal. Throws if the master identity was refused, which says nothing about the user. */
export function refusedLogin(host: BackendHost, as: Pick<SignInIdentity, 'password'>): WebmailSignIn {
  if (as.password !== undefined) return { kind: 'rejected' };
  throw strangeAnswer(host, 'the master identity was refused: check master, and the separator of the IMAP server');
}
