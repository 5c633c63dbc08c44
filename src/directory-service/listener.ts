import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { MailPorts } from '../core/backend.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { nameForServer } from '../core/names.ts';
import type { Secret } from '../core/secrets.ts';
import type { Addresses } from './addresses.ts';
import { authHttpAnswer, type AuthHttpFields, readQuestion, temporaryFailure } from './auth-http.ts';
import type { MailRoute, RouteMail } from './mail-routes.ts';

/** Dependencies of the directory service's listener. */
interface DirectoryServiceDeps {
  readonly routeMail: RouteMail;
  readonly addresses: Addresses;
  /** Settings that a reload may change. */
  readonly settings: () => { readonly key?: Secret; readonly ports: MailPorts };
  /** Whether this client address may query routes. */
  readonly isAllowed: (address: string) => boolean;
  readonly observe: (protocol: 'auth_http' | 'lookup', result: MailRoute['kind'] | 'tempfail') => void;
  readonly log: Log;
}

interface ServiceReply {
  readonly status: number;
  readonly fields?: AuthHttpFields;
  readonly body?: object;
}

/**
 * Makes the listener that tells other proxies of the same cluster where a user lives, so that mail and webmail agree.
 * nginx's mail proxy asks under `/auth_http`, other programs get JSON under `/lookup?user=`. It reads, checks and logs
 * no password.
 */
export function createDirectoryService(deps: DirectoryServiceDeps): Server {
  const server = createServer({ requireHostHeader: false, maxHeaderSize: 16 * 1024 }, (request, response) => {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    replyToProxy(request, deps, gone.signal)
      .catch((error: unknown): ServiceReply => {
        if (!gone.signal.aborted) deps.log.error('directory-service-failed', { err: error });
        return { status: 500 };
      })
      .then((answer) => sendReply(response, answer))
      .catch(() => response.destroy());
  });
  server.requestTimeout = 10_000;
  server.headersTimeout = 10_000;
  return server;
}

async function replyToProxy(
  request: IncomingMessage,
  deps: DirectoryServiceDeps,
  signal: AbortSignal,
): Promise<ServiceReply> {
  const client = request.socket.remoteAddress ?? '';
  const refused = whyRefused(request, client, deps);
  if (refused !== undefined) {
    deps.log.warn('directory-service-refused', { client, why: refused });
    return { status: 403, body: { error: refused } };
  }
  if (request.method !== 'GET') return { status: 405, body: { error: 'send GET' } };
  const url = URL.parse(request.url ?? '', 'http://directory.invalid');
  switch (url?.pathname) {
    case '/auth_http':
      return authHttp(request, deps, signal);
    case '/lookup':
      return lookup(url.searchParams, deps, signal);
    default:
      return { status: 404, body: { error: 'ask /auth_http or /lookup?user=NAME' } };
  }
}

function whyRefused(request: IncomingMessage, client: string, deps: DirectoryServiceDeps): string | undefined {
  if (!deps.isAllowed(client)) return 'the address is not in directory_service.allow';
  const { key } = deps.settings();
  if (key === undefined) return undefined;
  const bearer = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  const shown = headerOf(request)('x-postern-key') ?? bearer ?? '';
  return timingSafeEqual(hashedKey(shown), hashedKey(key.reveal())) ? undefined : 'the key is missing or wrong';
}

/** Hashes a key, because timingSafeEqual needs texts of equal length. */
function hashedKey(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

async function authHttp(
  request: IncomingMessage,
  deps: DirectoryServiceDeps,
  signal: AbortSignal,
): Promise<ServiceReply> {
  const question = readQuestion(headerOf(request));
  if (question === undefined) return { status: 400, body: { error: 'Auth-User and Auth-Protocol are missing' } };
  try {
    const route = await deps.routeMail(question.user, signal, question.client);
    const fields = await authHttpAnswer(route, question, { ...deps.settings(), addresses: deps.addresses });
    deps.observe('auth_http', route.kind);
    return { status: 200, fields };
  } catch (error) {
    if (!(error instanceof PosternError) || signal.aborted) throw error;
    deps.observe('auth_http', 'tempfail');
    deps.log.warn('directory-service-unavailable', { code: error.code, why: error.message });
    return { status: 200, fields: temporaryFailure(question) };
  }
}

/** Answers 200 with the home, or `refuse` if the user may not sign in; 404 for an unknown user; 503 for "later". */
async function lookup(query: URLSearchParams, deps: DirectoryServiceDeps, signal: AbortSignal): Promise<ServiceReply> {
  try {
    const route = await deps.routeMail(query.get('user') ?? '', signal, query.get('client') ?? undefined);
    const address = route.kind === 'found' ? await deps.addresses.of(route.host.imap.hostname) : '';
    deps.observe('lookup', route.kind);
    switch (route.kind) {
      case 'found': {
        const ports = { ...deps.settings().ports, ...route.mailPorts };
        const { user, backend } = route;
        const { name: host, imap } = route.host;
        const login = nameForServer(user, imap.loginName);
        const body = { user, login, backend, host, name: imap.hostname, address, ports };
        return { status: 200, body };
      }
      case 'refused':
        return { status: 200, body: { refuse: route.reason } };
      case 'unknown-user':
        return { status: 404, body: { error: 'unknown user' } };
      case 'closed':
        return {
          status: 503,
          body: { error: 'the backend of this user is in maintenance, or the user is being moved' },
        };
      default:
        return route satisfies never;
    }
  } catch (error) {
    if (!(error instanceof PosternError) || signal.aborted) throw error;
    deps.observe('lookup', 'tempfail');
    deps.log.warn('directory-service-unavailable', { code: error.code, why: error.message });
    return { status: 503, body: { error: 'it cannot be said now', code: error.code } };
  }
}

function headerOf({ headers }: IncomingMessage): (name: string) => string | undefined {
  return (name) => {
    const value = headers[name];
    return typeof value === 'string' ? value : undefined;
  };
}

function sendReply(response: ServerResponse, { status, fields = {}, body }: ServiceReply): void {
  const text = body === undefined ? '' : `${JSON.stringify(body)}\n`;
  response.writeHead(status, {
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    ...fields,
  });
  response.end(text);
}
