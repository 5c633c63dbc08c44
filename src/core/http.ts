import type { BackendHost } from './backend.ts';

/** The head of a request as the client sent it. */
export interface RequestHead {
  readonly method: string;
  /** Path and query, byte for byte. */
  readonly target: string;
  /** The first field of this name (given in lower case), or nothing. */
  header(name: string): string | undefined;
}

/** The head of an answer as the backend sent it. */
export interface UpstreamResponseHead {
  readonly status: number;
  /** The first field of this name (given in lower case), or nothing. */
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
