import type { Client, Dispatcher } from 'undici';
import type { Clock } from '../core/clock.ts';
import type { FailureKind } from '../core/http.ts';
import type { Attachment, EndReason } from '../core/session.ts';
import type { PageToken, Verdict } from '../core/webmail.ts';
import { AnswerWriter, Upload, type UploadPace } from './body-streams.ts';
import type { ConnectionWaiter, HostConnections } from './connections.ts';
import {
  failureKindOf,
  isFaultyHead,
  isLostConnection,
  maxInformationalHeads,
  tooManyInformationalHeads,
} from './failure.ts';
import { renewForm } from './page-token.ts';
import type { HeaderFields } from './request-head.ts';
import { textOfRaw, UpstreamHead } from './response-headers.ts';
import type { UpstreamRequest } from './upstream-request.ts';
import { PendingVerdict } from './webmail-verdict.ts';

/** Dependencies of the relay. */
export interface RelayDeps extends UploadPace {
  readonly clock: Clock;
}

/** The events of a relay: everything except passing on an answer. */
export interface RelayEvents<P extends UpstreamRequest> {
  /** The verdict on an answer is known. Call `handOn` or `drop`, now or later. */
  judged(relay: Relay<P>, verdict: Verdict, upstream: UpstreamHead): void;
  failed(relay: Relay<P>, kind: FailureKind, error: Error | undefined): void;
  /** An answer that was passed on has arrived completely. */
  completed(relay: Relay<P>): void;
  /** The backend broke an answer off. */
  brokenOff(relay: Relay<P>, error: Error): void;
  /** The head of the answer was faulty, and the request is sent again with a lenient parser. */
  readAgain(relay: Relay<P>, error: Error): void;
  /** The session ended before anything was answered. */
  sessionEnded(relay: Relay<P>, reason: EndReason): void;
  /** The response is closed, for whatever reason. Called once. */
  closed(relay: Relay<P>): void;
}

/** Maximum of bytes read of an answer that waits for a login. */
const maxHeldBytes = 64 * 1024;
/** Grace before the second retry: a killed backend resets connections before it stops listening. */
const secondRetryMs = 100;

/**
 * Carries one request to the backend and its answer back, streaming both ways with back-pressure. An abort on either
 * side reaches the other at once. This is the hot path: one object per request, and no closures per chunk.
 */
export class Relay<P extends UpstreamRequest> implements ConnectionWaiter, Attachment, Dispatcher.DispatchHandler {
  readonly upstreamRequest: P;
  /** The user whose share of the connections it takes. */
  readonly user: string;
  readonly startedAtMs: number;
  /** When the head of the last answer came; undefined before. */
  headAtMs: number | undefined;
  readonly answer: AnswerWriter;
  /** The jar's generation when the request was sent. */
  generation = 0;
  /** How often the request was repeated on behalf of the browser after a silent login. */
  replays = 0;
  readonly #pool: HostConnections;
  readonly #deps: RelayDeps;
  readonly #events: RelayEvents<P>;
  #detach: (() => void) | undefined;
  #client: Client | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #pending: PendingVerdict | undefined;
  /** The body of the request, if it has one. */
  upload: Upload | undefined;
  /** `dropped`: the answer is not wanted; `closed`: the client has left, or has its whole answer. */
  #state: 'asking' | 'judging' | 'passing' | 'dropped' | 'closed' = 'asking';
  #upstreamEnded = false;
  /** Bytes of the body that are still to come; Infinity if its length is unknown. */
  #left = Infinity;
  #holds = false;
  #losses = 0;
  /** Informational heads of the current attempt. */
  #announcements = 0;
  #isLenient = false;

  constructor(upstreamRequest: P, pool: HostConnections, deps: RelayDeps, events: RelayEvents<P>) {
    this.upstreamRequest = upstreamRequest;
    this.user = upstreamRequest.user;
    this.startedAtMs = deps.clock.nowMs();
    this.#pool = pool;
    this.#deps = deps;
    this.#events = events;
    this.answer = new AnswerWriter(upstreamRequest.request, upstreamRequest.response);
  }

  /** Whether the client is still connected and has no answer yet. */
  get waits(): boolean {
    return this.#state !== 'closed' && !this.upstreamRequest.response.headersSent;
  }

