import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, suite, test } from 'node:test';
import { silentLog } from '../../src/core/log.ts';
import type { SessionStore } from '../../src/core/session.ts';
import { createServerKey } from '../../src/sessions/key-derivation.ts';
import { RedisSessionStore } from '../../src/sessions/redis-store.ts';
import { SqliteSessionStore } from '../../src/sessions/sqlite-store.ts';
import { createStaffChecks, type StaffChecks } from '../../src/support/roles.ts';
import { createStaffSessions, type StaffSessions } from '../../src/support/staff-sessions.ts';
import { backendName, canonicalUser } from '../login/named.fixture.ts';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';
import { handClock } from '../sessions/samples.fixture.ts';

const sam = canonicalUser('sam@example.test');
const mia = canonicalUser('mia@example.test');
const key = createServerKey('0a0a0a0a', Buffer.alloc(32, 3));
const folder = mkdtempSync(join(tmpdir(), 'postern-staff-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

const field = (cookie: string): string => `other=1; __Host-postern-staff=${cookie}`;

function contract(name: string, open: () => Promise<SessionStore>): void {
  suite(`staff sessions over ${name}`, () => {
    let store: SessionStore;
    let sessions: StaffSessions;
    let staffChecks: StaffChecks;
    const clock = handClock();
    const arrival = {
      user: sam,
      backend: backendName('a'),
      host: 'a',
      client: { address: '192.0.2.7', port: 4711, userAgent: 'Browser/1' },
      publicOrigin: 'https://support.example.org',
    };
    beforeEach(async () => {
      store = await open();
      sessions = createStaffSessions({
        store,
        end: async (record, reason) => void (await store.destroy(record, reason)),
        keys: () => ({ promoted: key, find: (id) => (id === key.id ? key : undefined) }),
        times: () => ({ idleTimeoutMs: 900_000, absoluteTimeoutMs: 3_600_000 }),
        clock,
        randomBytes,
        log: silentLog,
      });
      staffChecks = createStaffChecks(async () => ({ roles: ['support'] }), sessions);
    });
    afterEach(() => store[Symbol.asyncDispose]());

    test('are found by their cookie, and by no other', async () => {
      const { cookie, session } = await sessions.open(arrival);
      assert.equal((await sessions.find(field(cookie), true))?.key, session.key);
      const other = cookie.endsWith('A') ? 'B' : 'A';
      for (const wrong of [
        `${cookie.slice(0, -1)}${other}`,
        cookie.slice(1),
        `${cookie}; __Host-postern-staff=x`,
        '',
      ]) {
        assert.equal(await sessions.find(field(wrong), true), undefined, wrong);
      }
      assert.equal(await sessions.find(`postern-staff=${cookie}`, true), undefined, 'the plain name over HTTPS');
      assert.equal(await sessions.find(`__Host-postern=${cookie}`, true), undefined, 'the name of the webmail’s');
      assert.equal(await sessions.find(undefined, true), undefined);
    });

    test('are signed in after the second factor, under a new id', async () => {
      const half = await sessions.open(arrival);
      assert.equal(await staffChecks.isSignedIn(half.session.key), false);
      const whole = await sessions.stepUp(half.session);
      assert.notEqual(whole.cookie, half.cookie);
      assert.equal(await sessions.find(field(half.cookie), true), undefined);
      assert.equal(await staffChecks.isSignedIn(whole.session.key), true);
      await sessions.end(whole.session, 'signed-out');
      assert.equal(await staffChecks.isSignedIn(whole.session.key), false);
    });

    test('know when a code was last shown', async () => {
      const { session, cookie } = await sessions.stepUp((await sessions.open(arrival)).session);
      clock.advance(400_000);
      assert.equal((await sessions.find(field(cookie), true))?.provenAtMs, session.provenAtMs);
      const anew = await sessions.proveAnew(session);
      assert.equal(anew?.provenAtMs, clock.nowMs());
      assert.equal((await sessions.find(field(cookie), true))?.provenAtMs, clock.nowMs());
      await sessions.end(session, 'kicked');
      assert.equal(await sessions.proveAnew(session), undefined);
    });

    test('end when they are not used; what hangs on them counts as use', async () => {
      const { session } = await sessions.stepUp((await sessions.open(arrival)).session);
      for (let minutes = 0; minutes < 40; minutes += 10) {
        clock.advance(600_000);
        assert.equal(await staffChecks.isSignedIn(session.key), true);
        staffChecks.keepAlive(session.key);
      }
      clock.advance(900_000);
      assert.equal(await staffChecks.isSignedIn(session.key), false);
    });

    test('are nobody else’s and no further on because somebody wrote to the store', async () => {
      const { session, cookie } = await sessions.open(arrival);
      for (const forged of [
        { ...session.record, user: mia },
        { ...session.record, staff: { step: 'second-factor', provenAtMs: clock.nowMs() } },
        { ...session.record, absoluteEndMs: session.record.absoluteEndMs + 1 },
      ] as const) {
        await store.rewrite(session.key, forged);
        assert.equal(await sessions.find(field(cookie), true), undefined);
        assert.equal(await staffChecks.isSignedIn(session.key), false);
      }
      await store.rewrite(session.key, session.record);
      assert.equal((await sessions.find(field(cookie), true))?.user, sam);
    });
  });
}

contract(
  'the embedded store',
  async () =>
    new SqliteSessionStore({
      file: join(folder, `${(files += 1)}.sqlite`),
      tombstoneMs: 60_000,
      clock: { nowMs: Date.now },
    }),
);

suite('staff sessions in Redis', () => {
  let server: RedisServer;
  before(async () => {
    server = await startRedisServer();
  });
  after(() => server[Symbol.asyncDispose]());

  contract('Redis', async () => {
    const store = new RedisSessionStore({ settings: { url: server.url }, tombstoneMs: 60_000, log: silentLog });
    await store.open(new AbortController().signal);
    return store;
  });
});
