import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Dispatcher } from 'undici';
import type { Backend, BackendHost, BasicPath } from '../core/backend.ts';
import { pathOf } from '../core/cookie-jar.ts';
import type { Answer, Ingress } from '../core/http.ts';
import { type CanonicalUser, nameForServer } from '../core/names.ts';
import { Secret } from '../core/secrets.ts';
import type { WebmailDriver } from '../core/webmail.ts';
import type { Upload } from './body-streams.ts';
import { textAnswer } from './reply.ts';
import type { HeaderFields, IncomingHead } from './request-head.ts';
import type { RequestHeaders } from './request-headers.ts';
import { responseHeaders, type UpstreamHead } from './response-headers.ts';
import { type AdmittedRequest, dispatchOptions, type UpstreamRequest } from './upstream-request.ts';

/** The user whom a Basic client authenticated as, with the backend, host and path that serve the request. */
export interface BasicHome {
  readonly user: CanonicalUser;
  readonly password: Secret;
  readonly backend: Backend;
  readonly host: BackendHost;
  readonly driver: WebmailDriver;
  readonly path: BasicPath;
}

/** Dependencies of the upstream requests of Basic clients. */
export interface BasicUpstreamRequestDeps {
  readonly isOwnCookie: (name: string) => boolean;
}

/** The time that an ActiveSync client may wait for news: [MS-ASCMD] allows a heartbeat interval of 3540 s. */
const activeSyncHeartbeatMs = 3_600_000;
const activeSyncPath = '/microsoft-server-activesync';

/** Hands every answer on: a Basic client has no session that could be lost. */
const sessionlessDriver: UpstreamRequest['driver'] = { judge: () => 'alive' };

/**
 * One request of a Basic client. It carries the user's credentials, and no cookies in either direction. The driver's
 * own fields go to the webmail alone, because some of them are secrets.
 */
