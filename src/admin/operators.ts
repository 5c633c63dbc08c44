import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Api } from './api.ts';
import { type Readiness, readinessAnswer } from '../core/readiness.ts';

export interface OperatorsDeps {
  readonly readiness: () => Readiness;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  readonly api: Api;
}

/**
 * The operators' listener: `/metrics`, `/api/v1/…`, `/-/live` and `/-/ready`. It is bound to an address of its own, on loopback by default, and
 * is never reachable through the public listener. It has no body to read and no state to change.
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
  if (path?.startsWith('/api/') === true) return deps.api(request, response, 'tcp');
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, 'method not allowed\n');
  switch (path) {
    case '/metrics':
      return send(response, 200, await deps.metrics.text(), deps.metrics.contentType);
    case '/-/live':
      return send(response, 200, 'live\n');
    case '/-/ready': {
      const { status, text } = readinessAnswer(deps.readiness());
      return send(response, status, text);
    }
    default:
      return send(response, 404, 'not found: this listener has /metrics, /api/v1, /-/live and /-/ready\n');
  }
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
