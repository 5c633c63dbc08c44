import { get as getHttp, type IncomingMessage } from 'node:http';
import { get as getHttps } from 'node:https';
import { isIP } from 'node:net';
import type { WebmailEndpoint } from '../core/backend.ts';

/** An answer of a webmail, as far as a check needs it. */
export interface WebmailReply {
  readonly status: number;
}

/**
 * Asks for the landing page as the gateway would, under the public host name, without a session.
 * Rejects with the reason when the webmail cannot be reached or trusted.
 */
export async function dialWebmail(
  webmail: WebmailEndpoint,
  publicHost: string,
  signal: AbortSignal,
): Promise<WebmailReply> {
  const url = new URL(webmail.landing, webmail.origin);
  const { servername, ca } = webmail.trust;
  const options = {
    signal,
    agent: false as const,
    headers: { host: publicHost, 'user-agent': 'Mozilla/5.0 (postern check)', accept: 'text/html' },
    ...(ca === undefined ? {} : { ca }),
    servername: servername ?? (isIP(url.hostname.replace(/^\[|\]$/g, '')) === 0 ? url.hostname : ''),
  };
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = url.protocol === 'https:' ? getHttps(url, options, resolve) : getHttp(url, options, resolve);
  request.on('error', reject);
  const response = await promise;
  // Only the head is of interest.
  response.on('error', () => {});
  response.destroy();
  return { status: response.statusCode ?? 0 };
}
