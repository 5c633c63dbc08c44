import type { BackendHost } from './backend.ts';
import type { Client } from './identity.ts';

/** The head of a request as the client sent it. */
export interface RequestHead {
  readonly method: string;
  /** Path and query, byte for byte. */
  readonly target: string;
  /** The first field of this name (given in lower case), or undefined. */
  header(name: string): string | undefined;
}

/** The head of an answer as the backend sent it. */
export interface UpstreamResponseHead {
  readonly status: number;
  /** The first field of this name (given in lower case), or undefined. */
  header(name: string): string | undefined;
  /** Every Set-Cookie line, in order. */
  readonly setCookies: readonly string[];
}

/** A complete small answer of the gateway's own. */
export interface Answer {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

/** A request that the gateway itself makes of a webmail. */
export interface ExchangeRequest {
  readonly method: 'GET' | 'POST' | 'HEAD';
  /** Path and query; begins with a slash. */
  readonly target: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body?: string;
  /** How the body becomes bytes, where it is not UTF-8: one byte a character. */
  readonly bodyCoding?: 'latin1';
}

/** An upstream's answer with its whole body. */
export interface ExchangeResponse extends UpstreamResponseHead {
  /** The decoded body, in characters, cut at 1 MiB. */
  readonly body: string;
  /** Whether the body was longer. */
  readonly isCut?: boolean;
}

/**
 * The one way in which a webmail driver reaches its webmail. It goes through the same bounded connections as the
 * proxied traffic, follows no redirects, keeps no cookies, and rejects with source `webmail` when no answer came.
 */
export interface HttpExchange {
  send(host: BackendHost, request: ExchangeRequest, signal: AbortSignal): Promise<ExchangeResponse>;
}

/** One address under which users know the gateway. */
export interface PublicUrl {
  /** Scheme, host and port as a browser writes its Origin: `https://mail.example.org`. */
  readonly origin: string;
  /** Host and, where it is not the scheme's own, port: as in a Host field, in lower case. */
  readonly authority: string;
  readonly secure: boolean;
}

/**
 * Which of the gateway's host names a request was for: the one that users know, the console of the staff, or the one
 * under which staff see the mailboxes that they opened. Browsers keep them apart.
 */
export type HostKind = 'public' | 'console' | 'assist';

/** Where a request came in: decided once, from the connection, the Host and the proxies that are trusted. */
export interface Ingress {
  /** The address of this request: of the users, or one of the staff's. */
  readonly publicUrl: PublicUrl;
  readonly hostKind: HostKind;
  readonly client: Client;
}

/** The answer of `/-/ready`: `degraded` names what is missing while the node still serves. */
export interface Readiness {
  readonly ready: boolean;
  readonly degraded: readonly string[];
}

/**
 * Status and text of `/-/ready`, the same on both listeners. A missing store degrades a node and does not take it out:
 * a 503 of all nodes at once would turn its outage into a full one.
 */
export function readinessAnswer(readiness: Readiness): { readonly status: number; readonly text: string } {
  if (!readiness.ready) return { status: 503, text: 'not ready\n' };
  if (readiness.degraded.length > 0) return { status: 200, text: `degraded: ${readiness.degraded.join(', ')}\n` };
  return { status: 200, text: 'ready\n' };
}

/**
 * Why the data plane has no answer of a backend to pass on. `unavailable`: the webmail cannot be reached; `busy`: its
 * queue is full; `timeout`: it took the request and did not answer in time; `bad-answer`: it broke the protocol or the
 * connection; `store` and `unknown-key`: the session cannot be read now.
 */
export const failureKinds = ['unavailable', 'busy', 'timeout', 'bad-answer', 'store', 'unknown-key'] as const;

/** A failure that has an answer of the gateway's own. */
export type FailureKind = (typeof failureKinds)[number];
