import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Backend, BackendHost } from '../../src/core/backend.ts';
import { CookieJar } from '../../src/core/cookie-jar.ts';
import { PosternError } from '../../src/core/error.ts';
import type { SignInIdentity } from '../../src/core/identity.ts';
import type { RecordKey } from '../../src/core/names.ts';
import { Secret } from '../../src/core/secrets.ts';
import type { LiveSession } from '../../src/core/session.ts';
import type { MasterEntry, SilentLogin, WebmailDriver, WebmailSignIn } from '../../src/core/webmail.ts';
import { createSilentLogin } from '../../src/login/silent-login.ts';
import { backendLimits } from '../backend-limits.fixture.ts';
import { liveSession } from './live-session.fixture.ts';
import { backendName, canonicalUser } from './named.fixture.ts';

const client = { address: '203.0.113.7', port: 4711, userAgent: 'UA' };
const origin = 'https://mail.example.test';
const minuteMs = 60_000;

const host: BackendHost = {
  name: 'a',
  imap: { hostname: '127.0.0.1', port: 993, security: 'tls', trust: {} },
  webmail: { origin: 'http://127.0.0.1', landing: '/', trust: {} },
};

function recordKey(text: string): RecordKey {
  assert.ok(isRecordKey(text));
  return text;
}

function isRecordKey(text: string): text is RecordKey {
  return text !== '';
}

interface TestSession extends LiveSession {
  saves: number;
}

function sessionOf(key: string): TestSession {
  const jar = new CookieJar(() => true);
  jar.absorb('sid=old; Path=/', '/', 0);
  return {
    ...liveSession({ timeZone: 'Europe/Berlin' }, jar),
    key: recordKey(key),
    password: new Secret('alice-pw'),
    saves: 0,
    saveJar() {
      this.saves += 1;
    },
  };
}

/** A webmail that answers each sign-in when the test says so. */
class Webmail {
  readonly asked: SignInIdentity[] = [];
  readonly #waiting: PromiseWithResolvers<WebmailSignIn>[] = [];
  nowMs = 0;
  masterEntry: MasterEntry = { kind: 'own-account' };
  carries: Pick<WebmailDriver, 'carriesCookie'> = {};
  readonly signIn: SilentLogin;

  constructor(homeOf?: () => undefined) {
    const backend: Backend = {
      name: backendName('a'),
      driver: 'test',
      driverSettings: {},
      hosts: [host],
      limits: backendLimits,
    };
    const driver = (): WebmailDriver => ({
      ownsCookie: () => true,
      masterEntry: this.masterEntry,
      signIn: (_host, as) => {
        this.asked.push(as);
        const pending = Promise.withResolvers<WebmailSignIn>();
        this.#waiting.push(pending);
        return pending.promise;
      },
      signOut: () => Promise.resolve(),
      judge: () => 'alive',
      ...this.carries,
    });
    const clock = { nowMs: () => this.nowMs };
    this.signIn = createSilentLogin({ homeOf: homeOf ?? (() => ({ backend, host, driver: driver() })), clock });
  }

  accept(): void {
    const jar = new CookieJar(() => true);
    jar.absorb(`sid=new${this.asked.length}; Path=/`, '/', 0);
    this.#next().resolve({ kind: 'signed-in', jar, browserCookies: ['x=1'], landing: '/mail' });
  }

  reject(): void {
    this.#next().resolve({ kind: 'rejected' });
  }

  fail(error: Error): void {
    this.#next().reject(error);
  }

  #next(): PromiseWithResolvers<WebmailSignIn> {
    const pending = this.#waiting.shift();
    assert.ok(pending !== undefined, 'nobody is asking');
    return pending;
  }
}

async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test('requests that find the session lost at the same time share one sign-in', async () => {
  const webmail = new Webmail();
  const session = sessionOf('s');
  const three = [1, 2, 3].map(() => webmail.signIn(session, client, origin));
  await settled();
  assert.equal(webmail.asked.length, 1);
  webmail.accept();
  const signedIn = { kind: 'signed-in', landing: '/mail', browserCookies: ['x=1'] };
  assert.deepEqual(await Promise.all(three), [signedIn, signedIn, signedIn]);
});

test('the browser and the password of the session are passed on, and its jar is renewed and saved once', async () => {
  const webmail = new Webmail();
  const session = sessionOf('s');
  const attempt = webmail.signIn(session, client, origin);
  await settled();
  webmail.accept();
  await attempt;
  const [as] = webmail.asked;
  assert.deepEqual(
    [as?.user, as?.password?.reveal(), as?.client, as?.timeZone, as?.publicOrigin],
    ['alice@example.test', 'alice-pw', client, 'Europe/Berlin', origin],
  );
  assert.equal(session.jar.header('/', 0), 'sid=new1');
  assert.equal(session.jar.generation, 1);
  assert.equal(session.saves, 1);
});

test('one in 10 s and three in 5 min are allowed, per session', async () => {
  const webmail = new Webmail();
  const session = sessionOf('s');
  const times: readonly (readonly [atMs: number, kind: string])[] = [
    [0, 'signed-in'],
    [9_999, 'too-often'],
    [10_000, 'signed-in'],
    [minuteMs, 'signed-in'],
    [2 * minuteMs, 'too-often'],
    [5 * minuteMs, 'signed-in'],
  ];
  for (const [atMs, kind] of times) {
    webmail.nowMs = atMs;
    const attempt = webmail.signIn(session, client, origin);
    await settled();
    if (kind === 'signed-in') webmail.accept();
    assert.equal((await attempt).kind, kind, `at ${atMs} ms`);
  }
  const another = webmail.signIn(sessionOf('other'), client, origin);
  await settled();
  webmail.accept();
  assert.equal((await another).kind, 'signed-in');
});

