import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { BackendHost, ImapEndpoint, WebmailEndpoint } from '../core/backend.ts';
import { defined } from '../core/objects.ts';
import type { HealthProbes } from './health.ts';

/**
 * Makes the probes of real hosts: the webmail is asked for the target of its check under the public name, IMAP for its
 * greeting, followed by a LOGOUT.
 */
export function createProbes(publicHost: () => string): HealthProbes {
  return {
    async http({ host, target }, signal) {
      const webmail = { ...host.webmail, landing: target };
      let { status } = await dialWebmail(webmail, publicHost(), signal, 'HEAD');
      // The server does not know HEAD (RFC 9110, 15.6.2), which says nothing about its health.
      if (status === 501) ({ status } = await dialWebmail(webmail, publicHost(), signal));
      // A 404 shows a living web server, too.
      if (status >= 500) throw new Error(`answered ${status}`);
    },
    async page({ webmail }, signal) {
      const { status } = await readWebmail(webmail, publicHost(), signal);
      if (status >= 500) throw new Error(`answered ${status}`);
    },
    async imap({ host }, signal) {
      await dialImap(host.imap, signal);
    },
  };
}

/**
 * Connects to an IMAP server as the gateway does, up to its greeting over TLS, and disconnects. Resolves with the text
 * of the greeting; rejects with the reason if the server cannot be reached, trusted or understood.
 */
export async function dialImap(imap: ImapEndpoint, signal: AbortSignal): Promise<string> {
  const { hostname: host, port } = imap;
  signal.throwIfAborted();
  // Only the outermost socket: a TLS socket closes the one below it, and Node crashes if that is closed first.
  let socket: Socket | undefined;
  const onAbort = () => socket?.destroy(new Error('no answer in time'));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    if (imap.security === 'tls') {
      socket = connectTls({ ...trustOptions(imap), host, port });
      const [greeting = ''] = await exchangeLines(socket, 'x LOGOUT');
      return checkGreeting(greeting);
    }
    const plain = connectTcp({ host, port });
    socket = plain;
    const greeting = await startTls(plain);
    const secured = connectTls({ ...trustOptions(imap), host, socket: plain });
    socket = secured;
    await isSecured(secured);
    return greeting;
  } finally {
    signal.removeEventListener('abort', onAbort);
    socket?.destroy();
  }
}

function trustOptions({ hostname, trust }: ImapEndpoint): ConnectionOptions {
  // The server name of TLS must not be an address (RFC 6066).
  const servername = trust.servername ?? (isIP(hostname) === 0 ? hostname : '');
  return { servername, ...defined({ ca: trust.ca }) };
}

async function startTls(socket: Socket): Promise<string> {
  const lines = await exchangeLines(socket, 'x STARTTLS');
  const greeting = checkGreeting(lines[0] ?? '');
  const answer = lines.at(-1) ?? '';
  if (!/^x OK/i.test(answer)) throw new Error(`the server refuses STARTTLS: ${short(answer)}`);
  return greeting;
}

function checkGreeting(line: string): string {
  if (!/^\* OK/i.test(line)) throw new Error(`no IMAP greeting: ${short(line)}`);
  return short(line.slice(5).replace(/^\[[^\]]*\] ?/, ''));
}

async function isSecured(socket: TLSSocket): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once('secureConnect', resolve);
  socket.on('error', reject);
  socket.once('close', () => reject(new Error('the server closed the connection')));
  await promise;
}

/** Sends a command, tagged x, after the greeting; resolves with all lines from the greeting to the answer. */
async function exchangeLines(socket: Socket, command: string): Promise<readonly string[]> {
  const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
  const lines: string[] = [];
  const reader = createInterface({ input: socket });
  // Both emit the same failure, and either would end the process without a listener.
  reader.on('error', reject);
  socket.on('error', reject);
  socket.once('close', () => reject(new Error('the server closed the connection')));
  reader.on('line', (line) => {
    if (lines.length === 0) socket.write(`${command}\r\n`);
    lines.push(line);
    // An IMAP server would have answered by now.
    if (lines.length > 100) reject(new Error('the server sends lines without end'));
    if (line.startsWith('x ')) resolve(lines);
  });
  try {
    return await promise;
  } finally {
    reader.close();
  }
}

/** Shortens a server's line for a table. */
function short(line: string): string {
  return line
    .replace(/[^\x20-\x7e]/g, '?')
    .trim()
    .slice(0, 60);
}

/** An answer of a webmail to a check. */
interface WebmailReply {
  readonly status: number;
}

/** An answer of a webmail with its cost. */
interface WholeReply extends WebmailReply {
  /** Bytes of the body, counted up to one megabyte. */
  readonly bytes: number;
  readonly setsCookie: boolean;
}

const maxCountedBytes = 1024 * 1024;

/**
 * Requests the landing page as the gateway does, under the public host name, without a session. Rejects with the reason
 * if the webmail cannot be reached or trusted.
 */
export async function dialWebmail(
  webmail: WebmailEndpoint,
  publicHost: string,
  signal: AbortSignal,
  method: 'GET' | 'HEAD' = 'GET',
): Promise<WebmailReply> {
  const response = await requestWebmail(webmail, publicHost, signal, { method, agent: 'Mozilla/5.0 (postern check)' });
  // Only the head is needed.
  response.on('error', () => {});
  response.destroy();
  return { status: response.statusCode ?? 0 };
}

/** Requests the landing page and reads all of it. Rejects if the answer breaks off. */
export async function readWebmail(
  webmail: WebmailEndpoint,
  publicHost: string,
  signal: AbortSignal,
): Promise<WholeReply> {
  const response = await requestWebmail(webmail, publicHost, signal, { method: 'GET', agent: 'Mozilla/5.0 (postern)' });
  let bytes = 0;
  for await (const chunk of response) {
    bytes += Buffer.byteLength(chunk);
    if (bytes >= maxCountedBytes) break;
  }
  return { status: response.statusCode ?? 0, bytes, setsCookie: response.headers['set-cookie'] !== undefined };
}

function requestWebmail(
  webmail: WebmailEndpoint,
  publicHost: string,
  signal: AbortSignal,
  { method, agent }: { readonly method: 'GET' | 'HEAD'; readonly agent: string },
): Promise<IncomingMessage> {
  const url = new URL(webmail.landing, webmail.origin);
  const { servername, ca } = webmail.trust;
  const options = {
    method,
    signal,
    agent: false as const,
    headers: { host: publicHost, 'user-agent': agent, accept: 'text/html' },
    ...defined({ ca }),
    servername: servername ?? (isIP(url.hostname.replace(/^\[|\]$/g, '')) === 0 ? url.hostname : ''),
    // A malformed field does not mean that the server is down, and the answer goes to nobody.
    insecureHTTPParser: true,
    maxHeaderSize: 64 * 1024,
  };
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = url.protocol === 'https:' ? requestHttps(url, options, resolve) : requestHttp(url, options, resolve);
  request.on('error', reject).end();
  return promise;
}

/** Returns the target of a small file that the web server itself delivers or denies, without beginning a session. */
export function smallTarget({ webmail }: Pick<BackendHost, 'webmail'>, name = 'favicon.ico'): string {
  const path = webmail.landing.replace(/[?#].*$/, '');
  return `${path.slice(0, path.lastIndexOf('/') + 1)}${name}`;
}
