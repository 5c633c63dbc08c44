import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, createServer as createTcpServer, type Socket } from 'node:net';
import type { Backend, BackendLimits, BasicPath } from '../../src/core/backend.ts';
import { systemClock } from '../../src/core/clock.ts';
import { CookieJar } from '../../src/core/cookie-jar.ts';
import type { Answer } from '../../src/core/http.ts';
import { type Log, silentLog } from '../../src/core/log.ts';
import type { BackendName, CanonicalUser, RecordKey, UserKey } from '../../src/core/names.ts';
import type { BasicAuthentication } from '../../src/core/passdb.ts';
import type { AskedFor, HostEvidence, Place, Relocate } from '../../src/core/placement.ts';
import type { Secret } from '../../src/core/secrets.ts';
import type { Attachment, EndReason, LiveSession, SessionLookup } from '../../src/core/session.ts';
import type { SilentLogin, WebmailDriver } from '../../src/core/webmail.ts';
import type { BannerOf } from '../../src/proxy/banner-injection.ts';
import { BasicRequests, createBasicPaths } from '../../src/proxy/basic-requests.ts';
import { challengeAnswer } from '../../src/proxy/basic-upstream-request.ts';
import { type Connections, createConnections } from '../../src/proxy/connections.ts';
import { createNoSessionAnswer } from '../../src/proxy/failure.ts';
import { createIngress } from '../../src/proxy/ingress.ts';
import { HttpListener } from '../../src/proxy/listener.ts';
import { createRequestHeaders } from '../../src/proxy/request-headers.ts';
import { type FinishedRequest, WebmailRequests } from '../../src/proxy/session-requests.ts';
import { Upgrades } from '../../src/proxy/upgrades.ts';
import { listening } from '../ports.fixture.ts';

/** A session as the data plane sees it, without a store. */
export class TestSession implements LiveSession {
  readonly key: RecordKey;
  readonly record: LiveSession['record'];
  readonly jar: CookieJar;
  readonly password: Secret | undefined;
  readonly ended: EndReason[] = [];
  touches = 0;
  /** The bytes in and out of each counted request. */
  readonly counted: [bytesIn: number, bytesOut: number][] = [];
  savedJars = 0;
  readonly #attached = new Set<Attachment>();

  constructor(name: string, backend: string, ownsCookie: (name: string) => boolean, password?: Secret) {
    this.password = password;
    this.key = name as RecordKey;
    this.jar = new CookieJar(ownsCookie);
    this.record = {
      user: `${name}@example.test` as CanonicalUser,
      backend: backend as BackendName,
      host: backend,
      createdAtMs: 0,
      absoluteEndMs: Number.MAX_SAFE_INTEGER,
      clientAddress: '127.0.0.1',
      userAgent: 'test',
      publicOrigin: 'http://mail.example.test',
      userKey: name as UserKey,
      sealed: '',
    };
  }

  get attachments(): number {
    return this.#attached.size;
  }

  touch(): void {
    this.touches += 1;
  }

  count(bytesIn: number, bytesOut: number): void {
    this.counted.push([bytesIn, bytesOut]);
  }

  attach(attachment: Attachment): () => void {
    this.#attached.add(attachment);
    return () => this.#attached.delete(attachment);
  }

  saveJar(): void {
    this.savedJars += 1;
  }

