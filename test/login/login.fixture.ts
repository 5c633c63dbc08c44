import type { Backend, BackendHost } from '../../src/core/backend.ts';
import { CookieJar } from '../../src/core/cookie-jar.ts';
import type { HomeLookup } from '../../src/core/directory.ts';
import { createLoginNameParser } from '../../src/core/names.ts';
import type { PasswordCheck, Referrals } from '../../src/core/passdb.ts';
import { Secret } from '../../src/core/secrets.ts';
import type { WebmailDriver, WebmailSignIn } from '../../src/core/webmail.ts';
import type { LoginEvent } from '../../src/login/attempt.ts';
import type { Home } from '../../src/login/authentication.ts';
import {
  createLogin,
  createStaffLogin,
  type Login,
  type LoginDeps,
  type LoginForm,
  type StaffLogin,
} from '../../src/login/login.ts';
import type { PenaltyAttempt } from '../../src/login/penalty.ts';
import { backendLimits } from '../backend-limits.fixture.ts';
import { backendName, canonicalUser } from './named.fixture.ts';

/** The login use case, with a clock that moves only when a step works or waits. */
export interface Bench {
  readonly login: Login;
  /** The login of staff, over the same ports. */
  readonly staffLogin: StaffLogin;
  nowMs: number;
  /** The steps, in order: `store`, `directory alice@example.test`, `imap …`, `webmail …`, `wait 3000`. */
  readonly asked: string[];
  readonly events: LoginEvent[];
  readonly settled: string[];
  readonly penalised: PenaltyAttempt[];
  /** Passwords as they arrived at the passdb. */
  readonly tried: string[];
}

export interface Script {
  readonly store?: () => Promise<void>;
  readonly directory?: (signal: AbortSignal) => Promise<HomeLookup>;
  readonly passdb?: (signal: AbortSignal) => Promise<PasswordCheck>;
  /** The answer of the server that refers users to their homes. */
  readonly referral?: Awaited<ReturnType<Referrals['ask']>>;
  readonly webmail?: (signal: AbortSignal) => Promise<WebmailSignIn>;
  /** Milliseconds that the penalty waits, or `busy` if it is full. */
  readonly penalty?: number | 'busy';
  /** Milliseconds that each step takes by the bench's clock. */
  readonly takesMs?: Readonly<Record<'directory' | 'imap' | 'webmail', number>>;
  /** Called when a refusal begins to be held. */
  readonly onWait?: () => void;
  readonly deadlineMs?: number;
  readonly knowsBackend?: boolean;
  readonly isSomeHomeSilent?: boolean;
  readonly homeOf?: (found: Home, stays: boolean) => ReturnType<LoginDeps['homeOf']>;
  readonly arrived?: LoginDeps['arrived'];
}

export const found: HomeLookup = {
  kind: 'found',
  backend: backendName('a'),
  user: canonicalUser('alice@example.test'),
};

export function signedInToWebmail(): WebmailSignIn {
  return {
    kind: 'signed-in',
    jar: new CookieJar(() => false),
    browserCookies: ['colour=dark'],
    landing: '/?_task=mail',
  };
}

/** The login use case with every port replaced by a few scripted lines. */
export function createBench(script: Script = {}): Bench {
  const took = script.takesMs ?? { directory: 5, imap: 40, webmail: 90 };
  const bench: Omit<Bench, 'login' | 'staffLogin'> = {
    nowMs: 1_000_000,
    asked: [],
    events: [],
    settled: [],
    penalised: [],
    tried: [],
  };
  const work = (what: string, ms: number) => {
    bench.asked.push(what);
    bench.nowMs += ms;
  };
  const driver: WebmailDriver = {
    ownsCookie: () => false,
    masterEntry: { kind: 'own-account' },
    judge: () => 'alive',
    async signOut() {},
    async signIn(host, as, signal) {
      work(`webmail ${host.name} ${as.user} ${as.publicOrigin} ${as.timeZone ?? '-'}`, took.webmail);
      return script.webmail === undefined ? signedInToWebmail() : script.webmail(signal);
    },
  };
  const deps: LoginDeps = {
    parseName: createLoginNameParser({ defaultDomain: 'example.test' }),
    async storeAnswers() {
      work('store', 1);
      await script.store?.();
    },
    directory: {
      async lookup(name, signal) {
        work(`directory ${name}`, took.directory);
        return script.directory === undefined ? found : script.directory(signal);
      },
    },
    penalty: {
      async admit(attempt) {
        bench.penalised.push(attempt);
        if (script.penalty === 'busy') return { kind: 'busy' };
        bench.nowMs += script.penalty ?? 0;
        let settled = false;
        return {
          kind: 'admitted',
          waitedMs: script.penalty ?? 0,
          async settle(verdict) {
            if (!settled) bench.settled.push(verdict);
            settled = true;
          },
        };
      },
    },
    passdb: {
      async verify(credentials, host, context, signal) {
        bench.tried.push(credentials.password.reveal());
        work(`imap ${host.name} ${credentials.user} ${context.client.address} ${context.reference}`, took.imap);
        return script.passdb === undefined ? { kind: 'right' } : script.passdb(signal);
      },
      async ask(credentials, host, context) {
        bench.tried.push(credentials.password.reveal());
        work(`referrer ${host.name} ${credentials.user} ${context.client.address}`, took.imap);
        return script.referral ?? { kind: 'referred', to: 'imap://mail-a/' };
      },
    },
    homeOf(name, _user, stays = false) {
      if (script.knowsBackend === false || name !== 'a') return undefined;
      const home = { backend: backendA, host: hostA, driver };
      return script.homeOf === undefined ? home : script.homeOf(home, stays);
    },
    ...(script.arrived === undefined ? {} : { arrived: script.arrived }),
    clock: { nowMs: () => bench.nowMs },
    async wait(ms, signal) {
      script.onWait?.();
      signal.throwIfAborted();
      work(`wait ${ms}`, ms);
    },
    observe: (event) => bench.events.push(event),
    deadlineMs: script.deadlineMs ?? 15_000,
    refusalAfterMs: 3_000,
    isSomeHomeSilent: () => script.isSomeHomeSilent ?? false,
  };
  return Object.assign(bench, { login: createLogin(deps), staffLogin: createStaffLogin(deps) });
}

export function attempt(changes: { readonly user?: string; readonly password?: string } = {}): LoginForm {
  return {
    user: changes.user ?? 'alice',
    password: new Secret(changes.password ?? 'alice-pw'),
    client: { address: '192.0.2.7', port: 4711, userAgent: 'Browser/1' },
    publicOrigin: 'https://mail.example.org',
    timeZone: 'Europe/Berlin',
    reference: 'R1',
    requestId: '4bf92f3577b34da6a3ce929d0e0e4736',
    arrivedAtMs: 1_000_000,
  };
}

export const hostA: BackendHost = {
  name: 'a',
  imap: { hostname: '127.0.0.11', port: 993, security: 'tls', trust: {} },
  webmail: { origin: 'http://127.0.0.11', landing: '/', trust: {} },
};

export const backendA: Backend = {
  name: backendName('a'),
  driver: 'none',
  driverSettings: {},
  hosts: [hostA],
  limits: backendLimits,
};