test('a refused password leaves the jar as it is', async () => {
  const webmail = new Webmail();
  const session = sessionOf('s');
  const attempt = webmail.signIn(session, client, origin);
  await settled();
  webmail.reject();
  assert.deepEqual(await attempt, { kind: 'rejected' });
  assert.equal(session.jar.header('/', 0), 'sid=old');
  assert.equal(session.saves, 0);
});

test('a webmail that could not be asked fails every request that waited, and the next may try again later', async () => {
  const webmail = new Webmail();
  const session = sessionOf('s');
  const gone = new PosternError('ERR_WEBMAIL_UNAVAILABLE', 'gone', { source: 'webmail', retryable: true });
  const both = Promise.allSettled([webmail.signIn(session, client, origin), webmail.signIn(session, client, origin)]);
  await settled();
  webmail.fail(gone);
  for (const outcome of await both) assert.ok(outcome.status === 'rejected' && outcome.reason === gone);
  webmail.nowMs = 10_000;
  const later = webmail.signIn(session, client, origin);
  await settled();
  webmail.accept();
  assert.equal((await later).kind, 'signed-in');
});

test('a session without a password is entered by a master identity, where the webmail can be', async () => {
  const session = { ...sessionOf('s'), password: undefined };
  const webmail = new Webmail();
  const attempt = webmail.signIn(session, client, origin);
  await settled();
  webmail.accept();
  assert.equal((await attempt).kind, 'signed-in');
  assert.deepEqual([webmail.asked.length, webmail.asked[0]?.password], [1, undefined]);

  const closed = new Webmail();
  closed.masterEntry = { kind: 'impossible', why: 'of its form' };
  assert.deepEqual(await closed.signIn(session, client, origin), { kind: 'rejected' });
  assert.equal(closed.asked.length, 0);
});

test('the webmail of a mailbox that staff opened learns who does', async () => {
  const actor = canonicalUser('sam@example.test');
  const impersonation = { actor, staffSession: recordKey('staff'), reason: 'cannot find a folder', ticket: '' };
  const session = { ...sessionOf('s'), password: undefined };
  const webmail = new Webmail();
  const attempt = webmail.signIn({ ...session, record: { ...session.record, impersonation } }, client, origin);
  await settled();
  webmail.accept();
  await attempt;
  assert.equal(webmail.asked[0]?.actor, actor);
});

test('a host that is gone from the configuration is a failure', async () => {
  const webmail = new Webmail(() => undefined);
  await assert.rejects(webmail.signIn(sessionOf('s'), client, origin), {
    code: 'ERR_WEBMAIL_UNAVAILABLE',
    source: 'webmail',
  });
});

test('of all the users of a restarted webmail, eight sign in at a time, in their order', async () => {
  const webmail = new Webmail();
  const attempts = Array.from({ length: 20 }, (_, index) => webmail.signIn(sessionOf(`s${index}`), client, origin));
  await settled();
  assert.equal(webmail.asked.length, 8);
  for (let done = 0; done < 20; done += 1) {
    webmail.accept();
    await settled();
    assert.equal(webmail.asked.length, Math.min(20, 9 + done));
  }
  for (const { kind } of await Promise.all(attempts)) assert.equal(kind, 'signed-in');
});

test('who found the queue of a restarted webmail full has not used up an attempt', async () => {
  const webmail = new Webmail();
  const late = sessionOf('late');
  const waiting = Array.from({ length: 1008 }, (_, index) => webmail.signIn(sessionOf(`s${index}`), client, origin));
  await assert.rejects(webmail.signIn(late, client, origin), { code: 'ERR_BUSY', source: 'webmail' });
  for (let done = 0; done < 1008; done += 1) {
    await settled();
    webmail.accept();
  }
  await Promise.all(waiting);
  const again = webmail.signIn(late, client, origin);
  await settled();
  webmail.accept();
  assert.equal((await again).kind, 'signed-in');
});

const answer = {
  host: 'a',
  target: '/mail/compose',
  setCookies: ['stash=anonymous; Path=/', 'other=1; Path=/; HttpOnly', 'broken', 'gone=; Path=/; Max-Age=0'],
};
const carriages: readonly (readonly [
  what: string,
  names: readonly string[] | undefined,
  lost: typeof answer | undefined,
  header: string | undefined,
])[] = [
  ['nothing where the driver carries nothing', undefined, answer, undefined],
  ['the cookie that the lost answer set, and no other', ['stash'], answer, 'stash=anonymous'],
  ['the cookie of the lost session itself, where it was not set anew', ['sid', 'gone'], answer, 'sid=old'],
  ['not one that the lost answer removed', ['gone'], answer, ''],
  ['nothing of another host', ['stash', 'sid'], { ...answer, host: 'a/2' }, undefined],
  ['nothing where no answer told of the loss', ['stash', 'sid'], undefined, undefined],
];
for (const [what, names, lost, header] of carriages) {
  test(`a silent sign-in takes along ${what}`, async () => {
    const webmail = new Webmail();
    if (names !== undefined) webmail.carries = { carriesCookie: (name) => names.includes(name) };
    const session = sessionOf('s');
    session.jar.absorb('gone=1; Path=/', '/', 0);
    const attempt = webmail.signIn(session, client, origin, lost);
    await settled();
    assert.equal(webmail.asked[0]?.carried?.header('/mail/', 0), header);
    webmail.reject();
    await attempt;
    assert.equal(session.jar.header('/', 0), 'sid=old; gone=1', 'the session keeps its own jar until it is signed in');
  });
}
