import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Log } from '../core/log.ts';
import { defined } from '../core/objects.ts';

/** Options of the syslog sender. */
export interface SyslogOptions {
  readonly host: string;
  readonly port: number;
  /** Plain TCP if undefined. `ca`: PEM certificates to trust instead of the system's. */
  readonly tls?: { readonly ca?: string };
  /** The name of this machine. */
  readonly node: string;
  readonly log: Log;
  /** Milliseconds before the first new attempt after a failure; doubles with each further one, up to 30 s. */
  readonly retryMs?: number;
}

interface CopiedLine {
  readonly text: string;
  readonly event: string;
  readonly timeMs: number;
}

/** Sends a copy of the audit to another machine. Nobody waits for it. */
interface SyslogCopy extends AsyncDisposable {
  send(line: CopiedLine): void;
}

/** Facility 13 (log audit), severity 5 (notice). */
const priority = 13 * 8 + 5;
const maxQueuedMessages = 1000;
const connectMs = 5_000;
const maxRetryPauseMs = 30_000;
/** Time for waiting messages to leave when the process ends. */
const flushTimeoutMs = 1_000;

/**
 * Copies lines to a syslog server, in order, over TCP or TLS. While the server is away up to 1000 lines wait; further
 * ones are dropped, counted and logged.
 *
 * Source: RFC 5424 for the messages, RFC 6587 and RFC 5425 for their framing by octet counting. Syslog has no
 * acknowledgements: lines that the server had received but not written when it failed are lost.
 */
export function createSyslogCopy(deps: SyslogOptions): SyslogCopy {
  return new SyslogConnection(deps);
}

/** The first pause after a connection was lost; each further one is twice as long. */
const retryDefaultMs = 1_000;

class SyslogConnection implements SyslogCopy {
  readonly #deps: SyslogOptions;
  readonly #where: string;
  readonly #waiting: Buffer[] = [];
  #socket: Socket | undefined;
  #isOpen = false;
  #isSending = false;
  #failures = 0;
  #dropped = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosing = false;
  readonly #drained = Promise.withResolvers<void>();

  constructor(deps: SyslogOptions) {
    this.#deps = deps;
    this.#where = `${this.#deps.host}:${this.#deps.port}`;
  }

  send(line: CopiedLine): void {
    if (this.#waiting.length >= maxQueuedMessages) {
      this.#dropped += 1;
      // Only the first one raises the alarm; their number is logged when the server is back.
      const fields = { code: 'ERR_AUDIT_COPY', syslog: this.#where, waiting: maxQueuedMessages };
      if (this.#dropped === 1) this.#deps.log.error('audit-copy-stopped', fields);
      return;
    }
    this.#waiting.push(syslogMessage(line, this.#deps.node));
    if (this.#socket === undefined && this.#timer === undefined) this.#open();
    else this.#next();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true;
    clearTimeout(this.#timer);
    if (this.#socket !== undefined) {
      const timer = setTimeout(() => this.#socket?.destroy(), flushTimeoutMs);
      this.#next();
      await this.#drained.promise;
      clearTimeout(timer);
    }
    const lost = this.#dropped + this.#waiting.length;
    if (lost > 0) this.#deps.log.error('audit-copy-incomplete', { code: 'ERR_AUDIT_COPY', syslog: this.#where, lost });
  }

  #open(): void {
    const fresh = dial(this.#deps);
    this.#timer = undefined;
    this.#socket = fresh;
    fresh.setTimeout(connectMs, () => fresh.destroy(new Error('the server does not answer')));
    fresh.setKeepAlive(true, 60_000);
    fresh.once(this.#deps.tls === undefined ? 'connect' : 'secureConnect', () => this.#opened(fresh));
    // The server sends nothing, but only reading shows that it closes the connection.
    fresh.resume();
    let why: Error | undefined;
    fresh.on('error', (error) => {
      why = error;
    });
    fresh.once('close', () => this.#closed(why));
  }

  #opened(fresh: Socket): void {
    fresh.setTimeout(0);
    this.#isOpen = true;
    if (this.#failures > 0) this.#deps.log.info('audit-copy-resumed', { syslog: this.#where, dropped: this.#dropped });
    this.#failures = 0;
    this.#dropped = 0;
    this.#next();
  }

  #closed(why: Error | undefined): void {
    this.#socket = undefined;
    this.#isOpen = false;
    this.#isSending = false;
    if (this.#isClosing) return this.#drained.resolve();
    this.#failures += 1;
    if (this.#failures === 1) {
      this.#deps.log.warn('audit-copy-waits', {
        syslog: this.#where,
        err: why ?? new Error('the server closed the connection'),
      });
    }
    this.#timer = setTimeout(
      () => this.#open(),
      Math.min(maxRetryPauseMs, (this.#deps.retryMs ?? retryDefaultMs) * 2 ** Math.min(this.#failures - 1, 10)),
    ).unref();
  }

  /** Sends one message at a time: one that the kernel has not taken is sent again over the next connection. */
  #next(): void {
    const [first] = this.#waiting;
    if (first === undefined && this.#isClosing) this.#socket?.end();
    if (first === undefined || this.#socket === undefined || !this.#isOpen || this.#isSending) return;
    this.#isSending = true;
    const over = this.#socket;
    over.write(first, (error) => {
      if (over !== this.#socket) return;
      this.#isSending = false;
      if (error !== null && error !== undefined) return;
      if (this.#waiting[0] === first) this.#waiting.shift();
      this.#next();
    });
  }
}

function dial({ host, port, tls }: SyslogOptions): Socket {
  if (tls === undefined) return connect({ host, port });
  return connectTls({
    host,
    port,
    ...defined({ servername: isIP(host) === 0 ? host : undefined, ca: tls.ca }),
  });
}

/** Formats a message, preceded by its length in octets. A line is UTF-8 without control characters already. */
function syslogMessage({ text, event, timeMs }: CopiedLine, node: string): Buffer {
  const hostname = node.replace(/[^\x21-\x7e]/g, '_').slice(0, 255) || '-';
  const head = `<${priority}>1 ${new Date(timeMs).toISOString()} ${hostname} postern ${process.pid} ${event} -`;
  const message = Buffer.from(`${head} ${text}`);
  return Buffer.concat([Buffer.from(`${message.length} `), message]);
}
