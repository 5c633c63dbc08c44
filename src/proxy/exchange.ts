import type { Client, Dispatcher } from 'undici';
import type { BackendHost, BackendLimits } from '../core/backend.ts';
import { PosternError } from '../core/error.ts';
import type { ExchangeRequest, ExchangeResponse, HttpExchange } from '../core/http.ts';
import { charsetOf, decodeText } from '../core/text.ts';
import type { Connections, ConnectionWaiter, HostConnections } from './connections.ts';
import { errorCodeOf, failureKindOf, isRefused, maxInformationalHeads, tooManyInformationalHeads } from './failure.ts';
import { textOfRaw, UpstreamHead } from './response-headers.ts';
import { DecodedStart } from './webmail-verdict.ts';

/** Maximum size of a decoded page. There are sign-in pages of half a megabyte. */
const maxPageBytes = 1024 * 1024;

/** Dependencies of the gateway's own requests to webmails. */
interface ExchangeDeps {
  readonly connections: Connections;
  readonly limits: (host: BackendHost) => BackendLimits;
  /** Called when the host refuses the connection. */
  readonly refused?: (host: BackendHost) => void;
}

/** Creates the client for the gateway's own requests to webmails, over the same bounded connections as proxied ones. */
export function createExchange(deps: ExchangeDeps): HttpExchange {
  return {
    send: (host, request, signal) =>
      new Promise((resolve, reject) => {
        const limits = deps.limits(host);
        const pool = deps.connections.to(host, limits);
        const refused = (): void => deps.refused?.(host);
        new WebmailExchange({ host, limits, pool, request, signal, refused, resolve, reject }).start();
      }),
  };
}

interface WebmailExchangeTask {
  readonly host: BackendHost;
  readonly limits: BackendLimits;
  readonly pool: HostConnections;
  readonly request: ExchangeRequest;
  readonly signal: AbortSignal;
  readonly refused: () => void;
  readonly resolve: (response: ExchangeResponse) => void;
  readonly reject: (error: Error) => void;
}

class WebmailExchange implements ConnectionWaiter, Dispatcher.DispatchHandler {
  readonly #task: WebmailExchangeTask;
  #client: Client | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #head: UpstreamHead | undefined;
  #body: DecodedStart | undefined;
  /** Bytes of the body that are still to come; Infinity if its length is unknown. */
  #left = Infinity;
  #settled = false;
  #announcements = 0;
  readonly #onAbort = (): void => this.#abort();

  constructor(task: WebmailExchangeTask) {
    this.#task = task;
  }

  start(): void {
    const { signal, pool } = this.#task;
    if (signal.aborted) return this.#abort();
    signal.addEventListener('abort', this.#onAbort, { once: true });
    pool.acquire(this);
  }

  onConnection(client: Client): void {
    this.#client = client;
    const { request, limits } = this.#task;
    client.dispatch(
      {
        path: request.target,
        method: request.method,
        headers: request.headers.flat(),
        body: request.body === undefined ? null : Buffer.from(request.body, request.bodyCoding ?? 'utf8'),
        headersTimeout: limits.webmailFirstByteMs,
        bodyTimeout: limits.webmailFirstByteMs,
      },
      this,
    );
  }

  onBusy(): void {
    const { host } = this.#task;
    this.#fail(
      new PosternError(
        'ERR_BUSY',
        `All connections to the webmail of ${host.name} are in use, and the queue is full.`,
        {
          source: 'webmail',
          retryable: true,
        },
      ),
    );
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#settled) controller.abort(new Error('no longer wanted'));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (status < 200) {
      this.#announcements += 1;
      if (this.#announcements > maxInformationalHeads) controller.abort(tooManyInformationalHeads());
      return;
    }
    this.#head = new UpstreamHead(status, textOfRaw(controller.rawHeaders));
    this.#left = this.#head.contentLength;
    this.#body = new DecodedStart(this.#head.header('content-encoding'), maxPageBytes + 1);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const body = this.#body;
    if (body === undefined) return;
    this.#left -= chunk.length;
    // A pause after the last byte would only delay the end, and a server that hangs up then would seem to break it off.
    if (this.#left !== 0) controller.pause();
    body.feed(chunk, () => {
      // The whole body has arrived meanwhile.
      if (this.#client === undefined) return;
      if (!body.over) return controller.resume();
      // The rest is not wanted and would only occupy the connection.
      this.#done();
      controller.abort(new Error('read far enough'));
    });
  }

  onResponseEnd(): void {
    this.#release();
    this.#body?.end(() => this.#done());
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#release();
    const { host, refused } = this.#task;
    if (isRefused(error)) refused();
    const late = failureKindOf(error, this.#controller !== undefined) === 'timeout';
    this.#fail(
      new PosternError(
        late ? 'ERR_DEADLINE' : 'ERR_WEBMAIL_UNAVAILABLE',
        `The webmail of ${host.name} at ${host.webmail.origin} gave no answer (${errorCodeOf(error)}).`,
        { source: 'webmail', retryable: true, cause: error },
      ),
    );
  }

  #done(): void {
    const [head, body] = [this.#head, this.#body];
    if (this.#settled || head === undefined || body === undefined) return;
    this.#settle();
    const bytes = body.bytes;
    body.close();
    const kept = bytes.subarray(0, maxPageBytes);
    this.#task.resolve({
      status: head.status,
      header: (name) => head.header(name),
      setCookies: head.setCookies,
      body: decodeText(kept, charsetOf(head.header('content-type'), kept)),
      isCut: bytes.length > maxPageBytes,
    });
  }

  #abort(): void {
    const { signal, pool } = this.#task;
    pool.forget(this);
    this.#fail(
      new PosternError('ERR_DEADLINE', 'The deadline passed before the webmail answered.', {
        source: 'webmail',
        retryable: true,
        cause: signal.reason,
      }),
    );
    this.#controller?.abort(new Error('no longer wanted'));
  }

  #fail(error: PosternError): void {
    if (this.#settled) return;
    this.#settle();
    this.#body?.close();
    this.#task.reject(error);
  }

  #settle(): void {
    this.#settled = true;
    this.#task.signal.removeEventListener('abort', this.#onAbort);
  }

  #release(): void {
    const client = this.#client;
    this.#client = undefined;
    if (client !== undefined) this.#task.pool.release(client);
  }
}
