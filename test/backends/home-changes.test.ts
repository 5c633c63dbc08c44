import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { createHomeChanges, type HomeChanges } from '../../src/backends/home-changes.ts';
import { homeOfSession } from '../../src/backends/placement.ts';
import type { StateReplica } from '../../src/backends/state-replica.ts';
import type { HomeLookup } from '../../src/core/directory.ts';
import { PosternError } from '../../src/core/error.ts';
import { silentLog } from '../../src/core/log.ts';
import { backendName, handClock, openState, recordOn, userName } from './samples.fixture.ts';

const alice = userName('alice@example.test');
const hour = 3_600_000;

describe('a home that changes in the directory', () => {
  const clock = handClock();
  let state: StateReplica;
  let homeChanges: HomeChanges;
  let answer: () => Promise<HomeLookup>;
  let asked: number;
  const session = recordOn(alice, 'a', 'a');

  const found =
    (backend: string, user = alice) =>
    async (): Promise<HomeLookup> => ({
      kind: 'found',
      backend: backendName(backend),
      user,
    });
  const node = (sessions = [session]) =>
    createHomeChanges({
      state,
      sessions: () => sessions,
      lookUp: () => {
        asked += 1;
        return answer();
      },
      sessionMs: () => 12 * hour,
      clock,
      log: silentLog,
    });

  beforeEach(async () => {
    state = await openState();
    asked = 0;
    answer = found('a');
    homeChanges = node();
  });
  afterEach(async () => {
    await homeChanges[Symbol.asyncDispose]();
    await state[Symbol.asyncDispose]();
  });

  it('is taken over for sessions that began before, and not for later ones', async () => {
    await homeChanges.lookOn();
    assert.equal(homeOfSession(state, session), 'a');
    answer = found('b');
    await homeChanges.lookOn();
    assert.equal(homeOfSession(state, session), 'b');
    clock.advance(1);
    assert.equal(homeOfSession(state, { ...session, createdAtMs: clock.nowMs() }), 'a');
  });

  it('is older news than a session that another node has led on', async () => {
    answer = found('b');
    await homeChanges.lookOn();
    const sinceMs = state.homes.get(alice)?.sinceMs ?? 0;
    const ledOn = { ...recordOn(alice, 'c', 'c'), homeSinceMs: sinceMs + 60_000 };
    assert.equal(homeOfSession(state, ledOn), 'c');
    await using other = node([ledOn]);
    await other.look(alice);
    assert.equal(homeOfSession(state, ledOn), 'b');
  });

  it('counts for less than an override of an operator', async () => {
    answer = found('b');
    await homeChanges.lookOn();
    await state.overrides.set(alice, { backend: 'c', reason: 'full', by: 'ops', sinceMs: 1 });
    assert.equal(homeOfSession(state, session), 'c');
    await homeChanges.lookOn();
    assert.equal(asked, 1);
  });

  it('does not change again within ten minutes, so that servers which lag send nobody to and fro', async () => {
    answer = found('b');
    await homeChanges.lookOn();
    answer = found('a');
    clock.advance(10 * 60_000 - 1);
    await homeChanges.lookOn();
    assert.equal(homeOfSession(state, session), 'b');
    clock.advance(1);
    await homeChanges.lookOn();
    assert.equal(homeOfSession(state, session), 'a');
  });

  it('is no news when nobody can be asked, the user is refused or unknown, or another user is meant', async () => {
    const tempfail = new PosternError('ERR_DIRECTORY_UNAVAILABLE', 'away', { source: 'directory', retryable: true });
    const answers: (() => Promise<HomeLookup>)[] = [
      () => Promise.reject(tempfail),
      async () => ({ kind: 'refused', reason: 'suspended' }),
      async () => ({ kind: 'unknown-user' }),
      found('b', userName('other@example.test')),
    ];
    for (const one of answers) {
      answer = one;
      await homeChanges.lookOn();
    }
    assert.equal(asked, answers.length);
    assert.equal(homeOfSession(state, session), 'a');
  });

  it('is looked for at once when an operator says so, in each session of the user', async () => {
    answer = found('b');
    await using other = node([recordOn('bob@example.test', 'a', 'a'), recordOn(alice, 'b', 'b'), session]);
    await other.look(alice);
    assert.equal(homeOfSession(state, session), 'b');
    assert.equal(asked, 2);
  });

  it('is looked for at once when its backend serves nobody: on to a third, but not back for five minutes', async () => {
    answer = found('b');
    await Promise.all([homeChanges.lookForPlace(session), homeChanges.lookForPlace(session)]);
    assert.equal(homeOfSession(state, session), 'b');
    assert.equal(asked, 1, 'all requests of a user share one question');
    answer = found('a');
    clock.advance(5 * 60_000 - 1);
    await homeChanges.lookForPlace(session);
    assert.equal(homeOfSession(state, session), 'b');
    answer = found('c');
    await homeChanges.lookForPlace(session);
    assert.equal(homeOfSession(state, session), 'c');
    answer = found('b');
    clock.advance(5 * 60_000);
    await homeChanges.lookForPlace(session);
    assert.equal(homeOfSession(state, session), 'b');
  });

  it('is waited for no longer than two seconds when its backend serves nobody', async () => {
    await using other = createHomeChanges({
      state,
      sessions: () => [session],
      lookUp: (_user, signal) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      sessionMs: () => 12 * hour,
      clock,
      log: silentLog,
    });
    await other.lookForPlace(session);
    assert.equal(homeOfSession(state, session), 'a');
  });

  it('goes back at once when an operator says so, and away again when it serves nobody once more', async () => {
    answer = found('b');
    await homeChanges.lookForPlace(session);
    answer = found('a');
    await homeChanges.look(alice);
    assert.equal(homeOfSession(state, session), 'a');
    answer = found('b');
    await homeChanges.lookForPlace(session);
    assert.equal(homeOfSession(state, session), 'b');
  });

  it('is forgotten once no session can be from before', async () => {
    answer = found('b');
    await homeChanges.lookOn();
    await using other = node([]);
    clock.advance(12 * hour);
    await other.lookOn();
    assert.equal(state.homes.get(alice)?.backend, 'b');
    clock.advance(1);
    await other.lookOn();
    assert.equal(state.homes.get(alice), undefined);
  });
});
