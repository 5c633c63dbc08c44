import { once } from 'node:events';
import { chmodSync, rmSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, createServer as createSocketServer, isIP, type Server as SocketServer } from 'node:net';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { PosternError } from '../core/error.ts';
import { type Readiness, readinessAnswer } from '../core/http.ts';
import { makeFolder } from '../core/named-files.ts';
import type { Api } from './api.ts';

/** Dependencies of the operators' listener. */
export interface OperatorsDeps {
  readonly readiness: () => Readiness;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  readonly api: Api;
  /** Host names that count besides, in lower case. */
  readonly hostNames: () => readonly string[];
}

/**
 * The operators' listener: `/metrics`, `/api/v1/…`, `/-/live` and `/-/ready`. It is bound to an address of its own, on
 * loopback by default, and is never reachable through the public listener. It has no body to read and no state to
 * change. A Host that may be anybody's domain is refused: a page of that domain could have had its name point here (DNS
 * rebinding).
 */
export function createOperatorsListener(deps: OperatorsDeps): Server {
  const server = createServer({ requireHostHeader: false, maxHeaderSize: 16 * 1024 }, (request, response) => {
    answerOperators(request, response, deps).catch(() => {
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  server.requestTimeout = 10_000;
  server.headersTimeout = 10_000;
  return server;
}

async function answerOperators(request: IncomingMessage, response: ServerResponse, deps: OperatorsDeps): Promise<void> {
  const path = (request.url ?? '').split('?', 1)[0];
  if (path === '/-/live' || path === '/-/ready') return answerProbe(request, response, path, deps);
  if (!isOperatorsHost(request.headers.host, deps.hostNames())) {
    return sendText(response, 421, 'this Host is not known here: ask by address, or add it to operators.host_names\n');
  }
  if (path?.startsWith('/api/') === true) return deps.api(request, response, 'tcp');
  if (request.method !== 'GET' && request.method !== 'HEAD') return sendText(response, 405, 'method not allowed\n');
  switch (path) {
    case '/metrics':
      return sendText(response, 200, await deps.metrics.text(), deps.metrics.contentType);
    default:
      return sendText(response, 404, 'not found: this listener has /metrics, /api/v1, /-/live and /-/ready\n');
  }
}

/** By GET, HEAD or OPTIONS, for any Host: it tells strangers nothing. */
function answerProbe(request: IncomingMessage, response: ServerResponse, path: string, deps: OperatorsDeps): void {
  if (!['GET', 'HEAD', 'OPTIONS'].includes(request.method ?? ''))
    return sendText(response, 405, 'method not allowed\n');
  if (path === '/-/live') return sendText(response, 200, 'live\n');
  const { status, text } = readinessAnswer(deps.readiness());
  sendText(response, status, text);
}

/** Whether a Host is an address or a name that no stranger's domain can be. */
function isOperatorsHost(field: string | undefined, hostNames: readonly string[]): boolean {
  const host = (field ?? '').replace(/:\d{1,5}$/, '').toLowerCase();
  // Names without a dot are of this machine or this network; so is none.
  if (!host.includes('.') || host.endsWith('.localhost')) return true;
  return isIP(host.replace(/^\[(.*)\]$/, '$1')) !== 0 || host === hostname().toLowerCase() || hostNames.includes(host);
}

function sendText(
  response: ServerResponse,
  status: number,
  text: string,
  contentType = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(text);
}

/** `up`: serves. `drain`: serves what it has and wants nothing new. `down`: does not serve. */
export type AgentState = 'up' | 'drain' | 'down';

/** Dependencies of the agent check that HAProxy reads. */
export interface AgentCheckDeps {
  readonly state: () => AgentState;
  /** The percentage of its configured weight that the balancer shall give this node. */
  readonly weight: () => number;
}

/** HAProxy writes nothing unless `agent-send` is set, and reads one line. */
const agentCheckTimeoutMs = 2_000;

/**
 * The listener that HAProxy's `agent-check` connects to: says one line and closes. Call `listen` on it.
 *
 * Source: HAProxy's configuration manual, `agent-check`. A draining node says weight 0 and not the word `drain`: the
 * effect is the same, but `drain` sets the server's administrative state, which only `ready` takes back, and that
 * would also undo what an administrator of the balancer has set by hand.
 */
export function createAgentCheck({ state, weight }: AgentCheckDeps): SocketServer {
  const line = (): string => {
    const now = state();
    return now === 'down' ? 'down\n' : `up ${now === 'drain' ? 0 : weight()}%\n`;
  };
  return createSocketServer((socket) => {
    socket.setTimeout(agentCheckTimeoutMs, () => socket.destroy());
    // Who has read the line may be gone already.
    socket.on('error', () => socket.destroy());
    socket.resume().end(line());
  });
}

/**
 * Serves the API on a unix socket with mode 0600. What a node that died left there is replaced; one that another node
 * serves is not. Rejects with what the operator must change when it cannot be made. Dispose of it to close it.
 */
export async function openApiSocket(file: string, api: Api): Promise<AsyncDisposable> {
  const server = createServer((request, response) => void api(request, response, 'socket'));
  try {
    makeFolder(dirname(file));
    // Whatever else stands there is somebody's.
    if (statSync(file, { throwIfNoEntry: false })?.isSocket() === false) throw new Error('something else stands there');
    if (await isServed(file)) throw new Error('another process serves it');
    rmSync(file, { force: true });
    // Nobody may connect before the mode is set.
    const mask = process.umask(0o177);
    try {
      server.listen(file);
      await once(server, 'listening');
    } finally {
      process.umask(mask);
    }
    chmodSync(file, 0o600);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const message = `cannot make the socket ${file}: ${why}; name another under operators.socket`;
    throw new PosternError('ERR_CONFIG_INVALID', message, { source: 'config', retryable: false, cause });
  }
  return {
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function isServed(file: string): Promise<boolean> {
  const socket = connect(file);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
