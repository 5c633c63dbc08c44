import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express, { type ErrorRequestHandler } from 'express';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import { CookieJar } from '../../src/core/cookie-jar.ts';
import { type Log, silentLog } from '../../src/core/log.ts';
import type { CanonicalUser } from '../../src/core/names.ts';
import { defined } from '../../src/core/objects.ts';
import { Secret } from '../../src/core/secrets.ts';
import type { EndReason, LiveSession, SessionLookup, SessionStore } from '../../src/core/session.ts';
import { BrowserSessions } from '../../src/sessions/browser-session.ts';
import { NodeSessions } from '../../src/sessions/node-sessions.ts';
import { openServerKeys, type ServerKeys } from '../../src/sessions/server-keys.ts';
import { SqliteSessionStore } from '../../src/sessions/sqlite-store.ts';
import { listening } from '../ports.fixture.ts';
import { backendNamed, type HandClock, handClock } from './samples.fixture.ts';

export interface NodeSettings {
  readonly store: SessionStore;
  readonly keysFile: string;
  readonly clock?: Clock;
  readonly log?: Log;
  readonly idleTimeoutMs?: number;
  readonly absoluteTimeoutMs?: number;
  readonly serveStaleMs?: number;
  readonly maxPerUser?: number;
  readonly forgetPassword?: boolean;
  readonly secure?: boolean;
  readonly cacheLimit?: number;
  readonly acceptUnsignedUntilMs?: number;
}

/** The session part of one gateway node, with pages as small as they can be over a real HTTP server. */
export interface RunningNode extends AsyncDisposable {
  readonly live: NodeSessions;
  readonly keys: ServerKeys;
  /** Signs in on the page, and hands back what a browser would then send as its Cookie field. */
  signIn(
    user: CanonicalUser,
    cookie?: string,
  ): Promise<{ readonly status: number; readonly cookie: string; readonly setCookie: string }>;
  /** The user whom a page sees; `none`, or the status of a failure. */
  page(cookie: string): Promise<string>;
  signOut(cookie: string): Promise<{ readonly status: number; readonly setCookie: string }>;
  find(cookie: string): Promise<SessionLookup>;
  /** Finds a session that must be there. */
  session(cookie: string): Promise<LiveSession>;
}

export const password = 'Paß "wört" \\1 €';
export const jarCookie = 'f00dfeedcafe-of-the-webmail';

export async function startNode(settings: NodeSettings): Promise<RunningNode> {
  const { store, keysFile, clock = systemClock, log = silentLog, secure = true } = settings;
  const keys = await openServerKeys({ file: keysFile, store, clock, log, randomBytes });
  const live = new NodeSessions({
    store,
    keys,
    clock,
    log,
    holder: {
      config: {
        sessions: {
          idleTimeoutMs: settings.idleTimeoutMs ?? 30 * 60_000,
          serveStaleMs: settings.serveStaleMs ?? 10 * 60_000,
          ...defined({ acceptUnsignedUntilMs: settings.acceptUnsignedUntilMs }),
        },
      },
    },
    ownsCookie: () => (name) => name === 'webmail_session',
    ...(settings.cacheLimit === undefined ? {} : { cacheLimit: settings.cacheLimit }),
  });
  const server = createServer(pages(settings, live, keys));
  const origin = `http://127.0.0.1:${await listening(server)}`;

  async function find(cookie: string): Promise<SessionLookup> {
    return live.find(cookie, secure);
  }

  async function post(path: string, cookie: string | undefined): Promise<{ status: number; setCookie: string }> {
    const response = await fetch(origin + path, { method: 'POST', headers: cookie === undefined ? {} : { cookie } });
    await response.arrayBuffer();
    return { status: response.status, setCookie: response.headers.getSetCookie().join('\n') };
  }

  return {
    live,
    keys,
    find,
    async signIn(user, cookie) {
      const answer = await post(`/login?user=${encodeURIComponent(user)}`, cookie);
      return { ...answer, cookie: answer.setCookie.split(';', 1)[0] ?? '' };
    },
    async page(cookie) {
      const response = await fetch(`${origin}/who`, { headers: { cookie } });
      return response.ok ? response.text() : String(response.status);
    },
    signOut: (cookie) => post('/logout', cookie),
    async session(cookie) {
      const found = await find(cookie);
      if (found.kind !== 'found') throw new Error(`expected a session, got ${JSON.stringify(found)}`);
      return found.session;
    },
    async [Symbol.asyncDispose]() {
      await live.close();
      server.closeAllConnections();
      server.close();
    },
  };
}

function pages(settings: NodeSettings, live: NodeSessions, keys: ServerKeys) {
  const { store, clock = systemClock, log = silentLog, secure = true } = settings;
  const gate = new BrowserSessions({
    store,
    keys,
    sessions: live,
    clock,
    log,
    randomBytes,
    absoluteTimeoutMs: settings.absoluteTimeoutMs ?? 12 * 3_600_000,
    maxPerUser: settings.maxPerUser ?? 20,
    forgetPassword: settings.forgetPassword ?? false,
  });
  const app = express();
  app.use(gate.middleware(secure));
  app.post('/login', async (request, response) => {
    const jar = new CookieJar((name) => name === 'webmail_session');
    jar.absorb(`webmail_session=${jarCookie}; HttpOnly; Path=/`, '/', clock.nowMs());
    await gate.open(request, response, {
      user: userOf(request.query['user']),
      backend: backendNamed('a'),
      host: 'a',
      password: new Secret(password),
      jar,
      client: { address: '192.0.2.1', port: 1, userAgent: request.get('user-agent') },
      publicOrigin: 'https://mail.example.test',
      timeZone: 'Europe/Berlin',
    });
    response.send('signed in');
  });
  app.get('/who', (request, response) => {
    response.send(gate.current(request)?.user ?? 'none');
  });
  app.post('/logout', async (request, response) => {
    await gate.close(request, response, 'signed-out', 'request-of-a-test');
    response.send('signed out');
  });
  app.use(failed);
  return app;
}

const failed: ErrorRequestHandler = (_error, _request, response, _next) => {
  response.status(503).send('unavailable');
};

function isUser(value: unknown): value is CanonicalUser {
  return typeof value === 'string';
}

function userOf(value: unknown): CanonicalUser {
  if (!isUser(value)) throw new TypeError('a user is a text');
  return value;
}

/** An attachment that tells why it ended. */
export function attachTo(session: LiveSession): { readonly ended: Promise<EndReason>; readonly detach: () => void } {
  const { promise, resolve } = Promise.withResolvers<EndReason>();
  return { ended: promise, detach: session.attach({ end: resolve }) };
}

/** A node with an embedded store in a folder of its own, whose clock stands still until it is told to go on. */
export interface EmbeddedNode extends AsyncDisposable {
  readonly folder: string;
  readonly keysFile: string;
  readonly store: SessionStore;
  readonly clock: HandClock;
  readonly node: RunningNode;
  /** Starts another node on the same store and keys. */
  readonly start: (differing?: Partial<NodeSettings>) => Promise<RunningNode>;
}

export async function startEmbeddedNode(): Promise<EmbeddedNode> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-sessions-'));
  const clock = handClock();
  const keysFile = join(folder, 'keys');
  const store = new SqliteSessionStore({ file: join(folder, 'store.sqlite'), tombstoneMs: 12 * 3_600_000, clock });
  const start = (differing: Partial<NodeSettings> = {}) => startNode({ store, keysFile, clock, ...differing });
  const node = await start();
  return {
    folder,
    keysFile,
    store,
    clock,
    node,
    start,
    async [Symbol.asyncDispose]() {
      await node[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
