import { shortSessionId } from '../../src/core/names.ts';
import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { PosternError } from '../../src/core/error.ts';
import type { Log } from '../../src/core/log.ts';
import { silentLog } from '../../src/core/log.ts';
import type { LiveSession } from '../../src/core/session.ts';
import { type EmbeddedNode, type RunningNode, startEmbeddedNode } from './running-node.fixture.ts';
import { alice, storeWith } from './samples.fixture.ts';

const minuteMs = 60_000;

interface Line {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** A log that keeps the lines about the life of sessions. */
function keptLines(): { readonly log: Log; readonly lines: Line[] } {
  const lines: Line[] = [];
  const log: Log = {
    ...silentLog,
    info: (event, fields) => void (event.startsWith('session-') && lines.push({ event, ...fields })),
  };
  return { log, lines };
}

function factsOf(session: LiveSession) {
  const short = shortSessionId(session.key);
  return { session: short, user: alice, kind: 'user', client: '192.0.2.1', backend: 'a', host: 'a' };
}

suite('the life of a session in the log', () => {
  let embedded: EmbeddedNode;
  let one: RunningNode;
  let two: RunningNode;
  let { log, lines } = keptLines();
  beforeEach(async () => {
    ({ log, lines } = keptLines());
    embedded = await startEmbeddedNode();
    one = await embedded.start({ log });
    two = await embedded.start({ log });
  });
  afterEach(async () => {
    await one[Symbol.asyncDispose]();
    await two[Symbol.asyncDispose]();
    await embedded[Symbol.asyncDispose]();
  });

  const ends = (): Line[] => lines.filter(({ event }) => event === 'session-end');

  test('begins with who, from where, and ends with why, how long and how much, over all nodes', async () => {
    const { cookie } = await one.signIn(alice);
    const [here, there] = [await one.session(cookie), await two.session(cookie)];
    assert.deepEqual(lines, [{ event: 'session-start', ...factsOf(here) }]);
    here.touch();
    here.count(10, 200);
    there.touch();
    there.count(1, 5_000);
    await two.live.sweep();
    embedded.clock.advance(5 * minuteMs);
    here.count(0, 1_000);
    await one.signOut(cookie);
    assert.deepEqual(ends(), [
      {
        event: 'session-end',
        requestId: 'request-of-a-test',
        ...factsOf(here),
        reason: 'signed-out',
        ms: 5 * minuteMs,
        requests: 3,
        bytesIn: 11,
        bytesOut: 6_200,
      },
    ]);
  });

  test('names who ended it', async () => {
    await one.signIn(alice);
    await two.live.endSessionsOfUser(alice, 'kicked', { by: 'root' });
    assert.deepEqual(
      ends().map(({ reason, by }) => ({ reason, by })),
      [{ reason: 'kicked', by: 'root' }],
    );
  });

  test('ends once when several nodes notice that its time is over, though its browser never comes back', async () => {
    const { cookie } = await one.signIn(alice);
    await two.session(cookie);
    embedded.clock.advance(31 * minuteMs);
    await Promise.all([one.live.sweep(), two.live.sweep()]);
    assert.deepEqual(
      ends().map(({ reason, by }) => ({ reason, by })),
      [{ reason: 'idle', by: undefined }],
    );
  });

  test('goes on where another node sees its use', async () => {
    const { cookie } = await one.signIn(alice);
    await two.session(cookie);
    embedded.clock.advance(20 * minuteMs);
    (await one.session(cookie)).touch();
    await one.live.sweep();
    embedded.clock.advance(20 * minuteMs);
    await two.live.sweep();
    assert.deepEqual(ends(), []);
    assert.equal((await one.find(cookie)).kind, 'found');
  });

  test('says that another sign-in of the same browser replaced it', async () => {
    const { cookie } = await one.signIn(alice);
    await one.signIn(alice, cookie);
    assert.deepEqual(
      lines.map(({ event, reason }) => [event, reason]),
      [
        ['session-start', undefined],
        ['session-end', 'replaced'],
        ['session-start', undefined],
      ],
    );
  });

  test('tells its end when the store is back, if it was away', async () => {
    let isAway = false;
    const store = storeWith(embedded.store, {
      destroy(...args) {
        if (!isAway) return embedded.store.destroy(...args);
        return Promise.reject(new PosternError('ERR_STORE_UNAVAILABLE', 'away', { source: 'store', retryable: true }));
      },
    });
    await using node = await embedded.start({ log, store });
    const session = await node.session((await node.signIn(alice)).cookie);
    session.count(0, 7);
    isAway = true;
    await node.live.end(session.key, 'kicked', 'sam');
    assert.deepEqual(ends(), []);
    isAway = false;
    await node.live.sweep();
    assert.deepEqual(
      ends().map(({ reason, by, bytesOut }) => ({ reason, by, bytesOut })),
      [{ reason: 'kicked', by: 'sam', bytesOut: 7 }],
    );
  });
});
