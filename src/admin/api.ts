import type { IncomingMessage, ServerResponse } from 'node:http';
import { isoTime } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import { createWarnings, type Log } from '../core/log.ts';
import { isObject } from '../core/objects.ts';
import { type ApiToken, apiTokenHash, isSameTokenHash, type Secret } from '../core/secrets.ts';
import { type ApiAuditDeps, auditRoutes } from './api-audit.ts';
import { type ApiBackendsDeps, backendRoutes } from './api-backends.ts';
import { type ApiAnswer, ApiRefusal, type ApiRoute } from './api-exchange.ts';
import { type ApiLocksDeps, lockRoutes } from './api-locks.ts';
import { type ApiMovesDeps, moveRoutes } from './api-moves.ts';
import { type ApiDirectoryDeps, type ApiNodeDeps, directoryRoutes, nodeRoutes } from './api-node.ts';
import { type ApiPenaltiesDeps, penaltyRoutes } from './api-penalties.ts';
import { type ApiSessionsDeps, sessionRoutes } from './api-sessions.ts';
import { type ApiStaffDeps, staffRoutes } from './api-staff.ts';
import { type ApiStatisticsDeps, statisticsRoutes } from './api-statistics.ts';
import { type ApiStatusDeps, statusRoutes } from './api-status.ts';

type ApiParts = ApiAuditDeps &
  ApiBackendsDeps &
  ApiDirectoryDeps &
  ApiNodeDeps &
  ApiPenaltiesDeps &
  ApiSessionsDeps &
  ApiLocksDeps &
  ApiMovesDeps &
  ApiStaffDeps &
  ApiStatisticsDeps &
  ApiStatusDeps;

/** Dependencies of the operators' API: those of all its groups of operations. */
type ApiDeps = ApiParts & {
  /** Reads what other nodes wrote. Rejects if the state store cannot be asked. */
  readonly refresh: () => Promise<void>;
  /** The tokens that clients may send over TCP; without any there is no API there. */
  readonly tokens: () => { readonly token?: Secret; readonly tokens: readonly ApiToken[] };
  readonly log: Log;
};

/** Answers a request below /api/v1. `way` is how it came in; over the socket the file's mode has authorised it. */
export type Api = (request: IncomingMessage, response: ServerResponse, way: 'tcp' | 'socket') => Promise<void>;

/** Who sends a request. */
interface ApiClient {
  /** As the audit names it. */
  readonly by: string;
  readonly role: ApiToken['role'];
}

const prefix = '/api/v1';
const maxJsonBytes = 64 * 1024;

/** Lists every operation of the API; docs/openapi.yaml describes exactly these. */
export function apiRoutes(deps: ApiParts): readonly ApiRoute[] {
  return [
    ...backendRoutes(deps),
    ...sessionRoutes(deps),
    ...lockRoutes(deps),
    ...penaltyRoutes(deps),
    ...directoryRoutes(deps),
    ...moveRoutes(deps),
    ...staffRoutes(deps),
    ...statisticsRoutes(deps),
    ...auditRoutes(deps),
    ...nodeRoutes(deps),
    ...statusRoutes(deps),
  ];
}

