import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { defined } from './objects.ts';

/** A syslog server. */
export interface SyslogServer {
  readonly host: string;
  readonly port: number;
  /** Plain TCP if undefined. `ca`: PEM certificates to trust instead of the system's. */
  readonly tls?: { readonly ca?: string };
}

/** Options of createSyslogSender. */
export interface SyslogSenderOptions extends SyslogServer {
  /** The name of this machine. */
  readonly node: string;
  /** The facility of all messages (RFC 5424, 6.2.1). */
  readonly facility: number;
  readonly trouble: SyslogTrouble;
  /** Milliseconds before the first new attempt after a failure; doubles with each further one, up to 30 s. */
  readonly retryMs?: number;
}

/** Hears what happens to the messages. `syslog`: host and port of the server. */
interface SyslogTrouble {
  /** The server cannot be reached. Called once until it is. */
  waits(syslog: string, error: Error): void;
  /** The queue is full, and messages are dropped. Called for the first one. */
  dropping(syslog: string, waiting: number): void;
  /** Messages leave again. `dropped`: how many were lost meanwhile. */
  resumed(syslog: string, dropped: number): void;
  /** So many messages did not leave before the end. */
  lost(syslog: string, lost: number): void;
}

/** A message. Its text is one line of UTF-8 without control characters. */
interface SyslogMessage {
  readonly text: string;
  readonly event: string;
  readonly timeMs: number;
  readonly severity: number;
}

/** Sends messages to another machine. Nobody waits for it. */
export interface SyslogSender extends AsyncDisposable {
  send(message: SyslogMessage): void;
}

const maxQueuedMessages = 1000;
const connectMs = 5_000;
const maxRetryPauseMs = 30_000;
/** Time for waiting messages to leave when the process ends. */
const flushTimeoutMs = 1_000;

/**
 * Sends messages to a syslog server, in order, over TCP or TLS. While the server is away or takes nothing, up to 1000
 * messages wait; further ones are dropped and counted.
 *
 * Source: RFC 5424 for the messages, RFC 6587 and RFC 5425 for their framing by octet counting. Syslog has no
 * acknowledgements: messages that the server had received but not written when it failed are lost.
 */
export function createSyslogSender(deps: SyslogSenderOptions): SyslogSender {
  return new SyslogConnection(deps);
}

/** The first pause after a connection was lost; each further one is twice as long. */
const retryDefaultMs = 1_000;

class SyslogConnection implements SyslogSender {
  readonly #deps: SyslogSenderOptions;
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

  constructor(deps: SyslogSenderOptions) {
    this.#deps = deps;
    this.#where = `${this.#deps.host}:${this.#deps.port}`;
  }

  send(message: SyslogMessage): void {
    if (this.#isClosing) return;
    if (this.#waiting.length >= maxQueuedMessages) {
      this.#dropped += 1;
      // Only the first one is told; their number follows when the server takes messages again.
      if (this.#dropped === 1) this.#deps.trouble.dropping(this.#where, maxQueuedMessages);
      return;
    }
    this.#waiting.push(formatted(message, this.#deps));
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
    if (lost > 0) this.#deps.trouble.lost(this.#where, lost);
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
    if (this.#failures > 0) this.#resumed();
    this.#failures = 0;
    this.#next();
  }

  #resumed(): void {
    this.#deps.trouble.resumed(this.#where, this.#dropped);
    this.#dropped = 0;
  }

  #closed(why: Error | undefined): void {
    this.#socket = undefined;
    this.#isOpen = false;
    this.#isSending = false;
    if (this.#isClosing) return this.#drained.resolve();
    this.#failures += 1;
    if (this.#failures === 1) {
      this.#deps.trouble.waits(this.#where, why ?? new Error('the server closed the connection'));
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
      // A server that hung, and reads again, was never away.
      if (this.#dropped > 0 && this.#waiting.length === 0 && !this.#isClosing) this.#resumed();
      this.#next();
    });
  }
}

function dial({ host, port, tls }: SyslogServer): Socket {
  if (tls === undefined) return connect({ host, port });
  return connectTls({
    host,
    port,
    ...defined({ servername: isIP(host) === 0 ? host : undefined, ca: tls.ca }),
  });
}

/** Formats a message, preceded by its length in octets. */
function formatted(
  { text, event, timeMs, severity }: SyslogMessage,
  { node, facility }: Pick<SyslogSenderOptions, 'node' | 'facility'>,
): Buffer {
  const priority = facility * 8 + severity;
  const hostname = node.replace(/[^\x21-\x7e]/g, '_').slice(0, 255) || '-';
  const head = `<${priority}>1 ${new Date(timeMs).toISOString()} ${hostname} postern ${process.pid} ${event} -`;
  const message = Buffer.from(`${head} ${text}`);
  return Buffer.concat([Buffer.from(`${message.length} `), message]);
}
