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

/** A request that was let in, and where it came in. */
export interface AdmittedRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: IncomingHead;
  readonly ingress: Ingress;
  /** Rebuilds the head for the backend, by the configuration under which the request was let in. */
  readonly requestHeaders: RequestHeaders;
}

/**
 * One request on its way to a backend: what the relay must know of it, and how its heads are rebuilt in both
 * directions. In whose name it goes, and what that means for cookies and credentials, is the passage's own business.
 */
export interface UpstreamRequest extends Omit<AdmittedRequest, 'requestHeaders'> {
  /** In whose name it goes. */
  readonly user: string;
  readonly backend: Backend;
  readonly host: BackendHost;
  /** Judges the answers. */
  readonly driver: Pick<WebmailDriver, 'judge' | 'judgeBody' | 'judgedBytes'>;
  /** The generation of the cookies that the request takes along. */
  readonly generation: number;
  /** Ties what runs to what it must end with; call the returned function when it is done by itself. */
  attach(attachment: Attachment): () => void;
  /** The token to put into a form that an older page sends; see the driver's `pageToken`. */
  pageToken?(): PageToken | undefined;
  /** The request as undici sends it. `grown`: by how many bytes the body is longer than the client said. */
  outgoing(body: Upload | undefined, nowMs: number, grown?: number): Dispatcher.DispatchOptions;
  /**
   * The fields of the answer for the client, names and values in turn. `generation`: what the request took along;
   * nothing: the answer's cookies do not count.
   */
  answerFields(upstream: UpstreamHead, generation: number | undefined, nowMs: number): string[];
  /** Text to insert into the body of the answer whose fields were read last; usually undefined. */
  readonly insertion?: Insertion | undefined;
}

/** A request whose session was found. */
export interface SessionRequest extends AdmittedRequest {
  readonly session: LiveSession;
  /** The browser's Cookie field without the gateway's own cookies. */
  readonly cookieRest: string;
}

/** The home of a session, as one request of it is carried there. */
interface SessionDestination {
  readonly backend: Backend;
  readonly host: BackendHost;
  readonly driver: WebmailDriver;
}

/** Dependencies of the upstream requests of sessions. */
export interface SessionUpstreamRequestDeps {
  /** For mailboxes that staff opened. */
  readonly bannerOf: BannerOf;
  readonly isOwnCookie: (name: string) => boolean;
}

/** One request of a session on its way to the session's webmail, with the cookies of the session's jar. */
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
  /** The request as it was let in. */
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

  /** Whether the answer is a page that must have a banner, in a form that nobody can write one into. */
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

/** A document that fills a tab, as far as the browser says what it asks for, and that is the webmail's own. */
function mayShowBanner({ head, session }: SessionRequest, driver: WebmailDriver): boolean {
  if (session.record.impersonation === undefined || head.method === 'HEAD') return false;
  return destinationOf(head).destination === 'page' && driver.isPage?.(head) !== false;
}

/** The fields that a session's driver adds to a request on its way to the webmail. */
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

/** The same fields, whose body is longer than the client said; where it did not say, it is chunked. */
function withLength(fields: readonly string[], grown: number): string[] {
  return fields.map((value, i) =>
    i % 2 === 1 && fields[i - 1]?.toLowerCase() === 'content-length' ? String(Number(value) + grown) : value,
  );
}

interface DispatchParts {
  /** In the place of the one that the client asked for. */
  readonly target?: string;
  /** Names and values in turn, rebuilt. */
  readonly headers: string[];
  readonly body: Upload | undefined;
  /** How long the backend may take to begin its answer, and between any two parts of it. */
  readonly firstByteMs: number;
}

/**
 * A request as undici sends it: the target byte for byte (but for a token of the webmail's), a rebuilt head, and how
 * long it may take.
 */
export function dispatchOptions(
  head: IncomingHead,
  { target = head.target, headers, body, firstByteMs }: DispatchParts,
): Dispatcher.DispatchOptions {
  // Event streams may be silent for as long as they like.
  const patient = head.header('accept')?.includes('text/event-stream') === true;
  const patienceMs = patient ? 0 : firstByteMs;
  const options = {
    path: target,
    method: head.method,
    headers,
    body: body ?? null,
    headersTimeout: patienceMs,
    bodyTimeout: patienceMs,
    // Else undici takes it from the Host field, and connects anew whenever another public name is asked.
    servername: 'backend',
  };
  return options;
}