  async end(reason: EndReason): Promise<void> {
    this.ended.push(reason);
    for (const attachment of this.#attached) attachment.end(reason);
  }
}

export interface GateOptions {
  /** Port of the backend's webmail. */
  readonly backendPort: number;
  readonly driver?: Partial<WebmailDriver>;
  /** The session's password; the session has none if undefined. */
  readonly password?: Secret;
  readonly limits?: Partial<BackendLimits>;
  readonly landing?: string;
  readonly silentLogin?: SilentLogin;
  /** A second host of the backend, `a/2`. */
  readonly standbyPort?: number;
  /** Gives the place where a session belongs; the first host if undefined. */
  readonly place?: (session: LiveSession, backend: Backend) => Place;
  readonly relocate?: Relocate;
  readonly hostEvidence?: (host: string, evidence: HostEvidence, asked?: AskedFor) => void;
  readonly trustedProxies?: readonly string[];
  readonly publicOrigin?: string;
  readonly bannerOf?: BannerOf;
  readonly headMs?: number;
  readonly stallMs?: number;
  readonly uploadBytesPerSecond?: number;
  readonly recheckMs?: number;
  readonly pages?: (request: IncomingMessage, response: ServerResponse) => void;
  /** Paths where clients give name and password with each request, and the check of both. */
  readonly clients?: { readonly paths: readonly BasicPath[]; readonly authentication: BasicAuthentication };
  /** Gets the lines that `warnings` collects, too. */
  readonly log?: Log;
  readonly find?: (cookie: string | undefined) => SessionLookup | Promise<SessionLookup>;
}

/** A listener with one backend, and a session for whoever sends the cookie `postern=alice`. */
export interface Gate extends AsyncDisposable {
  readonly port: number;
  readonly listener: HttpListener;
  readonly session: TestSession;
  readonly upgrades: Upgrades;
  readonly connections: Connections;
  readonly finished: FinishedRequest[];
  readonly warnings: { readonly event: string; readonly fields: object }[];
}

export const defaultLimits: BackendLimits = {
  imapConnectMs: 1000,
  imapGreetingMs: 1000,
  imapAuthMs: 1000,
  webmailConnectMs: 1000,
  webmailFirstByteMs: 10_000,
  webmailKeepAliveMs: 4000,
  connections: 8,
  connectionsPerUser: 8,
  queue: 8,
  queueMs: 1000,
  upgradesPerSession: 2,
};

export async function startGate(options: GateOptions): Promise<Gate> {
  const origin = options.publicOrigin ?? 'http://mail.example.test';
  const driver: WebmailDriver = {
    ownsCookie: () => false,
    masterEntry: { kind: 'own-account' },
    signIn: () => Promise.reject(new Error('not in this test')),
    signOut: () => Promise.resolve(),
    judge: () => 'alive',
    ...options.driver,
  };
  const backend: Backend = {
    name: 'a' as BackendName,
    driver: 'test',
    driverSettings: {},
    hosts: [
      {
        name: 'a',
        imap: { hostname: '127.0.0.1', port: 1, security: 'tls', trust: {} },
        webmail: { origin: `http://127.0.0.1:${options.backendPort}`, landing: options.landing ?? '/', trust: {} },
      },
      ...(options.standbyPort === undefined ? [] : [hostAt('a/2', options.standbyPort)]),
    ],
    limits: { ...defaultLimits, ...options.limits },
    basicPaths: options.clients?.paths ?? [],
  };
  const session = new TestSession('alice', 'a', (name) => driver.ownsCookie(name), options.password);
  const place = (): Place => options.place?.(session, backend) ?? { kind: 'here', host: backend.hosts[0] };
  const finished: FinishedRequest[] = [];
  const warnings: { event: string; fields: object }[] = [];
  const note = (event: string, fields: object = {}): void => void warnings.push({ event, fields });
  const also = options.log ?? silentLog;
  const log: Log = {
    ...also,
    warn(event, fields) {
      note(event, fields);
      also.warn(event, fields);
    },
    error(event, fields) {
      note(event, fields);
      also.error(event, fields);
    },
  };
  const connections = createConnections();
  const basicPaths = createBasicPaths([backend]);
  const noSession = createNoSessionAnswer({
    drivers: () => [driver],
    framePage: () => text(401, 'frame page'),
    challenge: (target) => (basicPaths?.covers(target) === true ? challengeAnswer('Test mail') : undefined),
  });

  const common = {
    routes: (name: BackendName) => (name === 'a' ? { backend, driver, placement: { ofSession: place } } : undefined),
    isOwnCookie: (name: string) => /^(?:__Host-)?postern/i.test(name),
    newReference: () => 'ref1',
    hostEvidence: options.hostEvidence ?? (() => {}),
    clock: systemClock,
    stallMs: options.stallMs ?? 120_000,
    uploadBytesPerSecond: options.uploadBytesPerSecond ?? 0,
    log,
    noSession,
    connections,
    requestFinished: (request: FinishedRequest) => void finished.push(request),
    upgradeFinished: (connection: FinishedRequest) => void finished.push(connection),
    failureAnswer: (_head: object, failure: { kind: string }) =>
      text(failure.kind === 'timeout' ? 504 : failure.kind === 'bad-answer' ? 502 : 503, failure.kind),
  };
  const upgrades = new Upgrades(common);
  const webmailRequests = new WebmailRequests({
    ...common,
    silentLogin: options.silentLogin ?? (() => Promise.reject(new Error('not in this test'))),
    tooOftenAnswer: () => text(503, 'too often'),
    clearedCookies: () => ['postern=; Path=/; Max-Age=0'],
    bannerOf: options.bannerOf ?? (() => assert.fail('not in this test')),
    pollsCountAsUse: () => false,
    relocate: options.relocate ?? (() => Promise.reject(new Error('not in this test'))),
    reconsider: async () => place(),
    closedAnswer: (_head, closure) => text(503, closure.kind),
  });
  const basicRequests = new BasicRequests({
    ...common,
    authentication: () => options.clients?.authentication ?? nobody,
    takenOver: () => Promise.resolve(),
    recheckMs: options.recheckMs ?? 60_000,
    realm: () => 'Test mail',
  });
  const [scheme = '', authority = ''] = origin.split('://');
  const rules = {
    ingress: createIngress({
      publicUrls: [{ origin, authority, secure: scheme === 'https' }],
      assist: { origin: 'http://assist.example.test', authority: 'assist.example.test', secure: false },
      trustedProxies: options.trustedProxies ?? [],
      log,
      clock: systemClock,
    }),
    maxFields: 100,
    basicPaths,
    requestHeaders: createRequestHeaders({ alsoDropped: ['x-house-user'] }),
  };
  const listener = new HttpListener({
    ...common,
    probes: { live: () => text(200, 'live'), ready: () => text(200, 'ready') },
    rules: () => rules,
    pages: options.pages ?? ((_request, response) => response.end('own page')),
    sessions: { find: options.find ?? ((cookie) => lookUp(cookie, session)) },
    webmailRequests,
    basicRequests,
    upgrades,
    refusedAnswer: (_head, why) => text(why === 'foreign-host' ? 421 : 400, why),
    limits: { headBytes: 16 * 1024, headMs: options.headMs ?? 10_000, keepAliveMs: 65_000 },
  });
  const port = await listening(listener.server);
  return {
    port,
    listener,
    session,
    upgrades,
    connections,
    finished,
    warnings,
    async [Symbol.asyncDispose]() {
      await listener.drain(AbortSignal.abort());
      await connections.close();
    },
  };
}

const nobody: BasicAuthentication = {
  admit: async () => ({ kind: 'rejected' }),
  isStillAt: async () => true,
  distrust() {},
};

function hostAt(name: string, port: number): Backend['hosts'][0] {
  return {
    name,
    imap: { hostname: '127.0.0.1', port: 1, security: 'tls', trust: {} },
    webmail: { origin: `http://127.0.0.1:${port}`, landing: '/', trust: {} },
  };
}

function lookUp(cookie: string | undefined, session: TestSession): SessionLookup {
  const pairs = (cookie ?? '').split(/; */).filter((pair) => pair !== '');
  const rest = pairs.filter((pair) => !pair.startsWith('postern=')).join('; ');
  if (!pairs.includes('postern=alice')) return { kind: 'none', rest };
  const reason = session.ended[0];
  return reason === undefined ? { kind: 'found', session, rest } : { kind: 'ended', reason, rest };
}

export function text(status: number, body: string): Answer {
  return { status, headers: [['Content-Type', 'text/plain']], body };
}

/** A backend that records what arrives, as Node's parser saw it. */
export interface RecordingBackend extends AsyncDisposable {
  readonly port: number;
  readonly seen: {
    readonly method: string;
    readonly target: string;
    readonly fields: readonly string[];
    readonly body: string;
  }[];
}

export async function startRecordingBackend(
  respond: (request: IncomingMessage, response: ServerResponse, body: string) => void = (_request, response) =>
    response.end('ok'),
): Promise<RecordingBackend> {
  const seen: { method: string; target: string; fields: string[]; body: string }[] = [];
  const server = createServer({ keepAliveTimeout: 30_000 }, (request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const body = Buffer.concat(parts).toString('latin1');
      seen.push({ method: request.method ?? '', target: request.url ?? '', fields: request.rawHeaders, body });
      respond(request, response, body);
    });
  });
  const port = await listening(server);
  return { port, seen, [Symbol.asyncDispose]: () => closeHttp(server) };
}

