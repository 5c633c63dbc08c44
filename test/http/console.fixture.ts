import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express from 'express';
import request, { type Response } from 'supertest';
import { createSqliteStateStore } from '../../src/backends/sqlite-state-store.ts';
import type { AuditEvent } from '../../src/core/audit.ts';
import { PosternError } from '../../src/core/error.ts';
import type { StaffGrant } from '../../src/core/identity.ts';
import { silentLog } from '../../src/core/log.ts';
import type { CanonicalUser, RecordKey } from '../../src/core/names.ts';
import { type ListedSession, sessionKind, type SessionStore } from '../../src/core/session.ts';
import type { ShownBackend } from '../../src/http/console/backend-table.ts';
import type { ConsoleBackends } from '../../src/http/console/backends.ts';
import { createLiveStreams, type LiveStreams } from '../../src/http/console/live.ts';
import type { ShownMove } from '../../src/http/console/moves.ts';
import { addConsoleRoutes, type ConsolePagesDeps, createConsolePages } from '../../src/http/console/routes.ts';
import type { ConsoleUsers } from '../../src/http/console/users.ts';
import { createServerKey } from '../../src/sessions/key-derivation.ts';
import { SqliteSessionStore } from '../../src/sessions/sqlite-store.ts';
import { type ConsoleLinks, createConsoleLinks, type StoredLink } from '../../src/support/one-time-links.ts';
import type { SecondFactors } from '../../src/support/second-factor.ts';
import { createStaffSessions, type StaffSessions } from '../../src/support/staff-sessions.ts';
import { backendName, canonicalUser } from '../login/named.fixture.ts';
import { listening } from '../ports.fixture.ts';
import { storeWith } from '../sessions/samples.fixture.ts';
import { codeOf, enrol, ringOf, startFactorNode } from '../support/support.fixture.ts';
import { nodeReport, shownBackend, shownMove, shownSession, someFigures } from './console-shown.fixture.ts';
import { setCookies, tokenIn, withCookies } from './browser-like.fixture.ts';
import { views } from './http.fixture.ts';

export const sam = canonicalUser('sam@example.test');

/** The console on its own server, over real stores. The test says who may sign in and what support sees. */
export interface ConsoleFixture extends AsyncDisposable {
  readonly server: Server;
  readonly origin: string;
  /** Each route is a method, or ALL, and a path. */
  readonly routes: readonly string[];
  /** Links that open the console once. */
  readonly links: ConsoleLinks;
  /** The streams of live pages. */
  readonly streams: LiveStreams;
  /** What the lookup of a grant waits for. */
  beforeGrant: () => Promise<void>;
  /** The backends of the site. */
  backends: readonly ShownBackend[];
  /** The sessions that are open. */
  open: readonly ListedSession[];
  moves: readonly ShownMove[];
  readonly factors: SecondFactors;
  readonly sessions: StaffSessions;
  readonly store: SessionStore;
  readonly audited: AuditEvent[];
  /** Everybody who is staff at this moment. */
  readonly grants: Map<string, StaffGrant>;
  /** Calls that reached the use cases behind the forms. */
  readonly done: string[];
  clock: { nowMs: number };
  /** Parts that can no longer be written or asked. */
  readonly away: Set<'audit' | 'directory' | 'roles' | 'state' | 'store'>;
}

