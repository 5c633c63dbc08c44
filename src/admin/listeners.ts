import { once } from 'node:events';
import { chmodSync, chownSync, rmSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, createServer as createSocketServer, isIP, type Server as SocketServer } from 'node:net';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { messageFrom, PosternError } from '../core/error.ts';
import { type Readiness, readinessAnswer } from '../core/http.ts';
import { makeFolder } from '../core/named-files.ts';
import type { Api } from './api.ts';

/** Dependencies of the operators' listener. */
export interface OperatorsDeps {
  readonly readiness: () => Readiness;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  readonly api: Api;
  /** Further accepted host names, in lower case. */
  readonly hostNames: () => readonly string[];
}

/**
 * Makes the operators' listener: `/metrics`, `/api/v1/…`, `/-/live` and `/-/ready`. It has an address of its own, on
 * loopback by default, and cannot be reached through the public listener. It refuses a Host that may be anybody's
 * domain, because a page of that domain could point its name here (DNS rebinding).
 */
export function createOperatorsListener(deps: OperatorsDeps): Server {
  const server = createServer({ requireHostHeader: false, maxHeaderSize: 16 * 1024 }, (request, response) => {
    answerOperators(request, response, deps).catch(() => fail(response));
  });
  server.requestTimeout = 10_000;
  server.headersTimeout = 10_000;
  return server;
}

function fail(response: ServerResponse): void {
  if (!response.headersSent) response.writeHead(500);
  response.end();
}

async function answerOperators(request: IncomingMessage, response: ServerResponse, deps: OperatorsDeps): Promise<void> {
  const path = (request.url ?? '').split('?', 1)[0];
  if (path === '/-/live' || path === '/-/ready') return answerProbe(request, response, path, deps);
  if (!isOperatorsHost(request.headers.host, deps.hostNames())) {
    return sendText(response, 421, 'unknown Host: use an address, or add the name to operators.host_names\n');
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

/** Answers health checks by GET, HEAD or OPTIONS, for any Host: the answer is not secret. */
function answerProbe(request: IncomingMessage, response: ServerResponse, path: string, deps: OperatorsDeps): void {
  if (!['GET', 'HEAD', 'OPTIONS'].includes(request.method ?? ''))
    return sendText(response, 405, 'method not allowed\n');
  if (path === '/-/live') return sendText(response, 200, 'live\n');
  const { status, text } = readinessAnswer(deps.readiness());
  sendText(response, status, text);
}

/** Whether a Host is an address, or a name that cannot be the domain of somebody else. */
function isOperatorsHost(field: string | undefined, hostNames: readonly string[]): boolean {
  const host = (field ?? '').replace(/:\d{1,5}$/, '').toLowerCase();
  // A name without a dot belongs to this machine or its network; a missing Host is harmless, too.
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

/** State of this node for load balancers. `drain`: it serves what it has and takes nothing new. */
export type AgentState = 'up' | 'drain' | 'down';

/** Dependencies of the agent check that HAProxy reads. */
export interface AgentCheckDeps {
  readonly state: () => AgentState;
  /** Percentage of its configured weight that the balancer gives this node. */
  readonly weight: () => number;
}

/** Time for HAProxy to read the line. It sends nothing unless `agent-send` is set. */
const agentCheckTimeoutMs = 2_000;

/**
 * Makes the listener for HAProxy's `agent-check`: it writes one line and closes. Call `listen` on it.
 *
 * Source: HAProxy's configuration manual, `agent-check`. A draining node reports weight 0 instead of the word `drain`.
 * The effect is the same, but `drain` would set the server's administrative state. Only `ready` resets that, and it
 * would also undo what an administrator of the balancer has set by hand.
 */
export function createAgentCheck({ state, weight }: AgentCheckDeps): SocketServer {
  const line = (): string => {
    const now = state();
    return now === 'down' ? 'down\n' : `up ${now === 'drain' ? 0 : weight()}%\n`;
  };
  return createSocketServer((socket) => {
    socket.setTimeout(agentCheckTimeoutMs, () => socket.destroy());
    // The peer may close as soon as it has read the line.
    socket.on('error', () => socket.destroy());
    socket.resume().end(line());
  });
}

/** Who may open the API's socket. */
export interface SocketAccess {
  readonly mode: number;
  /** The group that gets the socket, by name or number; the gateway's own if left out. */
  readonly group?: string | number;
}

/**
 * Serves the API on a unix socket for those who may open it, until it is disposed of. It replaces the socket of a node
 * that died, but not one that another process serves. Rejects with what the operator must change if the socket cannot be
 * made.
 */
export async function openApiSocket(file: string, access: SocketAccess, api: Api): Promise<AsyncDisposable> {
  const server = createServer((request, response) => {
    api(request, response, 'socket').catch(() => fail(response));
  });
  let isTaken = false;
  try {
    makeFolder(dirname(file));
    // A file that is not a socket belongs to somebody else.
    if (statSync(file, { throwIfNoEntry: false })?.isSocket() === false) throw new Error('something else stands there');
    isTaken = await isServed(file);
    if (isTaken) throw new Error('another process serves it');
    rmSync(file, { force: true });
    // Nobody may connect before the mode is set.
    const mask = process.umask(0o177);
    try {
      server.listen(file);
      await once(server, 'listening');
    } finally {
      process.umask(mask);
    }
    await admit(file, access);
  } catch (cause) {
    if (server.listening) server.close();
    if (cause instanceof PosternError) throw cause;
    const message = `cannot make the socket ${file}: ${messageFrom(cause)}; name another under operators.socket`;
    throw new PosternError('ERR_CONFIG_INVALID', message, { source: 'config', retryable: isTaken, cause });
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

/** Lets the group and then others in; until here the socket is its owner's alone. */
async function admit(file: string, { mode, group }: SocketAccess): Promise<void> {
  if (group !== undefined) {
    const { groupNumber, notGiven } = await import('./system-groups.ts');
    const gid = await groupNumber(group);
    try {
      // A folder with setgid has given it already.
      if (statSync(file).gid !== gid) chownSync(file, -1, gid);
    } catch (cause) {
      throw notGiven(group, cause);
    }
  }
  chmodSync(file, mode);
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
