import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Log } from '../core/log.ts';

/** Options of the syslog sender. */
export interface SyslogOptions {
  readonly host: string;
  readonly port: number;
  /** Left out: plain TCP. `ca`: PEM certificates to trust instead of the system's. */
  readonly tls?: { readonly ca?: string };
  /** The name of this machine. */
  readonly node: string;
  readonly log: Log;
  /** How long until the first new attempt after a failure; each further one takes twice as long, up to half a minute. */
  readonly retryMs?: number;
}

interface CopiedLine {
  readonly text: string;
  readonly event: string;
  readonly timeMs: number;
}

/** A copy of the audit at another machine. Nobody waits for it. */
export interface SyslogCopy extends AsyncDisposable {
  send(line: CopiedLine): void;
}

/** Facility 13 (log audit), severity 5 (notice). */
const priority = 13 * 8 + 5;
const mostWaiting = 1000;
const connectMs = 5_000;
const longestPauseMs = 30_000;
/** How long what waits may still leave when the process ends. */
const farewellMs = 1_000;

/**
 * Copies lines to a syslog server, in order, over TCP or TLS. While it is away up to a thousand lines wait; further ones
 * are dropped, counted and told to the log.
 *
 * Source: RFC 5424 for the messages, RFC 6587 and RFC 5425 for their framing by octet counting. Syslog confirms
 * nothing: what the server's machine had taken and not yet written when it fell is lost.
 */
export function createSyslogCopy(options: SyslogOptions): SyslogCopy {
  const { host, port, log, retryMs = 1_000 } = options;
  const where = `${host}:${port}`;
  const waiting: Buffer[] = [];
  let socket: Socket | undefined;
  let isOpen = false;
  let isSending = false;
  let failures = 0;
  let dropped = 0;
  let timer: NodeJS.Timeout | undefined;
  let isClosing = false;
  const drained = Promise.withResolvers<void>();

  function open(): void {
    const fresh = dial(options);
    timer = undefined;
    socket = fresh;
    fresh.setTimeout(connectMs, () => fresh.destroy(new Error('it does not answer')));
    fresh.setKeepAlive(true, 60_000);
    fresh.once(options.tls === undefined ? 'connect' : 'secureConnect', () => opened(fresh));
    // It has nothing to say; but its end is seen only by reading.
    fresh.resume();
    let why: Error | undefined;
    fresh.on('error', (error) => {
      why = error;
    });
    fresh.once('close', () => closed(why));
  }

  function opened(fresh: Socket): void {
    fresh.setTimeout(0);
    isOpen = true;
    if (failures > 0) log.info('audit-copy-resumed', { syslog: where, dropped });
    failures = 0;
    dropped = 0;
    next();
  }

  function closed(why: Error | undefined): void {
    socket = undefined;
    isOpen = false;
    isSending = false;
    if (isClosing) return drained.resolve();
    failures += 1;
    if (failures === 1) {
      log.warn('audit-copy-waits', { syslog: where, err: why ?? new Error('it closed the connection') });
    }
    timer = setTimeout(open, Math.min(longestPauseMs, retryMs * 2 ** Math.min(failures - 1, 10))).unref();
  }

  /** One message at a time: what the machine has not taken goes out again over the next connection. */
  function next(): void {
    const [first] = waiting;
    if (first === undefined && isClosing) socket?.end();
    if (first === undefined || socket === undefined || !isOpen || isSending) return;
    isSending = true;
    const over = socket;
    over.write(first, (error) => {
      if (over !== socket) return;
      isSending = false;
      if (error !== null && error !== undefined) return;
      if (waiting[0] === first) waiting.shift();
      next();
    });
  }

  return {
    send(line) {
      if (waiting.length >= mostWaiting) {
        dropped += 1;
        // The first one raises the alarm; how many there were is told when the server is back.
        const fields = { code: 'ERR_AUDIT_COPY', syslog: where, waiting: mostWaiting };
        if (dropped === 1) log.error('audit-copy-stopped', fields);
        return;
      }
      waiting.push(frame(line, options.node));
      if (socket === undefined && timer === undefined) open();
      else next();
    },
    async [Symbol.asyncDispose]() {
      isClosing = true;
      clearTimeout(timer);
      if (socket !== undefined) {
        const farewell = setTimeout(() => socket?.destroy(), farewellMs);
        next();
        await drained.promise;
        clearTimeout(farewell);
      }
      const lost = dropped + waiting.length;
      if (lost > 0) log.error('audit-copy-incomplete', { code: 'ERR_AUDIT_COPY', syslog: where, lost });
    },
  };
}

function dial({ host, port, tls }: SyslogOptions): Socket {
  if (tls === undefined) return connect({ host, port });
  return connectTls({
    host,
    port,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
  });
}

/** The message, behind its length in octets. A line of the audit is one line of UTF-8 without control characters. */
function frame({ text, event, timeMs }: CopiedLine, node: string): Buffer {
  const hostname = node.replace(/[^\x21-\x7e]/g, '_').slice(0, 255) || '-';
  const head = `<${priority}>1 ${new Date(timeMs).toISOString()} ${hostname} postern ${process.pid} ${event} -`;
  const message = Buffer.from(`${head} ${text}`);
  return Buffer.concat([Buffer.from(`${message.length} `), message]);
}
