import type { BackendHost } from './backend.ts';
import type { Client, TraceIds } from './identity.ts';

/** The head of a request as the client sent it. */
export interface RequestHead {
  readonly method: string;
  /** Path and query, byte for byte. */
  readonly target: string;
  /** Returns the first field of this name, given in lower case; undefined if there is none. */
  header(name: string): string | undefined;
}

/** The head of an answer as the backend sent it. */
export interface UpstreamResponseHead {
  readonly status: number;
  /** Returns the first field of this name, given in lower case; undefined if there is none. */
  header(name: string): string | undefined;
  /** Every Set-Cookie line, in order. */
  readonly setCookies: readonly string[];
}

/** A complete, small answer of the gateway itself. */
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
  /** Charset of the body, one byte a character; UTF-8 when left out. */
  readonly bodyCoding?: 'latin1';
}

/** An answer of an upstream with its whole body. */
export interface ExchangeResponse extends UpstreamResponseHead {
  /** The decoded body, in characters, cut at 1 MiB. */
  readonly body: string;
  /** Whether the body was longer. */
  readonly isCut?: boolean;
}

/**
 * Sends a webmail driver's requests to its webmail. It uses the same bounded connections as the proxied traffic,
 * follows no redirects and keeps no cookies. Rejects with source `webmail` if no answer came.
 */
export interface HttpExchange {
  send(host: BackendHost, request: ExchangeRequest, signal: AbortSignal): Promise<ExchangeResponse>;
}

/** One address under which users know the gateway. */
export interface PublicUrl {
  /** Scheme, host and port as a browser writes its Origin: `https://mail.example.org`. */
  readonly origin: string;
  /** Host, and port unless it is the scheme's default, as in a Host field, in lower case. */
  readonly authority: string;
  readonly secure: boolean;
}

/**
 * The kind of host name that a request was for. `public`: the webmail of the users; `console`: the pages of staff;
 * `assist`: the mailboxes that staff opened. Browsers keep their cookies apart.
 */
export type HostKind = 'public' | 'console' | 'assist';

/** Where a request came from, decided once by the connection, the Host and the trusted proxies. */
export interface Ingress extends TraceIds {
  /** The public URL that the request was for. */
  readonly publicUrl: PublicUrl;
  readonly hostKind: HostKind;
  readonly client: Client;
}

/** The state that `/-/ready` reports. `degraded` names what is missing while the node still serves. */
export interface Readiness {
  readonly ready: boolean;
  readonly degraded: readonly string[];
}

/**
 * Returns status and text of `/-/ready`, the same on both listeners; `Availability` in src/gateway.ts decides it. A node
 * without its store is degraded but ready: a 503 of all nodes at once would turn an outage of the store into an outage
 * of the webmail.
 */
export function readinessAnswer(readiness: Readiness): { readonly status: number; readonly text: string } {
  if (!readiness.ready) return { status: 503, text: 'not ready\n' };
  if (readiness.degraded.length > 0) return { status: 200, text: `degraded: ${readiness.degraded.join(', ')}\n` };
  return { status: 200, text: 'ready\n' };
}

/**
 * Why there is no answer of a backend to pass on. `unavailable`: the webmail cannot be reached; `busy`: its queue is
 * full; `timeout`: it took the request and did not answer in time; `bad-answer`: it broke the protocol or the
 * connection; `store` and `unknown-key`: the session cannot be read now.
 */
export const failureKinds = ['unavailable', 'busy', 'timeout', 'bad-answer', 'store', 'unknown-key'] as const;

/** A failure that the gateway answers itself. */
export type FailureKind = (typeof failureKinds)[number];