  start(): void {
    const { head, request, response } = this.upstreamRequest;
    this.#detach = this.upstreamRequest.attach(this);
    response.on('close', this.#onClose);
    response.on('drain', () => this.#drained());
    if (!head.hasBody) return this.#pool.acquire(this);
    this.upload = new Upload(request, response, head.expectsContinue, this.#deps);
    // A client that announces a body and sends none must not occupy a connection to the backend.
    this.upload.begin(() => {
      if (this.#state === 'asking') this.#pool.acquire(this);
    });
  }

  /** Sends the request again after the answer was dropped. Only for requests without a body. */
  replay(): void {
    this.replays += 1;
    this.#state = 'asking';
    this.#upstreamEnded = false;
    this.#pool.acquire(this);
  }

  /** Passes the judged answer on, with further fields. `takeCookies`: whether its cookies are used. */
  handOn(takeCookies: boolean, more: HeaderFields): void {
    const pending = this.#pending;
    if (pending === undefined || this.#state !== 'judging') return;
    const generation = takeCookies ? this.generation : undefined;
    const fields = this.upstreamRequest.answerFields(pending.upstream, generation, this.#deps.clock.nowMs());
    for (const [name, value] of more) fields.push(name, value);
    this.#state = 'passing';
    this.#pending = undefined;
    this.answer.begin(pending.upstream, fields, this.upstreamRequest.insertion);
    for (const chunk of pending.held) this.answer.write(chunk);
    if (this.#upstreamEnded) this.#finish();
    else if (!this.upstreamRequest.response.writableNeedDrain) this.#controller?.resume();
  }

  /**
   * Reads on while the judged answer waits for a login, which may need the connection: a small answer gives it back. A
   * large one is handed on without its cookies.
   */
  hold(): void {
    this.#holds = true;
    if (!this.#upstreamEnded) this.#controller?.resume();
  }

  /** Drops the answer: another one will be sent, or the request is repeated. */
  drop(): void {
    this.#state = 'dropped';
    this.#pending?.close();
    this.#pending = undefined;
    this.upload?.destroy();
    if (!this.#upstreamEnded) this.#controller?.abort(new Error('answer not wanted'));
  }

  /** Leaves an unanswered request to another relay, and emits no further events. */
  abandon(): void {
    this.drop();
    this.#state = 'closed';
    this.detach();
    this.#pool.forget(this);
  }

  /** No longer ends with the session. */
  detach(): void {
    this.#detach?.();
    this.#detach = undefined;
  }

  end(reason: EndReason): void {
    if (this.#state === 'closed') return;
    this.#pool.forget(this);
    if (this.upstreamRequest.response.headersSent) return void this.upstreamRequest.response.destroy();
    this.drop();
    this.#events.sessionEnded(this, reason);
  }

  onConnection(client: Client): void {
    this.#client = client;
    this.#controller = undefined;
    this.generation = this.upstreamRequest.generation;
    // A driver's bug may cost this request, but not the request that just released its connection and called this.
    try {
      const upload = this.upload;
      const token = upload === undefined ? undefined : this.upstreamRequest.pageToken?.();
      if (upload === undefined || token === undefined) this.#dispatch(client, 0);
      else void this.#renewForm(client, upload, token);
    } catch (error) {
      this.onResponseError(null, error instanceof Error ? error : new Error(String(error)));
    }
  }

  async #renewForm(client: Client, upload: Upload, token: PageToken): Promise<void> {
    const grown = await renewForm(upload, this.upstreamRequest.head.header('content-type'), token);
    // If the client left or the session ended meanwhile, that was handled already.
    if (grown === undefined || this.#state !== 'asking') return this.#release();
    try {
      this.#dispatch(client, grown);
    } catch (error) {
      this.onResponseError(null, error instanceof Error ? error : new Error(String(error)));
    }
  }

  #dispatch(client: Client, grown: number): void {
    const upload = this.upload;
    // An empty chunked body has already ended, and would not end again.
    const body = upload?.complete === true && upload.readableLength === 0 ? undefined : upload;
    client.dispatch(this.upstreamRequest.outgoing(body, this.#deps.clock.nowMs(), grown), this);
  }

  onBusy(): void {
    if (this.waits) this.#events.failed(this, 'busy', undefined);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    this.#announcements = 0;
    if (this.#state !== 'asking') controller.abort(new Error('the client has gone'));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (this.#state !== 'asking') return;
    if (status < 200) {
      this.#announcements += 1;
      if (this.#announcements > maxInformationalHeads) controller.abort(tooManyInformationalHeads());
      return;
    }
    this.headAtMs = this.#deps.clock.nowMs();
    const upstream = new UpstreamHead(status, textOfRaw(controller.rawHeaders));
    this.#left = upstream.contentLength;
    this.#pending = new PendingVerdict(this.upstreamRequest, upstream);
    this.#state = 'judging';
    const verdict = this.#pending.byHead();
    if (verdict !== undefined) this.#events.judged(this, verdict, this.#pending.upstream);
    else this.#pending.lookNoLonger(() => this.#looked(false));
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#left -= chunk.length;
    // A pause after the last byte would only delay the end, and a server that hangs up then would seem to break it off.
    const isLast = this.#left === 0;
    if (this.#state === 'passing') {
      if (!this.answer.write(chunk) && !isLast) controller.pause();
    } else if (this.#state === 'judging' && this.#holds) {
      this.#pending?.held.push(chunk);
      const length = this.#pending?.held.reduce((sum, each) => sum + each.length, 0) ?? 0;
      if (length > maxHeldBytes) this.handOn(false, []);
    } else if (this.#state === 'judging') {
      if (!isLast) controller.pause();
      this.#pending?.feed(chunk, () => this.#looked(false));
    }
  }

  onResponseEnd(): void {
    this.#upstreamEnded = true;
    this.#release();
    if (this.#state === 'passing') this.#finish();
    else this.#pending?.end(() => this.#looked(true));
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    const client = this.#client;
    if (client !== undefined && this.#mayRetry(error)) return this.#retry(client);
    if (client !== undefined && this.#mayReadAgain(error)) return this.#readAgain(client, error);
    this.#upstreamEnded = true;
    this.#release();
    if (this.#state === 'passing' && this.upstreamRequest.response.headersSent) {
      // The head promised more, so the client must see that the answer was cut.
      this.upstreamRequest.response.destroy();
      this.#events.brokenOff(this, error);
    } else if (this.#state !== 'dropped' && this.#state !== 'closed') {
      this.drop();
      this.#events.failed(this, failureKindOf(error, this.#controller !== undefined), error);
    }
  }

  #mayRetry(error: Error): boolean {
    // Without a controller nothing was sent: connecting failed, and would fail again.
    const sent = this.#controller !== undefined && this.#state === 'asking';
    return sent && this.#losses < 2 && this.upstreamRequest.head.isRepeatable && isLostConnection(error);
  }

  #retry(client: Client): void {
    this.#losses += 1;
    // This Client reconnects now, while another idle one may be as stale as this one was.
    if (this.#losses === 1) return this.onConnection(client);
    // A killed program may lose connections before it stops listening. A moment later it refuses connections.
    this.#release();
    this.#controller = undefined;
    const ask = (): void => {
      if (this.#state === 'asking') this.#pool.acquire(this);
    };
    setTimeout(ask, secondRetryMs).unref();
  }

  #mayReadAgain(error: Error): boolean {
    return (
      this.#state === 'asking' && !this.#isLenient && this.upstreamRequest.head.isRepeatable && isFaultyHead(error)
    );
  }

  #readAgain(client: Client, error: Error): void {
    this.#isLenient = true;
    this.#events.readAgain(this, error);
    this.onConnection(this.#pool.exchangeForLenient(client));
  }

  /** Continues after a part of the body was decoded. `complete`: whether that was all of it. */
  #looked(complete: boolean): void {
    const pending = this.#pending;
    if (pending === undefined || this.#state !== 'judging' || this.#upstreamEnded !== complete) return;
    if (!complete && !pending.enough) {
      this.#controller?.resume();
      return;
    }
    let verdict: Verdict;
    try {
      verdict = pending.byBody(complete);
    } catch (error) {
      // A driver's bug in a callback of zlib may cost this request, but never the gateway.
      this.drop();
      this.#events.failed(this, 'bad-answer', error instanceof Error ? error : undefined);
      return;
    }
    this.#events.judged(this, verdict, pending.upstream);
  }

  #drained(): void {
    if (this.#state === 'passing') this.#controller?.resume();
  }

  #finish(): void {
    this.answer.finish();
    this.#events.completed(this);
    this.upload?.abandon();
  }

  readonly #onClose = (): void => {
    if (this.#state === 'closed') return;
    if (this.#state === 'passing' && this.#upstreamEnded) {
      // The whole answer was sent: there is nothing to abort.
      this.#state = 'closed';
      this.detach();
    } else this.abandon();
    this.#events.closed(this);
  };

  #release(): void {
    const client = this.#client;
    this.#client = undefined;
    if (client !== undefined) this.#pool.release(client);
  }
}
