import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Client, Dispatcher } from 'undici';
import type { Backend, BackendHost } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { Ingress } from '../core/ingress.ts';
import type { Attachment, EndReason, LiveSession } from '../core/session.ts';
import type { Verdict, WebmailDriver } from '../core/webmail.ts';
import type { HostConnections, Waiter } from './connections.ts';
import { DecodedStart } from './decoded-start.ts';
import { type FailureKind, failureKindOf, isLostConnection } from './failure.ts';
import { discardBody } from './reply.ts';
import type { IncomingHead } from './request-head.ts';
import type { RequestHeaders } from './request-headers.ts';
import { responseHeaders, textOfRaw, UpstreamHead } from './response-headers.ts';
import { stallMs, Upload } from './upload.ts';
import { judgedBytes } from './verdicts.ts';

/** One request of a session on its way to the session's webmail. */
export interface Passage {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: IncomingHead;
  readonly ingress: Ingress;
  readonly session: LiveSession;
  /** The browser's Cookie field without the gateway's own cookies. */
  readonly cookieRest: string;
  readonly backend: Backend;
  readonly host: BackendHost;
  readonly driver: WebmailDriver;
}

export interface RelayDeps {
  readonly requestHeaders: RequestHeaders;
  readonly isOwnCookie: (name: string) => boolean;
  readonly clock: Clock;
}

/** What the relay leaves to others: everything but an answer that is simply passed on. */
export interface RelayEvents {
  /** The verdict on an answer is known. Call `handOn` or `drop`, now or later. */
  judged(relay: Relay, verdict: Verdict, status: number): void;
  failed(relay: Relay, kind: FailureKind, error: Error | undefined): void;
  /** The session ended and nothing has been answered yet. */
  sessionEnded(relay: Relay, reason: EndReason): void;
  /** The response is closed, in whatever way; called once. */
  closed(relay: Relay): void;
}

type Fields = readonly (readonly [name: string, value: string])[];

/**
 * Carries one request to the backend and its answer back, streaming both ways with back-pressure; an abort on either
 * side reaches the other at once. One object per request and no closures on the way of the bytes: this is the hot path.
 */
export class Relay implements Waiter, Attachment, Dispatcher.DispatchHandler {
  readonly passage: Passage;
  /** The jar's generation when the request left. */
  generation = 0;
  /** How often the request was asked again in the browser's place after a silent sign-in. */
  replays = 0;
  bytes = 0;
  readonly #pool: HostConnections;
  readonly #deps: RelayDeps;
  readonly #events: RelayEvents;
  readonly #hasBody: boolean;
  #detach: (() => void) | undefined;
  #client: Client | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #upstream: UpstreamHead | undefined;
  #judging: DecodedStart | undefined;
  #held: Buffer[] = [];
  /** `dropped`: the answer is not wanted; `closed`: the client has gone or has all that it will get. */
  #state: 'asking' | 'judging' | 'passing' | 'dropped' | 'closed' = 'asking';
  #upstreamEnded = false;
  #retried = false;
  #left: number | undefined;
  #upload: Upload | undefined;

  constructor(passage: Passage, pool: HostConnections, deps: RelayDeps, events: RelayEvents) {
    this.passage = passage;
    this.#pool = pool;
    this.#deps = deps;
    this.#events = events;
    this.#hasBody = passage.head.hasBody;
  }

  get hasBody(): boolean {
    return this.#hasBody;
  }

  /** Whether the client is still there and nothing was answered. */
  get waits(): boolean {
    return this.#state !== 'closed' && !this.passage.response.headersSent;
  }

