import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { BackendHost, ImapEndpoint, WebmailEndpoint } from '../core/backend.ts';
import type { HealthProbes } from './health.ts';

/**
 * Asks real hosts: the webmail for its check's target under the public name, IMAP for its greeting, and leaves
 * politely.
 */
export function createProbes(publicHost: () => string): HealthProbes {
  return {
    async http({ host, target }, signal) {
      const webmail = { ...host.webmail, landing: target };
      let { status } = await dialWebmail(webmail, publicHost(), signal, 'HEAD');
      // It does not know the method (RFC 9110, 15.6.2), which says nothing of how it is.
      if (status === 501) ({ status } = await dialWebmail(webmail, publicHost(), signal));
      // A 404 is an answer of a living web server, too.
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
 * Connects to an IMAP server as the gateway would, up to its greeting over TLS, and leaves again.
 * Returns what the server said; rejects with the reason when it cannot be reached, trusted or understood.
 */
export async function dialImap(imap: ImapEndpoint, signal: AbortSignal): Promise<string> {
  const { hostname: host, port } = imap;
  signal.throwIfAborted();
  // The outermost socket only: a TLS socket closes the one below it, and crashes Node when that is closed before it.
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
  // Server names in TLS are names: an address may not be sent as one (RFC 6066).
  const servername = trust.servername ?? (isIP(hostname) === 0 ? hostname : '');
  return { servername, ...(trust.ca === undefined ? {} : { ca: trust.ca }) };
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

/** Sends the command, tagged x, once the server has greeted; returns all lines from the greeting to the answer. */
async function exchangeLines(socket: Socket, command: string): Promise<readonly string[]> {
  const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
  const lines: string[] = [];
  const reader = createInterface({ input: socket });
  // Both tell of the same failure, and either would end the process if nobody listened.
  reader.on('error', reject);
  socket.on('error', reject);
  socket.once('close', () => reject(new Error('the server closed the connection')));
  reader.on('line', (line) => {
    if (lines.length === 0) socket.write(`${command}\r\n`);
    lines.push(line);
    // A server that never stops talking is not an IMAP server.
    if (lines.length > 100) reject(new Error('the server talks without end'));
    if (line.startsWith('x ')) resolve(lines);
  });
  try {
    return await promise;
  } finally {
    reader.close();
  }
}

/** A server's words, short enough for a table. */
function short(line: string): string {
  return line
    .replace(/[^\x20-\x7e]/g, '?')
    .trim()
    .slice(0, 60);
}

/** An answer of a webmail, as far as a check needs it. */
interface WebmailReply {
  readonly status: number;
}

/** A whole answer: what it costs. */
interface WholeReply extends WebmailReply {
  /** Bytes of the body, counted up to one megabyte. */
  readonly bytes: number;
  readonly setsCookie: boolean;
}

const maxCountedBytes = 1024 * 1024;

/**
 * Asks for the landing page as the gateway would, under the public host name, without a session.
 * Rejects with the reason when the webmail cannot be reached or trusted.
 */
export async function dialWebmail(
  webmail: WebmailEndpoint,
  publicHost: string,
  signal: AbortSignal,
  method: 'GET' | 'HEAD' = 'GET',
): Promise<WebmailReply> {
  const response = await requestWebmail(webmail, publicHost, signal, { method, agent: 'Mozilla/5.0 (postern check)' });
  // Only the head is of interest.
  response.on('error', () => {});
  response.destroy();
  return { status: response.statusCode ?? 0 };
}

/** Asks for the same, and reads all of it. Rejects, too, when it is broken off. */
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
    ...(ca === undefined ? {} : { ca }),
    servername: servername ?? (isIP(url.hostname.replace(/^\[|\]$/g, '')) === 0 ? url.hostname : ''),
    // A fault in a field is no fault of the server: nothing of the answer goes any further.
    insecureHTTPParser: true,
    maxHeaderSize: 64 * 1024,
  };
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = url.protocol === 'https:' ? requestHttps(url, options, resolve) : requestHttp(url, options, resolve);
  request.on('error', reject).end();
  return promise;
}

/** Something that a web server answers by itself, or denies: none of the webmails makes a session for it. */
export function smallTarget({ webmail }: Pick<BackendHost, 'webmail'>, name = 'favicon.ico'): string {
  const path = webmail.landing.replace(/[?#].*$/, '');
  return `${path.slice(0, path.lastIndexOf('/') + 1)}${name}`;
}
