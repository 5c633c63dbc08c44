import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP } from 'node:net';
import type { BackendHost, WebmailEndpoint } from '../core/backend.ts';

/** An answer of a webmail, as far as a check needs it. */
export interface WebmailReply {
  readonly status: number;
}

/** A whole answer: what it costs. */
export interface WholeReply extends WebmailReply {
  /** Of its body; counted no further than a megabyte. */
  readonly bytes: number;
  readonly setsCookie: boolean;
}

const mostBytes = 1024 * 1024;

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
  const response = await ask(webmail, publicHost, signal, { method, agent: 'Mozilla/5.0 (postern check)' });
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
  const response = await ask(webmail, publicHost, signal, { method: 'GET', agent: 'Mozilla/5.0 (postern)' });
  let bytes = 0;
  for await (const chunk of response) {
    bytes += Buffer.byteLength(chunk);
    if (bytes >= mostBytes) break;
  }
  return { status: response.statusCode ?? 0, bytes, setsCookie: response.headers['set-cookie'] !== undefined };
}

function ask(
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