  start(): void {
    const { session, response } = this.passage;
    this.#detach = session.attach(this);
    response.on('close', () => this.#close());
    response.on('drain', () => this.#drained());
    this.#pool.acquire(this);
  }

  /** Asks once more, after the answer was dropped. Only for requests without a body. */
  replay(): void {
    this.replays += 1;
    this.#state = 'asking';
    this.#controller = undefined;
    this.#upstream = undefined;
    this.#upstreamEnded = false;
    this.#held = [];
    this.#pool.acquire(this);
  }

  /** Passes the judged answer on, with further fields. `takeCookies`: whether its cookies count. */
  handOn(takeCookies: boolean, more: Fields): void {
    const upstream = this.#upstream;
    const { response } = this.passage;
    if (upstream === undefined || this.#state !== 'judging' || response.headersSent) return;
    const fields = responseHeaders(upstream, this.#responseContext(takeCookies));
    for (const [name, value] of more) fields.push(name, value);
    this.#state = 'passing';
    const length = upstream.header('content-length');
    this.#left = length === undefined || this.passage.head.method === 'HEAD' ? undefined : Number(length);
    response.sendDate = false;
    response.writeHead(upstream.status, fields);
    for (const chunk of this.#held) this.#write(chunk);
    this.#held = [];
    if (this.#upstreamEnded) this.#finishResponse();
    else if (!response.writableNeedDrain) this.#controller?.resume();
  }

  /** Lets the answer go: something else will be sent, or the request is asked again. */
  drop(): void {
    this.#state = 'dropped';
    this.#judging?.close();
    this.#judging = undefined;
    this.#held = [];
    if (!this.#upstreamEnded) this.#controller?.abort(new Error('answer not wanted'));
  }

  /** No longer ends with the session. */
  detach(): void {
    this.#detach?.();
    this.#detach = undefined;
  }

  end(reason: EndReason): void {
    if (this.#state === 'closed') return;
    this.#pool.forget(this);
    const { response } = this.passage;
    if (response.headersSent) {
      response.destroy();
      return;
    }
    this.drop();
    this.#events.sessionEnded(this, reason);
  }

  onConnection(client: Client): void {
    this.#client = client;
    this.#dispatch(client);
  }

  onBusy(): void {
    if (this.waits) this.#events.failed(this, 'busy', undefined);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#state !== 'asking') controller.abort(new Error('the client has gone'));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (status < 200 || this.#state !== 'asking') return;
    const { head, driver } = this.passage;
    const upstream = new UpstreamHead(status, textOfRaw(controller.rawHeaders));
    this.#upstream = upstream;
    this.#state = 'judging';
    const verdict = driver.judge(head, upstream);
    if (verdict !== 'look-inside') {
      this.#events.judged(this, verdict, status);
    } else if (driver.judgeBody === undefined || head.method === 'HEAD' || status === 204 || status === 304) {
      this.#events.judged(this, 'alive', status);
    } else {
      this.#judging = new DecodedStart(upstream.header('content-encoding'), judgedBytes);
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#state === 'passing') {
      this.#write(chunk);
    } else if (this.#state === 'judging') {
      this.#held.push(chunk);
      controller.pause();
      this.#judging?.feed(chunk, () => this.#looked());
    }
  }

  onResponseEnd(): void {
    this.#upstreamEnded = true;
    this.#release();
    if (this.#state === 'passing') this.#finishResponse();
    else this.#judging?.end(() => this.#decide(true));
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    const client = this.#client;
    if (client !== undefined && this.#mayRetry(error)) {
      this.#retried = true;
      this.#controller = undefined;
      // The same connection object: what it opens now is fresh, while another idle one may be as stale as this one was.
      this.#dispatch(client);
      return;
    }
    this.#upstreamEnded = true;
    this.#release();
    if (this.#state === 'passing') {
      // The head promised more: the client must see that it was cut.
      this.passage.response.destroy();
    } else if (this.#state === 'asking' || this.#state === 'judging') {
      const sent = this.#controller !== undefined;
      this.drop();
      this.#events.failed(this, failureKindOf(error, sent), error);
    }
  }

  #dispatch(client: Client): void {
    const { head, request, response, ingress, session, cookieRest, backend } = this.passage;
    this.generation = session.jar.generation;
    const nowMs = this.#deps.clock.nowMs();
    // Event streams and what polls for them may be silent for as long as they like.
    const patienceMs = (head.header('accept') ?? '').includes('text/event-stream')
      ? 0
      : backend.limits.webmailFirstByteMs;
    this.#upload = this.#hasBody ? new Upload(request, response, head.header('expect') !== undefined) : undefined;
    const options = {
      path: head.target,
      method: head.method,
      headers: this.#deps.requestHeaders(head, { ingress, jar: session.jar, cookieRest, nowMs }),
      body: this.#upload ?? null,
      headersTimeout: patienceMs,
      bodyTimeout: patienceMs,
      // Else undici takes it from the Host field, and connects anew whenever another public name is asked.
      servername: 'backend',
    };
    client.dispatch(options, this);
  }

  #mayRetry(error: Error): boolean {
    const { method } = this.passage.head;
    const safe = method === 'GET' || method === 'HEAD' || method === 'OPTIONS';
    return (
      this.#state === 'asking' &&
      safe &&
      !this.#hasBody &&
      !this.#retried &&
      this.#controller !== undefined &&
      isLostConnection(error)
    );
  }

  #looked(): void {
    const judging = this.#judging;
    if (judging === undefined || this.#upstreamEnded) return;
    if (judging.over) this.#decide(false);
    else this.#controller?.resume();
  }

  #decide(complete: boolean): void {
    const judging = this.#judging;
    const { driver, head } = this.passage;
    if (judging === undefined || this.#state !== 'judging') return;
    this.#judging = undefined;
    const start = judging.bytes;
    judging.close();
    let verdict: Verdict;
    try {
      verdict = driver.judgeBody?.(head, start, complete) ?? 'alive';
    } catch (error) {
      // A driver's bug, in a callback of zlib: it may cost this request, never the gateway.
      this.drop();
      this.#events.failed(this, 'bad-answer', error instanceof Error ? error : undefined);
      return;
    }
    this.#events.judged(this, verdict, this.#upstream?.status ?? 0);
  }

  #write(chunk: Buffer): void {
    const { request, response } = this.passage;
    this.bytes += chunk.length;
    if (this.#left !== undefined) {
      this.#left -= chunk.length;
      if (this.#left === 0) {
        // One write fewer than write() and end().
        response.end(chunk);
        return;
      }
    }
    if (response.write(chunk)) return;
    this.#controller?.pause();
    request.socket.setTimeout(stallMs);
  }

  #drained(): void {
    if (this.#state !== 'passing') return;
    this.passage.request.socket.setTimeout(0);
    this.#controller?.resume();
  }

  #finishResponse(): void {
    const { request, response } = this.passage;
    if (!response.writableEnded) response.end();
    if (this.#upload === undefined) return;
    // The answer came early: what the client still sends is read away, so that it gets to read the answer.
    this.#upload.destroy();
    discardBody(request);
  }

  #responseContext(takeCookies: boolean) {
    const { session, ingress, host, head } = this.passage;
    return {
      session,
      ingress,
      backendOrigin: host.webmail.origin,
      target: head.target,
      generation: takeCookies ? this.generation : undefined,
      nowMs: this.#deps.clock.nowMs(),
      isOwnCookie: this.#deps.isOwnCookie,
    };
  }

  #close(): void {
    if (this.#state === 'closed') return;
    this.drop();
    this.#state = 'closed';
    this.detach();
    this.#pool.forget(this);
    this.#events.closed(this);
  }

  #release(): void {
    const client = this.#client;
    this.#client = undefined;
    if (client !== undefined) this.#pool.release(client);
  }
}
