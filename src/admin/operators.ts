import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { type Readiness, readinessAnswer } from '../core/http.ts';
import type { Api } from './api.ts';

export interface OperatorsDeps {
  readonly readiness: () => Readiness;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  readonly api: Api;
  /** Host names that count besides, in lower case. */
  readonly hostNames: () => readonly string[];
}

/**
 * The operators' listener: `/metrics`, `/api/v1/…`, `/-/live` and `/-/ready`. It is bound to an address of its own, on loopback by default, and
 * is never reachable through the public listener. It has no body to read and no state to change. A Host that may be
 * anybody's domain is refused: a page of that domain could have had its name point here (DNS rebinding).
 */
export function createOperatorsListener(deps: OperatorsDeps): Server {
  const server = createServer({ requireHostHeader: false, maxHeaderSize: 16 * 1024 }, (request, response) => {
    answer(request, response, deps).catch(() => {
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  server.requestTimeout = 10_000;
  server.headersTimeout = 10_000;
  return server;
}

async function answer(request: IncomingMessage, response: ServerResponse, deps: OperatorsDeps): Promise<void> {
  const path = (request.url ?? '').split('?', 1)[0];
  if (path === '/-/live' || path === '/-/ready') return probe(request, response, path, deps);
  if (!isOperatorsHost(request.headers.host, deps.hostNames())) {
    return send(response, 421, 'this Host is not known here: ask by address, or add it to operators.host_names\n');
  }
  if (path?.startsWith('/api/') === true) return deps.api(request, response, 'tcp');
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, 'method not allowed\n');
  switch (path) {
    case '/metrics':
      return send(response, 200, await deps.metrics.text(), deps.metrics.contentType);
    default:
      return send(response, 404, 'not found: this listener has /metrics, /api/v1, /-/live and /-/ready\n');
  }
}

/** By GET, HEAD or OPTIONS, for any Host: it tells strangers nothing. */
function probe(request: IncomingMessage, response: ServerResponse, path: string, deps: OperatorsDeps): void {
  if (!['GET', 'HEAD', 'OPTIONS'].includes(request.method ?? '')) return send(response, 405, 'method not allowed\n');
  if (path === '/-/live') return send(response, 200, 'live\n');
  const { status, text } = readinessAnswer(deps.readiness());
  send(response, status, text);
}

/** Whether a Host is an address or a name that no stranger's domain can be. */
function isOperatorsHost(field: string | undefined, hostNames: readonly string[]): boolean {
  const host = (field ?? '').replace(/:\d{1,5}$/, '').toLowerCase();
  // Names without a dot are of this machine or this network; so is none.
  if (!host.includes('.') || host.endsWith('.localhost')) return true;
  return isIP(host.replace(/^\[(.*)\]$/, '$1')) !== 0 || host === hostname().toLowerCase() || hostNames.includes(host);
}

function send(response: ServerResponse, status: number, text: string, contentType = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(text);
}
