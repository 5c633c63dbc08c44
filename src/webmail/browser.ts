import type { BackendHost, DriverSettings, MasterIdentity } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import { CookieJar, pathOf } from '../core/cookie-jar.ts';
import { PosternError } from '../core/error.ts';
import type { ExchangeResponse, HttpExchange } from '../core/http.ts';
import type { SignInIdentity } from '../core/identity.ts';
import type { Secret } from '../core/secret.ts';
import { shortLine } from '../core/short-line.ts';
import type { MasterEntry, RequestLine, SignOutIdentity, WebmailSignIn } from '../core/webmail.ts';
import type { RequestFields } from './driver-settings.ts';
import { encodeSubmission, type Submission, urlEncoded } from './html-form.ts';

/** Collaborators of every driver. */
export interface DriverParts {
  readonly exchange: HttpExchange;
  readonly clock: Clock;
}

/** Collaborators and checked settings of a driver. */
export interface ConfiguredParts extends DriverParts {
  readonly settings: DriverSettings;
  /** The backend's master; only drivers that declare `master_login` use it. */
  readonly master?: MasterIdentity;
}

/** A browser for which a driver acts; `language` is what it asks for, where that is known. */
interface ActingBrowser extends SignOutIdentity {
  readonly language?: string | undefined;
}

/** The browser of somebody who signs in. */
export function browserOf({ client, publicOrigin }: Pick<SignInIdentity, 'client' | 'publicOrigin'>): ActingBrowser {
  const { userAgent, address, language } = client;
  return { userAgent, clientAddress: address, publicOrigin, language };
}

interface BrowserOptions {
  readonly host: BackendHost;
  /** For which the driver acts. */
  readonly browser: ActingBrowser;
  readonly ownsCookie: (name: string) => boolean;
  /**
   * In the place of the languages that the browser asks for, where the driver has to understand the webmail's words.
   */
  readonly language?: 'en' | undefined;
  /** Cookies of a session to begin with; none for a sign-in. */
  readonly jar?: CookieJar;
  /** Cookies that a sign-in begins with, and keeps unless the webmail sets them anew. */
  readonly carried?: CookieJar | undefined;
  /** Fields that the driver adds to each request. */
  readonly fields?: (request: RequestLine) => RequestFields;
  readonly signal: AbortSignal;
}

interface SentBody {
  readonly type: string;
  readonly text: string;
  readonly coding?: 'latin1';
}

/**
 * A driver's small browser: speaks to one host as the user's own browser would through the gateway, and keeps cookies.
 *
 * It follows no redirects. Every request carries the User-Agent of the browser, because some webmails bind their
 * session to it, and the same forwarding fields as proxied traffic, because some bind it to the address. What is sent
 * names the public address as its origin, and the page that was read before as its referrer, as webmails demand that
 * look for forged requests.
 */
export class Browser {
  readonly #parts: DriverParts;
  readonly #options: BrowserOptions;
  /** All cookies, for the requests of this visit; `#kept` has only those that stay in the gateway. */
  readonly #all = new CookieJar(() => true);
  readonly #kept: CookieJar;
  readonly #browserCookies = new Map<string, string>();
  /** The page that was read last. */
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

  async get(target: string): Promise<ExchangeResponse> {
    const response = await this.#send('GET', target);
    this.#page = target;
    return response;
  }

  /**
   * Sends a form to `target`, as a browser does; the query of a form that is sent by GET takes the place of any other.
   * Throws a RangeError for a text that the coding of the form cannot carry.
   */
  submit(target: string, submission: Submission): Promise<ExchangeResponse> {
    if (submission.method === 'POST') {
      return this.#send('POST', target, { ...encodeSubmission(submission), coding: 'latin1' });
    }
    // Not read as a page: its target, which holds what was typed, is nobody's referrer.
    return this.#send('GET', `${pathOf(target)}?${urlEncoded(submission.entries, submission.charset)}`);
  }

  /** Posts a form, in UTF-8. */
  post(target: string, fields: URLSearchParams): Promise<ExchangeResponse> {
    return this.#send('POST', target, { type: 'application/x-www-form-urlencoded', text: fields.toString() });
  }

  /** Sends JSON, with further fields of the webmail's own script. */
  postJson(target: string, value: unknown, more: RequestFields = []): Promise<ExchangeResponse> {
    return this.#send('POST', target, { type: 'application/json', text: JSON.stringify(value) }, more);
  }

  /** The value of a cookie that was set in this visit; undefined where none was. */
  cookie(name: string): string | undefined {
    return this.#all.value(name);
  }

  /** Keeps a word of the driver's own with the cookies, under a path of the gateway's: no request takes it along. */
  keep(name: string, value: string): void {
    this.#kept.absorb(`${name}=${value}; Path=/-/; HttpOnly`, '/-/', this.#parts.clock.nowMs());
  }