/** Makes the operators' REST API, JSON in and out. Every change needs a reason and is audited. */
export function createApi(deps: ApiDeps): Api {
  const routes = apiRoutes(deps);
  const warn = createWarnings(deps.log, deps.clock);

  async function answer(request: IncomingMessage, way: 'tcp' | 'socket'): Promise<ApiAnswer> {
    // A client that leaves while its body is read has no address any more.
    const address = request.socket.remoteAddress;
    const client =
      way === 'tcp' ? authenticate(request) : { by: `${operatorIn(request)} (socket)`, role: 'operator' as const };
    const url = URL.parse(request.url ?? '/', 'http://operators.invalid');
    if (url === null) throw noResource();
    const matches = routes.flatMap((route) => {
      const path = matchPath(route.path, url.pathname);
      return path === undefined ? [] : [{ route, path }];
    });
    if (matches.length === 0) throw noResource();
    const match = matches.find(({ route }) => route.method === request.method);
    if (match === undefined) throw new ApiRefusal(405, `this resource has no ${request.method ?? 'such method'}`);
    const why = whyForbidden(match.route, client);
    if (why !== undefined) throw new ApiRefusal(403, why);
    const body = request.method === 'GET' ? {} : await readJsonBody(request);
    await readNews();
    return match.route.handle({
      path: match.path,
      query: url.searchParams,
      body,
      by: client.by,
      way,
      ...(way === 'tcp' && address !== undefined ? { address } : {}),
    });
  }

  /** Finds the client of a token. Throws ApiRefusal if it sends none that counts. */
  function authenticate(request: IncomingMessage): ApiClient {
    const { token, tokens } = deps.tokens();
    if (token === undefined && tokens.length === 0) {
      throw new ApiRefusal(403, 'there is no API over TCP: add operators.tokens, or use operators.socket');
    }
    const shown = apiTokenHash(/^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '');
    // All are compared, so that the time does not tell which one it was.
    const [known] = tokens.filter(({ hash }) => isSameTokenHash(hash, shown));
    const isShared = token !== undefined && isSameTokenHash(apiTokenHash(token.reveal()), shown);
    if (known === undefined) {
      if (!isShared) throw new ApiRefusal(401, 'send a token that the gateway knows: Authorization: Bearer …');
      // Several people may use it: the name is what the client says.
      return { by: `${operatorIn(request)} (operators.token)`, role: 'operator' };
    }
    const { name, role, expiresMs } = known;
    if (expiresMs !== undefined && expiresMs <= deps.clock.nowMs()) {
      const expired = isoTime(expiresMs);
      warn('api-token-expired', name, { actor: name, until: expired });
      throw new ApiRefusal(401, `the token ${name} expired at ${expired}: make another with postern token create`);
    }
    return { by: `${name} (token)`, role };
  }

  /** The previous command may have gone to another node. Without the store, the node answers from what it knows. */
  async function readNews(): Promise<void> {
    try {
      await deps.refresh();
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      deps.log.debug('api-stale', { err: error });
    }
  }

  return async (request, response, way) => {
    try {
      const { status, body } = await answer(request, way);
      sendJson(response, status, body);
    } catch (error) {
      if (error instanceof ApiRefusal) sendJson(response, error.status, { error: error.message });
      else if (error instanceof PosternError) sendJson(response, 503, { error: error.message, code: error.code });
      else {
        deps.log.error('api-failed', { err: error });
        sendJson(response, 500, { error: 'a bug in Postern: see its log' });
      }
    }
  };
}

/** Why the role of a client does not cover an operation; undefined if it does. */
function whyForbidden({ method, onlyReads, ofLocks }: ApiRoute, { by, role }: ApiClient): string | undefined {
  const needs = 'this needs a token with the role operator';
  if (role === 'lock') return ofLocks === true ? undefined : `${by} may only lock, unlock and list locks: ${needs}`;
  const mayUse = role === 'operator' || method === 'GET' || onlyReads === true;
  return mayUse ? undefined : `${by} may only read: ${needs}`;
}

function noResource(): ApiRefusal {
  return new ApiRefusal(404, 'there is no such resource: see docs/openapi.yaml');
}

/** Returns the decoded parameters of a path, each one segment; undefined if the path does not match the route. */
function matchPath(route: string, pathname: string): Record<string, string> | undefined {
  const wanted = `${prefix}${route}`.split('/');
  const given = pathname.split('/');
  if (wanted.length !== given.length) return undefined;
  const found: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const segment = given[index] ?? '';
    if (!part.startsWith('{')) {
      if (part !== segment) return undefined;
      continue;
    }
    try {
      found[part.slice(1, -1)] = decodeURIComponent(segment);
    } catch {
      return undefined;
    }
  }
  return found;
}

async function readJsonBody(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  // A page in an operator's browser cannot send JSON to another origin without a preflight, which is refused.
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
    throw new ApiRefusal(415, 'send JSON, as application/json');
  }
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue;
    length += chunk.length;
    if (length > maxJsonBytes) throw new ApiRefusal(413, 'the body is too long');
    chunks.push(chunk);
  }
  const wrong = new ApiRefusal(400, 'the body is not a JSON object');
  try {
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    if (isObject(body)) return body;
  } catch {
    throw wrong;
  }
  throw wrong;
}

/** The name that the client gives itself, for the audit. It is not checked: who may open the socket is trusted with it. */
function operatorIn({ headers }: IncomingMessage): string {
  const name = headers['postern-operator'];
  return typeof name === 'string' && /^[\w.@-]{1,100}$/.test(name) ? name : 'unnamed';
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  const text = `${JSON.stringify(body)}\n`;
  // RFC 9110, 15.5.2.
  if (status === 401) response.setHeader('www-authenticate', 'Bearer realm="postern"');
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(status === 413 ? { connection: 'close' } : {}),
  });
  response.end(text);
}