export class BasicUpstreamRequest implements UpstreamRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: IncomingHead;
  readonly ingress: Ingress;
  readonly backend: Backend;
  readonly host: BackendHost;
  readonly driver = sessionlessDriver;
  readonly generation = 0;
  readonly home: BasicHome;
  readonly requestHeaders: RequestHeaders;
  readonly #elsewhere: string | undefined;
  readonly #deps: BasicUpstreamRequestDeps;

  constructor(task: AdmittedRequest, home: BasicHome, deps: BasicUpstreamRequestDeps) {
    this.request = task.request;
    this.response = task.response;
    this.head = task.head;
    this.ingress = task.ingress;
    this.backend = home.backend;
    this.#elsewhere = home.path.elsewhere?.[home.host.name];
    this.host = basicHost(home.host, this.#elsewhere);
    this.home = home;
    this.requestHeaders = task.requestHeaders;
    this.#deps = deps;
  }

  get user(): string {
    return this.home.user;
  }

  /** Whether the webmail itself serves the path, and not another server of the backend. */
  get isAtWebmail(): boolean {
    return this.#elsewhere === undefined;
  }

  attach(): () => void {
    return () => {};
  }

  outgoing(body: Upload | undefined, nowMs: number): Dispatcher.DispatchOptions {
    const headers = this.requestHeaders(this.head, {
      ingress: this.ingress,
      backendOrigin: this.host.webmail.origin,
      jar: undefined,
      cookieRest: '',
      driverFields: this.#driverFields(),
      nowMs,
    });
    const { webmailFirstByteMs } = this.backend.limits;
    const waitsForNews = pathOf(this.head.target).toLowerCase().startsWith(activeSyncPath);
    const firstByteMs = waitsForNews ? Math.max(activeSyncHeartbeatMs, webmailFirstByteMs) : webmailFirstByteMs;
    return dispatchOptions(this.head, { headers, body, firstByteMs });
  }

  answerFields(upstream: UpstreamHead, _generation: number | undefined, nowMs: number): string[] {
    const { head, ingress, host } = this;
    const to = { head, ingress, host, session: undefined };
    return responseHeaders(upstream, { to, generation: undefined, nowMs, isOwnCookie: this.#deps.isOwnCookie });
  }

  #driverFields(): HeaderFields {
    const { user, password, driver, backend, host } = this.home;
    // Another server of the backend knows users by the names that its mail server knows.
    const template = this.isAtWebmail ? backend.webmailLoginName : host.imap.loginName;
    const own: HeaderFields = [['Authorization', basicAuthorizationOf(nameForServer(user, template), password)]];
    if (!this.isAtWebmail || driver.requestHeaders === undefined) return own;
    const fields = driver.requestHeaders(this.head, {
      user,
      password,
      client: this.ingress.client,
      timeZone: undefined,
      publicOrigin: this.ingress.publicUrl.origin,
      session: undefined,
    });
    // If the driver sends a field of its own, the webmail is configured to expect that one.
    return fields.some(([name]) => name.toLowerCase() === 'authorization') ? fields : [...fields, ...own];
  }
}

/**
 * The host as Basic clients reach it. It has its own name, so that thousands of phones that wait for news occupy other
 * connections than the webmail's.
 */
function basicHost(host: BackendHost, elsewhere: string | undefined): BackendHost {
  if (elsewhere === undefined) return { ...host, name: `${host.name}+clients` };
  return { ...host, name: `${host.name}+${elsewhere}`, webmail: { ...host.webmail, origin: elsewhere } };
}

/** Name and password as the client sent them. */
export interface BasicCredentials {
  readonly user: string;
  readonly password: Secret;
}

const basicScheme = /^basic +([A-Za-z0-9+/]+={0,2})$/i;
/** Maximum length of an Authorization field. It is enough for the longest name and password in base64. */
const maxAuthorizationLength = 4096;

/**
 * Reads the credentials in an Authorization field (RFC 7617); undefined if it is of another scheme or malformed.
 *
 * The challenge asks for UTF-8. Bytes that are not UTF-8 are read as Latin-1, which older clients send.
 */
export function parseBasic(field: string): BasicCredentials | undefined {
  if (field.length > maxAuthorizationLength) return undefined;
  const encoded = basicScheme.exec(field)?.[1];
  if (encoded === undefined) return undefined;
  const bytes = Buffer.from(encoded, 'base64');
  const utf8 = bytes.toString('utf8');
  const text = utf8.includes('\ufffd') ? bytes.toString('latin1') : utf8;
  const colon = text.indexOf(':');
  return colon === -1 ? undefined : { user: text.slice(0, colon), password: new Secret(text.slice(colon + 1)) };
}

/** The value of the Authorization field for a backend. */
function basicAuthorizationOf(user: string, password: Secret): string {
  return `Basic ${Buffer.from(`${user}:${password.reveal()}`).toString('base64')}`;
}

/** Answers 401, on which a client asks its user for name and password, or sends those that it has (RFC 7617). */
export function challengeAnswer(realm: string): Answer {
  const answer = textAnswer(401, 'Sign in with your name and password.');
  return { ...answer, headers: [...answer.headers, ...challengeFields(realm)] };
}

/**
 * The challenge for Basic credentials. Clients store passwords by realm, so the realm must not change with the backend.
 */
export function challengeFields(realm: string): HeaderFields {
  const plain = realm.replaceAll(/[^\x20-\x7e]/g, '').replaceAll(/["\\]/g, '\\$&');
  return [['WWW-Authenticate', `Basic realm="${plain}", charset="UTF-8"`]];
}

/**
 * The challenge of a 401 that only the sign-in page can lift. RFC 9110, 15.5.2 demands a challenge, and browsers show
 * no password dialog for a scheme that they do not know.
 */
export const signInChallenge = ['WWW-Authenticate', 'Cookie realm="sign-in", form-action="/-/login"'] as const;