  /** The result of a successful login. */
  signedIn(landing: string): WebmailSignIn {
    return { kind: 'signed-in', jar: this.#kept, browserCookies: [...this.#browserCookies.values()], landing };
  }

  /** The path with query of a Location, resolved against `target`; undefined if it leads to another server. */
  locationOf(response: ExchangeResponse, target: string): string | undefined {
    const location = response.header('location');
    return location === undefined ? undefined : this.targetOf(location, target);
  }

  /**
   * The path with query of an address that stands in the page at `target`, whose own `base` it may have; undefined when
   * it leads to another server.
   */
  targetOf(address: string, target: string, base = ''): string | undefined {
    const { origin } = this.#options.host.webmail;
    const from = URL.parse(base, origin + target);
    const url = from === null ? null : URL.parse(address, from.href);
    if (url === null || !/^https?:$/.test(url.protocol)) return undefined;
    const backend = new URL(origin);
    const seen = new URL(this.#options.browser.publicOrigin);
    // A web server that knows of no gateway writes the public name with the port that it listens on itself.
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
    const coding = body?.coding === undefined ? {} : { bodyCoding: body.coding };
    const request = { method, target, headers, ...(body === undefined ? {} : { body: body.text, ...coding }) };
    const response = await exchange.send(host, request, signal);
    for (const line of response.setCookies) this.#absorb(line, target, clock.nowMs());
    return response;
  }

  #headers(method: string, target: string, bodyType: string | undefined): [name: string, value: string][] {
    const { userAgent, clientAddress, publicOrigin } = this.#options.browser;
    const language = this.#options.language ?? this.#options.browser.language;
    const { host, protocol } = new URL(publicOrigin);
    const cookie = this.#all.header(target, this.#parts.clock.nowMs());
    const headers: [string, string][] = [
      ['Host', host],
      ['Accept', 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8'],
      // Many webmails keep the language of the sign-in for the session.
      ['Accept-Language', language ?? 'en'],
      ['X-Forwarded-For', clientAddress],
      ['X-Forwarded-Proto', protocol.slice(0, -1)],
      ['X-Forwarded-Host', host],
    ];
    // A form that is posted without having been read stands on the page that takes it.
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

/** Where a redirect leads, as an operator is told: a long value in its query may be a token. */
export function shownLocation(location: string | undefined): string {
  return location === undefined ? 'nowhere' : shortLine(location.replace(/=[^&#]{17,}/g, '=…'), 120);
}

/** The webmail answered with what its driver cannot take for a yes or a no. `message` goes to operators. */
export function strangeAnswer(host: BackendHost, message: string): PosternError {
  const text = `webmail of ${host.name}: ${message}`;
  return new PosternError('ERR_WEBMAIL_ANSWER', text, { source: 'webmail', retryable: false });
}

/** The webmail says that it cannot work now. */
export function webmailUnavailable(host: BackendHost, message: string): PosternError {
  const text = `webmail of ${host.name}: ${message}`;
  return new PosternError('ERR_WEBMAIL_UNAVAILABLE', text, { source: 'webmail', retryable: true });
}

/** A name and a password, as a form or HTTP Basic takes them. */
export interface MasterLogin {
  readonly user: string;
  readonly password: Secret;
}

/**
 * How a webmail that takes a name and a password is entered where there is no password of the user: by nothing, or as
 * `user*master` with the master's password, where the operator declared it (`master_login: true`). Most webmails keep
 * settings by that name, so it is another account of theirs.
 */
export interface MasterLogins {
  readonly masterEntry: MasterEntry;
  /** The user's own password where there is one, else the master's; undefined if neither may be sent. */
  of(as: Pick<SignInIdentity, 'user' | 'password'>): MasterLogin | undefined;
}

/**
 * `otherwise` says why not, and what an operator would do, where `master_login` is not declared. `isOwnAccount`: the
 * operator had the webmail know `user*master` as the user.
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
  const why = `the webmail takes USER${master.separator}${master.user} for a user of its own: settings, address book and sender are not the user’s`;
  return { kind: 'other-account', why };
}

/** The error thrown instead of sending an empty password. */
export function noMasterEntry(host: BackendHost, entry: MasterEntry): PosternError {
  const why = entry.kind === 'own-account' ? 'it needs the password' : entry.why;
  const message = `webmail of ${host.name} cannot be entered without the user's password: ${why}`;
  return new PosternError('ERR_NO_MASTER_ENTRY', message, { source: 'webmail', retryable: false });
}

/** A sign-in that was refused: of the user's own password, or of the master identity, which is no word on the user. */
export function refusedLogin(host: BackendHost, as: Pick<SignInIdentity, 'password'>): WebmailSignIn {
  if (as.password !== undefined) return { kind: 'rejected' };
  throw strangeAnswer(host, 'the master identity was refused: check master, and the separator of the IMAP server');
}
