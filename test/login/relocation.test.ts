import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CookieJar } from '../../src/core/cookie-jar.ts';
import { PosternError } from '../../src/core/error.ts';
import type { Place } from '../../src/core/placement.ts';
import { Secret } from '../../src/core/secrets.ts';
import type { LiveSession, SessionRoute } from '../../src/core/session.ts';
import type { MasterEntry, WebmailDriver, WebmailSignIn } from '../../src/core/webmail.ts';
import { createRelocation } from '../../src/login/silent-login.ts';
import { liveSession } from './live-session.fixture.ts';
import { hostA, signedInToWebmail } from './login.fixture.ts';
import { backendName, canonicalUser } from './named.fixture.ts';

const client = { address: '192.0.2.7', port: 4711, userAgent: 'Browser/1' };
const origin = 'https://mail.example.org';
const hostB = { ...hostA, name: 'b' };
const toB: Place = { kind: 'elsewhere', backend: backendName('b'), host: hostB };

function bench(script: {
  readonly place?: () => Place;
  readonly reconsider?: () => Place;
  readonly signIn?: (host: string) => Promise<WebmailSignIn>;
  readonly masterEntry?: MasterEntry;
  readonly reroute?: () => Promise<'rerouted' | 'elsewhere' | 'gone'>;
}) {
  const signIns: string[] = [];
  const reroutes: SessionRoute[] = [];
  const left: string[] = [];
  const driver: WebmailDriver = {
    ownsCookie: () => false,
    masterEntry: script.masterEntry ?? { kind: 'own-account' },
    judge: () => 'alive',
    async signOut() {},
    async signIn(host, as) {
      signIns.push(`${host.name} ${as.user} ${as.password?.reveal() ?? 'master'} ${as.publicOrigin}`);
      return script.signIn?.(host.name) ?? signedInToWebmail();
    },
  };
  const relocate = createRelocation({
    placeOf: script.place ?? (() => toB),
    reconsider: async () => script.reconsider?.() ?? toB,
    driverOf: (backend) => (backend === 'b' ? driver : undefined),
    async reroute(_key, to) {
      reroutes.push(to);
      return script.reroute?.() ?? 'rerouted';
    },
    leave: ({ record, jar }) => void left.push(`${record.backend} ${jar.header('/', 1)}`),
  });
  return { relocate, signIns, reroutes, left };
}

const lost = (): Promise<never> =>
  Promise.reject(new PosternError('ERR_WEBMAIL_UNAVAILABLE', 'gone', { source: 'webmail', retryable: true }));

function aliceOnA(): LiveSession {
  const jar = new CookieJar(() => false);
  jar.absorb('colour=dark; Path=/', '/', 1);
  const session = liveSession({ user: canonicalUser('alice@example.test'), backend: backendName('a'), host: 'a' }, jar);
  return {
    ...session,
    record: session.record,
    jar,
    password: new Secret('alice-pw'),
  };
}

