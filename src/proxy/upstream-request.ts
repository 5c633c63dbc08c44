import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Dispatcher } from 'undici';
import type { Backend, BackendHost } from '../core/backend.ts';
import type { Ingress } from '../core/http.ts';
import type { Attachment, LiveSession } from '../core/session.ts';
import type { PageToken, RequestIdentity, WebmailDriver } from '../core/webmail.ts';
import { askingForPlain, type Banner, type BannerOf, bannerPlace, fieldsWithBanner } from './banner-injection.ts';
import { Insertion, type Upload } from './body-streams.ts';
import { renewTarget } from './page-token.ts';
import { destinationOf, type HeaderFields, type IncomingHead } from './request-head.ts';
import type { RequestHeaders } from './request-headers.ts';
import { responseHeaders, type UpstreamHead } from './response-headers.ts';

/** A request that was admitted, with its ingress. */
export interface AdmittedRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: IncomingHead;
  readonly ingress: Ingress;
  /** Rebuilds the head for the backend, by the configuration under which the request was admitted. */
  readonly requestHeaders: RequestHeaders;
}

/**
 * One request on its way to a backend. It rebuilds the heads in both directions, and decides which cookies and
 * credentials go along.
 */
export interface UpstreamRequest extends Omit<AdmittedRequest, 'requestHeaders'> {
  /** The user on whose behalf it is sent. */
  readonly user: string;
  readonly backend: Backend;
  readonly host: BackendHost;
  /** Judges the answers. */
  readonly driver: Pick<WebmailDriver, 'judge' | 'judgeBody' | 'judgedBytes'>;
  /** The generation of the cookies that the request takes along. */
  readonly generation: number;
  /**
   * Attaches a relay to the session that ends it, if there is one. Call the returned function once the relay is done.
   */
  attach(attachment: Attachment): () => void;
  /** The token for a form that an older page sends; see the driver's `pageToken`. */
  pageToken?(): PageToken | undefined;
  /** The request for undici. `grown`: by how many bytes the body is longer than its Content-Length. */
  outgoing(body: Upload | undefined, nowMs: number, grown?: number): Dispatcher.DispatchOptions;
  /**
   * The fields of the answer for the client, names and values in turn. `generation`: that of the cookies that were
   * sent; undefined if the answer's cookies are not to be used.
   */
  answerFields(upstream: UpstreamHead, generation: number | undefined, nowMs: number): string[];
  /** The text to insert into the body of the answer whose fields were rebuilt last; usually undefined. */
  readonly insertion?: Insertion | undefined;
}

/** A request whose session was found. */
export interface SessionRequest extends AdmittedRequest {
  readonly session: LiveSession;
  /** The browser's Cookie field without the gateway's own cookies. */
  readonly cookieRest: string;
}

/** The backend, host and driver that a request of a session goes to. */
interface SessionDestination {
  readonly backend: Backend;
  readonly host: BackendHost;
  readonly driver: WebmailDriver;
}

/** Dependencies of the upstream requests of sessions. */
export interface SessionUpstreamRequestDeps {
  /** The banner of opened mailboxes. */
  readonly bannerOf: BannerOf;
  readonly isOwnCookie: (name: string) => boolean;
}