async function closeHttp(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}

/** A backend of raw bytes: `script` gets each connection; what arrives on it is collected. */
export interface ScriptedBackend extends AsyncDisposable {
  readonly port: number;
  readonly sockets: Set<Socket>;
  /** How many connections there ever were. */
  accepted: number;
}

export async function startScriptedBackend(
  script: (socket: Socket, nth: number) => void,
  options: { readonly allowHalfOpen?: boolean } = {},
): Promise<ScriptedBackend> {
  const sockets = new Set<Socket>();
  const server = createTcpServer(options, (socket) => {
    backend.accepted += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    script(socket, backend.accepted);
  });
  const backend = {
    port: await listening(server),
    sockets,
    accepted: 0,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
  return backend;
}

/** A raw client: bytes out, bytes in. */
export class RawClient implements Disposable {
  readonly socket: Socket;
  received = '';
  ended = false;
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (part: string) => {
      this.received += part;
      this.#wake?.();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.ended = true;
      this.#wake?.();
    });
  }

  static async to(port: number): Promise<RawClient> {
    const socket = connect(port, '127.0.0.1');
    const client = new RawClient(socket);
    await once(socket, 'connect');
    return client;
  }

  send(bytes: string): this {
    this.socket.write(bytes, 'latin1');
    return this;
  }

  /** Resolves with all that was received once `enough` says so, or the connection is closed. */
  async until(enough: (received: string) => boolean): Promise<string> {
    while (!enough(this.received) && !this.ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.received;
  }

  /** Resolves with all that was received once the connection is closed. */
  closed(): Promise<string> {
    return this.until(() => false);
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** A whole request with the session's cookie; `more` are further lines. */
export function get(target: string, ...more: string[]): string {
  return request('GET', target, ['Cookie: postern=alice', ...more]);
}

export function request(method: string, target: string, lines: readonly string[], body = ''): string {
  return `${[`${method} ${target} HTTP/1.1`, 'Host: mail.example.test', ...lines].join('\r\n')}\r\n\r\n${body}`;
}

/** One request on a connection of its own; resolves with the whole answer. */
export async function ask(port: number, bytes: string): Promise<string> {
  using client = await RawClient.to(port);
  client.send(bytes);
  return await client.until(isWhole);
}

/** Whether the bytes hold a whole answer with a length, or chunked, or without a body. */
export function isWhole(received: string): boolean {
  const end = received.indexOf('\r\n\r\n');
  if (end === -1) return false;
  const head = received.slice(0, end);
  const length = /\r\ncontent-length: (\d+)/i.exec(head);
  if (/^HTTP\/1\.1 (?:204|304)/.test(head)) return true;
  if (length !== null) return received.length >= end + 4 + Number(length[1]);
  return /\r\ntransfer-encoding: chunked/i.test(head) ? received.endsWith('0\r\n\r\n') : false;
}