describe('leading a session elsewhere', () => {
  it('signs the user in there once for all requests that find it out together, and rewrites the record', async () => {
    const { relocate, signIns, reroutes } = bench({});
    const session = aliceOnA();
    const [first, second] = await Promise.all([relocate(session, client, origin), relocate(session, client, origin)]);
    assert.equal(first, second);
    assert.deepEqual(signIns, ['b alice@example.test alice-pw https://mail.example.org']);
    assert.deepEqual(reroutes, [{ backend: 'b', host: 'b' }]);
  });

  it('takes back what the browser holds of the other webmail, and gives it the new cookies', async () => {
    const { relocate } = bench({});
    const outcome = await relocate(aliceOnA(), client, origin);
    assert.ok(outcome.kind === 'relocated');
    assert.match(outcome.browserCookies[0] ?? '', /^colour=; Path=\/; Expires=Thu, 01 Jan 1970/);
    assert.deepEqual(outcome.browserCookies.slice(1), ['colour=dark']);
  });

  it('signs out of the webmail that was left, once, and not of one that another node or a standby goes on with', async () => {
    const session = aliceOnA();
    session.jar.absorb('sid=S; Path=/; HttpOnly', '/', 1);
    const moved = bench({});
    await moved.relocate(session, client, origin);
    assert.deepEqual(moved.left, ['a sid=S']);
    const second = bench({ reroute: async () => 'elsewhere' });
    await second.relocate(aliceOnA(), client, origin);
    const standby = bench({ place: () => ({ kind: 'elsewhere', backend: backendName('b'), host: hostA }) });
    const onB = { ...aliceOnA(), record: { ...aliceOnA().record, backend: backendName('b') } };
    await standby.relocate(onB, client, origin);
    assert.deepEqual([...second.left, ...standby.left], []);
  });

  it('gives no cookies of its own sign-in when another node was first', async () => {
    const { relocate } = bench({ reroute: async () => 'elsewhere' });
    const outcome = await relocate(aliceOnA(), client, origin);
    assert.ok(outcome.kind === 'relocated');
    assert.equal(outcome.browserCookies.length, 1);
  });

  it('says when the session has ended and when the webmail refuses', async () => {
    assert.deepEqual(await bench({ reroute: async () => 'gone' }).relocate(aliceOnA(), client, origin), {
      kind: 'ended',
    });
    const refusing = bench({ signIn: async () => ({ kind: 'rejected' }) });
    assert.deepEqual(await refusing.relocate(aliceOnA(), client, origin), { kind: 'rejected' });
    assert.deepEqual(refusing.reroutes, []);
  });

  it('enters by a master identity where the session has no password, or says that it cannot', async () => {
    const forgetful = { ...aliceOnA(), password: undefined };
    const open = bench({});
    assert.equal((await open.relocate(forgetful, client, origin)).kind, 'relocated');
    assert.deepEqual(open.signIns, [`b alice@example.test master ${origin}`]);
    const closed = bench({ masterEntry: { kind: 'impossible', why: 'of its form' } });
    assert.deepEqual(await closed.relocate(forgetful, client, origin), { kind: 'rejected' });
    assert.deepEqual(closed.signIns, []);
  });

  it('asks nobody when the place has changed again meanwhile', async () => {
    const closure = { kind: 'down' as const, backend: backendName('b'), sinceMs: 1, texts: {} };
    const closed = bench({ place: () => ({ kind: 'closed', closure }) });
    assert.deepEqual(await closed.relocate(aliceOnA(), client, origin), { kind: 'closed', closure });
    const here = bench({ place: () => ({ kind: 'here', host: hostA }) });
    assert.deepEqual(await here.relocate(aliceOnA(), client, origin), {
      kind: 'relocated',
      landing: '/',
      browserCookies: [],
    });
    assert.deepEqual([...closed.signIns, ...here.signIns], []);
  });

  it('goes on to another host when the first one is lost, too', async () => {
    const toC: Place = { ...toB, host: { ...hostB, name: 'c' } };
    const twice = bench({
      reconsider: () => toC,
      signIn: async (host) => (host === 'b' ? lost() : signedInToWebmail()),
    });
    assert.equal((await twice.relocate(aliceOnA(), client, origin)).kind, 'relocated');
    assert.deepEqual(twice.reroutes, [{ backend: 'b', host: 'c' }]);
  });

  it('asks no host twice, and gives up when the second one fails', async () => {
    const same = bench({ signIn: lost });
    await assert.rejects(same.relocate(aliceOnA(), client, origin), { code: 'ERR_WEBMAIL_UNAVAILABLE' });
    assert.equal(same.signIns.length, 1);
    const other = bench({ reconsider: () => ({ ...toB, host: hostA }), signIn: lost });
    await assert.rejects(other.relocate(aliceOnA(), client, origin), { code: 'ERR_WEBMAIL_UNAVAILABLE' });
    assert.equal(other.signIns.length, 2);
  });

  it('may be tried again after a failure', async () => {
    let fails = true;
    const { relocate } = bench({
      signIn: async () => {
        if (fails) throw new Error('connection refused');
        return signedInToWebmail();
      },
    });
    const session = aliceOnA();
    await assert.rejects(relocate(session, client, origin), /refused/);
    fails = false;
    assert.equal((await relocate(session, client, origin)).kind, 'relocated');
  });
});