/** One request of a session on its way to its webmail, with the cookies of the session's jar. */
export class SessionUpstreamRequest implements UpstreamRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: IncomingHead;
  readonly ingress: Ingress;
  readonly session: LiveSession;
  readonly user: string;
  readonly backend: Backend;
  readonly host: BackendHost;
  readonly driver: WebmailDriver;
  /** The request as it was admitted. */
  readonly task: SessionRequest;
  insertion: Insertion | undefined;
  readonly #banner: Banner | undefined;
  readonly #deps: SessionUpstreamRequestDeps;

  constructor(task: SessionRequest, { backend, host, driver }: SessionDestination, deps: SessionUpstreamRequestDeps) {
    this.request = task.request;
    this.response = task.response;
    this.head = task.head;
    this.ingress = task.ingress;
    this.session = task.session;
    this.user = task.session.record.user;
    this.backend = backend;
    this.host = host;
    this.driver = driver;
    this.task = task;
    this.#banner = mayShowBanner(task, driver) ? deps.bannerOf(task.session, task.head, task.ingress) : undefined;
    this.#deps = deps;
  }

  get generation(): number {
    return this.session.jar.generation;
  }

  attach(attachment: Attachment): () => void {
    return this.session.attach(attachment);
  }

  pageToken(): PageToken | undefined {
    return this.driver.pageToken?.(this.head, requestIdentityOf(this));
  }

  outgoing(body: Upload | undefined, nowMs: number, grown = 0): Dispatcher.DispatchOptions {
    const headers = this.task.requestHeaders(this.head, {
      ingress: this.ingress,
      backendOrigin: this.host.webmail.origin,
      jar: this.session.jar,
      cookieRest: this.task.cookieRest,
      driverFields: driverFieldsOf(this.driver, this),
      nowMs,
    });
    const asked = this.#banner === undefined ? headers : askingForPlain(headers);
    const token = this.pageToken();
    return dispatchOptions(this.head, {
      ...(token === undefined ? {} : { target: renewTarget(this.head.target, token) }),
      headers: grown === 0 ? asked : withLength(asked, grown),
      body,
      firstByteMs: this.backend.limits.webmailFirstByteMs,
    });
  }

  /** Whether the answer is a page that needs a banner, in a coding into which none can be written. */
  lacksBanner(upstream: UpstreamHead): boolean {
    return this.#banner !== undefined && bannerPlace(upstream) === 'unreadable';
  }

  answerFields(upstream: UpstreamHead, generation: number | undefined, nowMs: number): string[] {
    const fields = responseHeaders(upstream, { to: this, generation, nowMs, isOwnCookie: this.#deps.isOwnCookie });
    this.insertion = undefined;
    if (this.#banner === undefined || bannerPlace(upstream) !== 'here') return fields;
    this.insertion = new Insertion(this.#banner.html);
    return fieldsWithBanner(fields, this.#banner);
  }
}

/** Whether the answer may need a banner: it may be a page of the webmail that fills a tab of an opened mailbox. */
function mayShowBanner({ head, session }: SessionRequest, driver: WebmailDriver): boolean {
  if (session.record.impersonation === undefined || head.method === 'HEAD') return false;
  return destinationOf(head).destination === 'page' && driver.isPage?.(head) !== false;
}

/** The fields that the driver adds to a request of a session. */
export function driverFieldsOf(
  driver: WebmailDriver,
  request: Pick<SessionRequest, 'head' | 'session' | 'ingress'>,
): HeaderFields {
  return driver.requestHeaders?.(request.head, requestIdentityOf(request)) ?? [];
}

function requestIdentityOf({ session, ingress }: Pick<SessionRequest, 'session' | 'ingress'>): RequestIdentity {
  return {
    user: session.record.user,
    password: session.password,
    client: ingress.client,
    timeZone: session.record.timeZone,
    publicOrigin: ingress.publicUrl.origin,
    session: session.key,
    jar: session.jar,
    ...(session.record.impersonation === undefined ? {} : { actor: session.record.impersonation.actor }),
  };
}

/** The fields with a Content-Length that has grown. A chunked body has none to change. */
function withLength(fields: readonly string[], grown: number): string[] {
  return fields.map((value, i) =>
    i % 2 === 1 && fields[i - 1]?.toLowerCase() === 'content-length' ? String(Number(value) + grown) : value,
  );
}

interface DispatchParts {
  /** Replaces the target that the client asked for. */
  readonly target?: string;
  /** The rebuilt fields, names and values in turn. */
  readonly headers: string[];
  readonly body: Upload | undefined;
  /** The time that the backend may take to begin its answer, and between any two parts of it. */
  readonly firstByteMs: number;
}

/**
 * A request for undici: the target byte for byte (except for a token of the webmail), a rebuilt head, and its timeouts.
 */
export function dispatchOptions(
  head: IncomingHead,
  { target = head.target, headers, body, firstByteMs }: DispatchParts,
): Dispatcher.DispatchOptions {
  // Event streams may be silent for any time.
  const patient = head.header('accept')?.includes('text/event-stream') === true;
  const patienceMs = patient ? 0 : firstByteMs;
  const options = {
    path: target,
    method: head.method,
    headers,
    body: body ?? null,
    headersTimeout: patienceMs,
    bodyTimeout: patienceMs,
    // By default undici takes it from the Host field, and reconnects whenever another public name is asked for.
    servername: 'backend',
  };
  return options;
}