export async function startConsole(): Promise<ConsoleFixture> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-console-'));
  const server = createServer({ optimizeEmptyRequests: true });
  const port = await listening(server);
  const origin = `http://support.localhost:${port}`;
  const time = { nowMs: Date.now() };
  const clock = { nowMs: () => time.nowMs };
  const serverKey = createServerKey('0a0a0a0a', randomBytes(32));
  const ring = {
    ...ringOf(serverKey),
    promoted: serverKey,
    find: (id: string) => (id === serverKey.id ? serverKey : undefined),
  };
  const store = new SqliteSessionStore({ file: join(folder, 'sessions.sqlite'), tombstoneMs: 60_000, clock });
  const node = await startFactorNode(createSqliteStateStore(join(folder, 'state.sqlite')), clock, () => ring);
  const end: Parameters<typeof createStaffSessions>[0]['end'] = async (key, reason) =>
    void (await store.destroy(key, reason));
  const sessions = createStaffSessions({
    store: storeWith(store, {
      async read(key) {
        if (fixture.away.has('store')) throw away('store');
        return store.read(key);
      },
    }),
    end,
    keys: () => ring,
    times: () => ({ idleTimeoutMs: 15 * 60_000, absoluteTimeoutMs: 8 * 60 * 60_000 }),
    clock,
    randomBytes,
    log: silentLog,
  });
  const routes: string[] = [];
  const links = createConsoleLinks({
    table: memoryTable(),
    keys: () => [serverKey.subkey('console link')],
    clock,
    randomBytes,
  });
  const streams = createLiveStreams({
    sessions,
    grantOf: async ({ user }) => fixture.grants.get(user),
    clock,
    everyMs: 50,
  });
  const fixture: ConsoleFixture = {
    server,
    origin,
    routes,
    streams,
    beforeGrant: async () => {},
    links,
    backends: [shownBackend('a', { state: 'DOWN' })],
    open: [shownSession('K', 'alice@example.test'), shownSession('L', 'bob@example.test')],
    moves: [shownMove('alice@example.test', 'waiting'), shownMove('bob@example.test', 'done')],
    factors: node.factors,
    sessions,
    store,
    audited: [],
    grants: new Map([[String(sam), { roles: ['support'], domains: ['example.test'] }]]),
    done: [],
    clock: time,
    away: new Set(),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      await node[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  const deps: ConsolePagesDeps = {
    staffLogin: async ({ user, password }) =>
      password.reveal() === 'right'
        ? { kind: 'authenticated', user: asUser(user), backend: backendName('a'), host: 'a' }
        : { kind: 'rejected' },
    async roleOf(user) {
      if (fixture.away.has('roles')) throw away('directory');
      return fixture.grants.get(user);
    },
    async grantOf({ user, linkBy }) {
      await fixture.beforeGrant();
      if (linkBy !== undefined) return { roles: ['operator'] };
      if (fixture.away.has('roles')) throw away('directory');
      return fixture.grants.get(user);
    },
    streams,
    links,
    firstBackend: () => backendName('a'),
    async staffNamed(typed) {
      const user = asUser(typed);
      return fixture.grants.has(user) ? user : undefined;
    },
    audit: {
      async record(event) {
        if (fixture.away.has('audit')) throw away('audit');
        fixture.audited.push(event);
      },
      list: async (_filter, limit) =>
        fixture.audited
          .slice(-limit)
          .map((event, sequence) => ({ ...event, chain: 'c', node: 'n', sequence, timeMs: time.nowMs })),
    },
    sessions,
    factors: node.factors,
    serviceName: 'Example Mail',
    users: someUsers(fixture),
    impersonation: someImpersonation(fixture),
    backends: someBackends(fixture),
    ...someOperations(fixture),
    views,
    async refresh() {
      if (fixture.away.has('state')) throw away('store');
    },
    formKeys: () => [serverKey.subkey('form')],
    clock,
    randomBytes,
    log: silentLog,
  };
  routes.push(...routesOf(deps));
  const pages = createConsolePages(deps);
  server.on('request', (incoming, response) => {
    pages(incoming, response, {
      publicUrl: { origin, authority: `support.localhost:${port}`, secure: false },
      hostKind: 'console',
      requestId: '4bf92f3577b34da6a3ce929d0e0e4736',
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00',
      client: { address: '192.0.2.7', port: 4711, userAgent: incoming.headers['user-agent'] },
    });
  });
  return fixture;
}

/** The routes that the console really answers. They come from the router itself, so none can be forgotten. */
function routesOf(deps: ConsolePagesDeps): readonly string[] {
  const app = express();
  addConsoleRoutes(app, deps);
  return app.router.stack.flatMap(({ route }) => {
    const methods = new Set((route?.stack ?? []).map(({ method }) => method).filter(Boolean));
    // One route for every method that Express knows.
    if (methods.size > 2) return [`ALL ${route?.path}`];
    return [...methods].map((method) => `${method.toUpperCase()} ${route?.path}`);
  });
}

/** A table of links in memory: the contract of real ones is held by the tests of the state stores. */
function memoryTable() {
  const entries = new Map<string, StoredLink>();
  return {
    all: () => entries,
    async set(key: string, link: StoredLink) {
      entries.set(key, link);
    },
    async take(key: string) {
      const link = entries.get(key);
      entries.delete(key);
      return link;
    },
  };
}

function someUsers(fixture: ConsoleFixture): ConsoleUsers {
  const { done } = fixture;
  const open = () => fixture.open;
  return {
    named: (typed) => (/^[\w.+-]+@[\w.-]+$/.test(typed) ? typed.toLowerCase() : undefined),
    async explain(typed) {
      done.push(`explain ${typed}`);
      // An alias leads to somebody of another domain.
      const user = typed === 'alias@example.test' ? 'eve@other.test' : typed;
      const hosts = [{ name: 'a', state: 'READY', serves: true }];
      const steps = [{ source: '1 map', answer: 'found', home: 'a' }];
      return { answer: 'found', user, backend: 'a', driver: 'roundcube', hosts, steps };
    },
    sessions: async (user) => open().filter(({ record }) => record.user === user),
    signIns: async () => [
      {
        atMs: Date.UTC(2026, 10, 26),
        result: 'rejected',
        why: 'wrong-password',
        address: '192.0.2.9',
        reference: 'R9',
      },
    ],
    penalty: async () => ({ delayMs: 4_000 }),
    async liftPenalty(user) {
      done.push(`lift ${user}`);
    },
  };
}

function someImpersonation({ done, away: gone }: ConsoleFixture): ConsolePagesDeps['impersonation'] {
  return {
    async permission(staff, typed) {
      if (gone.has('directory')) throw away('directory');
      return typed === staff.user
        ? { kind: 'refused', why: 'oneself' }
        : { kind: 'allowed', subject: canonicalUser(typed) };
    },
    async start(staff, { subject, reason, minutes }) {
      done.push(`start ${staff.user} ${subject} ${minutes} ${reason}`);
      return { kind: 'started', link: 'http://assist.localhost/-/assist/open?link=L' };
    },
    openedBy: (actor) =>
      actor === sam
        ? [
            {
              session: 'K' as RecordKey,
              subject: 'alice@example.test',
              reason: 'lost her folders',
              ticket: 'T1',
              untilMs: 0,
            },
          ]
        : [],
    async stop(session) {
      done.push(`stop ${session}`);
    },
  };
}

function someBackends(fixture: ConsoleFixture): ConsoleBackends {
  const { done } = fixture;
  return {
    all: async () => fixture.backends,
    peopleOn: async () => ({ sessions: 4, people: 3, isWhole: true }),
    async set(name, host, { state, reason }, by) {
      done.push(`set ${host ?? name} ${state} ${reason} ${by.actor}`);
    },
    async activate(name, host, reason, by) {
      done.push(`activate ${host} of ${name} ${reason} ${by.actor}`);
    },
  };
}

function someOperations(
  fixture: ConsoleFixture,
): Pick<ConsolePagesDeps, 'sessionControl' | 'locks' | 'penalties' | 'moves' | 'nodes' | 'statistics'> {
  const { done } = fixture;
  return {
    locks: {
      async lock(user, { reason, text }) {
        if (fixture.grants.has(user)) return 'staff';
        done.push(`lock ${user}: ${reason}: ${text}`);
        return [{ name: 'web2', why: 'it has not confirmed within 2 s' }];
      },
      async unlock(user, reason) {
        done.push(`unlock ${user}: ${reason}`);
        return done.some((one) => one.startsWith(`lock ${user}`)) ? [] : undefined;
      },
    },
    sessionControl: {
      list: async ({ user, backend, kind }, most) =>
        fixture.open
          .filter(
            ({ record }) =>
              (user ?? record.user) === record.user &&
              (backend ?? record.backend) === record.backend &&
              (kind ?? sessionKind(record)) === sessionKind(record),
          )
          .slice(0, most),
      named: async (key) => fixture.open.find((one) => one.key === key),
      async end(sessions, reason, { actor }) {
        done.push(`end ${sessions.map(({ record }) => record.user).join(' ')} ${reason} ${actor}`);
      },
    },
    penalties: {
      list: async () => [
        {
          user: 'eve@example.test',
          network: '192.0.2.0/24',
          refusals: 9,
          delayMs: 8_000,
          atMs: Date.now(),
          leftMs: 500_000,
        },
      ],
      async lift({ user, network }, reason, { actor }) {
        done.push(`lift ${user} ${network} ${reason} ${actor}`);
        return 1;
      },
    },
    moves: {
      all: () => fixture.moves,
      async stop(user, reason, { actor }) {
        done.push(`stop the move of ${user} ${reason} ${actor}`);
        return undefined;
      },
      async back(user, reason, { actor }) {
        done.push(`move ${user} back ${reason} ${actor}`);
        return undefined;
      },
    },
    nodes: {
      reports: async () => ({
        own: 'one',
        all: [nodeReport('one'), nodeReport('two', { configHash: 'beef', clockSkewMs: 9_000, alarms: { ERR_X: 2 } })],
      }),
      certificates: () => [
        { file: '/etc/postern/tls.pem', name: 'mail.example.test', validToMs: Date.now() + 5 * 24 * 3_600_000 },
      ],
      store: async () => ({ kind: 'redis', answers: true, role: 'master' }),
    },
    statistics: async () => someFigures,
  };
}

function away(what: 'audit' | 'directory' | 'store'): PosternError {
  const code = `ERR_${what.toUpperCase() as 'AUDIT' | 'DIRECTORY' | 'STORE'}_UNAVAILABLE` as const;
  return new PosternError(code, 'away', { source: what, retryable: true });
}

function asUser(typed: string): CanonicalUser {
  return canonicalUser(typed.includes('@') ? typed : `${typed}@example.test`);
}

/** A browser at the console: its cookies, the page that it has open, and what it says of itself. */
export interface StaffBrowser {
  cookie: string;
  token: string;
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<Response>;
  /** Sends the form of the open page. */
  post(
    path: string,
    fields: Readonly<Record<string, string>>,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Response>;
}

/** `forwarded`: fields of a load balancer in front. */
export function staffBrowser({
  server,
  origin,
  forwarded = {},
}: {
  server: Server | string;
  origin: string;
  forwarded?: Readonly<Record<string, string>>;
}): StaffBrowser {
  const { host } = new URL(origin);
  const browser: StaffBrowser = {
    cookie: '',
    token: '',
    async get(path, headers = {}) {
      const says = { 'Sec-Fetch-Site': 'none', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document' };
      return keep(
        await request(server)
          .get(path)
          .set('Cookie', browser.cookie)
          .set({ Host: host, ...forwarded, ...says, ...headers }),
      );
    },
    async post(path, fields, headers = {}) {
      const form = new URLSearchParams({ token: browser.token, ...fields });
      return keep(
        await request(server)
          .post(path)
          .set('Cookie', browser.cookie)
          .set('Content-Type', 'application/x-www-form-urlencoded')
          .set({ Host: host, ...forwarded, Origin: origin, 'Sec-Fetch-Site': 'same-origin', ...headers })
          .send(form.toString()),
      );
    },
  };
  function keep(reply: Response): Response {
    browser.cookie = setCookies(reply).some((line) => /staff=;/.test(line))
      ? browser.cookie.replace(/(?:; )?postern-staff=[^;]*/, '')
      : withCookies(browser.cookie, reply);
    browser.token = tokenIn(reply.text) || browser.token;
    return reply;
  }
  return browser;
}

/** Somebody with a second factor, who has only shown the password. */
export async function halfSignedIn(fixture: ConsoleFixture, user: string = sam) {
  const { key, recovery } = await enrol(fixture.factors, user, fixture.clock.nowMs);
  const browser = staffBrowser(fixture);
  await browser.get('/-/login');
  await browser.post('/-/login', { user, password: 'right' });
  await browser.get('/-/factor');
  /** A code that was not used yet. */
  const nextCode = (): string => {
    fixture.clock.nowMs += 30_000;
    return codeOf(key, fixture.clock.nowMs);
  };
  return { browser, key, recovery, nextCode };
}

/** Somebody at the console. */
export async function signedIn(fixture: ConsoleFixture, user: string = sam) {
  const half = await halfSignedIn(fixture, user);
  await half.browser.post('/-/factor', { code: half.nextCode() });
  return half;
}
