import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { CookieJar } from '../../src/core/cookie-jar.ts';
import { PosternError } from '../../src/core/error.ts';
import type { Ingress } from '../../src/core/http.ts';
import { silentLog } from '../../src/core/log.ts';
import { createPages } from '../../src/http/pages.ts';
import type { OwnSessions } from '../../src/http/sessions-page.ts';
import { type Branding, createViews, type Views } from '../../src/http/views.ts';
import type { LoginOutcome } from '../../src/login/attempt.ts';
import type { LoginForm } from '../../src/login/login.ts';
import type { NoticeDelivery } from '../../src/support/notices.ts';
import { backendName, canonicalUser } from '../login/named.fixture.ts';
import { listening } from '../ports.fixture.ts';
import { createFakeGate, type FakeGate } from './fake-gate.fixture.ts';

export const branding: Branding = {
  name: 'Example Mail',
  accentColour: '#2f5d8a',
  scheme: 'auto',
  links: [{ label: 'Help', href: 'https://help.example.org/' }],
  defaultLocale: 'en',
};

export const views: Views = createViews(branding);

/** The pages on a server of their own, with the login use case and the sessions replaced by small fakes. */
export interface Fixture extends AsyncDisposable {
  readonly server: Server;
  readonly origin: string;
  readonly sessions: FakeGate;
  /** Every attempt that reached the use case. */
  readonly attempts: LoginForm[];
  readonly signedOut: string[];
  /** Gives the use case's answer; by default alice signs in with `right`. */
  decide: (attempt: LoginForm, gone: AbortSignal) => Promise<LoginOutcome>;
  nowMs: number;
}

export interface FixtureOptions {
  /** Whether browsers are told that they came over HTTPS; the server itself speaks HTTP. */
  readonly secure?: boolean;
  readonly views?: Views;
  readonly formKeys?: readonly KeyObject[];
  readonly ownSessions?: OwnSessions;
  readonly tellsOfOpened?: boolean;
  readonly notices?: Pick<NoticeDelivery, 'pending' | 'pendingNow' | 'read'>;
}

export async function startPages(options: FixtureOptions = {}): Promise<Fixture> {
  // The front door has this setting, too. A request without a body then has no end for which Express could wait.
  const server = createServer({ optimizeEmptyRequests: true });
  const port = await listening(server);
  const authority = options.secure === true ? 'mail.example.org' : `127.0.0.1:${port}`;
  const origin = `${options.secure === true ? 'https' : 'http'}://${authority}`;

  const fixture: Fixture = {
    server,
    origin,
    sessions: createFakeGate(() => fixture.nowMs),
    attempts: [],
    signedOut: [],
    decide: async (attempt) => (attempt.password.reveal() === 'right' ? aliceSignedIn() : { kind: 'rejected' }),
    nowMs: Date.UTC(2026, 10, 22),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  const formKeys = options.formKeys ?? [createSecretKey(randomBytes(32))];
  const pages = createPages({
    login: async (attempt, gone) => {
      fixture.attempts.push(attempt);
      return fixture.decide(attempt, gone);
    },
    logout: async (session, _as, end) => {
      await end();
      fixture.signedOut.push(session.record.user);
    },
    gate: fixture.sessions.gate,
    live: fixture.sessions.live,
    ownSessions: options.ownSessions ?? nobodysSessions,
    tellsOfOpened: options.tellsOfOpened ?? false,
    notices: options.notices ?? { pending: () => [], pendingNow: async () => [], read: () => Promise.resolve() },
    views: options.views ?? views,
    formKeys: () => formKeys,
    clock: { nowMs: () => fixture.nowMs },
    randomBytes,
    log: silentLog,
  });
  server.on('request', (request, response) => {
    const ingress: Ingress = {
      publicUrl: { origin, authority, secure: options.secure === true },
      hostKind: 'public',
      requestId: '4bf92f3577b34da6a3ce929d0e0e4736',
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00',
      client: { address: '192.0.2.7', port: 4711, userAgent: request.headers['user-agent'] },
    };
    pages(request, response, ingress);
  });
  return fixture;
}

const nobodysSessions: OwnSessions = {
  sessionsOfUser: async () => [],
  end: async () => {},
  endSessionsOfUser: async () => 0,
};

export function aliceSignedIn(): LoginOutcome {
  return {
    kind: 'signed-in',
    user: canonicalUser('alice@example.test'),
    backend: backendName('a'),
    host: 'a',
    jar: new CookieJar(() => false),
    landing: '/?_task=mail',
    browserCookies: [],
    resumeTarget: (target) => target.replace('_action=compose&_id=7', '_action=compose'),
  };
}

export function storeAway(): PosternError {
  return new PosternError('ERR_STORE_UNAVAILABLE', 'the store is away', { source: 'store', retryable: true });
}
